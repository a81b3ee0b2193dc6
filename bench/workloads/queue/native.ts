// Producers and consumers on the hand-written queue beside this file.

import type { Workload } from "../../workload.ts";
import { BoundedQueue } from "./bounded-queue.ts";

const capacity = 100;

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const queue = new BoundedQueue<number>(capacity);
    let checksum = 0;
    const produce = async (producer: number): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) await queue.put(producer + turn);
    };
    const consume = async (): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        const item = await queue.get();
        checksum = (checksum + item) | 0;
      }
    };
    const started: Promise<void>[] = [];
    for (let task = 0; task < tasks; task++) started.push(produce(task));
    for (let task = 0; task < tasks; task++) started.push(consume());
    await Promise.all(started);
    return checksum;
  };
