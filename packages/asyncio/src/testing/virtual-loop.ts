/**
 * A loop in virtual time, for tests. It runs one step at a time, each after all microtasks of the last, so the order is
 * exact and the same every time. When nothing is ready, its clock jumps to the next deadline: an hour of sleeping takes no
 * time. Work outside the loop (in `cancellable`) holds the clock still until it has ended.
 */

import { checkSeconds, rangeError, TimeoutError } from "../kernel/errors.ts";
import { type Host, type HostTimer, realHost } from "../kernel/host.ts";
import { EventLoop, type EventLoopOptions } from "../kernel/loop.ts";
import { formatSeconds } from "../kernel/timers.ts";

export interface VirtualLoopOptions extends EventLoopOptions {
  /** Draws the order in which ready steps run: one order for each seed. @default first in, first out */
  readonly seed?: number | undefined;
  /** Real seconds after which a run is cancelled and rejects with a TimeoutError that lists its tasks. @default 10 */
  readonly watchdog?: number | undefined;
}

/**
 * `run(main, { loop: new VirtualLoop() })` runs `main` in virtual time, which begins at 0. When nothing is ready, no timer
 * is set and no foreign work is in flight, it rejects with a DeadlockError at once.
 *
 * @example
 * const loop = new testing.VirtualLoop();
 * await asyncio.run(() => asyncio.sleep(3600), { loop });
 * assert.equal(loop.time(), 3600);
 */
export class VirtualLoop extends EventLoop {
  constructor(options: VirtualLoopOptions = {}) {
    const { seed, watchdog = 10 } = options;
    if (seed !== undefined && !Number.isSafeInteger(seed))
      throw rangeError("`new VirtualLoop`", "`seed` to be an integer", seed);
    checkSeconds("`new VirtualLoop`", "`watchdog` in seconds", watchdog);
    const host = new VirtualHost(seed, watchdog);
    super(host, options);
    host.loop = this;
  }
}

/** Longer than a host takes to settle what is about to settle, shorter than a person notices. */
const SECOND_LOOK_SECONDS = 0.02;

interface VirtualTimer {
  readonly when: number;
  readonly run: () => void;
  /** True iff it counts: a timer left behind by a cancelled timeout is no reason to move the clock. */
  isRefed: boolean;
}

class VirtualHost implements Host {
  readonly exact = true;
  readonly choose: ((count: number) => number) | undefined;
  /** Set right after the loop is made. */
  loop!: EventLoop;
  readonly #watchdogSeconds: number;
  #now = 0;
  #timer: VirtualTimer | undefined = undefined;
  /** Foreign work in flight. */
  #outstanding = 0;
  #checkDue = false;
  readonly #runs: Set<(error?: Error) => void> = new Set();
  /** Set while a dead run is looked at a second time; real time. */
  #secondLook: HostTimer | undefined = undefined;
  /** Set while there are runs; real time. */
  #watchdog: HostTimer | undefined = undefined;

  constructor(seed: number | undefined, watchdogSeconds: number) {
    this.#watchdogSeconds = watchdogSeconds;
    if (seed !== undefined) this.choose = chooser(seed);
  }

  now(): number {
    return this.#now;
  }

  microtask(run: () => void): void {
    realHost.microtask(run);
  }

  afterMicrotasks(run: () => void): void {
    realHost.afterMicrotasks(run);
  }

  macrotask(run: () => void): void {
    realHost.macrotask(run);
  }

  report(text: string): void {
    realHost.report(text);
  }

  setTimer(when: number, run: () => void): HostTimer {
    const timer: VirtualTimer = { when, run, isRefed: true };
    this.#timer = timer;
    this.#scheduleCheck();
    return {
      ref: () => {
        timer.isRefed = true;
        this.#scheduleCheck();
      },
      unref: () => {
        timer.isRefed = false;
      },
      clear: () => {
        if (this.#timer === timer) this.#timer = undefined;
      },
    };
  }

  onDry(run: (error?: Error) => void): () => void {
    this.#runs.add(run);
    this.#watchdog ??= realHost.setTimer(realHost.now() + this.#watchdogSeconds, () =>
      this.#barked(),
    );
    return () => {
      this.#runs.delete(run);
      if (this.#runs.size > 0) return;
      this.#watchdog?.clear();
      this.#watchdog = undefined;
    };
  }

  io(change: 1 | -1): void {
    this.#outstanding += change;
    this.#scheduleCheck();
  }

  idle(): void {
    this.#scheduleCheck();
  }

  /** One macrotask later, so that foreign promises which are about to settle do so first. */
  #scheduleCheck(): void {
    if (this.#checkDue) return;
    this.#checkDue = true;
    realHost.macrotask(() => {
      this.#checkDue = false;
      if (this.loop.isIdle && this.#outstanding === 0) this.#nothingReady();
    });
  }

  #nothingReady(): void {
    const timer = this.#nextTimer();
    if (timer !== undefined) {
      this.#timer = undefined;
      this.#now = Math.max(this.#now, timer.when);
      timer.run();
      this.#scheduleCheck();
    } else if (this.#everyTaskIsParked()) this.#lookAgain();
  }

  /** The timer that the clock may jump to. One for ever never fires. */
  #nextTimer(): VirtualTimer | undefined {
    const timer = this.#timer;
    return timer?.isRefed === true && timer.when !== Number.POSITIVE_INFINITY ? timer : undefined;
  }

  /**
   * Nothing of ours can wake a task. A branch beside a parked one may sit in a foreign await, which cannot be seen from
   * here: it gets a few real milliseconds before the run is declared dead.
   */
  #lookAgain(): void {
    if (this.#secondLook !== undefined || this.#runs.size === 0) return;
    this.#secondLook = realHost.setTimer(realHost.now() + SECOND_LOOK_SECONDS, () => {
      this.#secondLook = undefined;
      const isDead = this.loop.isIdle && this.#outstanding === 0 && this.#nextTimer() === undefined;
      if (isDead && this.#everyTaskIsParked()) for (const run of [...this.#runs]) run();
    });
  }

  /** A task without a wait sits in a foreign await, which may still end; the watchdog has an eye on it. */
  #everyTaskIsParked(): boolean {
    return this.loop.tasks.toArray().every((task) => {
      return (
        task.waitingFor().length > 0 && !task.scope.parkedWaits().some((wait) => wait.isForeign)
      );
    });
  }

  #barked(): void {
    const tasks = this.loop.tasks.toArray();
    const lines = tasks.map(
      (task) =>
        `  ${task.describe()} is waiting for ${task.waitingFor().join(" and ") || "foreign work"}`,
    );
    const message = `the run has not ended after ${formatSeconds(this.#watchdogSeconds)} of real time (at ${formatSeconds(this.#now)} of virtual time):`;
    const error = new TimeoutError([message, ...lines].join("\n"));
    for (const run of [...this.#runs]) run(error);
    // Again soon: a main that does not end when it is cancelled is left behind the second time.
    this.#watchdog = realHost.setTimer(realHost.now() + Math.min(this.#watchdogSeconds, 1), () =>
      this.#barked(),
    );
  }
}

/** A random but repeatable choice: Tommy Ettinger's mulberry32. */
function chooser(seed: number): (count: number) => number {
  let state = seed >>> 0;
  return (count) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * count);
  };
}
