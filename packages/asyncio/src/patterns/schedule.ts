/**
 * Schedules: how long to wait before the next attempt, and when to give up. A schedule is a
 * function of the step, wrapped so that its methods can be chained: it has no state, so one object
 * serves any number of calls at a time, can be looked at, and a test repeats its jitter.
 */

import { argumentError, checkCount, checkSeconds } from "../errors/errors.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { here } from "../kernel/operation.ts";
import { type ErrorMatcher, predicateOf } from "../tasks/exception-group.ts";
import { amount, checkAmount, checkFunction, checkShare, settle } from "./settings.ts";

/** What a schedule is told when it is asked for the next delay: all that it may depend on. */
export interface Step {
  /** How many attempts there were. */
  readonly attempt: number;
  /** Seconds since the first one began. */
  readonly elapsed: number;
  /** What the last one failed with; undefined in `repeat`. */
  readonly error: unknown;
  /** From 0 up to 1. Tests in virtual time repeat it. */
  random(): number;
}

/** Gives the seconds until the next attempt; undefined or Infinity: no more. */
export type Delay = (step: Step) => number | undefined;

/** When to try again: a schedule, a list of delays in seconds, or a function of the step. */
export type Delays = Schedule | readonly number[] | Delay;

/**
 * Delays that depend on nothing but the step. Each method gives another schedule, and leaves this
 * one as it is. Source: Effect's Schedule, AWS "Exponential Backoff And Jitter".
 *
 * @example
 * const schedule = patterns.exponential(1).capped(3).upTo(9);
 * assert.deepEqual([...schedule], [1, 2, 3, 3]); // the next attempt would begin after 12 seconds
 */
export class Schedule implements Iterable<number> {
  /** The function that it wraps. */
  readonly delay: Delay;

  constructor(delay: Delay) {
    checkFunction("`new Schedule`", "a function that gives the next delay", delay);
    this.delay = delay;
  }

  /** The delays in seconds without jitter, to look at, as if attempts took no time. */
  *[Symbol.iterator](): Iterator<number> {
    const step = { attempt: 1, elapsed: 0, error: undefined, random: () => 0 };
    for (; ; step.attempt++) {
      const delay = checkedDelay("`Schedule`", this.delay, step);
      if (delay === undefined) return;
      yield delay;
      step.elapsed += delay;
    }
  }

  /** At most `count` delays, so one attempt more than that. */
  times(count: number): Schedule {
    checkCount("`schedule.times`", "a number of delays", count, 0);
    return new Schedule((step) => (step.attempt > count ? undefined : this.delay(step)));
  }

  /** Ends when the next attempt would begin later than `seconds` after the first one. */
  upTo(seconds: number): Schedule {
    checkSeconds("`schedule.upTo`", "a number of seconds", seconds);
    return this.#mapped((delay, { elapsed }) => (elapsed + delay > seconds ? undefined : delay));
  }

  /** No delay longer than `seconds`. */
  capped(seconds: number): Schedule {
    checkSeconds("`schedule.capped`", "a number of seconds", seconds);
    return this.#mapped((delay) => Math.min(delay, seconds));
  }

  /**
   * Draws each delay between `(1 - share)` of it and the whole, so that those who failed together
   * do not come back together. @param share From 0 to 1. @default 1
   */
  jittered(share = 1): Schedule {
    checkShare("`schedule.jittered`", "`share`", share);
    return this.#mapped((delay, { random }) => delay * (1 - share * random()));
  }

  /** Ends at a failure that does not match: an error class or a predicate. */
  whileError(matcher: ErrorMatcher): Schedule {
    const matches = predicateOf("`schedule.whileError`", matcher);
    const goesOn = ({ error }: Step): boolean => error === undefined || matches(error);
    return new Schedule((step) => (goesOn(step) ? this.delay(step) : undefined));
  }

  /** Waits for as many `seconds` as the failure asks for, if that is longer. */
  retryAfter(seconds: (error: unknown) => number | undefined): Schedule {
    checkFunction("`schedule.retryAfter`", "a function of the failure", seconds);
    return this.#mapped((delay, { error }) =>
      error === undefined ? delay : Math.max(delay, seconds(error) ?? 0),
    );
  }

  #mapped(map: (delay: number, step: Step) => number | undefined): Schedule {
    return new Schedule((step) => {
      const delay = this.delay(step);
      return delay === undefined ? undefined : map(delay, step);
    });
  }
}

/** What `exponential` takes. */
export interface ExponentialOptions {
  /** How many times as long each delay is as the one before. @default 2 */
  readonly factor?: number | undefined;
}

/**
 * Delays that double each time, from `first` seconds on. They have no end: see `times`, `capped`.
 */
export function exponential(first: number, options?: ExponentialOptions): Schedule {
  checkAmount("`exponential`", "the first delay in seconds", first);
  const { factor } = settle("`exponential`", options, { factor: [amount, 2] });
  return new Schedule(({ attempt }) => first * factor ** (attempt - 1));
}

/**
 * Delays each of which is as long as the two before it: `first` seconds, once more, then twice,
 * three and five times as many.
 *
 * @example
 * assert.deepEqual([...patterns.fibonacci(1).times(6)], [1, 1, 2, 3, 5, 8]);
 */
export function fibonacci(first: number): Schedule {
  checkAmount("`fibonacci`", "the first delay in seconds", first);
  return new Schedule(({ attempt }) => {
    let [delay, next] = [first, first];
    for (let n = 1; n < attempt; n++) [delay, next] = [next, delay + next];
    return delay;
  });
}

/**
 * Delays of `seconds` each.
 *
 * @example
 * assert.deepEqual([...patterns.spaced(2).times(3)], [2, 2, 2]);
 */
export function spaced(seconds: number): Schedule {
  checkSeconds("`spaced`", "a number of seconds", seconds);
  return new Schedule(() => seconds);
}

/** What a call makes of its `delays`. @throws TypeError in the name of the call. */
export function delayOf(api: string, delays: Delays): Delay {
  const delay = Array.isArray(delays)
    ? ({ attempt }: Step): number | undefined => delays[attempt - 1]
    : delays instanceof Schedule
      ? delays.delay
      : delays;
  const what = "a schedule, an array of delays in seconds, or a function of the step";
  if (typeof delay !== "function") throw argumentError(api, what, delays);
  if (Array.isArray(delays)) for (const one of delays) checkSeconds(api, "delays in seconds", one);
  return delay;
}

/** The next delay, 0 or more; undefined when there is none. */
function checkedDelay(api: string, delay: Delay, step: Step): number | undefined {
  const seconds = delay(step);
  if (seconds === undefined || seconds === Number.POSITIVE_INFINITY) return undefined;
  checkSeconds(api, "a schedule to give seconds or undefined", seconds);
  return Math.max(seconds, 0);
}

/** Gives the next step, `delay` seconds from now; undefined when there is none. */
export type Course = (error?: unknown) => (Step & { readonly delay: number }) | undefined;

/** One use of a schedule, from its beginning, which is now. */
export function courseOf(api: string, delay: Delay, loop: EventLoop = here().loop): Course {
  const started = loop.time();
  let attempt = 0;
  return (error) => {
    const step = { attempt: ++attempt, elapsed: loop.time() - started, error, random };
    const seconds = checkedDelay(api, delay, step);
    return seconds === undefined ? undefined : { ...step, delay: seconds };
  };
}

/** From 0 up to 1. */
function random(): number {
  const host = here().loop.host as { random?(): number }; // those of tests draw it, and repeat it
  return host.random?.() ?? Math.random();
}
