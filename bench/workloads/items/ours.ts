// A queue without a bound: `tasks` items are put, and lie in it together; then all are taken.

import { Queue } from "asyncio-ts";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const queue = new Queue<number>();
    let checksum = 0;
    for (let batch = 0; batch < repeats; batch++) {
      for (let item = 0; item < tasks; item++) await queue.put(item);
      for (let item = 0; item < tasks; item++) checksum = mix(checksum, await queue.get());
    }
    return checksum;
  };
