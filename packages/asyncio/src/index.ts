/** asyncio-ts: asyncio for TypeScript. The public door, in the order of the documentation. */
// biome-ignore-all assist/source/organizeImports: the order is that of the documentation

// Running
export { run, Runner, type RunOptions } from "./runner/runner.ts";
export type { SignalName } from "./runner/signals.ts";
// Tasks
export {
  allTasks,
  type Coroutine,
  createTask,
  currentTask,
  Task,
  type TaskOptions,
} from "./kernel/task.ts";
export { Future } from "./kernel/future.ts";
export { sleep } from "./tasks/sleep.ts";
export {
  type Awaitable,
  gather,
  type ResultOf,
  type Results,
  type Settled,
} from "./tasks/gather.ts";
export {
  asCompleted,
  type Completions,
  type ReturnWhen,
  shield,
  wait,
  waitFor,
  type WaitOptions,
} from "./tasks/wait.ts";
// Structure
export { type MapConcurrentOptions, mapConcurrent } from "./tasks/map-concurrent.ts";
export { TaskGroup, taskGroup, type TaskGroupOptions } from "./tasks/task-group.ts";
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
export { race, staggeredRace, type Winner } from "./tasks/race.ts";
// Synchronisation
export { Lock, type SyncOptions } from "./sync/lock.ts";
export { Event } from "./sync/event.ts";
export { Condition } from "./sync/condition.ts";
export { BoundedSemaphore, Semaphore } from "./sync/semaphore.ts";
export { Barrier } from "./sync/barrier.ts";
// Queues
export { type ItemStore, Queue, type QueueOptions } from "./queues/queue.ts";
export {
  type Compare,
  LifoQueue,
  PriorityQueue,
  type PriorityQueueOptions,
} from "./queues/ordered-queues.ts";
// Streams
export {
  type LimitOption,
  type ReaderOptions,
  StreamReader,
  type TextOptions,
} from "./streams/reader.ts";
export { type ExtraInfo, StreamWriter, type WriterOptions } from "./streams/writer.ts";
// Network
export {
  type Connection,
  type ConnectionOptions,
  type ConnectionTarget,
  openConnection,
  openUnixConnection,
} from "./net/connection.ts";
export {
  type ConnectionHandler,
  type DrainOptions,
  Server,
  type ServerOptions,
  type ServingOptions,
  startServer,
  startUnixServer,
  type UnixServerOptions,
} from "./net/server.ts";
export type { Address, ByteStream, ConnectOptions } from "./kernel/network.ts";
// Context
export { Context, ContextVar, copyContext, Token } from "./kernel/context-var.ts";
// The loop
export { getRunningLoop, HostLoop } from "./kernel/here.ts";
export {
  EventLoop,
  type EventLoopOptions,
  type ExceptionContext,
  type ExceptionHandler,
} from "./kernel/loop.ts";
export type { Handle } from "./kernel/callback.ts";
// Foreign work
export { cancellable } from "./interop/cancellable.ts";
export { abortSignal } from "./interop/abort-signal.ts";
// Errors
export {
  BrokenBarrierError,
  CancelledError,
  type CancelDetails,
  type CancelSource,
  DeadlockError,
  type ErrorMatcher,
  ExceptionGroup,
  IncompleteReadError,
  InvalidStateError,
  LimitOverrunError,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  TimeoutError,
} from "./kernel/errors.ts";
