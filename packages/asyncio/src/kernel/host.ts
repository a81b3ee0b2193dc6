/**
 * The JavaScript host under the loop: its clock, its queues, its one timer. Nothing else in the kernel touches
 * time or host scheduling, so a loop over another `Host` runs in another kind of time (see testing/).
 *
 * Three queues, nearest first: microtasks (after the code that runs now), the point where all microtasks have
 * run, and macrotasks (after timers and I/O had their chance).
 */

import { CancelledError } from "../errors/errors.ts";
import { isA } from "../errors/render.ts";
import type { Network } from "../ports/network.ts";
import { guardRejections } from "../ports/uncaught.ts";
import type { RingBuffer } from "../structures/ring-buffer.ts";
import type { Handle } from "./callback.ts";
import { runInRoot } from "./context.ts";
import type { Ready } from "./loop.ts";
import type { Scope } from "./scope.ts";
import type { Wait, WaitSubject } from "./wait.ts";

/** What a loop needs of its host. Delays are in seconds, as everywhere. */
export interface Host {
  /** Seconds on a clock that never goes back. */
  now(): number;
  microtask(run: () => void): void;
  /** Runs when the microtask queue is empty: the step that was resumed has come as far as it can. */
  afterMicrotasks(run: () => void): void;
  macrotask(run: () => void): void;
  /** `when` is absolute, on the clock of `now()`. */
  setTimer(when: number, run: () => void): HostTimer;
  /**
   * Calls back each time the host has nothing left to do, or with an error that says why the program will not end;
   * gives the way to unsubscribe.
   */
  onDry(run: (error?: Error) => void): () => void;
  /** A loop over an exact host runs one step at a time, the next when all microtasks of the last have run. */
  readonly exact?: boolean;
  /** True iff a step may happen in the call that makes it ready, if nothing is ahead of it; else it waits for a microtask. */
  readonly stepsAtOnce?: boolean;
  /** True iff branches that a scope cuts off when it ends are reported, as in debug mode. */
  readonly strict?: boolean;
  /** Picks which of the ready steps comes next, before each one (exact hosts); the oldest, 0, if it is absent. */
  readonly choose?: ((ready: RingBuffer<Ready>) => number) | undefined;
  /** Whether an operation that could complete in its call shall let others go first (exact hosts). */
  yields?(scope: Scope, subject: WaitSubject): boolean;
  /** Tells of each wait that is parked, just before its operation returns (exact hosts). */
  parked?(wait: Wait): void;
  /** Tells of each callback that is to be called later (exact hosts). */
  called?(handle: Handle): void;
  /** Tells of what somebody holds and has to give back (exact hosts). Comes again and again for the same thing. */
  watch?(resource: Watched): void;
  /** How many of `available` bytes a read of a stream in memory gets (exact hosts); all of them if it is absent. */
  cut?(available: number): number;
  /** Tells that nothing is ready, after all microtasks have run (exact hosts). */
  idle?(): void;
  /** Tells that work outside the loop has begun (1) or ended (-1): while there is any, virtual time holds still. */
  io?(change: 1 | -1): void;
  /** The network of the running code; undefined: the real one. */
  readonly network?: Network | undefined;
  /** Shows text to whoever runs the program: exceptions nobody handled, debug findings. */
  report(text: string): void;
}

/** Something that has to be given back before a run ends: a lock, a permit, a connection. */
export interface Watched {
  /** What is not given back, in words; undefined if all is. */
  leftover(): string | undefined;
}

/** A timer of the host. A timer that is not `ref`ed does not keep the process alive. */
export interface HostTimer {
  ref(): void;
  unref(): void;
  clear(): void;
}

