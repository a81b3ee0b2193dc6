/// <reference lib="esnext.disposable" preserve="true" />

/**
 * What programs build out of tasks, queues and scopes again and again.
 * @module asyncio-ts/patterns
 */
// biome-ignore-all assist/source/organizeImports: the order is that of the documentation

// Task queues
export { Job, type JobOptions } from "./patterns/job.ts";
export { TaskQueue, type TaskQueueOptions } from "./patterns/task-queue.ts";
// Limiters
export {
  type BorrowOptions,
  CapacityLimiter,
  type Holder,
} from "./patterns/capacity-limiter.ts";
export { type Idling, Keyed, type KeyedOptions } from "./patterns/keyed.ts";
export {
  RateLimiter,
  type RateLimiterOptions,
  type WeightOption,
} from "./patterns/rate-limiter.ts";
// Trying again
export {
  CircuitBreaker,
  type CircuitBreakerOptions,
  CircuitOpenError,
  type CircuitState,
} from "./patterns/circuit-breaker.ts";
export { fallback, hedge, type HedgeOptions } from "./patterns/hedge.ts";
export { interval, type IntervalOptions, type Tick } from "./patterns/interval.ts";
export {
  repeat,
  retry,
  RetryBudget,
  type RetryBudgetOptions,
  type RetryOptions,
} from "./patterns/retry.ts";
export {
  type Delay,
  type Delays,
  exponential,
  type ExponentialOptions,
  fibonacci,
  Schedule,
  spaced,
  type Step,
} from "./patterns/schedule.ts";
// Channels
export {
  channel,
  type ChannelOptions,
  type Receiver,
  type Sender,
} from "./patterns/channel.ts";
export type { ChannelStatistics } from "./patterns/channel-core.ts";
export { Broadcast, type BroadcastOptions } from "./patterns/broadcast.ts";
export { BrokenChannel, EndOfChannel, Lagged } from "./patterns/channel-errors.ts";
export { Watch, type WatchOptions } from "./patterns/watch.ts";
// Streams of values
export {
  type EmitterLike,
  events,
  type EventsOptions,
  once,
  type TargetLike,
} from "./patterns/events.ts";
export { type Items, Stream, stream, type StreamOptions } from "./patterns/stream.ts";
// Resources
export {
  type Ended,
  type ReleaseOptions,
  type Resource,
  resource,
  type ResourceScope,
  resources,
} from "./patterns/resource.ts";
export type { Borrower, Loan } from "./patterns/loan.ts";
export { type AcquireOptions, Pool, type PoolOptions } from "./patterns/pool.ts";
export { Shared, type SharedOptions } from "./patterns/used-together.ts";
export { type ChildSpec, supervise, type SuperviseOptions } from "./patterns/supervise.ts";
export {
  deadlineHeaders,
  type HeadersOf,
  withDeadlineOf,
  type WithDeadlineOptions,
} from "./patterns/deadline-headers.ts";
export { singleFlight, type SingleFlightOptions } from "./patterns/single-flight.ts";
