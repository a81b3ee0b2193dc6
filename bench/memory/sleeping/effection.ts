// The same with Effection.

import { all, type Operation, run, sleep } from "effection";
import { Stage } from "../stage.ts";

const stage = new Stage();
const { tasks, seconds } = stage.plan;
function* doze(): Operation<void> {
  stage.enter();
  yield* sleep(seconds * 1000);
  stage.leave();
}
await run(function* () {
  yield* all(Array.from({ length: tasks }, doze));
});
stage.print({ wall: true });
