// The same with Effect, which has no condition: with a Deferred for each round, which all of them
// await.

import * as Deferred from "effect/Deferred";
import * as Effect from "effect/Effect";
import type { Workload } from "../../workload.ts";

export const workload: Workload = ({ tasks, repeats }) => {
  const program = Effect.gen(function* () {
    let announced = yield* Deferred.make<void>();
    let answered = yield* Deferred.make<void>();
    let round = 0;
    let answers = 0;
    let checksum = 0;
    const announce = Effect.gen(function* () {
      for (let turn = 0; turn < repeats; turn++) {
        const current = announced;
        announced = yield* Deferred.make<void>();
        answered = yield* Deferred.make<void>();
        round++;
        answers = 0;
        yield* Deferred.succeed(current, undefined);
        yield* Deferred.await(answered);
      }
    });
    const first = announced;
    const answer = Effect.fnUntraced(function* (task: number) {
      let current = first;
      for (let turn = 0; turn < repeats; turn++) {
        yield* Deferred.await(current);
        current = announced; // before answering: the announcer may go on inside of that
        checksum = (checksum + Math.imul(task, round)) | 0;
        if (++answers === tasks) yield* Deferred.succeed(answered, undefined);
      }
    });
    const answering = Array.from({ length: tasks }, (_, task) => answer(task + 1));
    yield* Effect.all([...answering, announce], { concurrency: "unbounded", discard: true });
    return checksum;
  });
  return () => Effect.runPromise(program);
};
