import { gather } from "asyncio-ts";
import { Broadcast } from "asyncio-ts/patterns";
import type { Work } from "../measure.ts";
import { capacity, subscribers } from "./stage.ts";

export const work: Work = async (count) => {
  const news = new Broadcast<number>({ capacity });
  const read = async (): Promise<number> => {
    using receiver = news.subscribe();
    let sum = 0;
    for (let item = 0; item < count; item++) sum = (sum + (await receiver.receive())) | 0;
    return sum;
  };
  const readers = Array.from({ length: subscribers }, () => read);
  const send = async (): Promise<number> => {
    for (let item = 0; item < count; item++) await news.send(item);
    return 0;
  };
  const sums = await gather([...readers, send]);
  return sums.reduce((all, sum) => (all + sum) | 0, 0);
};
