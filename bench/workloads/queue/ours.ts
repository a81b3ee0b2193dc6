// Producers and consumers on one bounded queue, as many of the ones as of the others. Which
// consumer gets which item is nobody's promise, so the checksum is a sum.

import { Queue, taskGroup } from "asyncio-ts";
import type { Workload } from "../../workload.ts";

const capacity = 100;

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const queue = new Queue<number>(capacity);
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
    await taskGroup(async (group) => {
      for (let task = 0; task < tasks; task++) group.createTask(() => produce(task));
      for (let task = 0; task < tasks; task++) group.createTask(consume);
    });
    return checksum;
  };
