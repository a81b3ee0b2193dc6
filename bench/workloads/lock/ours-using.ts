// The same with the guard in a `using`, which the engine makes slower than a `finally`.

import { Lock, sleep, taskGroup } from "asyncio-ts";
import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const lock = new Lock();
    let balance = 0;
    const deposit = async (amount: number): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        using _guard = await lock.acquire();
        const before = balance;
        await sleep(0);
        balance = (before + amount) | 0;
      }
    };
    await taskGroup(async (group) => {
      for (let task = 1; task <= tasks; task++) group.createTask(() => deposit(task));
    });
    return balance;
  };
