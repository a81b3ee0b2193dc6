/** Functions that a worker may call, although they stay here. */

import { argumentError, checkOptions } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import type { AnyFunction } from "./sendable.ts";
import { registerCallback } from "./sending.ts";

/** Options of `callback`. */
export interface CallbackOptions {
  /**
   * The worker waits in the call, and gets the value itself and no promise: for code there that
   * does not await. @default false
   */
  readonly sync?: boolean | undefined;
}
const KNOWN: Names<CallbackOptions> = { sync: "boolean" };

/**
 * `fn` as an argument for a job: the worker gets a function that calls `fn` here, with copies of
 * its arguments, and gives a promise of what it returns. `fn` runs in the scope of whoever waits
 * for the job, and is cancelled with it; a job has not ended before its callbacks have. What `fn`
 * throws is thrown there. Source: Trio's from_thread.run, and asyncio.run_coroutine_threadsafe.
 *
 * @example
 * import { callback, module, toThread } from "asyncio-ts/executors";
 * const promises = module<typeof import("node:timers/promises")>("node:timers/promises");
 * const log = callback((text: string) => void text);
 * assert.equal(await toThread(promises.setTimeout, 1, "done"), "done");
 * assert.equal(typeof log, "function");
 */
export function callback<F extends AnyFunction>(fn: F, options?: CallbackOptions): F {
  const api = "`callback`";
  if (typeof fn !== "function") throw argumentError(api, "a function", fn);
  checkOptions(api, options, KNOWN);
  const called = ((...args: never[]) => fn(...args)) as F;
  registerCallback(called, { fn, isSync: options?.sync === true });
  return called;
}
