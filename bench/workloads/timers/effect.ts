// The same with Effect.

import * as Effect from "effect/Effect";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload = ({ tasks, repeats }) => {
  const program = Effect.gen(function* () {
    let checksum = 0;
    const hurry = Effect.gen(function* () {
      for (let turn = 0; turn < repeats; turn++) {
        const value = yield* Effect.timeout(
          Effect.sync(() => turn),
          "60 seconds",
        );
        checksum = mix(checksum, value);
      }
    });
    const started = Array.from({ length: tasks }, () => hurry);
    yield* Effect.all(started, { concurrency: "unbounded", discard: true });
    return checksum;
  });
  return () => Effect.runPromise(program);
};
