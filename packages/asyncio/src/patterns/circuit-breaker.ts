/**
 * Circuit breakers: calls to what has failed too often are refused at once, until a probe has shown
 * that it answers again.
 *
 *     closed ──too many failures──▶ open ──reset seconds──▶ half-open ──probes succeed──▶ closed
 *                                     ◀──────a probe fails──────┘
 *
 * An outcome counts for the state in which its call began: a slow failure of before tells nothing
 * about the probe. A cancellation is no outcome, and gives the place of a probe back.
 */

import { checkCoroutine, checkSeconds, register } from "../errors/errors.ts";
import { completed, here } from "../kernel/operation.ts";
import type { Coroutine } from "../kernel/task.ts";
import { formatSeconds } from "../structures/timers.ts";
import { describeSync, type SyncOptions } from "../sync/lock.ts";
import { type ErrorMatcher, predicateOf } from "../tasks/exception-group.ts";
import { clockOf } from "./clock.ts";
import type { Idling } from "./keyed.ts";
import { Recent } from "./recent.ts";
import { tell } from "./reports.ts";
import { isCancellation } from "./retry.ts";
import { type Course, courseOf, type Delay, type Delays, delayOf } from "./schedule.ts";
import { amount, anything, callback, count, finiteCount, settle, share } from "./settings.ts";

/** Whether calls go through (closed), are refused (open), or a few are let through to see. */
export type CircuitState = "closed" | "open" | "half-open";

/** What `new CircuitBreaker` takes. */
export interface CircuitBreakerOptions extends SyncOptions {
  /** How many failures within `per` seconds open it. @default 5 */
  readonly failures?: number | undefined;
  /** The share of calls that have to fail as well, from 0 to 1. @default 0 */
  readonly ratio?: number | undefined;
  /** Seconds for which calls and failures count. @default 10 */
  readonly per?: number | undefined;
  /**
   * Seconds until probes are let through. A schedule gives the next delay each time a probe has
   * failed. With Infinity, or when the schedule has ended, it is open until `close`. @default 30
   */
  readonly reset?: number | Delays | undefined;
  /** How many probes are let through at a time, and have to succeed. @default 1 */
  readonly probes?: number | undefined;
  /** Which errors count: an error class or a predicate. A cancellation never does. @default all */
  readonly counts?: ErrorMatcher | undefined;
  /** Called after each change of its state. */
  readonly onChange?: ((state: CircuitState, before: CircuitState) => void) | undefined;
}

const OPTIONS = {
  failures: [count, 5],
  ratio: [share, 0],
  per: [amount, 10],
  reset: [anything, 30],
  probes: [finiteCount, 1],
  counts: [anything, () => true],
  onChange: callback,
  name: "string",
} as const;

/** The breaker is open: the call was not made. A probe is let through in `retryAfter` seconds. */
export class CircuitOpenError extends Error {
  readonly code = "ERR_ASYNCIO_CIRCUIT_OPEN";
  /** Seconds until a probe is let through. */
  readonly retryAfter: number;

  constructor(message: string, retryAfter: number, options?: ErrorOptions) {
    super(message, options);
    this.retryAfter = retryAfter;
  }
}
register(CircuitOpenError, "CircuitOpenError");

/**
 * Refuses calls to what has failed too often, so that nobody waits for what does not answer, and it
 * has time to recover. Starts no task: make it anywhere, with `Keyed` one for each service. Source:
 * Nygard, "Release It!".
 *
 * @example
 * const breaker = new patterns.CircuitBreaker({ failures: 2, reset: 30, name: "mail" });
 * const send = () => breaker.run(async () => { throw new Error("no answer"); });
 * for (let n = 0; n < 2; n++) await assert.rejects(send, /no answer/);
 * await assert.rejects(send, patterns.CircuitOpenError); // nothing was called
 */
export class CircuitBreaker implements Idling {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  readonly #options;
  readonly #reset: Delay;
  readonly #counts: (error: unknown) => boolean;
  /** Calls and failures. */
  readonly #recent: Recent;
  readonly #now = clockOf(() => this.#change("closed"));
  #state: CircuitState = "closed";
  /** How often it has changed: an outcome of before a change does not count. */
  #changes = 0;
  /** Of the times that it has opened in a row. */
  #course: Course | undefined = undefined;
  /** When probes are let through, while it is open. */
  #openUntil = 0;
  #lastError: unknown = undefined;
  #running = 0;
  #probing = 0;
  #succeeded = 0;
  #rejected = 0;

  constructor(options?: CircuitBreakerOptions) {
    const api = "`new CircuitBreaker`";
    this.#options = settle<CircuitBreakerOptions, typeof OPTIONS>(api, options, OPTIONS);
    const { reset, counts, per, name } = this.#options;
    if (typeof reset === "number") checkSeconds(api, "`reset` in seconds", reset);
    this.#reset = typeof reset === "number" ? () => reset : delayOf(api, reset);
    this.#counts = predicateOf(api, counts);
    this.#recent = new Recent(per);
    this.name = name;
  }

