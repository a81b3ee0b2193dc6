// A fiber for each job, all of them in the line of a semaphore.

import * as Effect from "effect/Effect";
import * as Semaphore from "effect/Semaphore";
import type { Work } from "../measure.ts";
import { begin, checksumOf, end, itemsOf, limit } from "./stage.ts";

const job = Effect.fnUntraced(function* (item: number) {
  begin();
  yield* Effect.yieldNow;
  return end(item);
});

export const work: Work = async (count) => {
  const all = Effect.gen(function* () {
    const semaphore = yield* Semaphore.make(limit);
    const one = (item: number) => semaphore.withPermits(1)(job(item));
    return yield* Effect.forEach(itemsOf(count), one, { concurrency: "unbounded" });
  });
  return checksumOf(await Effect.runPromise(all));
};
