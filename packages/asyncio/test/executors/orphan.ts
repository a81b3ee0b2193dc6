// A program whose worker runs for ever: it prints the worker's process id, and waits to be killed.

import { ProcessPoolExecutor } from "../../src/executors.ts";
import { run } from "../../src/index.ts";
import { jobs } from "./pools.ts";

await run(async () => {
  await using pool = new ProcessPoolExecutor({ maxWorkers: 1 });
  console.log(await pool.run(jobs.pid));
  await pool.run(jobs.spin, new Int32Array(4));
});
