/**
 * The JavaScript host in real time, as a loop sees it (kernel/host.ts says what it asks): the
 * clock, the queues and the timers of Node, Deno and Bun.
 */

import { runInRoot } from "./context-storage.ts";

/** A timer of the host. A timer that is not `ref`ed does not keep the process alive. */
export interface HostTimer {
  /** Keeps the process alive. */
  ref(): void;
  /** Lets the process end before the timer. */
  unref(): void;
  /** It does not fire any more. */
  clear(): void;
}

/**
 * The globals of Node, Deno and Bun that the kernel stands on, declared here so that it compiles
 * without their types.
 */
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
// Taken at load: fake timers of a test framework, and our own (testing/bubble.ts), must not reach
// the real loop. jsdom, as Jest has it, imitates a browser: of the timers there, those of the Node
// below are taken.
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

export const jsHost = {
  stepsAtOnce: true as const,
  now: (): number => nowMs() / 1000,
  // `queueMicrotask` is 1.5 to 3 times dearer (bench: switch).
  microtask: (run: () => void): void => void settled.then(run),
  afterMicrotasks(run: () => void): void {
    // A tick queued by a microtask runs when the microtasks are through; one queued by a tick would
    // run before them.
    if (nextTick === undefined) setImmediate(run);
    else settled.then(() => nextTick(run));
  },
  macrotask: (run: () => void): void => void setImmediate(run),
  setTimer(when: number, run: () => void): HostTimer {
    // Rounded up: a host timer that fires early would find nothing due and be set again.
    const delayMs = Math.ceil(when * 1000 - nowMs());
    // Armed from the root context: a long timer must not keep the scope tree of the code that armed
    // it.
    const timer = runInRoot(() =>
      setTimeout(run, Math.min(Math.max(delayMs, 1), LONGEST_DELAY_MS)),
    ) as { ref?(): void; unref?(): void };
    return {
      ref: () => timer.ref?.(),
      unref: () => (timer.unref === undefined ? undefined : void timer.unref()),
      clear: () => clearTimeout(timer),
    };
  },
  onDry(run: () => void): () => void {
    if (dryListeners.size === 0) globals.process?.on("beforeExit", ranDry);
    dryListeners.add(run);
    return () => {
      if (dryListeners.delete(run) && dryListeners.size === 0)
        globals.process?.off("beforeExit", ranDry);
    };
  },
  report: (text: string): void => globals.console.error(text),
};

/**
 * A variable of the environment; undefined, too, where the program may not see it: Deno would
 * throw, or ask the user.
 */
export function environmentVariable(name: string): string | undefined {
  const permission = globals.Deno?.permissions.querySync({ name: "env", variable: name });
  if (permission !== undefined && permission.state !== "granted") return undefined;
  return globals.process?.env[name];
}
