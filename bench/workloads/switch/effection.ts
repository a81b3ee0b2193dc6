// The same with Effection. It has no operation that only lets others run; waiting for a promise
// that is settled already is the shortest one that does.

import { all, type Operation, run, until } from "effection";
import type { Workload } from "../../workload.ts";

const settled = Promise.resolve();

export const workload: Workload = ({ tasks, repeats }) => {
  function* main(): Operation<number> {
    let checksum = 0;
    function* takeTurns(task: number): Operation<void> {
      for (let turn = 0; turn < repeats; turn++) {
        checksum = (checksum + Math.imul(task + 1, turn + 1)) | 0;
        yield* until(settled);
      }
    }
    yield* all(Array.from({ length: tasks }, (_, task) => takeTurns(task)));
    return checksum;
  }
  return async () => await run(main);
};
