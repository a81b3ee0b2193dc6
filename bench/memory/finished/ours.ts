// A group that stays open while its children come and go: what is left of those that have ended?

import { run, sleep, taskGroup } from "asyncio-ts";
import { Stage } from "../stage.ts";

const atOnce = 1000;

await run(async () => {
  let ended = 0;
  const child = async (): Promise<void> => {
    ended++;
  };
  await taskGroup(async (group) => {
    const startThousand = async (): Promise<void> => {
      for (let task = 0; task < atOnce; task++) group.createTask(child);
      await sleep(0);
      await sleep(0);
    };
    await startThousand(); // what the first ones leave behind is compiled code
    ended = 0;
    const stage = new Stage();
    while (ended < stage.plan.tasks) await startThousand();
    stage.measure();
    stage.print({ wall: false });
  });
});
