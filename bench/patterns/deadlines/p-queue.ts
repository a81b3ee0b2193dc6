import PQueue from "p-queue";
import { checksumOf, itemsOf, job, limit } from "../jobs/stage.ts";
import type { Work } from "../measure.ts";
import { seconds } from "./stage.ts";

export const work: Work = async (count) => {
  const queue = new PQueue({ concurrency: limit, timeout: seconds * 1000 });
  return checksumOf(await Promise.all(itemsOf(count).map((item) => queue.add(() => job(item)))));
};
