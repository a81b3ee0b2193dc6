/// <reference lib="esnext.disposable" preserve="true" />

/**
 * Work for other threads and processes.
 * @module asyncio-ts/executors
 */
// biome-ignore-all assist/source/organizeImports: the order is that of the documentation

export {
  type AnyFunction,
  type CallOptions,
  type Functions,
  module,
  type Movable,
  type Sendable,
} from "./executors/sendable.ts";
export { toThread } from "./executors/default-executor.ts";
export {
  Executor,
  type ExecutorStats,
  type ExecutorMapOptions,
  type ExecutorShutdownOptions,
  type WorkerStats,
} from "./executors/executor.ts";
export { ThreadPoolExecutor } from "./executors/thread-pool.ts";
export { ProcessPoolExecutor } from "./executors/process-pool.ts";
export type { ExecutorOptions } from "./executors/pool-options.ts";
export { InlineExecutor, type InlineOptions } from "./executors/inline.ts";
export type { ExecutorJob } from "./executors/job.ts";
export { callback, type CallbackOptions } from "./executors/callback.ts";
export {
  BrokenExecutorError,
  NotSendableError,
  WorkerLostError,
  WorkerModuleError,
} from "./executors/errors.ts";
