// The same in a scope without a deadline: what is left out is the look at the clock.

import { sleep, taskGroup, timeout } from "asyncio-ts";
import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    const takeTurns = async (task: number): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        checksum = (checksum + Math.imul(task + 1, turn + 1)) | 0;
        await sleep(0);
      }
    };
    await taskGroup(async (group) => {
      for (let task = 0; task < tasks; task++)
        group.createTask(() => timeout(null, () => takeTurns(task)));
    });
    return checksum;
  };
