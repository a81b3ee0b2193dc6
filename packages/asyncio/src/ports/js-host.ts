/** The JavaScript host in real time: clock, queues and timers of Node, Deno and Bun. */

import { runInRoot } from "./context-storage.ts";
import { globals, type HostTimers } from "./globals.ts";

/** A timer of the host. */
export interface HostTimer {
  /** Keeps the process alive. */
  ref(): void;
  /** Lets the process end before the timer. */
  unref(): void;
  /** It does not fire any more. */
  clear(): void;
}

const settled: Promise<void> = Promise.resolve();
// Taken at load, and where it can be from Node's own modules: the fakes of a test framework, those
// that were there before us too, must not reach the real loop. And jsdom imitates a browser.
const node = globals.Deno ? undefined : globals.process;
const nodeTimers = node?.getBuiltinModule?.("node:timers");
const { setTimeout, clearTimeout, setImmediate }: HostTimers = nodeTimers ?? globals;
export const hostSetTimeout: object = setTimeout;
const tick = globals.process?.nextTick;
const nextTick = tick && Object.keys(tick).length > 0 ? undefined : tick; // fakes have some
const clock = node?.getBuiltinModule?.("node:perf_hooks")?.performance ?? globals.performance;
const nowMs = clock.now.bind(clock);

/** Hosts take delays as 32-bit milliseconds. After this one the loop sets the rest. */
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
    // A tick that a microtask queues runs after all microtasks; one queued by a tick, before them.
    if (nextTick === undefined) setImmediate(run);
    else settled.then(() => nextTick(run));
  },
  macrotask: (run: () => void): void => void setImmediate(run),
  setTimer(when: number, run: () => void): HostTimer {
    // Rounded up: a host timer that fires early would find nothing due and be set again.
    const delayMs = Math.ceil(when * 1000 - nowMs());
    // In the root context: a long timer must not keep the scopes of the code that sets it.
    const timer = runInRoot(() =>
      setTimeout(run, Math.min(Math.max(delayMs, 1), LONGEST_DELAY_MS)),
    );
    return {
      ref: () => timer.ref?.(),
      unref: () => timer.unref?.(),
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

/** Undefined also where the program may not see it: Deno would throw, or ask the user. */
export function environmentVariable(name: string): string | undefined {
  const permission = globals.Deno?.permissions.querySync({ name: "env", variable: name });
  if (permission !== undefined && permission.state !== "granted") return undefined;
  return globals.process?.env[name];
}
