// Tasks that return at once: what starting and awaiting one costs, `tasks` of them alive at a time.

import { createTask, type Task } from "asyncio-ts";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    for (let batch = 0; batch < repeats; batch++) {
      const started: Task<number>[] = [];
      for (let task = 0; task < tasks; task++) started.push(createTask(async () => task));
      for (const task of started) {
        const value = await task;
        checksum = mix(checksum, value);
      }
    }
    return checksum;
  };
