// Sleeping tasks, children of one group.

import { run, sleep, taskGroup } from "asyncio-ts";
import { Stage } from "../stage.ts";

await run(async () => {
  const stage = new Stage();
  const { tasks, seconds } = stage.plan;
  const doze = async (): Promise<void> => {
    stage.enter();
    await sleep(seconds);
    stage.leave();
  };
  await taskGroup(async (group) => {
    for (let task = 0; task < tasks; task++) group.createTask(doze);
  });
  stage.print({ wall: true });
});
