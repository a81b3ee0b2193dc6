/**
 * The JavaScript host under the loop: its clock, its queues, its one timer. Nothing else in the
 * kernel touches time or host scheduling, so a loop over another `Host` runs in another kind of
 * time (see testing/).
 *
 * Three queues, nearest first: microtasks (after the code that runs now), the point where all
 * microtasks have run, and macrotasks (after timers and I/O had their chance).
 */

import { type HostTimer, jsHost } from "../ports/js-host.ts";
import type { RingBuffer } from "../structures/ring-buffer.ts";
import type { Handle } from "./callback.ts";
import type { Ready } from "./gate.ts";
import type { Scope } from "./scope.ts";
import type { Wait, WaitSubject } from "./wait.ts";

/** What a loop needs of its host. Delays are in seconds, as everywhere. */
export interface Host {
  /** Seconds on a clock that never goes back. */
  now(): number;
  /** Calls `run` in a microtask. */
  microtask(run: () => void): void;
  /**
   * Runs when the microtask queue is empty: the step that was resumed has come as far as it can.
   */
  afterMicrotasks(run: () => void): void;
  /** Calls `run` in a macrotask. */
  macrotask(run: () => void): void;
  /** Calls `run` at `when`, in seconds on the clock of `now()`. */
  setTimer(when: number, run: () => void): HostTimer;
  /**
   * Calls back each time the host has nothing left to do, or with an error that says why the
   * program will not end; gives the way to unsubscribe.
   */
  onDry(run: (error?: Error) => void): () => void;
  /**
   * A loop over an exact host runs one step at a time, the next when all microtasks of the last
   * have run.
   */
  readonly exact?: boolean;
  /**
   * True iff a step may happen in the call that makes it ready, if nothing is ahead of it; else it
   * waits for a microtask.
   */
  readonly stepsAtOnce?: boolean;
  /** True iff branches that a scope cuts off when it ends are reported, as in debug mode. */
  readonly strict?: boolean;
  /**
   * Picks which of the ready steps comes next, before each one (exact hosts); the oldest, 0, if it
   * is absent.
   */
  readonly choose?: ((ready: RingBuffer<Ready>) => number) | undefined;
  /**
   * Whether an operation on `subject` in `scope` that could complete in its call shall let others
   * go first (exact hosts).
   */
  yields?(scope: Scope, subject: WaitSubject): boolean;
  /** Tells of each wait that is parked, just before its operation returns (exact hosts). */
  parked?(wait: Wait): void;
  /** Tells of each callback that is to be called later (exact hosts). */
  called?(handle: Handle): void;
  /**
   * Tells of what somebody holds and has to give back (exact hosts). Comes again and again for the
   * same thing.
   */
  watch?(resource: Watched): void;
  /**
   * How many of `available` bytes a read of a stream in memory gets (exact hosts); all of them if
   * it is absent.
   */
  cut?(available: number): number;
  /** Tells that nothing is ready, after all microtasks have run (exact hosts). */
  idle?(): void;
  /**
   * Tells that work outside the loop has begun (1) or ended (-1): while there is any, virtual time
   * holds still.
   */
  io?(change: 1 | -1): void;
  /** The `Network` of the running code; undefined: the real one. */
  readonly network?: object | undefined;
  /** Shows text to whoever runs the program: exceptions nobody handled, debug findings. */
  report(text: string): void;
}

/** What every loop takes. */
export interface EventLoopOptions {
  /**
   * Slow steps, creation sites, cut-off branches and swallowed cancellations are reported. @default
   * ASYNCIO_DEBUG=1
   */
  readonly debug?: boolean | undefined;
  /**
   * Seconds after which a cancelled scope that has not ended is cancelled again, for good. @default
   * 5
   */
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
