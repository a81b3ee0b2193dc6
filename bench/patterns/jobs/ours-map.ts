// Without a queue: items are taken when there is a place for them.

import { mapAll } from "asyncio-ts";
import type { Work } from "../measure.ts";
import { checksumOf, itemsOf, job, limit } from "./stage.ts";

export const work: Work = async (count) => {
  return checksumOf(await mapAll(itemsOf(count), job, { limit }));
};
