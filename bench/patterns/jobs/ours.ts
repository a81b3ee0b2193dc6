// All jobs are added at once, each by a call, and stand in line.

import { gather } from "asyncio-ts";
import { TaskQueue } from "asyncio-ts/patterns";
import type { Work } from "../measure.ts";
import { checksumOf, itemsOf, job, limit } from "./stage.ts";

export const work: Work = async (count) => {
  const queue = new TaskQueue({ limit });
  return checksumOf(await gather(itemsOf(count).map((item) => queue.add(() => job(item)))));
};
