// Async functions that take turns: `await undefined` goes to the end of the microtask queue.

import { mix, type Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    const takeTurns = async (task: number): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        checksum = mix(checksum, task);
        await undefined;
      }
    };
    await Promise.all(Array.from({ length: tasks }, (_, task) => takeTurns(task)));
    return checksum;
  };
