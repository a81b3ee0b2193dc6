// Async functions that return at once. As tasks do, they start after the code that started them has
// gone on: in a microtask of their own, not inside the call.

import { mix, type Workload } from "../../workload.ts";

const settled = Promise.resolve();

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    for (let batch = 0; batch < repeats; batch++) {
      const started: Promise<number>[] = [];
      for (let task = 0; task < tasks; task++) started.push(settled.then(async () => task));
      for (const task of started) {
        const value = await task;
        checksum = mix(checksum, value);
      }
    }
    return checksum;
  };
