// Timeouts that are set and never fire: the body is done at once, and the timer is cancelled.

import { taskGroup, timeout } from "asyncio-ts";
import { mix, type Workload } from "../../workload.ts";

const seconds = 60;

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    const hurry = async (): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        const value = await timeout(seconds, async () => turn);
        checksum = mix(checksum, value);
      }
    };
    await taskGroup(async (group) => {
      for (let task = 0; task < tasks; task++) group.createTask(hurry);
    });
    return checksum;
  };
