/**
 * Trying again: `retry` after failures, `repeat` after successes. Both run the body in their
 * caller's task, one attempt after the other, and wait between them as their schedule says.
 */

import {
  argumentError,
  CancelledError,
  checkAmount,
  checkCoroutine,
  checkCount,
  checkOptions,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { here, recognised } from "../kernel/operation.ts";
import { checkSignalType } from "../ports/abort.ts";
import { timeLeft } from "../tasks/due.ts";
import { sleep } from "../tasks/sleep.ts";
import { type SignalOption, timeout } from "../tasks/timeouts.ts";
import { Recent } from "./recent.ts";
import { checkedDelay, type Delays, delayOf, random, type Step } from "./schedule.ts";

/** What `retry` takes. */
export interface RetryOptions extends SignalOption {
  /** Shared by many calls: it refuses a retry when too many of all calls are retries. */
  readonly budget?: RetryBudget | undefined;
  /** Told of each failure after which there is another attempt, in `step.delay` seconds. */
  readonly onRetry?:
    | ((error: unknown, step: Step & { readonly delay: number }) => void)
    | undefined;
}

const RETRY: Names<RetryOptions> = { budget: 1, onRetry: 1, signal: 1 };
const REPEAT: Names<SignalOption> = { signal: 1 };

/**
 * Runs `body(attempt)`, and again after each failure, `delays` apart. Gives what the first attempt
 * that succeeds gives, else throws what the last one threw, as it is. Cancelled, it makes no other
 * attempt: a CancelledError is never retried. If the next attempt would begin after the deadline
 * around the call, it fails at once, with the failure that there was. The budget, and the end of
 * the schedule, end it in the same way.
 *
 * @example
 * const answers = ["busy", "busy", "ok"];
 * const ask = async () => {
 *   const answer = answers.shift();
 *   if (answer !== "ok") throw new Error(answer);
 *   return answer;
 * };
 * assert.equal(await patterns.retry(patterns.exponential(0.001).times(5), ask), "ok");
 */
export async function retry<T>(
  delays: Delays,
  body: (attempt: number) => T | PromiseLike<T>,
  options?: RetryOptions,
): Promise<T> {
  const api = "`retry`";
  const delay = delayOf(api, delays);
  checkCoroutine(api, body);
  checkOptions(api, options, RETRY);
  const { budget, onRetry, signal } = options ?? {};
  checkBudget(api, budget);
  if (onRetry !== undefined && typeof onRetry !== "function")
    throw argumentError(api, "`onRetry` to be a function", onRetry);
  return await opened(api, signal, async () => {
    const { loop } = here();
    const started = loop.time();
    budget?.noteCall();
    for (let attempt = 1; ; attempt++) {
      try {
        return await body(attempt);
      } catch (error) {
        if (isCancellation(error)) throw error;
        const step = { attempt, elapsed: loop.time() - started, error, random };
        const seconds = checkedDelay(api, delay, step);
        if (seconds === undefined || !fits(seconds) || budget?.allows() === false) throw error;
        onRetry?.(error, { ...step, delay: seconds });
        await sleep(seconds);
      }
    }
  });
}

/**
 * Whether the next attempt can begin before the deadline. True if a cancellation is due: the wait
 * before the attempt meets it.
 */
function fits(seconds: number): boolean {
  const due = here().peekDue();
  return due === undefined ? seconds < timeLeft() : due.source !== "deadline";
}

/**
 * Runs `body(run)`, and again after each of the `delays`; when they end, gives what the last run
 * gave. A failure ends it, and so does a cancellation.
 *
 * @example
 * const runs: number[] = [];
 * await patterns.repeat(patterns.spaced(0.001).times(2), async (run) => runs.push(run));
 * assert.deepEqual(runs, [1, 2, 3]);
 */
export async function repeat<T>(
  delays: Delays,
  body: (run: number) => T | PromiseLike<T>,
  options?: SignalOption,
): Promise<T> {
  const api = "`repeat`";
  const delay = delayOf(api, delays);
  checkCoroutine(api, body);
  checkOptions(api, options, REPEAT);
  return await opened(api, options?.signal, async () => {
    const { loop } = here();
    const started = loop.time();
    for (let attempt = 1; ; attempt++) {
      const value = await body(attempt);
      const step = { attempt, elapsed: loop.time() - started, error: undefined, random };
      const seconds = checkedDelay(api, delay, step);
      if (seconds === undefined) return value;
      await sleep(seconds);
    }
  });
}

/** What `new RetryBudget` takes. */
export interface RetryBudgetOptions {
  /** How many retries there may be for each call. @default 0.2 */
  readonly ratio?: number | undefined;
  /** How many there may be in any case. @default 10 */
  readonly min?: number | undefined;
  /** Seconds that calls and retries count. @default 10 */
  readonly per?: number | undefined;
}

const BUDGET: Names<RetryBudgetOptions> = { ratio: 1, min: 1, per: 1 };

/**
 * Keeps retries a small part of all calls, so that they do not bring down what is slow already, and
 * retries of several layers do not multiply. One object for all calls to one service. Source:
 * Finagle's RetryBudget, the SRE book ("Addressing Cascading Failures").
 *
 * @example
 * const budget = new patterns.RetryBudget({ ratio: 0.1, min: 1 });
 * const down = () => patterns.retry([0, 0, 0], async () => { throw new Error("down"); }, { budget
 * }); await assert.rejects(down, /down/); const { calls, retries, refused } = budget.statistics();
 * assert.deepEqual([calls, retries, refused], [1, 1, 1]);
 */
export class RetryBudget {
  readonly #ratio: number;
  readonly #min: number;
  readonly #recent: Recent;
  #refused = 0;

  constructor(options?: RetryBudgetOptions) {
    const api = "`new RetryBudget`";
    checkOptions(api, options, BUDGET);
    const { ratio = 0.2, min = 10, per = 10 } = options ?? {};
    checkAmount(api, "`ratio`", ratio);
    checkCount(api, "`min`", min, 0);
    checkAmount(api, "`per` in seconds", per);
    this.#ratio = ratio;
    this.#min = min;
    this.#recent = new Recent(per);
  }

  /** Of the last `per` seconds, `refused` of all time. */
  statistics(): Readonly<Record<"calls" | "retries" | "refused", number>> {
    const { first: calls, second: retries } = this.#recent.sums();
    return Object.freeze({ calls, retries, refused: this.#refused });
  }

  /** @internal A first attempt begins. */
  noteCall(): void {
    this.#recent.add(1, 0);
  }

  /** @internal Whether another attempt may begin; counts it. */
  allows(): boolean {
    const { calls, retries } = this.statistics();
    const isAllowed = retries < Math.max(this.#min, calls * this.#ratio);
    if (isAllowed) this.#recent.add(0, 1);
    else this.#refused++;
    return isAllowed;
  }
}

/** @throws TypeError unless it is one, or undefined. */
export function checkBudget(api: string, budget: unknown): void {
  if (budget !== undefined && !(budget instanceof RetryBudget))
    throw argumentError(api, "`budget` to be a RetryBudget", budget);
}

/** Runs `body` in a scope of its own, which `signal` cancels. */
export function opened<T>(
  api: string,
  signal: AbortSignal | undefined,
  body: () => Promise<T>,
): Promise<T> {
  checkSignalType(api, signal);
  return timeout(null, body, { signal });
}

/**
 * Whether `error` is a cancellation: ours, that of a task that was awaited, or an error of foreign
 * code that answers to one.
 */
export function isCancellation(error: unknown): boolean {
  return recognised(error, here()) instanceof CancelledError;
}
