// Tasks that wait for something that never comes, cancelled one by one, and joined when each has
// run its `finally`. Starting them is not timed.

import { CancelledError, createTask, gather, Queue, sleep, type Task } from "asyncio-ts";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload = async ({ tasks }) => {
  let checksum = 0;
  const nothing = new Queue<never>();
  const block = async (task: number): Promise<void> => {
    try {
      await nothing.get();
    } finally {
      checksum = (checksum + task) | 0;
    }
  };
  const blocked: Task<void>[] = [];
  for (let task = 0; task < tasks; task++) blocked.push(createTask(() => block(task)));
  await sleep(0); // now each of them waits

  return async () => {
    for (const task of blocked) task.cancel();
    const outcomes = await gather(blocked, { returnExceptions: true });
    const cancelled = outcomes.filter((outcome) => outcome instanceof CancelledError).length;
    return mix(checksum, cancelled);
  };
};
