// The same with Effect: fibers, interrupted and awaited.

import * as Effect from "effect/Effect";
import * as Exit from "effect/Exit";
import * as Fiber from "effect/Fiber";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload = async ({ tasks, repeats }) => {
  let checksum = 0;
  const block = (task: number) =>
    Effect.never.pipe(
      Effect.ensuring(
        Effect.sync(() => {
          checksum = (checksum + task) | 0;
        }),
      ),
    );
  const rounds = Array.from({ length: repeats }, () => {
    return Array.from({ length: tasks }, (_, task) => Effect.runFork(block(task)));
  });
  await new Promise((resolve) => setImmediate(resolve)); // now each of them waits

  const program = Effect.gen(function* () {
    let cancelled = 0;
    for (const blocked of rounds) {
      yield* Fiber.interruptAll(blocked);
      const exits = yield* Fiber.awaitAll(blocked);
      cancelled += exits.filter((exit) => Exit.hasInterrupts(exit)).length;
    }
    return mix(checksum, cancelled);
  });
  return () => Effect.runPromise(program);
};
