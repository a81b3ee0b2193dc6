// The same with p-map.

import pMap from "p-map";
import type { Workload } from "../../workload.ts";
import { itemsFor, limit, Stage } from "./stage.ts";

export const workload: Workload = (size) => {
  const items = itemsFor(size);
  return async () => {
    const stage = new Stage();
    const work = async (item: number): Promise<number> => {
      stage.enter();
      await undefined;
      return stage.leave(item);
    };
    const results = await pMap(items, work, { concurrency: limit });
    return stage.checksum(results);
  };
};
