/**
 * What a loop asks of the JavaScript host: a clock, queues, one timer. Nothing else in the kernel
 * touches time, so a loop over another `Host` runs in another kind of time (testing/). Microtasks
 * are the nearest queue; macrotasks come last, after timers and I/O have had their chance.
 */

import { type HostTimer, jsHost } from "../ports/js-host.ts";
import type { RingBuffer } from "../structures/ring-buffer.ts";
import type { Handle } from "./callback.ts";
import type { Ready } from "./gate.ts";
import type { Scope } from "./scope.ts";
import type { Wait, WaitSubject } from "./wait.ts";

/** What a loop needs of its host. Delays are in seconds. */
export interface Host {
  /** Seconds on a clock that never goes back. */
  now(): number;
  /** Calls `run` in a microtask. */
  microtask(run: () => void): void;
  /** Calls `run` when all microtasks have run: the last step has come as far as it can. */
  afterMicrotasks(run: () => void): void;
  /** Calls `run` in a macrotask. */
  macrotask(run: () => void): void;
  /** Calls `run` at `when`, in seconds on the clock of `now()`. */
  setTimer(when: number, run: () => void): HostTimer;
  /**
   * Calls `run` each time the host has nothing left to do, or with an error that says why the
   * program will not end. Gives a function that unsubscribes.
   */
  onDry(run: (error?: Error) => void): () => void;
  /** Shows a report to the people who run the program. */
  report(text: string): void;
  /** Tells that work outside the loop has begun (1) or ended (-1): virtual time holds still. */
  io?(change: 1 | -1): void;
  /** The `Network` of the running code. @default the real one */
  readonly network?: object | undefined;
  /** Lets a step happen in the call that makes it ready, if nothing is ahead of it. */
  readonly stepsAtOnce?: boolean;
  /** Reports branches that the end of a scope cuts off, as debug mode does. */
  readonly strict?: boolean;
  /** Lets steps run one at a time: the next when all microtasks of the last have run. */
  readonly exact?: boolean;

  // --- for exact hosts
  /** Picks the ready step that comes next. @default the oldest, 0 */
  readonly choose?: ((ready: RingBuffer<Ready>) => number) | undefined;
  /** Whether an operation on `subject` in `scope` that could complete now lets others go first. */
  yields?(scope: Scope, subject: WaitSubject): boolean;
  /** Tells of each wait that is parked, just before its operation returns. */
  parked?(wait: Wait): void;
  /** Tells of each callback that is to be called later. */
  called?(handle: Handle): void;
  /** Tells of what has to be given back. Comes again and again for the same thing. */
  watch?(resource: Watched): void;
  /** How many of `available` bytes a read of a stream in memory gets. @default all of them */
  cut?(available: number): number;
  /** Tells that nothing is ready, after all microtasks have run. */
  idle?(): void;
}

/** What every loop takes. */
export interface EventLoopOptions {
  /** Reports slow steps, creation sites, cut-off branches... @default ASYNCIO_DEBUG=1 */
  readonly debug?: boolean | undefined;
  /** Seconds until a cancelled scope that goes on is cancelled again, for good. @default 5 */
  readonly cancelGrace?: number | undefined;
}
/** Something that has to be given back before a run ends: a lock, a permit, a connection. */
export interface Watched {
  /** What is not given back, in words; undefined if all is. */
  leftover(): string | undefined;
}
export type { HostTimer };
/** The host that the program runs on. */
export const realHost: Host = jsHost;
