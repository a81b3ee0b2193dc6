/**
 * A loop in virtual time, for `run`. An hour of sleeping takes no time, and a seed draws the order
 * of the ready steps. Tests of whole programs use it; `runTest` and `explore` look closer.
 */

import { checkOptions, checkSeconds, rangeError, TimeoutError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import type { Ready } from "../kernel/gate.ts";
import type { EventLoopOptions } from "../kernel/host.ts";
import { type HostTimer, realHost } from "../kernel/host.ts";
import { EventLoop } from "../kernel/loop.ts";
import type { RingBuffer } from "../structures/ring-buffer.ts";
import { formatSeconds } from "../structures/timers.ts";
import { condense } from "../tasks/condense.ts";
import { drawer } from "./random.ts";
import { VirtualHost } from "./virtual-host.ts";

/** What `new VirtualLoop` takes. */
export interface VirtualLoopOptions extends EventLoopOptions {
  /**
   * Draws the order in which ready steps run: one order for each seed. @default first in, first out
   */
  readonly seed?: number | undefined;
  /**
   * Real seconds after which a run is cancelled and rejects with a TimeoutError that lists its
   * tasks. @default 10
   */
  readonly watchdog?: number | undefined;
}

const KNOWN: Names<VirtualLoopOptions> = { seed: 1, watchdog: 1, debug: "boolean", cancelGrace: 1 };

/**
 * `run(main, { loop: new VirtualLoop() })` runs `main` in virtual time, which begins at 0. When
 * nothing is ready, no timer is set and no foreign work is in flight, it rejects with a
 * DeadlockError at once.
 *
 * @example
 * const loop = new testing.VirtualLoop();
 * await asyncio.run(() => asyncio.sleep(3600), { loop });
 * assert.equal(loop.time(), 3600);
 */
export class VirtualLoop extends EventLoop {
  constructor(options: VirtualLoopOptions = {}) {
    checkOptions("`new VirtualLoop`", options, KNOWN);
    const { seed, watchdog = 10, debug, cancelGrace } = options;
    if (seed !== undefined && !Number.isSafeInteger(seed))
      throw rangeError("`new VirtualLoop`", "`seed` to be an integer", seed);
    checkSeconds("`new VirtualLoop`", "`watchdog` in seconds", watchdog);
    const host = new WatchedHost(seed, watchdog);
    super(host, { debug, cancelGrace });
    host.attach(this);
  }
}

/** Longer than a host takes to settle what is about to settle, shorter than a person notices. */
const SECOND_LOOK_SECONDS = 0.02;

/** Numbers are drawn from so many. */
const RANDOM_OPTIONS = 2 ** 32;

/**
 * Tells the runs on its loop that they will never end: nothing can wake them, or they have taken
 * too long.
 */
class WatchedHost extends VirtualHost {
  readonly #draw: ((count: number) => number) | undefined;
  readonly #drawNumber: (count: number) => number;
  readonly #watchdogSeconds: number;
  readonly #runs: Set<(error?: Error) => void> = new Set();
  /** Set while a dead run is looked at a second time; real time. */
  #secondLook: HostTimer | undefined = undefined;
  /** Set while there are runs; real time. */
  #watchdog: HostTimer | undefined = undefined;

  constructor(seed: number | undefined, watchdogSeconds: number) {
    super();
    this.#draw = seed === undefined ? undefined : drawer(seed);
    this.#drawNumber = drawer(seed ?? 0);
    this.#watchdogSeconds = watchdogSeconds;
  }

  /** What `jittered` schedules and the like draw: the same in each run of one seed. */
  random(): number {
    return this.#drawNumber(RANDOM_OPTIONS) / RANDOM_OPTIONS;
  }

  protected override pick(ready: RingBuffer<Ready>): number {
    return this.#draw?.(ready.length) ?? 0;
  }

  override onDry(run: (error?: Error) => void): () => void {
    this.#runs.add(run);
    this.#watchdog ??= realHost.setTimer(realHost.now() + this.#watchdogSeconds, () =>
      this.#barked(),
    );
    this.takeStock();
    return () => {
      this.#runs.delete(run);
      if (this.#runs.size > 0) return;
      this.#watchdog?.clear();
      this.#watchdog = undefined;
    };
  }

  /**
   * Nothing of ours can wake a task. A branch beside a parked one may sit in a foreign await, which
   * cannot be seen from here: it gets a few real milliseconds before the run is declared dead.
   */
  protected override stuck(): void {
    if (this.#secondLook !== undefined || this.#runs.size === 0 || this.#isWaitedFor()) return;
    // Behind what the host has to call anyway: on a busy machine this timer is due before a
    // callback that was there first.
    const later = () => realHost.macrotask(() => this.#lookAgain());
    this.#secondLook = realHost.setTimer(realHost.now() + SECOND_LOOK_SECONDS, later);
    this.#secondLook.unref(); // else it is something open itself; the watchdog keeps the process alive
  }

  #lookAgain(): void {
    this.#secondLook = undefined;
    if (!this.loop.isIdle || !this.isQuiet || this.nextTimer() !== undefined) return;
    if (this.isForeignInFlight()) this.heldBack();
    else if (!this.#isWaitedFor()) for (const run of [...this.#runs]) run();
  }

  /**
   * A task without a wait of ours sits in a foreign await, which may still end; the watchdog has an
   * eye on it.
   */
  #isWaitedFor(): boolean {
    return this.foreignTasks().length > 0;
  }

  #barked(): void {
    const tasks = this.loop.tasks.toArray();
    const lines = tasks.map(
      (task) =>
        `  ${task.describe()} is waiting for ${task.waitingFor().join(" and ") || "foreign work"}`,
    );
    const message = `the run has not ended after ${formatSeconds(this.#watchdogSeconds)} of real time (at ${formatSeconds(this.now())} of virtual time):`;
    const error = new TimeoutError([message, ...condense(lines)].join("\n"));
    for (const run of [...this.#runs]) run(error);
    // Again soon: a main that does not end when it is cancelled is left behind the second time.
    this.#watchdog = realHost.setTimer(realHost.now() + Math.min(this.#watchdogSeconds, 1), () =>
      this.#barked(),
    );
  }
}
