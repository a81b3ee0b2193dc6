// With asyncio-ts.

import { run, timeout } from "asyncio-ts";
import { module, ProcessPoolExecutor, ThreadPoolExecutor } from "asyncio-ts/executors";
import * as inline from "./jobs.ts";
import { type JobPlan, type Pool, perform, workers } from "./stage.ts";

const jobs = module<typeof import("./jobs.ts")>(new URL("./jobs.ts", import.meta.url));
const stoppable = jobs.check.with({ stop: "keep", stopDelay: 0 });

/** No workers: what a program without executors does. */
const onTheLoop: Pool = {
  same: async (n) => inline.same(n),
  burn: async (ms) => inline.burn(ms),
};

await run(async () => {
  await using stack = new AsyncDisposableStack();
  const made = new Map<JobPlan["on"], Pool>([["inline", onTheLoop]]);
  const make = (on: JobPlan["on"]): Pool => {
    const Executor = on === "threads" ? ThreadPoolExecutor : ProcessPoolExecutor;
    const executor = stack.use(new Executor({ maxWorkers: workers, minWorkers: workers }));
    return {
      same: (n) => executor.run(jobs.same, n),
      burn: (ms) => executor.run(jobs.burn, ms),
      check: (pattern, text, ms) => {
        const check = (): Promise<boolean> => executor.run(stoppable, pattern, text);
        return ms === undefined ? check() : timeout(ms / 1000, check);
      },
    };
  };
  await perform((on) => {
    const pool = made.get(on) ?? make(on);
    made.set(on, pool);
    return pool;
  });
});
