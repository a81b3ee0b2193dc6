/**
 * Ends trials that take too long in real time. One timer for all the trials of a test, so that each
 * costs nothing.
 */

import { type HostTimer, realHost } from "../kernel/host.ts";
import { watchRejections } from "./rejections.ts";
import { openBeforeTest } from "./virtual-host.ts";

interface Watched {
  start(): Promise<void>;
  bark(seconds: number): void;
}

/** How often it looks: real seconds. */
const TICK_SECONDS = 1;

export class Watchdog {
  /** What was open in the real host before the first trial: its own timer, too. */
  readonly openBefore: ReadonlyMap<string, number>;
  readonly #seconds: number;
  #timer: HostTimer;
  readonly #unwatchRejections: () => void;
  #watched: Watched | undefined = undefined;
  #startedAt = 0;

  constructor(seconds: number) {
    this.#seconds = seconds;
    this.#unwatchRejections = watchRejections();
    this.#timer = this.#arm();
    this.openBefore = openBeforeTest();
  }

  /** Waits until `trial` is over, and ends it if that takes too long. */
  async watch(trial: Watched): Promise<void> {
    this.#watched = trial;
    this.#startedAt = realHost.now();
    await trial.start();
    this.#watched = undefined;
  }

  stop(): void {
    this.#timer.clear();
    this.#unwatchRejections();
  }

  #arm(): HostTimer {
    const delay = Math.min(this.#seconds, TICK_SECONDS);
    return realHost.setTimer(realHost.now() + delay, () => {
      this.#timer = this.#arm();
      // Again and again: what swallows the first bark is left behind at the next.
      if (realHost.now() - this.#startedAt >= this.#seconds) this.#watched?.bark(this.#seconds);
    });
  }
}
