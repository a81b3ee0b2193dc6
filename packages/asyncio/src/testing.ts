/// <reference lib="esnext.disposable" preserve="true" />

/**
 * Concurrent code under test.
 * @module asyncio-ts/testing
 */

export type {
  DatagramSocket,
  Listener,
  ListenOptions,
  Network,
} from "./streams/network.ts";
export type { BubbleOptions } from "./testing/bubble.ts";
export { networkHere } from "./testing/current-host.ts";
export {
  InjectedFault,
  LeakError,
  LivelockError,
  RaceError,
  ReplayError,
  type ScheduleDetails,
  ScheduleError,
  SweepError,
  UncontrolledError,
  UnhandledError,
} from "./testing/errors.ts";
export {
  type Exploration,
  type ExploreOptions,
  explore,
  explored,
} from "./testing/explore.ts";
export {
  type ChunkPolicy,
  type MemoryStreamOptions,
  memoryStreamPair,
} from "./testing/memory-stream.ts";
export { type NetworkOptions, SimulatedNetwork } from "./testing/network.ts";
export { type Cell, cell, type TrackedOptions, tracked } from "./testing/races.ts";
export {
  type RunTestOptions,
  runTest,
  type StateOptions,
  type TestOptions,
} from "./testing/run-test.ts";
export { Sequencer } from "./testing/sequencer.ts";
export { SimulatedHost } from "./testing/simulated-host.ts";
export type { StrategyName } from "./testing/strategies.ts";
export {
  type CancelSweepOptions,
  cancelSweep,
  type FaultSweepOptions,
  fault,
  faultSweep,
  type Sweep,
} from "./testing/sweep.ts";
export { type TestContext, waitAllTasksBlocked } from "./testing/test-context.ts";
export type { TestBody } from "./testing/trial-settings.ts";
export { VirtualLoop, type VirtualLoopOptions } from "./testing/virtual-loop.ts";
