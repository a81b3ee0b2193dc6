/// <reference lib="esnext.disposable" preserve="true" />

/**
 * asyncio for TypeScript. The public door, in the order of the documentation.
 * @module asyncio-ts
 */
// biome-ignore-all assist/source/organizeImports: the order is that of the documentation

// Running
export type { RunOptions } from "./runner/options.ts";
export { Runner, run } from "./runner/runner.ts";
export { type Signals, signals } from "./runner/signal-stream.ts";
export type { SignalName } from "./runner/signals.ts";
// Tasks
export { allTasks, createTask, currentTask } from "./tasks/create-task.ts";
export { type Coroutine, Task, type TaskOptions } from "./kernel/task.ts";
export { Future } from "./kernel/future.ts";
export { sleep, sleepUntil } from "./tasks/sleep.ts";
export {
  type Awaitable,
  gather,
  type GatherOptions,
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
export {
  type ConcurrentMap,
  type Kept,
  type MapConcurrentOptions,
  skip,
} from "./tasks/concurrent-map.ts";
export { mapConcurrent } from "./tasks/map-concurrent.ts";
export { forEachConcurrent, mapAll, type MapOptions } from "./tasks/map-all.ts";
export { TaskGroup, taskGroup } from "./tasks/task-group.ts";
export type { OnError, StartOptions, TaskGroupOptions } from "./tasks/task-group-options.ts";
export {
  CancelScope,
  type CancelScopeOptions,
  cleanup,
  type Moved,
  moveOnAfter,
  type SignalOption,
  Timeout,
  type TimeoutOptions,
  timeout,
  timeoutAt,
} from "./tasks/timeouts.ts";
export { effectiveDeadline, isCancelled, throwIfCancelled, timeLeft } from "./tasks/due.ts";
export {
  acquiring,
  type Case,
  next,
  putting,
  select,
  type Selected,
  type SelectOptions,
} from "./tasks/select.ts";
export { race, staggeredRace, type Winner } from "./tasks/race.ts";
// Synchronisation
export { Lock, type SyncOptions } from "./sync/lock.ts";
export { Event } from "./sync/event.ts";
export { Condition } from "./sync/condition.ts";
export { BoundedSemaphore, Semaphore } from "./sync/semaphore.ts";
export { Barrier } from "./sync/barrier.ts";
// Queues
export {
  type ItemStore,
  type Overflow,
  Queue,
  type QueueOptions,
  type ShutdownOptions,
} from "./queues/queue.ts";
export {
  type Compare,
  LifoQueue,
  type LifoQueueOptions,
  PriorityQueue,
  type PriorityQueueOptions,
} from "./queues/ordered-queues.ts";
export { Rendezvous, type RendezvousOptions } from "./queues/rendezvous.ts";
// Streams
export { type ReaderOptions, StreamReader } from "./streams/reader.ts";
export type { LimitOption, Separator } from "./streams/separators.ts";
export type { EncodingOption, TextOptions } from "./streams/text.ts";
export type { Parser, ParserInput } from "./streams/parsing.ts";
export { type ExtraInfo, StreamWriter, type WriterOptions } from "./streams/writer.ts";
export type { Connection } from "./streams/connection.ts";
export { connectionPair, type ConnectionPairOptions } from "./streams/memory-stream.ts";
export {
  type Chunk,
  connectionFrom,
  type ConnectionSource,
  readerFrom,
  type ReadSource,
  type WebReadable,
  type WebWritable,
  writerFrom,
  type WriteTarget,
} from "./streams/from-foreign.ts";
export { toNodeStream, toWebStream, type TwoWay, type WebPair } from "./streams/to-foreign.ts";
// Network
export {
  type ConnectionOptions,
  type ConnectionTarget,
  type UnixConnectionOptions,
  openConnection,
  openUnixConnection,
} from "./net/connection.ts";
export { startServer, startUnixServer } from "./net/start-server.ts";
export { type ConnectionHandler, Server } from "./net/server.ts";
export type {
  DrainOptions,
  ServerOptions,
  ServingOptions,
  UnixServerOptions,
} from "./net/serving-options.ts";
export {
  createDatagramEndpoint,
  type DatagramEndpoint,
  type DatagramEndpointOptions,
} from "./net/datagram.ts";
export type {
  Address,
  ByteStream,
  ConnectOptions,
  Datagram,
  Destination,
} from "./streams/network.ts";
export type { AddressOptions, Resolver } from "./net/happy-eyeballs.ts";
export type {
  Certificate,
  CipherInfo,
  ClientTlsOptions,
  PeerCertificate,
  Pem,
  ServerTlsOptions,
} from "./streams/tls-options.ts";
// Processes
export { createSubprocessExec, createSubprocessShell, type Process } from "./process/process.ts";
export { type ProcessResult, runProcess, type RunProcessOptions } from "./process/run-process.ts";
export type { Stdio, SubprocessOptions } from "./process/options.ts";
export type { ProcessInput } from "./process/input.ts";
export { ProcessError } from "./process/errors.ts";
// Context
export { Context } from "./structures/context-values.ts";
export { ContextVar, copyContext, Token } from "./tasks/context-var.ts";
// The loop
export { EventLoop } from "./kernel/loop.ts";
export { getRunningLoop, HostLoop } from "./tasks/host-loop.ts";
export type { EventLoopOptions } from "./kernel/host.ts";
export type { ExceptionContext, ExceptionHandler } from "./kernel/reports.ts";
export type { Handle } from "./kernel/callback.ts";
// Foreign work
export { cancellable } from "./interop/cancellable.ts";
export { joined, type JoinedOptions } from "./interop/joined.ts";
export type { DiscardOption } from "./interop/late.ts";
export { abortSignal } from "./interop/abort-signal.ts";
export { fetch } from "./net/fetch.ts";
export {
  requestScope,
  type RequestScopeOptions,
  type RequestSource,
  type ResponseSource,
} from "./interop/request-scope.ts";
// Errors
export {
  CancelledError,
  type CancelDetails,
  type CancelSource,
  InvalidStateError,
  TimeoutError,
} from "./errors/errors.ts";

export { DeadlockError } from "./tasks/deadlock.ts";
export { BrokenBarrierError } from "./sync/barrier.ts";
export { type ErrorMatcher, ExceptionGroup } from "./tasks/exception-group.ts";
export { QueueEmpty, QueueFull, QueueShutDown } from "./queues/errors.ts";
export { IncompleteReadError, LimitOverrunError } from "./streams/errors.ts";
