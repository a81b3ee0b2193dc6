import * as Effect from "effect/Effect";
import * as Queue from "effect/Queue";
import { capacity } from "../broadcast/stage.ts";
import type { Work } from "../measure.ts";

export const work: Work = async (count) => {
  const program = Effect.gen(function* () {
    const queue = yield* Queue.bounded<number>(capacity);
    const read = Effect.gen(function* () {
      let sum = 0;
      for (let item = 0; item < count; item++) sum = (sum + (yield* Queue.take(queue))) | 0;
      return sum;
    });
    const send = Effect.gen(function* () {
      for (let item = 0; item < count; item++) yield* Queue.offer(queue, item);
      return 0;
    });
    const [sum] = yield* Effect.all([read, send], { concurrency: "unbounded" });
    return sum;
  });
  return await Effect.runPromise(program);
};
