/**
 * Rate limiters: so many in so many seconds. The algorithm is GCRA (the generic cell rate algorithm
 * of ATM networks), the leaky bucket in one number: `#full` is when the bucket will be full again.
 * Taking moves it on; a take is granted once it is no further ahead than a bucket takes to fill.
 *
 *     granted at  #full + (weight - burst) * seconds for one
 *     then        #full = max(#full, that) + weight * seconds for one
 *
 * One who waits has taken nothing, so a cancelled wait gives nothing back. Only the first in line
 * has a timer. Timers of hosts are late by a millisecond or so; what waited in line counts as
 * granted when it was due, if that was at most LATENESS ago, or a fast rate would not be reached.
 *
 * Invariant: in any `t` seconds, on an exact clock, at most `burst + rate * t / per` are granted.
 */

import { checkCoroutine, checkCount, checkSeconds, rangeError } from "../errors/errors.ts";
import { realHost } from "../kernel/host.ts";
import { type Operation, operation, type Place, type Selectable } from "../kernel/selectable.ts";
import type { Coroutine } from "../kernel/task.ts";
import { WaitList } from "../kernel/wait.ts";
import { formatSeconds } from "../structures/timers.ts";
import { describeSync, type SyncOptions } from "../sync/lock.ts";
import { noticeFakeTimers } from "../tasks/fake-timers.ts";
import { clockOf } from "./clock.ts";
import type { Idling } from "./keyed.ts";
import { DONE, perform } from "./perform.ts";
import { amount, checkAmount, finiteCount, needed, settle } from "./settings.ts";

/** What `new RateLimiter` takes. */
export interface RateLimiterOptions extends SyncOptions {
  /** How many turns there are in `per` seconds. */
  readonly rate: number;
  /** The seconds that `rate` is for. @default 1 */
  readonly per?: number | undefined;
  /** How many turns may come at once after a pause. @default 1 */
  readonly burst?: number | undefined;
}

/** What `limiter.run` takes. */
export interface WeightOption {
  /** How many turns it takes. @default 1 */
  readonly weight?: number | undefined;
}

const OPTIONS = {
  rate: needed(amount),
  per: [amount, 1],
  burst: [finiteCount, 1],
  name: "string",
} as const;
/** Seconds. */
const LATENESS = 0.002;

/**
 * Lets so many through in so many seconds, evenly, and up to `burst` at once after a pause. First
 * come, first served, whatever their weights. It is no task and keeps nothing open: make it
 * anywhere, also at module level. As a case of a `select` it stands for `take()`. Source: GCRA
 * (ITU-T I.371).
 *
 * @example
 * const limiter = new patterns.RateLimiter({ rate: 100, burst: 2 });
 * const started = asyncio.getRunningLoop().time();
 * for (let n = 0; n < 4; n++) await limiter.take(); // two at once, then one in 0.01 s
 * assert.ok(asyncio.getRunningLoop().time() - started > 0.015);
 */
export class RateLimiter implements Idling {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  readonly #burst: number;
  #rate: number;
  #per: number;
  readonly #now = clockOf(() => this.#forget());
  /** When the bucket is full again; it is, if that is not later than now. */
  #full = Number.NEGATIVE_INFINITY;
  /** Nothing is granted before. */
  #closedUntil = Number.NEGATIVE_INFINITY;
  readonly #waiters: WaitList = new WaitList();
  /** The sum of their weights. */
  #waitingWeight = 0;
  #taken = 0;
  /** Takes the timer for the first in line away; undefined iff nobody waits. */
  #stopTimer: (() => void) | undefined = undefined;
  readonly #subject = { describeWait: (now: number): string => this.#describeWait(now) };
  readonly #one: Operation<undefined> = this.#taking(1);

  constructor(options: RateLimiterOptions) {
    const { rate, per, burst, name } = settle("`new RateLimiter`", options, OPTIONS);
    this.#rate = rate;
    this.#per = per;
    this.#burst = burst;
    this.name = name;
  }

  /** True if nobody waits and the bucket is full: a new limiter would do the same. */
  get idle(): boolean {
    const now = this.#now();
    return this.#waiters.length === 0 && this.#full <= now && this.#closedUntil <= now;
  }

