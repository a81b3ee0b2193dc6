// As spawn-group, but the async functions are called at once.

import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    const work = async (task: number, batch: number): Promise<void> => {
      checksum = (checksum + Math.imul(task + 1, batch + 1)) | 0;
    };
    for (let batch = 0; batch < repeats; batch++) {
      const started: Promise<void>[] = [];
      for (let task = 0; task < tasks; task++) started.push(work(task, batch));
      await Promise.all(started);
    }
    return checksum;
  };
