import * as Effect from "effect/Effect";
import * as PubSub from "effect/PubSub";
import type { Work } from "../measure.ts";
import { capacity, subscribers } from "./stage.ts";

export const work: Work = async (count) => {
  const program = Effect.gen(function* () {
    const news = yield* PubSub.bounded<number>(capacity);
    const read = (subscription: PubSub.Subscription<number>) =>
      Effect.gen(function* () {
        let sum = 0;
        for (let item = 0; item < count; item++)
          sum = (sum + (yield* PubSub.take(subscription))) | 0;
        return sum;
      });
    const subscriptions = yield* Effect.all(
      Array.from({ length: subscribers }, () => PubSub.subscribe(news)),
    );
    const send = Effect.gen(function* () {
      for (let item = 0; item < count; item++) yield* PubSub.publish(news, item);
      return 0;
    });
    const sums = yield* Effect.all([...subscriptions.map(read), send], {
      concurrency: "unbounded",
    });
    return sums.reduce((all, sum) => (all + sum) | 0, 0);
  });
  return await Effect.runPromise(Effect.scoped(program));
};
