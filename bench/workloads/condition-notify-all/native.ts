// The same with a promise for each round, which all of them await. There is no lock: nothing that
// runs between two `await`s can be interrupted.

import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let announced = Promise.withResolvers<void>();
    let answered = Promise.withResolvers<void>();
    let round = 0;
    let answers = 0;
    let checksum = 0;
    const announce = async (): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        const { resolve } = announced;
        announced = Promise.withResolvers<void>();
        answered = Promise.withResolvers<void>();
        round++;
        answers = 0;
        resolve();
        await answered.promise;
      }
    };
    const answer = async (task: number): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        await announced.promise;
        checksum = (checksum + Math.imul(task, round)) | 0;
        if (++answers === tasks) answered.resolve();
      }
    };
    const answering = Array.from({ length: tasks }, (_, task) => answer(task + 1));
    await Promise.all([...answering, announce()]);
    return checksum;
  };
