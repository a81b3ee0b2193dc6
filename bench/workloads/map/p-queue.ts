// The same with p-queue.

import PQueue from "p-queue";
import type { Workload } from "../../workload.ts";
import { itemsFor, limit, Stage } from "./stage.ts";

export const workload: Workload = (size) => {
  const items = itemsFor(size);
  return async () => {
    const queue = new PQueue({ concurrency: limit });
    const stage = new Stage();
    const work = async (item: number): Promise<number> => {
      stage.enter();
      await undefined;
      return stage.leave(item);
    };
    const results = await queue.addAll(items.map((item) => () => work(item)));
    return stage.checksum(results);
  };
};
