// The same with Effect, which has no condition: with a latch for each side, opened by the other
// one.

import * as Effect from "effect/Effect";
import * as Latch from "effect/Latch";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload = ({ tasks, repeats }) => {
  const program = Effect.gen(function* () {
    const latches = yield* Effect.all(Array.from({ length: tasks }, () => Latch.make(false)));
    let checksum = 0;
    const play = Effect.fnUntraced(function* (mine: Latch.Latch, player: number) {
      const next = latches[(player + 1) % tasks] ?? mine;
      for (let turn = 0; turn < repeats; turn++) {
        yield* mine.await;
        yield* mine.close;
        checksum = mix(checksum, player);
        yield* next.open;
      }
    });
    yield* latches[0]?.open ?? Effect.void;
    yield* Effect.forEach(latches, play, { concurrency: "unbounded", discard: true });
    return checksum;
  });
  return () => Effect.runPromise(program);
};
