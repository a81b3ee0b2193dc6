import pLimit from "p-limit";
import type { Work } from "../measure.ts";
import { checksumOf, itemsOf, job, limit } from "./stage.ts";

export const work: Work = async (count) => {
  const limited = pLimit(limit);
  return checksumOf(await Promise.all(itemsOf(count).map((item) => limited(() => job(item)))));
};
