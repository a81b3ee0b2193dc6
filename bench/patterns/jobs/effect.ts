// Its own bounded map; the wait of a job is a turn of its scheduler.

import * as Effect from "effect/Effect";
import type { Work } from "../measure.ts";
import { begin, checksumOf, end, itemsOf, limit } from "./stage.ts";

const job = Effect.fnUntraced(function* (item: number) {
  begin();
  yield* Effect.yieldNow;
  return end(item);
});

export const work: Work = async (count) => {
  const all = Effect.forEach(itemsOf(count), job, { concurrency: limit });
  return checksumOf(await Effect.runPromise(all));
};
