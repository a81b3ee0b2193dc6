// The same with the bounded queue of Effect.

import * as Effect from "effect/Effect";
import * as Queue from "effect/Queue";
import type { Workload } from "../../workload.ts";

const capacity = 100;

export const workload: Workload = ({ tasks, repeats }) => {
  const program = Effect.gen(function* () {
    const queue = yield* Queue.bounded<number>(capacity);
    let checksum = 0;
    const produce = Effect.fnUntraced(function* (producer: number) {
      for (let turn = 0; turn < repeats; turn++) yield* Queue.offer(queue, producer + turn);
    });
    const consume = Effect.gen(function* () {
      for (let turn = 0; turn < repeats; turn++) {
        const item = yield* Queue.take(queue);
        checksum = (checksum + item) | 0;
      }
    });
    const producers = Array.from({ length: tasks }, (_, task) => produce(task));
    const consumers = Array.from({ length: tasks }, () => consume);
    yield* Effect.all([...producers, ...consumers], { concurrency: "unbounded", discard: true });
    return checksum;
  });
  return () => Effect.runPromise(program);
};
