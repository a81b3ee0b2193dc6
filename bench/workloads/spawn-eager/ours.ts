// As spawn-group, but the children start in the call, and run at once up to their first wait.

import { taskGroup } from "asyncio-ts";
import type { Workload } from "../../workload.ts";

const options = { eagerStart: true };

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    const work = async (task: number, batch: number): Promise<void> => {
      checksum = (checksum + Math.imul(task + 1, batch + 1)) | 0;
    };
    for (let batch = 0; batch < repeats; batch++) {
      await taskGroup(async (group) => {
        for (let task = 0; task < tasks; task++) group.createTask(() => work(task, batch), options);
      });
    }
    return checksum;
  };
