// The same with the queue of Effection, which has no bound: `add` never waits. The producer lets
// the consumer run after each hundred items; written for one pair only.

import { all, createQueue, type Operation, run, until } from "effection";
import type { Workload } from "../../workload.ts";

const capacity = 100;
const settled = Promise.resolve();

export const workload: Workload = ({ tasks, repeats }) => {
  if (tasks !== 1) throw new Error("this is for one producer and one consumer");
  function* main(): Operation<number> {
    const queue = createQueue<number, never>();
    let checksum = 0;
    function* produce(): Operation<void> {
      for (let turn = 0; turn < repeats; turn++) {
        queue.add(turn);
        if (turn % capacity === 0) yield* until(settled);
      }
    }
    function* consume(): Operation<void> {
      for (let turn = 0; turn < repeats; turn++) {
        const { value } = yield* queue.next();
        checksum = (checksum + value) | 0;
      }
    }
    yield* all([produce(), consume()]);
    return checksum;
  }
  return async () => await run(main);
};
