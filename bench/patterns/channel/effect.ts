import * as Effect from "effect/Effect";
import * as PubSub from "effect/PubSub";
import { capacity } from "../broadcast/stage.ts";
import type { Work } from "../measure.ts";

export const work: Work = async (count) => {
  const program = Effect.gen(function* () {
    const news = yield* PubSub.bounded<number>(capacity);
    const subscription = yield* PubSub.subscribe(news);
    const read = Effect.gen(function* () {
      let sum = 0;
      for (let item = 0; item < count; item++) sum = (sum + (yield* PubSub.take(subscription))) | 0;
      return sum;
    });
    const send = Effect.gen(function* () {
      for (let item = 0; item < count; item++) yield* PubSub.publish(news, item);
      return 0;
    });
    const [sum] = yield* Effect.all([read, send], { concurrency: "unbounded" });
    return sum;
  });
  return await Effect.runPromise(Effect.scoped(program));
};