  /**
   * Waits for its turn, which comes when all who came before have had theirs. A `weight` above
   * `burst` would never come, and is refused. Cancelled while it waits, it has taken nothing.
   */
  async take(weight = 1): Promise<void> {
    this.#checkWeight("`limiter.take`", weight);
    await perform(weight === 1 ? this.#one : this.#taking(weight));
  }

  /** Takes if that needs no wait: whether it has. Overtakes nobody. */
  tryTake(weight = 1): boolean {
    this.#checkWeight("`limiter.tryTake`", weight);
    return this.#tryTake(weight);
  }

  /** Runs `body` once its turn has come. What is paid stays paid, also if `body` fails. */
  async run<T>(body: Coroutine<T>, options?: WeightOption): Promise<T> {
    const api = "`limiter.run`";
    checkCoroutine(api, body);
    const { weight } = settle(api, options, { weight: [finiteCount, 1] });
    this.#checkWeight(api, weight);
    await perform(this.#taking(weight));
    return await body();
  }

  /**
   * Grants nothing for so many `seconds`, and then goes on at the rate, without a burst: what the
   * answer 429 asks for. Never shortens what was asked for before.
   */
  penalize(seconds: number): void {
    const what = "a number of seconds, and not Infinity";
    checkSeconds("`limiter.penalize`", what, seconds);
    if (seconds === Number.POSITIVE_INFINITY) throw rangeError("`limiter.penalize`", what, seconds);
    this.#closedUntil = Math.max(this.#closedUntil, this.#now() + Math.max(seconds, 0));
    this.#full = Math.max(this.#full, this.#closedUntil + (this.#burst - 1) * this.#secondsForOne);
    this.#serve();
  }

  /** From now on `rate` in `per` seconds, for those who wait, too. @param per @default 1 */
  setRate(rate: number, per = 1): void {
    checkAmount("`limiter.setRate`", "`rate`", rate);
    checkAmount("`limiter.setRate`", "`per` in seconds", per);
    const now = this.#now();
    const missing = Math.max(this.#full - now, 0) / this.#secondsForOne;
    this.#rate = rate;
    this.#per = per;
    this.#full = now + missing * this.#secondsForOne;
    this.#serve();
  }

  /** Seconds until a `take(weight)` would be granted that came now. */
  delay(weight = 1): number {
    this.#checkWeight("`limiter.delay`", weight);
    const now = this.#now();
    return Math.max(this.#due(this.#waitingWeight + weight) - now, 0);
  }

  /** `taken` is the sum of the weights that were granted, `delay` in seconds as of `delay()`. */
  statistics(): Readonly<Record<"rate" | "per" | "burst" | "waiting" | "taken" | "delay", number>> {
    const [rate, per, burst, taken] = [this.#rate, this.#per, this.#burst, this.#taken];
    const [waiting, delay] = [this.#waiters.length, this.delay()];
    return Object.freeze({ rate, per, burst, waiting, taken, delay });
  }

  /** @internal For `select`: `take`. */
  [operation](): Operation<undefined> {
    return this.#one;
  }

  #taking(weight: number): Operation<undefined> {
    return {
      subject: this.#subject,
      attempt: () => (this.#tryTake(weight) ? DONE : undefined),
      enlist: (place) => {
        if (place.scope.loop.host === realHost) noticeFakeTimers();
        place.offer = weight;
        this.#waiters.add(place);
        this.#waitingWeight += weight;
        if (this.#waiters.length === 1) this.#serve();
      },
      withdraw: (place) => this.#leave(place),
      left: () => this.#serve(), // the next one may weigh less, and fit before
    };
  }

  #tryTake(weight: number): boolean {
    const now = this.#now();
    if (this.#waiters.length > 0 || this.#due(weight) > now) return false;
    this.#grant(weight, now);
    return true;
  }

  /** When `weight` is granted, if nobody else takes before. */
  #due(weight: number): number {
    return Math.max(this.#full + (weight - this.#burst) * this.#secondsForOne, this.#closedUntil);
  }

  #grant(weight: number, at: number): void {
    this.#full = Math.max(this.#full, at) + weight * this.#secondsForOne;
    this.#taken += weight;
  }

  /** Grants what is due, first come, first served, and sets the timer for the next one. */
  #serve(): void {
    for (let next = this.#waiters.first; next !== undefined; next = this.#waiters.first) {
      const weight = next.offer as number; // put there by #taking
      const due = this.#due(weight);
      const { loop } = next.scope;
      const now = loop.time();
      if (due > now) {
        this.#stopTimer?.();
        const timer = loop.addTimer(due, { timerDue: () => this.#serve() });
        this.#stopTimer = () => loop.cancelTimer(timer);
        return;
      }
      this.#grant(weight, Math.max(due, now - LATENESS));
      this.#leave(next);
      next.resume(undefined);
    }
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  /** Takes `place` out of the line, if it is in it. */
  #leave(place: Place): void {
    if (place.list !== this.#waiters) return;
    this.#waitingWeight -= place.offer as number; // put there by #taking
    this.#waiters.remove(place);
  }

  get #secondsForOne(): number {
    return this.#per / this.#rate;
  }

  #forget(): void {
    this.#full = this.#closedUntil = Number.NEGATIVE_INFINITY;
  }

  #checkWeight(api: string, weight: unknown): void {
    checkCount(api, "`weight`", weight, 1, Number.MAX_VALUE);
    const what = `a weight of at most ${this.#burst}, which is the burst: more would never be granted`;
    if ((weight as number) > this.#burst) throw rangeError(api, what, weight);
  }

  #describeWait(now: number): string {
    const { first } = this.#waiters;
    const due = first === undefined ? now : this.#due(first.offer as number);
    const name = describeSync("RateLimiter", this.name);
    return `${name}, ${this.#waiters.length} waiting, the first for ${formatSeconds(due - now)} more`;
  }
}

export interface RateLimiter extends Selectable<undefined> {}
