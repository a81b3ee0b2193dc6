// Each job has a deadline, and all of them can be cancelled.

import { gather } from "asyncio-ts";
import { TaskQueue } from "asyncio-ts/patterns";
import { checksumOf, itemsOf, job, limit } from "../jobs/stage.ts";
import type { Work } from "../measure.ts";
import { seconds } from "./stage.ts";

export const work: Work = async (count) => {
  const queue = new TaskQueue({ limit, timeout: seconds });
  return checksumOf(await gather(itemsOf(count).map((item) => queue.add(() => job(item)))));
};
