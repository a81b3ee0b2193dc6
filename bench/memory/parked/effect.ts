// The same with the queue of Effect.

import * as Effect from "effect/Effect";
import * as Queue from "effect/Queue";
import { Stage } from "../stage.ts";

const stage = new Stage();
const { tasks } = stage.plan;
const program = Effect.gen(function* () {
  const queue = yield* Queue.unbounded<number>();
  const take = Effect.gen(function* () {
    stage.enter();
    yield* Queue.take(queue);
    stage.leave();
  });
  const serve = Effect.gen(function* () {
    yield* Effect.promise(() => stage.measured);
    for (let task = 0; task < tasks; task++) yield* Queue.offer(queue, task);
  });
  const started = Array.from({ length: tasks }, () => take);
  yield* Effect.all([...started, serve], { concurrency: "unbounded", discard: true });
});
await Effect.runPromise(program);
stage.print({ wall: true });
