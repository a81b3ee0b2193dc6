/** The pool whose workers are processes. */

import { forOwnBuild } from "./own-build.ts";
import { Pool } from "./pool.ts";
import type { ExecutorOptions } from "./pool-options.ts";
import { ProcessLink } from "./process-link.ts";

/** Jobs that a process may have at a time: all of them are lost with it. */
const MOST_AHEAD = 64;

/**
 * Runs functions in processes of their own: what `ThreadPoolExecutor` does, with the same methods,
 * for jobs that may take all memory, crash, or call native code that does not come back. A worker
 * that crashes costs the jobs that it had, and no others. Nothing is shared, and nothing moved:
 * all arguments and results are copied. Processes are killed when this one ends, however it does.
 * Source: concurrent.futures.ProcessPoolExecutor.
 *
 * @example
 * import { module, ProcessPoolExecutor } from "asyncio-ts/executors";
 * const path = module<typeof import("node:path")>("node:path");
 * await using pool = new ProcessPoolExecutor({ maxWorkers: 1 });
 * assert.equal(await pool.run(path.basename, "/tmp/report.txt"), "report.txt");
 */
export class ProcessPoolExecutor extends Pool {
  constructor(options?: ExecutorOptions) {
    super("`new ProcessPoolExecutor`", "processes", options, MOST_AHEAD, (given, listener) => {
      return new ProcessLink(forOwnBuild(given, "process"), listener);
    });
  }
}
