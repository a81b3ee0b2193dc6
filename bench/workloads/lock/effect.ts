// The same with Effect, where a lock is a semaphore with one permit.

import * as Effect from "effect/Effect";
import * as Semaphore from "effect/Semaphore";
import type { Workload } from "../../workload.ts";

export const workload: Workload = ({ tasks, repeats }) => {
  const program = Effect.gen(function* () {
    const lock = yield* Semaphore.make(1);
    let balance = 0;
    const deposit = Effect.fnUntraced(function* (amount: number) {
      const change = lock.withPermit(
        Effect.gen(function* () {
          const before = balance;
          yield* Effect.yieldNow;
          balance = (before + amount) | 0;
        }),
      );
      for (let turn = 0; turn < repeats; turn++) yield* change;
    });
    const amounts = Array.from({ length: tasks }, (_, task) => task + 1);
    yield* Effect.forEach(amounts, deposit, { concurrency: "unbounded", discard: true });
    return balance;
  });
  return () => Effect.runPromise(program);
};
