// A bounded map: a hundred items are worked on at a time, and the results come in the order of the
// items.

import { mapConcurrent, sleep } from "asyncio-ts";
import type { Workload } from "../../workload.ts";
import { itemsFor, limit, Stage } from "./stage.ts";

export const workload: Workload = (size) => {
  const items = itemsFor(size);
  return async () => {
    const stage = new Stage();
    const work = async (item: number): Promise<number> => {
      stage.enter();
      await sleep(0);
      return stage.leave(item);
    };
    const results: number[] = [];
    for await (const result of mapConcurrent(items, work, { limit })) results.push(result);
    return stage.checksum(results);
  };
};
