// The same with a lock as one writes it by hand: a flag, and an array of those who wait.

import type { Workload } from "../../workload.ts";

class HandWrittenLock {
  #isHeld = false;
  readonly #waiters: (() => void)[] = [];

  acquire(): Promise<void> | undefined {
    if (this.#isHeld) return new Promise((resolve) => this.#waiters.push(resolve));
    this.#isHeld = true;
    return undefined;
  }

  /** Hands the lock to whoever has waited longest. */
  release(): void {
    const next = this.#waiters.shift();
    if (next === undefined) this.#isHeld = false;
    else next();
  }
}

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const lock = new HandWrittenLock();
    let balance = 0;
    const deposit = async (amount: number): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        await lock.acquire();
        try {
          const before = balance;
          await undefined;
          balance = (before + amount) | 0;
        } finally {
          lock.release();
        }
      }
    };
    await Promise.all(Array.from({ length: tasks }, (_, task) => deposit(task + 1)));
    return balance;
  };
