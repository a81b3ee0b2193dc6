// The same with Effect: one fiber that has forked the others and awaits them, interrupted.

import * as Cause from "effect/Cause";
import * as Effect from "effect/Effect";
import * as Fiber from "effect/Fiber";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload = async ({ tasks }) => {
  let checksum = 0;
  let cancelled = 0;
  const block = (task: number) =>
    Effect.never.pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          if (exit._tag === "Failure" && Cause.hasInterrupts(exit.cause)) cancelled++;
          checksum = (checksum + task) | 0;
        }),
      ),
    );
  const numbers = Array.from({ length: tasks }, (_, task) => task);
  const all = Effect.forEach(numbers, block, { concurrency: "unbounded", discard: true });
  const parent = Effect.runFork(all);
  await new Promise((resolve) => setImmediate(resolve)); // now each of them waits

  return async () => {
    await Effect.runPromise(Fiber.interrupt(parent));
    return mix(checksum, cancelled);
  };
};
