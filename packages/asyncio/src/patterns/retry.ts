/**
 * Trying again: `retry` after failures, `repeat` after successes. Both run the body in their
 * caller's task, one attempt after the other, and wait between them as their schedule says.
 */

import { CancelledError, checkCoroutine } from "../errors/errors.ts";
import { here, recognised } from "../kernel/operation.ts";
import { timeLeft } from "../tasks/due.ts";
import { sleep } from "../tasks/sleep.ts";
import { type SignalOption, timeout } from "../tasks/timeouts.ts";
import { Recent } from "./recent.ts";
import { courseOf, type Delays, delayOf, type Step } from "./schedule.ts";
import { amount, callback, countOr0, instanceOf, type Rule, settle } from "./settings.ts";

/** What `retry` takes. */
export interface RetryOptions extends SignalOption {
  /** Shared by many calls: it refuses a retry when too many of all calls are retries. */
  readonly budget?: RetryBudget | undefined;
  /**
   * Called with each failure after which there is another attempt, in `step.delay` seconds. A
   * promise that it gives is awaited before that; what it throws ends the retries.
   */
  readonly onRetry?:
    | ((error: unknown, step: Step & { readonly delay: number }) => void)
    | undefined;
}

/** The option `budget`, wherever it stands. */
export const BUDGET: Rule = instanceOf(() => RetryBudget, "a RetryBudget");
const RETRY = { budget: BUDGET, onRetry: callback, signal: "AbortSignal" } as const;

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
  const { budget, onRetry, signal } = settle(api, options, RETRY);
  return await opened(signal, async () => {
    const course = courseOf(api, delay);
    budget?.noteCall();
    for (let attempt = 1; ; attempt++) {
      try {
        return await body(attempt);
      } catch (error) {
        if (isCancellation(error)) throw error;
        const step = course(error);
        if (step === undefined || !fits(step.delay) || budget?.allows() === false) throw error;
        if (onRetry !== undefined) await onRetry(error, step);
        await sleep(step.delay);
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
  return await opened(settle(api, options, { signal: "AbortSignal" }).signal, async () => {
    const course = courseOf(api, delay);
    for (let run = 1; ; run++) {
      const value = await body(run);
      const step = course();
      if (step === undefined) return value;
      await sleep(step.delay);
    }
  });
}

/** What `new RetryBudget` takes. */
export interface RetryBudgetOptions {
  /** How many retries are allowed for each call. @default 0.2 */
  readonly ratio?: number | undefined;
  /** How many retries are allowed however few calls there are. @default 10 */
  readonly min?: number | undefined;
  /** Seconds for which a call or a retry counts. @default 10 */
  readonly per?: number | undefined;
}

const RATES = { ratio: [amount, 0.2], min: [countOr0, 10], per: [amount, 10] } as const;

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
  readonly #rates;
  readonly #recent: Recent;
  #refused = 0;

  constructor(options?: RetryBudgetOptions) {
    this.#rates = settle("`new RetryBudget`", options, RATES);
    this.#recent = new Recent(this.#rates.per);
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
    const { min, ratio } = this.#rates;
    const isAllowed = retries < Math.max(min, calls * ratio);
    if (isAllowed) this.#recent.add(0, 1);
    else this.#refused++;
    return isAllowed;
  }
}

/** Runs `body` in a scope of its own, which `signal` cancels. */
export function opened<T>(signal: AbortSignal | undefined, body: () => Promise<T>): Promise<T> {
  return timeout(null, body, { signal });
}

/**
 * Whether `error` is a cancellation: ours, that of a task that was awaited, or an error of foreign
 * code that answers to one.
 */
export function isCancellation(error: unknown): boolean {
  return recognised(error, here()) instanceof CancelledError;
}
