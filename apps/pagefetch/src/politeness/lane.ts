/**
 * The pace at which one site, or one machine behind sites, is asked. A lane has so many places, and
 * lets a request begin every so many seconds. Both are waited for in line, first come, first served.
 *
 * Three things slow a lane down: a `Retry-After` closes it for that time; a refusal without one
 * closes it for 2 s, 4 s, 8 s and so on; answers that take long stretch its interval.
 */

import * as asyncio from "asyncio-ts";
import { RateLimiter } from "asyncio-ts/patterns";

/** How a lane is driven on. Times are seconds. */
export interface Pace {
  /** From the beginning of one request to the beginning of the next. */
  readonly interval: number;
  /** How many requests at a time. */
  readonly inFlight: number;
}

/** What bounds a lane, and with whom it shares its site. The most that a `Retry-After`, a backoff or slow answers close or stretch a lane. */
export interface Bounds {
  /** @default 900 */
  readonly maxPause?: number | undefined;
  /** @default 60 */
  readonly maxInterval?: number | undefined;
  /** How many processes ask the same sites, this one included. @default 1 */
  readonly processes?: number | undefined;
}

/** The first pause after a refusal that does not say how long. */
const FIRST_PAUSE = 2;
const LONGEST_BACKOFF = 60;
/** A site is given the time of this many answers for one more request at a time. */
const TARGET_CONCURRENCY = 2;

export class Lane {
  readonly #limiter: RateLimiter;
  readonly #places: asyncio.Semaphore;
  readonly #pace: Pace;
  readonly #maxPause: number;
  readonly #maxInterval: number;
  readonly #processes: number;
  /** What slow answers make of the interval. */
  #stretched: number;
  /** Refusals in a row. */
  #refusals = 0;
  /** When the last pause began and ends, on the clock of the loop. */
  #pausedAt = Number.NEGATIVE_INFINITY;
  #pausedUntil = Number.NEGATIVE_INFINITY;

  constructor(pace: Pace, bounds: Bounds, name: string) {
    const { maxPause = 900, maxInterval = 60, processes = 1 } = bounds;
    this.#pace = pace;
    this.#maxPause = maxPause;
    this.#maxInterval = maxInterval;
    this.#processes = processes;
    this.#stretched = pace.interval;
    this.#limiter = new RateLimiter({ rate: 1, per: this.#share(pace.interval), name });
    const inFlight = Math.max(1, Math.floor(pace.inFlight / processes));
    this.#places = new asyncio.Semaphore(inFlight, { name });
  }

  /** Whether a new lane would do the same. */
  get idle(): boolean {
    return this.#limiter.idle && this.#places.idle && this.#refusals === 0;
  }

  /** Waits for one of the places. */
  place(): Promise<Disposable> {
    return this.#places.acquire();
  }

  /** Waits for the time at which a request may begin. */
  turn(): Promise<void> {
    return this.#limiter.take();
  }

  /** Seconds until `turn` would be granted if it were called now. */
  delay(): number {
    return this.#limiter.delay();
  }

  /** Whether the site itself has asked for a pause that is not over. */
  get isPaused(): boolean {
    return asyncio.getRunningLoop().time() < this.#pausedUntil;
  }

  /** At least so many seconds between two requests. */
  keepApart(seconds: number): void {
    if (seconds <= this.#stretched) return;
    this.#stretched = Math.min(seconds, this.#maxInterval);
    this.#limiter.setRate(1, this.#share(this.#stretched));
  }

  /**
   * The site refuses for now. Requests that were under way together are refused together: only those
   * that began after the last pause say something new.
   */
  refused(beganAt: number, retryAfter: number | undefined): void {
    const now = asyncio.getRunningLoop().time();
    if (retryAfter === undefined && beganAt < this.#pausedAt) return;
    const backoff = Math.min(FIRST_PAUSE * 2 ** this.#refusals, LONGEST_BACKOFF);
    if (retryAfter === undefined) this.#refusals++;
    const pause = Math.min(Math.max(retryAfter ?? backoff, 0), this.#maxPause);
    this.#pausedAt = now;
    this.#pausedUntil = Math.max(this.#pausedUntil, now + pause);
    this.#limiter.penalize(pause);
  }

  /**
   * The site has answered within `latency` seconds. A slow site is asked less often, as Scrapy's
   * AutoThrottle does it. Only a good answer makes the interval shorter again: a refusal is fast.
   */
  answered(latency: number, isGood: boolean): void {
    if (isGood) this.#refusals = 0;
    const wanted = latency / TARGET_CONCURRENCY;
    const mean = (this.#stretched + wanted) / 2;
    const next = Math.min(Math.max(mean, wanted, this.#pace.interval), this.#maxInterval);
    if (next === this.#stretched || (next < this.#stretched && !isGood)) return;
    this.#stretched = next;
    this.#limiter.setRate(1, this.#share(next));
  }

  /** Seconds between two of our requests, where all processes together keep to `interval`. */
  #share(interval: number): number {
    return Math.max(interval * this.#processes, MIN_INTERVAL);
  }
}

/** A rate has to be finite; a million a second is no limit. */
const MIN_INTERVAL = 1e-6;
