// A group whose `tasks` children all wait; the scope around it is cancelled, and the group joins
// them.

import { CancelScope, Event, sleep, taskGroup } from "asyncio-ts";
import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const never = new Event();
    let checksum = 0;
    const block = async (task: number): Promise<void> => {
      try {
        await never.wait();
      } finally {
        checksum = (checksum + task) | 0;
      }
    };
    for (let batch = 0; batch < repeats; batch++) {
      const scope = new CancelScope();
      await scope.run(() =>
        taskGroup(async (group) => {
          for (let task = 0; task < tasks; task++) group.createTask(() => block(task));
          await sleep(0); // now each of them waits
          scope.cancel();
        }),
      );
    }
    return checksum;
  };
