// Async functions that take turns: `await undefined` goes to the end of the microtask queue.

import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    const takeTurns = async (task: number): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        checksum = (checksum + Math.imul(task + 1, turn + 1)) | 0;
        await undefined;
      }
    };
    await Promise.all(Array.from({ length: tasks }, (_, task) => takeTurns(task)));
    return checksum;
  };
