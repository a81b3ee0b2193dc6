// As spawn-task, but the tasks are children of a group, which joins them: one group per batch.

import { taskGroup } from "asyncio-ts";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    const work = async (task: number): Promise<void> => {
      checksum = mix(checksum, task);
    };
    for (let batch = 0; batch < repeats; batch++) {
      await taskGroup(async (group) => {
        for (let task = 0; task < tasks; task++) group.createTask(() => work(task));
      });
    }
    return checksum;
  };
