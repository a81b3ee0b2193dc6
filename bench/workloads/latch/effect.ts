// The same with Effect: a Latch for each round.

import * as Effect from "effect/Effect";
import * as Latch from "effect/Latch";
import type { Workload } from "../../workload.ts";

export const workload: Workload = ({ tasks, repeats }) => {
  const program = Effect.gen(function* () {
    let checksum = 0;
    let woken = 0;
    let opened = Latch.makeUnsafe();
    let allWoken = Latch.makeUnsafe();
    const first = opened;
    const wait = Effect.fnUntraced(function* (task: number) {
      let current = first;
      for (let turn = 1; turn <= repeats; turn++) {
        yield* current.await;
        current = opened; // before the last one is counted: the next round may begin inside of that
        checksum = (checksum + Math.imul(task, turn)) | 0;
        if (++woken === tasks) yield* allWoken.open;
      }
    });
    const announce = Effect.gen(function* () {
      for (let turn = 0; turn < repeats; turn++) {
        const current = opened;
        opened = Latch.makeUnsafe();
        allWoken = Latch.makeUnsafe();
        woken = 0;
        yield* current.open;
        yield* allWoken.await;
      }
    });
    const waiting = Array.from({ length: tasks }, (_, task) => wait(task + 1));
    yield* Effect.all([...waiting, announce], { concurrency: "unbounded", discard: true });
    return checksum;
  });
  return () => Effect.runPromise(program);
};
