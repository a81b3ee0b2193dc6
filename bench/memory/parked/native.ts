// The same with the hand-written queue of the workload `queue`.

import { BoundedQueue } from "../../workloads/queue/bounded-queue.ts";
import { Stage } from "../stage.ts";

const stage = new Stage();
const { tasks } = stage.plan;
const queue = new BoundedQueue<number>(1);
const take = async (): Promise<void> => {
  stage.enter();
  await queue.get();
  stage.leave();
};
const started: Promise<void>[] = [];
for (let task = 0; task < tasks; task++) started.push(take());
await stage.measured;
stage.print({ wall: false });
process.exit(); // to serve them all would take minutes: the array of waiters is moved for each
