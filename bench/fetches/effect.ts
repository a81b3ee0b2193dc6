// With Effect: `forEach` with a bound, `timeout` around each, a fiber for all of it.

import * as Effect from "effect/Effect";
import * as Fiber from "effect/Fiber";
import { deadlineSeconds, limit, perform } from "./stage.ts";

await perform((urls, tally) => {
  const load = (url: string) =>
    Effect.tryPromise(async (signal) => {
      const response = await fetch(url, { signal });
      await response.text();
      if (!response.ok) throw new Error(`status ${response.status}`);
    }).pipe(
      Effect.timeout(deadlineSeconds * 1000),
      Effect.match({ onSuccess: tally.fetched, onFailure: tally.failed }),
    );
  const all = Effect.forEach(urls, load, { concurrency: limit, discard: true });
  const fiber = Effect.runFork(all);
  return {
    cancel: () => void Effect.runFork(Fiber.interrupt(fiber)),
    ended: Effect.runPromise(Fiber.await(fiber)),
  };
});
