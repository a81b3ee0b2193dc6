// The same with Effect.

import * as Effect from "effect/Effect";
import { Stage } from "../stage.ts";

const stage = new Stage();
const { tasks, seconds } = stage.plan;
const doze = Effect.gen(function* () {
  stage.enter();
  yield* Effect.sleep(seconds * 1000);
  stage.leave();
});
const started = Array.from({ length: tasks }, () => doze);
await Effect.runPromise(Effect.all(started, { concurrency: "unbounded", discard: true }));
stage.print({ wall: true });
