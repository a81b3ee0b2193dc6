// The same program run as often with promises, in the one order that they have: no schedule is
// explored.

import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let sum = 0;
    for (let schedule = 0; schedule < tasks * repeats; schedule++) {
      let total = 0;
      const add = async (amount: number): Promise<void> => {
        for (let turn = 0; turn < 3; turn++) {
          await undefined;
          total += amount;
        }
      };
      await Promise.all([add(1), add(2), add(3)]);
      sum += total;
    }
    return sum;
  };
