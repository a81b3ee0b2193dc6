// The same with a TaskQueue: a job for every item, a hundred of them at a time. All items are in
// line from the start.

import { gather, sleep } from "asyncio-ts";
import { TaskQueue } from "asyncio-ts/patterns";
import type { Workload } from "../../workload.ts";
import { itemsFor, limit, Stage } from "./stage.ts";

export const workload: Workload = (size) => {
  const items = itemsFor(size);
  return async () => {
    const queue = new TaskQueue({ limit });
    const stage = new Stage();
    const work = async (item: number): Promise<number> => {
      stage.enter();
      await sleep(0);
      return stage.leave(item);
    };
    const results = await gather(items.map((item) => queue.add(() => work(item))));
    return stage.checksum(results);
  };
};
