// The same with a task for every item, and a semaphore that lets a hundred of them work at a time:
// the way one writes it in asyncio. All items are in line from the start.

import { gather, Semaphore, sleep } from "asyncio-ts";
import type { Workload } from "../../workload.ts";
import { itemsFor, limit, Stage } from "./stage.ts";

export const workload: Workload = (size) => {
  const items = itemsFor(size);
  return async () => {
    const semaphore = new Semaphore(limit);
    const stage = new Stage();
    const work = async (item: number): Promise<number> => {
      stage.enter();
      await sleep(0);
      return stage.leave(item);
    };
    const results = await gather(items.map((item) => () => semaphore.run(() => work(item))));
    return stage.checksum(results);
  };
};
