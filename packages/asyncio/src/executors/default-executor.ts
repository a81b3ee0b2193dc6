/** Calls in threads without a pool of one's own: each loop has one, which ends with its run. */

import { argumentError } from "../errors/errors.ts";
import { EventLoop } from "../kernel/loop.ts";
import { here } from "../kernel/operation.ts";
import { Executor } from "./executor.ts";
import { checkedFunction, type Sendable } from "./sendable.ts";
import { ThreadPoolExecutor } from "./thread-pool.ts";

const defaults: WeakMap<EventLoop, ThreadPoolExecutor> = new WeakMap();

/** That of the running loop. */
function defaultExecutor(): ThreadPoolExecutor {
  const { loop } = here();
  let executor = defaults.get(loop);
  if (executor === undefined) {
    executor = new ThreadPoolExecutor({ name: "the default executor" });
    defaults.set(loop, executor);
  }
  return executor;
}

/**
 * Runs `fn` with `args` in a thread and gives what it returns: `run` of a ThreadPoolExecutor that
 * each run has, and that ends with it. Cancelled, the job is asked to end, and the call goes on
 * when it has ended. Source: asyncio.to_thread.
 */
export async function toThread<A extends unknown[], R>(
  fn: Sendable<(...args: A) => R>,
  ...args: A
): Promise<Awaited<R>> {
  checkedFunction("`toThread`", fn);
  return await defaultExecutor().run(fn, ...args);
}

declare module "../kernel/loop.ts" {
  interface EventLoop {
    /**
     * Runs `fn` with `args` in `executor`; null stands for the one that `toThread` uses. There once
     * `asyncio-ts/executors` was loaded. Source: asyncio's loop.run_in_executor.
     */
    runInExecutor<A extends unknown[], R>(
      executor: Executor | null,
      fn: Sendable<(...args: A) => R>,
      ...args: A
    ): Promise<Awaited<R>>;
  }
}

// By hand, and not in the class: programs without executors carry nothing of it.
Object.defineProperty(EventLoop.prototype, "runInExecutor", {
  configurable: true,
  writable: true,
  async value(executor: unknown, fn: Sendable<() => unknown>, ...args: []): Promise<unknown> {
    if (executor !== null && !(executor instanceof Executor))
      throw argumentError("`loop.runInExecutor`", "an executor, or null", executor);
    checkedFunction("`loop.runInExecutor`", fn);
    return await (executor ?? defaultExecutor()).run(fn, ...args);
  },
});
