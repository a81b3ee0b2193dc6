// The same with Effect, whose deadline is a race with a timer.

import * as Effect from "effect/Effect";
import type { Workload } from "../../workload.ts";

export const workload: Workload = ({ tasks, repeats }) => {
  const program = Effect.gen(function* () {
    let checksum = 0;
    const takeTurns = Effect.fnUntraced(function* (task: number) {
      for (let turn = 0; turn < repeats; turn++) {
        checksum = (checksum + Math.imul(task + 1, turn + 1)) | 0;
        yield* Effect.yieldNow;
      }
    });
    const started = Array.from({ length: tasks }, (_, task) =>
      Effect.timeout(takeTurns(task), "60 seconds"),
    );
    yield* Effect.all(started, { concurrency: "unbounded", discard: true });
    return checksum;
  });
  return () => Effect.runPromise(program);
};
