// Tasks that hand a ball to and fro: each waits, with a condition, until the ball is on its side.

import { Condition, taskGroup } from "asyncio-ts";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const condition = new Condition();
    let side = 0;
    let checksum = 0;
    const play = async (player: number): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        await condition.run(async () => {
          await condition.waitFor(() => side === player);
          checksum = mix(checksum, player);
          side = (player + 1) % tasks;
          condition.notify();
        });
      }
    };
    await taskGroup(async (group) => {
      for (let player = 0; player < tasks; player++) group.createTask(() => play(player));
    });
    return checksum;
  };
