// The same with Effect: fibers, interrupted and awaited.

import * as Effect from "effect/Effect";
import * as Exit from "effect/Exit";
import * as Fiber from "effect/Fiber";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload = async ({ tasks }) => {
  let checksum = 0;
  const block = (task: number) =>
    Effect.never.pipe(
      Effect.ensuring(
        Effect.sync(() => {
          checksum = (checksum + task) | 0;
        }),
      ),
    );
  const blocked = Array.from({ length: tasks }, (_, task) => Effect.runFork(block(task)));
  await new Promise((resolve) => setImmediate(resolve)); // now each of them waits

  const program = Effect.gen(function* () {
    yield* Fiber.interruptAll(blocked);
    const exits = yield* Fiber.awaitAll(blocked);
    const cancelled = exits.filter((exit) => Exit.hasInterrupts(exit)).length;
    return mix(checksum, cancelled);
  });
  return () => Effect.runPromise(program);
};
