// A program under Node's permission model: it prints what came of a job of each kind of pool, and
// of one that has to be stopped.

import { type Executor, ProcessPoolExecutor, ThreadPoolExecutor } from "../../src/executors.ts";
import { moveOnAfter, run } from "../../src/index.ts";
import { jobs } from "./pools.ts";

type Failure = Error & { code?: string; cause?: { code?: string; permission?: string } };

await run(async () => {
  for (const Pool of [ThreadPoolExecutor, ProcessPoolExecutor])
    console.log(JSON.stringify(await outcomes(new Pool({ maxWorkers: 1 }))));
});

async function outcomes(pool: Executor): Promise<unknown[]> {
  await using executor = pool;
  try {
    const sum = await executor.run(jobs.add, 1, 2);
    const endless = jobs.backtrack.with({ stop: "keep", stopDelay: 0 });
    const moved = await moveOnAfter(0.05, () => executor.run(endless, new Int32Array(4)));
    return [sum, moved.cancelled, await executor.run(jobs.add, 2, 2)];
  } catch (error) {
    const { name, message, cause } = error as Failure;
    return [name, message, cause?.code, cause?.permission];
  }
}
