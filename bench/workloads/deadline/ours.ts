// Tasks that take turns under a deadline which never passes: each `sleep(0)` has to see that it has
// not.

import { sleep, taskGroup, timeout } from "asyncio-ts";
import type { Workload } from "../../workload.ts";

const seconds = 60;

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
        group.createTask(() => timeout(seconds, () => takeTurns(task)));
    });
    return checksum;
  };
