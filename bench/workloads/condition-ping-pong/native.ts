// The same with a promise for each turn, which the other side resolves. There is no lock: nothing
// that runs between two `await`s can be interrupted.

import { mix, type Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const serves = Array.from({ length: tasks }, () => Promise.withResolvers<void>());
    let checksum = 0;
    const play = async (player: number): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        await serves[player]?.promise;
        serves[player] = Promise.withResolvers<void>();
        checksum = mix(checksum, player);
        serves[(player + 1) % tasks]?.resolve();
      }
    };
    serves[0]?.resolve();
    await Promise.all(Array.from({ length: tasks }, (_, player) => play(player)));
    return checksum;
  };
