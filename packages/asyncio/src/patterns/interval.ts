/** Ticks at fixed times, as a loop. */

import { completed, here } from "../kernel/operation.ts";
import { sleep } from "../tasks/sleep.ts";
import { checkAmount, settle } from "./settings.ts";

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

const OPTIONS = { aligned: ["boolean", false], immediate: ["boolean", false] } as const;

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
  const { aligned, immediate } = settle("`interval`", options, OPTIONS);
  // When tick 0 is due: ticks are counted from it, and not from one another.
  const start = here().loop.time() - (aligned ? (Date.now() / 1000) % seconds : 0);
  return ticks(seconds, start, immediate ? 0 : 1);
}

function ticks(seconds: number, start: number, first: number): AsyncIterableIterator<Tick> {
  const { loop } = here();
  const end = { done: true, value: undefined } as const;
  let next = first;
  let isLeft = false;
  const iterator: AsyncIterableIterator<Tick> = {
    async next() {
      if (isLeft) return end;
      const wait = start + next * seconds - loop.time();
      const scope = here();
      if (wait > 0) await sleep(wait);
      else await (scope.interruption("interval") ?? completed(scope, "interval", undefined));
      const latest = Math.floor((loop.time() - start) / seconds + 1e-9);
      const index = next === 0 ? 0 : Math.max(next, latest);
      const value = { index, due: start + index * seconds, missed: index - next };
      next = index + 1;
      return { done: false, value };
    },
    async return() {
      isLeft = true;
      return end;
    },
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}
