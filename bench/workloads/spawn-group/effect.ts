// The same with Effect, whose `forEach` starts a fiber for each and joins them.

import * as Effect from "effect/Effect";
import type { Workload } from "../../workload.ts";

export const workload: Workload = ({ tasks, repeats }) => {
  const numbers = Array.from({ length: tasks }, (_, task) => task);
  const program = Effect.gen(function* () {
    let checksum = 0;
    for (let batch = 0; batch < repeats; batch++) {
      const work = (task: number) =>
        Effect.sync(() => {
          checksum = (checksum + Math.imul(task + 1, batch + 1)) | 0;
        });
      yield* Effect.forEach(numbers, work, { concurrency: "unbounded", discard: true });
    }
    return checksum;
  });
  return () => Effect.runPromise(program);
};
