// As spawn-task, but the tasks are children of a group, which joins them: one group per batch.

import { taskGroup } from "asyncio-ts";
import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    const work = async (task: number, batch: number): Promise<void> => {
      checksum = (checksum + Math.imul(task + 1, batch + 1)) | 0;
    };
    for (let batch = 0; batch < repeats; batch++) {
      await taskGroup(async (group) => {
        for (let task = 0; task < tasks; task++) group.createTask(() => work(task, batch));
      });
    }
    return checksum;
  };
