// Tasks that wait for an item of a queue.

import { Queue, run, taskGroup } from "asyncio-ts";
import { Stage } from "../stage.ts";

await run(async () => {
  const stage = new Stage();
  const { tasks } = stage.plan;
  const queue = new Queue<number>();
  const take = async (): Promise<void> => {
    stage.enter();
    await queue.get();
    stage.leave();
  };
  await taskGroup(async (group) => {
    for (let task = 0; task < tasks; task++) group.createTask(take);
    await stage.measured;
    for (let task = 0; task < tasks; task++) queue.putNowait(task);
  });
  stage.print({ wall: true });
});
