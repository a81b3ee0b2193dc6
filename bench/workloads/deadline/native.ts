// Async functions that take turns, and look at the clock before each: a timer would come too late,
// since microtasks starve it.

import type { Workload } from "../../workload.ts";

const delayMs = 60_000;

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    const takeTurns = async (task: number): Promise<void> => {
      const deadline = performance.now() + delayMs;
      for (let turn = 0; turn < repeats; turn++) {
        checksum = (checksum + Math.imul(task + 1, turn + 1)) | 0;
        if (performance.now() > deadline) throw new Error("it took too long");
        await undefined;
      }
    };
    await Promise.all(Array.from({ length: tasks }, (_, task) => takeTurns(task)));
    return checksum;
  };
