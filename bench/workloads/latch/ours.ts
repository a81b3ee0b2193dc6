// One thing wakes all who wait for it, in rounds: an Event for each. The last to be woken begins
// the next round.

import { Event, sleep, taskGroup } from "asyncio-ts";
import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    let woken = 0;
    let opened = new Event();
    let allWoken = new Event();
    const wait = async (task: number): Promise<void> => {
      for (let turn = 1; turn <= repeats; turn++) {
        await opened.wait();
        checksum = (checksum + Math.imul(task, turn)) | 0;
        if (++woken === tasks) allWoken.set();
      }
    };
    await taskGroup(async (group) => {
      for (let task = 1; task <= tasks; task++) group.createTask(() => wait(task));
      await sleep(0); // now each of them waits
      for (let turn = 0; turn < repeats; turn++) {
        const current = opened;
        opened = new Event();
        allWoken = new Event();
        woken = 0;
        current.set();
        await allWoken.wait();
      }
    });
    return checksum;
  };
