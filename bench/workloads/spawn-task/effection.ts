// The same with Effection: tasks, spawned and awaited one by one.

import { type Operation, run, scoped, spawn, type Task } from "effection";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload = ({ tasks, repeats }) => {
  function* main(): Operation<number> {
    let checksum = 0;
    for (let batch = 0; batch < repeats; batch++) {
      // A scope for each batch: tasks that are done stay in theirs until it ends.
      yield* scoped(function* (): Operation<void> {
        const started: Task<number>[] = [];
        for (let task = 0; task < tasks; task++) {
          // biome-ignore lint/correctness/useYield: an operation is a generator, also without a wait
          const answer = function* (): Operation<number> {
            return task;
          };
          started.push(yield* spawn(answer));
        }
        for (const task of started) {
          const value = yield* task;
          checksum = mix(checksum, value);
        }
      });
    }
    return checksum;
  }
  return async () => await run(main);
};