/** The globals of Node, Deno and Bun that the kernel stands on, declared here so that it compiles without their types. */
interface HostGlobals {
  readonly performance: { now(): number };
  readonly console: { error(text: string): void };
  setTimeout(run: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
  setImmediate(run: () => void): unknown;
  readonly process?: {
    getBuiltinModule(name: "node:timers"): HostGlobals;
    nextTick(run: () => void): void;
    on(event: string, listener: () => void): void;
    off(event: string, listener: () => void): void;
    readonly env: Readonly<Record<string, string | undefined>>;
  };
  readonly Deno?: {
    readonly permissions: {
      querySync(permission: { name: "env"; variable: string }): { readonly state: string };
    };
  };
}

const globals = globalThis as unknown as HostGlobals; // the three hosts have these globals
const settled: Promise<void> = Promise.resolve();
// Taken at load: fake timers of a test framework, and our own (testing/bubble.ts), must not reach the real loop.
// jsdom, as Jest has it, imitates a browser: of the timers there, those of the Node below are taken.
const hasTimers = globals.setImmediate !== undefined || globals.process === undefined;
const { setTimeout, clearTimeout, setImmediate } = hasTimers
  ? globals
  : globals.process.getBuiltinModule("node:timers");
const nextTick = globals.process?.nextTick;
const nowMs = globals.performance.now.bind(globals.performance);

/** Hosts take delays as 32-bit milliseconds; longer ones are waited for in parts. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

// One listener for all loops: hosts warn of the eleventh.
const dryListeners: Set<() => void> = new Set();
const ranDry = (): void => {
  for (const run of [...dryListeners]) run();
};

export const realHost: Host = {
  stepsAtOnce: true,
  now: () => nowMs() / 1000,
  // `queueMicrotask` is 1.5 to 3 times dearer (bench: switch).
  microtask: (run) => void settled.then(run),
  afterMicrotasks(run) {
    // A tick queued by a microtask runs when the microtasks are through; one queued by a tick would run before them.
    if (nextTick === undefined) setImmediate(run);
    else settled.then(() => nextTick(run));
  },
  macrotask: (run) => void setImmediate(run),
  setTimer(when, run) {
    // Rounded up: a host timer that fires early would find nothing due and be set again.
    const delayMs = Math.ceil(when * 1000 - nowMs());
    // Armed from the root context: a long timer must not keep the scope tree of whoever armed it.
    const timer = runInRoot(() =>
      setTimeout(run, Math.min(Math.max(delayMs, 1), LONGEST_DELAY_MS)),
    ) as { ref?(): void; unref?(): void };
    return {
      ref: () => timer.ref?.(),
      unref: () => (timer.unref === undefined ? undefined : void timer.unref()),
      clear: () => clearTimeout(timer),
    };
  },
  onDry(run) {
    if (dryListeners.size === 0) globals.process?.on("beforeExit", ranDry);
    dryListeners.add(run);
    return () => {
      if (dryListeners.delete(run) && dryListeners.size === 0)
        globals.process?.off("beforeExit", ranDry);
    };
  },
  report: (text) => globals.console.error(text),
};

/** A variable of the environment; undefined, too, where the program may not see it: Deno would throw, or ask the user. */
export function environmentVariable(name: string): string | undefined {
  const permission = globals.Deno?.permissions.querySync({ name: "env", variable: name });
  if (permission !== undefined && permission.state !== "granted") return undefined;
  return globals.process?.env[name];
}

/** Whether somebody answers for a rejection that nobody has handled: asked in the context in which it came about. */
export const rejectionHooks: Set<(reason: unknown) => boolean> = new Set();

/** Told of the CancelledErrors that nobody has handled. */
export const abandonedHooks: Set<(error: CancelledError) => void> = new Set();

/** The CancelledErrors that a run has ended with: no scope answers for them any more, only the program. */
export const leftRun: WeakSet<object> = new WeakSet();

let guarded = false;

/**
 * From the first delivered cancellation on, the CancelledError of a branch that nobody awaits does not crash
 * the process. The branch's promise is made by the user's own async function, so the library
 * cannot mark it as handled; all it can do is to answer for its own errors, and for AbortErrors that they have caused, when
 * the host asks.
 */
export function guardAbandonedBranches(): void {
  if (guarded) return;
  guarded = true;
  runInRoot(() => guardRejections(answersFor));
}

function answersFor(reason: unknown): boolean {
  const isAbort = isA(reason, Error) && reason.name === "AbortError"; // the host's answer to a signal of ours
  const error = isAbort ? reason.cause : reason;
  if (isA(error, CancelledError) && !leftRun.has(error)) {
    for (const tell of abandonedHooks) tell(error);
    return true;
  }
  return [...rejectionHooks].some((answers) => answers(reason));
}
