import pMap from "p-map";
import type { Work } from "../measure.ts";
import { checksumOf, itemsOf, job, limit } from "./stage.ts";

export const work: Work = async (count) => {
  return checksumOf(await pMap(itemsOf(count), job, { concurrency: limit }));
};
