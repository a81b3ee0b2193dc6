// The same with a WHATWG stream that buffers a hundred items. A stream has one writer and one
// reader: the producers share the one, the consumers the other.

import { TransformStream } from "node:stream/web";
import type { Workload } from "../../workload.ts";

const capacity = 100;

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const { writable, readable } = new TransformStream<number, number>(
      undefined,
      new CountQueuingStrategy({ highWaterMark: capacity }),
      new CountQueuingStrategy({ highWaterMark: 0 }),
    );
    const writer = writable.getWriter();
    const reader = readable.getReader();
    let checksum = 0;
    const produce = async (producer: number): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        await writer.ready;
        void writer.write(producer + turn);
      }
    };
    const consume = async (): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        const { value = 0 } = await reader.read();
        checksum = (checksum + value) | 0;
      }
    };
    const started: Promise<void>[] = [];
    for (let task = 0; task < tasks; task++) started.push(produce(task));
    for (let task = 0; task < tasks; task++) started.push(consume());
    await Promise.all(started);
    return checksum;
  };
