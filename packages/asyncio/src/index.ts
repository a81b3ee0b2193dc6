/** asyncio-ts: asyncio for TypeScript. The public door, in the order of the documentation. */

export { abortSignal } from "./interop/abort-signal.ts";
// Foreign work
export { cancellable } from "./interop/cancellable.ts";
export type { Handle } from "./kernel/callback.ts";
// Context
export { Context, ContextVar, copyContext, Token } from "./kernel/context-var.ts";
// Errors
export {
  type CancelDetails,
  CancelledError,
  type CancelSource,
  DeadlockError,
  type ErrorMatcher,
  ExceptionGroup,
  InvalidStateError,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  TimeoutError,
} from "./kernel/errors.ts";
export { Future } from "./kernel/future.ts";
// The loop
export {
  EventLoop,
  type EventLoopOptions,
  type ExceptionContext,
  type ExceptionHandler,
  getRunningLoop,
  HostLoop,
} from "./kernel/loop.ts";
// Tasks
export {
  allTasks,
  type Coroutine,
  createTask,
  currentTask,
  Task,
  type TaskOptions,
} from "./kernel/task.ts";
// Queues
export { Queue, type QueueOptions } from "./queues/queue.ts";
// Running
export { Runner, type RunOptions, run } from "./runner/runner.ts";
export type { SignalName } from "./runner/signals.ts";
export {
  type Awaitable,
  gather,
  type ResultOf,
  type Results,
  type Settled,
} from "./tasks/gather.ts";
export { sleep } from "./tasks/sleep.ts";
// Structure
export { TaskGroup, type TaskGroupOptions, taskGroup } from "./tasks/task-group.ts";
export {
  CancelScope,
  type CancelScopeOptions,
  cleanup,
  type Moved,
  moveOnAfter,
  type SignalOption,
  Timeout,
  timeLeft,
  timeout,
  timeoutAt,
} from "./tasks/timeouts.ts";
