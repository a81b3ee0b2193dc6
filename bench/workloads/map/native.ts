// The same by hand, where nobody writes a semaphore for it: a hundred loops that share one index.

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
    const results: number[] = [];
    const rest = items.entries();
    const workOff = async (): Promise<void> => {
      for (const [index, item] of rest) results[index] = await work(item);
    };
    await Promise.all(Array.from({ length: limit }, workOff));
    return stage.checksum(results);
  };
};
