// The same with a promise for each round, which all of them await.

import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    let woken = 0;
    let opened = Promise.withResolvers<void>();
    let allWoken = Promise.withResolvers<void>();
    const wait = async (task: number): Promise<void> => {
      for (let turn = 1; turn <= repeats; turn++) {
        await opened.promise;
        checksum = (checksum + Math.imul(task, turn)) | 0;
        if (++woken === tasks) allWoken.resolve();
      }
    };
    const waiting = Array.from({ length: tasks }, (_, task) => wait(task + 1));
    for (let turn = 0; turn < repeats; turn++) {
      const current = opened;
      opened = Promise.withResolvers();
      allWoken = Promise.withResolvers();
      woken = 0;
      current.resolve();
      await allWoken.promise;
    }
    await Promise.all(waiting);
    return checksum;
  };
