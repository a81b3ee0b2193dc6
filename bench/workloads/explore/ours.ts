// A small program under many schedules: three tasks, each waits three times and adds to what they
// share. Each schedule is a run of its own, in an order drawn at random.

import { sleep, taskGroup } from "asyncio-ts";
import { explore } from "asyncio-ts/testing";
import type { Workload } from "../../workload.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let sum = 0;
    let runs = 0;
    const body = async (): Promise<void> => {
      let total = 0;
      const add = async (amount: number): Promise<void> => {
        for (let turn = 0; turn < 3; turn++) {
          await sleep(0);
          total += amount;
        }
      };
      await taskGroup(async (group) => {
        for (let amount = 1; amount <= 3; amount++) group.createTask(() => add(amount));
      });
      sum += total;
      runs++;
    };
    const { schedules } = await explore(body, {
      iterations: tasks * repeats,
      seconds: Number.POSITIVE_INFINITY,
      strategy: "random",
      untilSaturated: false,
    });
    return sum - 18 * (runs - schedules); // the first schedule is run again now and then, and not counted
  };
