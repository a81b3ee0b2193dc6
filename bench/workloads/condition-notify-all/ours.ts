// One task announces a new round to all who wait for it, and waits until each of them has seen it.
// Two conditions share the lock, so that the last answer wakes the announcer alone.

import { Condition, Lock, taskGroup } from "asyncio-ts";
import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const lock = new Lock();
    const announced = new Condition(lock);
    const answered = new Condition(lock);
    let round = 0;
    let answers = 0;
    let checksum = 0;
    const announce = async (): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        await lock.run(async () => {
          round++;
          answers = 0;
          announced.notifyAll();
          await answered.waitFor(() => answers === tasks);
        });
      }
    };
    const answer = async (task: number): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        await lock.run(async () => {
          await announced.waitFor(() => round > turn);
          checksum = (checksum + Math.imul(task, round)) | 0;
          if (++answers === tasks) answered.notify();
        });
      }
    };
    await taskGroup(async (group) => {
      for (let task = 1; task <= tasks; task++) group.createTask(() => answer(task));
      group.createTask(announce);
    });
    return checksum;
  };
