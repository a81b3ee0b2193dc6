// The same with Effection, where a timeout is a race with a sleep.

import { all, type Operation, race, run, sleep } from "effection";
import { mix, type Workload } from "../../workload.ts";

function* limit(): Operation<never> {
  yield* sleep(60_000);
  throw new Error("the body took too long");
}

export const workload: Workload = ({ tasks, repeats }) => {
  function* main(): Operation<number> {
    let checksum = 0;
    function* hurry(): Operation<void> {
      for (let turn = 0; turn < repeats; turn++) {
        // biome-ignore lint/correctness/useYield: an operation is a generator, also without a wait
        function* body(): Operation<number> {
          return turn;
        }
        const value = yield* race([limit(), body()]);
        checksum = mix(checksum, value);
      }
    }
    yield* all(Array.from({ length: tasks }, hurry));
    return checksum;
  }
  return async () => await run(main);
};
