// A tree of groups, ten children in each, whose `tasks` leaves all wait; the scope around it is
// cancelled. The tree is as deep as the number of leaves wants it: three levels for a thousand, six
// for a million.

import { CancelScope, Event, sleep, type TaskGroup, taskGroup } from "asyncio-ts";
import type { Workload } from "../../workload.ts";

const branches = 10;

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const never = new Event();
    let waiting = 0;
    let checksum = 0;
    const leaf = async (): Promise<void> => {
      try {
        waiting++;
        await never.wait();
      } finally {
        checksum = (checksum + 1) | 0;
      }
    };
    /** A group with `leaves` tasks below it. */
    const grow = (leaves: number): Promise<void> => taskGroup((group) => plant(group, leaves));
    const plant = async (group: TaskGroup, leaves: number): Promise<void> => {
      for (let branch = 0; branch < branches; branch++)
        group.createTask(leaves > branches ? () => grow(leaves / branches) : leaf);
    };
    for (let batch = 0; batch < repeats; batch++) {
      const scope = new CancelScope();
      waiting = 0;
      await scope.run(() =>
        taskGroup(async (group) => {
          group.createTask(() => grow(tasks));
          while (waiting < tasks) await sleep(0);
          scope.cancel();
        }),
      );
    }
    return checksum;
  };
