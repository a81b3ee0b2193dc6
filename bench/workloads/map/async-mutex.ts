// The same with the Semaphore of async-mutex.

import { Semaphore } from "async-mutex";
import type { Workload } from "../../workload.ts";
import { itemsFor, limit, Stage } from "./stage.ts";

export const workload: Workload = (size) => {
  const items = itemsFor(size);
  return async () => {
    const semaphore = new Semaphore(limit);
    const stage = new Stage();
    const work = async (item: number): Promise<number> => {
      stage.enter();
      await undefined;
      return stage.leave(item);
    };
    const results = await Promise.all(
      items.map((item) => semaphore.runExclusive(() => work(item))),
    );
    return stage.checksum(results);
  };
};
