// The same with the Mutex of async-mutex.

import { Mutex } from "async-mutex";
import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const mutex = new Mutex();
    let balance = 0;
    const deposit = async (amount: number): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        await mutex.runExclusive(async () => {
          const before = balance;
          await undefined;
          balance = (before + amount) | 0;
        });
      }
    };
    await Promise.all(Array.from({ length: tasks }, (_, task) => deposit(task + 1)));
    return balance;
  };
