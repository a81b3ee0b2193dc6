/** Ticks at fixed times, as a loop. */

import { argumentError, checkAmount, checkOptions } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { completed, here } from "../kernel/operation.ts";
import { sleep } from "../tasks/sleep.ts";

/** What `interval` takes. */
export interface IntervalOptions {
  /**
   * Ticks at multiples of the interval on the wall clock, as it was when the loop began: every full
   * minute, in UTC. @default false
   */
  readonly aligned?: boolean | undefined;
  /** The first tick comes at once. @default false */
  readonly immediate?: boolean | undefined;
}

/** One tick of an `interval`. */
export interface Tick {
  /** How many intervals after the beginning it was due. */
  readonly index: number;
  /** When it was due, on the clock of the loop. */
  readonly due: number;
  /** Ticks before it that were left out, because the loop was busy. */
  readonly missed: number;
}

const KNOWN: Names<IntervalOptions> = { aligned: 1, immediate: 1 };

/**
 * Ticks every so many `seconds`, counted from the beginning, so they do not drift, however long the
 * body of the loop takes. One that takes too long gets the latest tick at once, and `missed` says
 * how many were left out; ticks never pile up. Waits only when it is asked for the next tick, and a
 * cancellation ends it there. What setInterval does, as a loop.
 *
 * @example
 * const seen: number[] = [];
 * for await (const tick of patterns.interval(0.01)) {
 *   seen.push(tick.index);
 *   if (seen.length === 3) break;
 * }
 * assert.equal(seen.length, 3);
 */
export function interval(seconds: number, options?: IntervalOptions): AsyncIterableIterator<Tick> {
  checkAmount("`interval`", "a number of seconds", seconds);
  checkOptions("`interval`", options, KNOWN);
  const { aligned = false, immediate = false } = options ?? {};
  for (const [name, value] of Object.entries({ aligned, immediate }))
    if (typeof value !== "boolean")
      throw argumentError("`interval`", `\`${name}\` as a boolean`, value);
  return new Interval(seconds, aligned, immediate);
}

class Interval implements AsyncIterableIterator<Tick, undefined> {
  readonly #seconds: number;
  readonly #loop: EventLoop = here().loop;
  /** When tick 0 is due: ticks are counted from it, and not from one another. */
  readonly #start: number;
  /** The next tick. */
  #index: number;
  #isLeft = false;

  constructor(seconds: number, aligned: boolean, immediate: boolean) {
    this.#seconds = seconds;
    this.#start = this.#loop.time() - (aligned ? (Date.now() / 1000) % seconds : 0);
    this.#index = immediate ? 0 : 1;
  }

  async next(): Promise<IteratorResult<Tick, undefined>> {
    if (this.#isLeft) return { done: true, value: undefined };
    const now = this.#loop.time();
    const wait = this.#start + this.#index * this.#seconds - now;
    if (wait > 0) await sleep(wait);
    else {
      const scope = here();
      await (scope.interruption("interval") ?? completed(scope, "interval", undefined));
    }
    const latest = Math.floor((this.#loop.time() - this.#start) / this.#seconds + 1e-9);
    const index = this.#index === 0 ? 0 : Math.max(this.#index, latest);
    const tick = {
      index,
      due: this.#start + index * this.#seconds,
      missed: index - this.#index,
    };
    this.#index = index + 1;
    return { done: false, value: tick };
  }

  async return(): Promise<IteratorResult<Tick, undefined>> {
    this.#isLeft = true;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
