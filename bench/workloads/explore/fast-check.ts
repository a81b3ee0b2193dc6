// The same with the scheduler of fast-check: it holds back the promises that it is given, and
// releases them one by one in an order drawn at random.

import fc from "fast-check";
import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let sum = 0;
    const property = fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      let total = 0;
      const add = async (amount: number): Promise<void> => {
        for (let turn = 0; turn < 3; turn++) {
          await scheduler.schedule(Promise.resolve());
          total += amount;
        }
      };
      const all = Promise.all([add(1), add(2), add(3)]);
      await scheduler.waitFor(all);
      sum += total;
    });
    await fc.assert(property, { numRuns: tasks * repeats, seed: 1 });
    return sum;
  };
