// The same with Effection, where one writes the hundred loops oneself.

import { all, type Operation, run, until } from "effection";
import type { Workload } from "../../workload.ts";
import { itemsFor, limit, Stage } from "./stage.ts";

const settled = Promise.resolve();

export const workload: Workload = (size) => {
  const items = itemsFor(size);
  function* main(): Operation<number> {
    const stage = new Stage();
    function* work(item: number): Operation<number> {
      stage.enter();
      yield* until(settled);
      return stage.leave(item);
    }
    const results: number[] = [];
    const rest = items.entries();
    function* workOff(): Operation<void> {
      for (const [index, item] of rest) results[index] = yield* work(item);
    }
    yield* all(Array.from({ length: limit }, workOff));
    return stage.checksum(results);
  }
  return async () => await run(main);
};
