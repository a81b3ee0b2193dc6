import { gather } from "asyncio-ts";
import { channel } from "asyncio-ts/patterns";
import { capacity } from "../broadcast/stage.ts";
import type { Work } from "../measure.ts";

export const work: Work = async (count) => {
  const [sender, receiver] = channel<number>(capacity);
  const read = async (): Promise<number> => {
    let sum = 0;
    for (let item = 0; item < count; item++) sum = (sum + (await receiver.receive())) | 0;
    return sum;
  };
  const send = async (): Promise<void> => {
    for (let item = 0; item < count; item++) await sender.send(item);
  };
  const [sum] = await gather(read, send);
  return sum;
};
