// The same with Effect, whose `forEach` is a bounded map by itself.

import * as Effect from "effect/Effect";
import type { Workload } from "../../workload.ts";
import { itemsFor, limit, Stage } from "./stage.ts";

export const workload: Workload = (size) => {
  const items = itemsFor(size);
  const program = Effect.gen(function* () {
    const stage = new Stage();
    const work = Effect.fnUntraced(function* (item: number) {
      stage.enter();
      yield* Effect.yieldNow;
      return stage.leave(item);
    });
    const results = yield* Effect.forEach(items, work, { concurrency: limit });
    return stage.checksum(results);
  });
  return () => Effect.runPromise(program);
};
