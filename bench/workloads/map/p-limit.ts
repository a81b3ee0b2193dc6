// The same with p-limit.

import pLimit from "p-limit";
import type { Workload } from "../../workload.ts";
import { itemsFor, limit, Stage } from "./stage.ts";

export const workload: Workload = (size) => {
  const items = itemsFor(size);
  return async () => {
    const limited = pLimit(limit);
    const stage = new Stage();
    const work = async (item: number): Promise<number> => {
      stage.enter();
      await undefined;
      return stage.leave(item);
    };
    const results = await limited.map(items, work);
    return stage.checksum(results);
  };
};
