// One lock that all tasks want at once. Whoever has it reads a balance, lets the others run, and
// writes it back: without the lock, deposits are lost and the checksum is another one.

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
