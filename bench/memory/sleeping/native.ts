// The same with async functions that await a `setTimeout` in a promise.

import { Stage } from "../stage.ts";

const stage = new Stage();
const { tasks, seconds } = stage.plan;
const doze = async (): Promise<void> => {
  stage.enter();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  stage.leave();
};
const started: Promise<void>[] = [];
for (let task = 0; task < tasks; task++) started.push(doze());
await Promise.all(started);
stage.print({ wall: true });
