/** The pool whose workers are threads. */

import { forOwnBuild } from "./own-build.ts";
import { Pool } from "./pool.ts";
import type { ExecutorOptions } from "./pool-options.ts";
import { ThreadLink } from "./thread-link.ts";

/** Jobs that a thread may have at a time: those that it has not begun are not lost with it. */
const MOST_AHEAD = 512;

/**
 * Runs functions in threads of this process. Threads are started when there are jobs for them, and
 * end with the run in which the pool was made, or with `shutdown`: write `await using`.
 *
 * A job has its thread to itself. Threads share no memory but what is a SharedArrayBuffer, and a
 * job that takes all memory may end the whole process: where that matters, use
 * ProcessPoolExecutor. Source: concurrent.futures.ThreadPoolExecutor.
 *
 * @example
 * import { module, ThreadPoolExecutor } from "asyncio-ts/executors";
 * const zlib = module<typeof import("node:zlib")>("node:zlib");
 * await using pool = new ThreadPoolExecutor({ maxWorkers: 2 });
 * const sizes: number[] = [];
 * for await (const packed of pool.map(zlib.gzipSync, ["one", "two"])) sizes.push(packed.length);
 * assert.equal(sizes.length, 2);
 */
export class ThreadPoolExecutor extends Pool {
  constructor(options?: ExecutorOptions) {
    super("`new ThreadPoolExecutor`", "threads", options, MOST_AHEAD, (given, listener) => {
      return new ThreadLink(forOwnBuild(given, "thread"), listener);
    });
  }
}
