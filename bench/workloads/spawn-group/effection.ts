// The same with Effection, whose `all` spawns a task for each and joins them.

import { all, type Operation, run } from "effection";
import type { Workload } from "../../workload.ts";

export const workload: Workload = ({ tasks, repeats }) => {
  function* main(): Operation<number> {
    let checksum = 0;
    for (let batch = 0; batch < repeats; batch++) {
      // biome-ignore lint/correctness/useYield: an operation is a generator, also without a wait
      function* work(task: number): Operation<void> {
        checksum = (checksum + Math.imul(task + 1, batch + 1)) | 0;
      }
      yield* all(Array.from({ length: tasks }, (_, task) => work(task)));
    }
    return checksum;
  }
  return async () => await run(main);
};
