// The same with p-limit, which is a lock when the limit is 1.

import pLimit from "p-limit";
import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const limit = pLimit(1);
    let balance = 0;
    const deposit = async (amount: number): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        await limit(async () => {
          const before = balance;
          await undefined;
          balance = (before + amount) | 0;
        });
      }
    };
    await Promise.all(Array.from({ length: tasks }, (_, task) => deposit(task + 1)));
    return balance;
  };
