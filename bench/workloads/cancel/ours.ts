// Tasks that wait for something that never comes, cancelled one by one, and joined when each has
// run its `finally`: so many, as often as it repeats. Starting them is not timed; those of all
// rounds wait from the beginning.

import { CancelledError, createTask, gather, Queue, sleep, type Task } from "asyncio-ts";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload = async ({ tasks, repeats }) => {
  let checksum = 0;
  const nothing = new Queue<never>();
  const block = async (task: number): Promise<void> => {
    try {
      await nothing.get();
    } finally {
      checksum = (checksum + task) | 0;
    }
  };
  const rounds: Task<void>[][] = [];
  for (let round = 0; round < repeats; round++)
    rounds.push(Array.from({ length: tasks }, (_, task) => createTask(() => block(task))));
  await sleep(0); // now each of them waits

  return async () => {
    let cancelled = 0;
    for (const blocked of rounds) {
      for (const task of blocked) task.cancel();
      const outcomes = await gather(blocked, { returnExceptions: true });
      cancelled += outcomes.filter((outcome) => outcome instanceof CancelledError).length;
    }
    return mix(checksum, cancelled);
  };
};