  /** As a call that came now would find it. */
  get state(): CircuitState {
    const isOver = this.#state === "open" && this.#now() >= this.#openUntil;
    return isOver ? "half-open" : this.#state;
  }

  /** True if it is closed, nothing runs through it, and nothing has failed lately. */
  get idle(): boolean {
    return this.#state === "closed" && this.#running === 0 && this.#recent.sums().second === 0;
  }

  /**
   * Runs `body`, unless the breaker is open, or half-open with as many probes as it may have: then
   * it rejects with a CircuitOpenError, and nothing was called.
   */
  async run<T>(body: Coroutine<T>): Promise<T> {
    checkCoroutine("`breaker.run`", body);
    const scope = here();
    const stop = scope.interruption("breaker.run");
    if (stop !== undefined) await stop;
    const before = this.state; // looks at the clock
    if (before !== this.#state) this.#change(before);
    if (
      this.#state === "open" ||
      (this.#state === "half-open" && this.#probing >= this.#options.probes)
    ) {
      this.#rejected++;
      const refusal = this.#refusal(); // what is so now
      await completed(scope, "breaker.run", undefined); // a loop of refusals must not hold the host up
      throw refusal;
    }
    const changes = this.#changes;
    this.#running++;
    if (this.#state === "half-open") this.#probing++;
    try {
      const value = await body();
      this.#ended(changes, undefined);
      return value;
    } catch (error) {
      this.#ended(changes, { error });
      throw error;
    }
  }

  /** Opens it by hand, as too many failures do. */
  open(): void {
    this.#course ??= courseOf("`CircuitBreaker`", this.#reset);
    const { delay = Number.POSITIVE_INFINITY } = this.#course(this.#lastError) ?? {};
    this.#openUntil = this.#now() + delay;
    this.#change("open");
  }

  /** Closes it by hand, as a successful probe does, and forgets the failures. */
  close(): void {
    this.#change("closed");
  }

  /**
   * `calls` and `failures` within `per` seconds, `rejected` of all time, `retryAfter` in seconds: 0
   * unless it is open.
   */
  statistics(): Readonly<
    { state: CircuitState } & Record<
      "calls" | "failures" | "running" | "probing" | "rejected" | "retryAfter",
      number
    >
  > {
    const { state } = this;
    const { first: calls, second: failures } = this.#recent.sums();
    const [running, probing, rejected] = [this.#running, this.#probing, this.#rejected];
    const retryAfter = this.#retryAfter();
    return Object.freeze({ state, calls, failures, running, probing, rejected, retryAfter });
  }

  #ended(changes: number, failure: { readonly error: unknown } | undefined): void {
    this.#running--;
    if (changes !== this.#changes) return; // it began before the last change
    if (this.#state === "half-open") this.#probing--;
    if (failure !== undefined && isCancellation(failure.error)) return;
    const hasFailed = failure !== undefined && this.#counts(failure.error);
    this.#recent.add(1, hasFailed ? 1 : 0);
    if (hasFailed) {
      this.#lastError = failure.error;
      if (this.#state === "half-open" || this.#isTooMuch()) this.open();
    } else if (this.#state === "half-open" && ++this.#succeeded >= this.#options.probes)
      this.close();
  }

  #isTooMuch(): boolean {
    const { first: calls, second: failures } = this.#recent.sums();
    const { failures: most, ratio } = this.#options;
    return failures >= most && failures >= calls * ratio;
  }

  #change(state: CircuitState): void {
    const before = this.#state;
    if (state === "closed") {
      this.#course = undefined;
      this.#lastError = undefined;
      this.#recent.clear();
    }
    if (state === before) return;
    this.#state = state;
    this.#changes++;
    this.#probing = this.#succeeded = 0;
    const { onChange } = this.#options;
    const what = `\`onChange\` of ${describeSync("CircuitBreaker", this.name)}`;
    if (onChange !== undefined) tell(what, () => onChange(state, before));
  }

  #retryAfter(): number {
    return this.#state === "open" ? Math.max(this.#openUntil - this.#now(), 0) : 0;
  }

  #refusal(): CircuitOpenError {
    const name = describeSync("CircuitBreaker", this.name);
    const retryAfter = this.#retryAfter();
    const message =
      this.#state === "open"
        ? `${name} is open for ${formatSeconds(retryAfter)} more: too many calls have failed`
        : `${name} lets a probe through, and nothing else until that has ended`;
    const cause = this.#lastError;
    return new CircuitOpenError(message, retryAfter, cause === undefined ? undefined : { cause });
  }
}
