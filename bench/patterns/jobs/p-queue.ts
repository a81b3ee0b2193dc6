import PQueue from "p-queue";
import type { Work } from "../measure.ts";
import { checksumOf, itemsOf, job, limit } from "./stage.ts";

export const work: Work = async (count) => {
  const queue = new PQueue({ concurrency: limit });
  return checksumOf(await Promise.all(itemsOf(count).map((item) => queue.add(() => job(item)))));
};
