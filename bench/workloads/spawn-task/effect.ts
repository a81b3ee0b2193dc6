// The same with Effect: fibers, forked and joined one by one.

import * as Effect from "effect/Effect";
import * as Fiber from "effect/Fiber";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload = ({ tasks, repeats }) => {
  const program = Effect.gen(function* () {
    let checksum = 0;
    for (let batch = 0; batch < repeats; batch++) {
      const started: Fiber.Fiber<number>[] = [];
      for (let task = 0; task < tasks; task++)
        started.push(yield* Effect.forkChild(Effect.sync(() => task)));
      for (const fiber of started) {
        const value = yield* Fiber.join(fiber);
        checksum = mix(checksum, value);
      }
    }
    return checksum;
  });
  return () => Effect.runPromise(program);
};
