/**
 * Things by key, made on demand and dropped when nobody has used them for a while: a limiter for
 * each host, a breaker for each service, a lock for each id. No timer: each use looks at the one
 * that was used least recently, so the cost of dropping is spread over the uses.
 */

import { argumentError, checkCount, checkOptions, checkSeconds } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { Clock } from "./clock.ts";

/** Something that can be asked whether anybody would miss it. */
export interface Idling {
  /** True iff nobody holds it, waits for it, or would notice if another one took its place. */
  readonly idle: boolean;
}

/** What `new Keyed` takes. */
export interface KeyedOptions {
  /** Seconds for which an idle one is kept. @default 60 */
  readonly idle?: number | undefined;
  /**
   * How many are kept; above it the idle ones go, the least recently used first. @default Infinity
   */
  readonly max?: number | undefined;
}

const KNOWN: Names<KeyedOptions> = { idle: 1, max: 1 };

interface Entry<V> {
  readonly value: V;
  /** On the clock of the loop. */
  usedAt: number;
}

/**
 * One thing for each key: a limiter, a breaker, a lock. `make` is called at the first use of a key.
 * One that is held or waited for is never dropped.
 *
 * @example
 * const hosts = new patterns.Keyed((_host: string) => new patterns.RateLimiter({ rate: 5 }));
 * await hosts.for("example.org").take();
 * assert.equal(hosts.for("example.org").statistics().taken, 1);
 */
export class Keyed<K, V extends Idling> {
  readonly #make: (key: K) => V;
  readonly #idle: number;
  readonly #max: number;
  /** The one that was used least recently comes first. */
  readonly #entries: Map<K, Entry<V>> = new Map();
  readonly #clock = new Clock(() => {
    for (const entry of this.#entries.values()) entry.usedAt = Number.NEGATIVE_INFINITY;
  });

  constructor(make: (key: K) => V, options?: KeyedOptions) {
    const api = "`new Keyed`";
    if (typeof make !== "function") throw argumentError(api, "a function that makes one", make);
    checkOptions(api, options, KNOWN);
    const { idle = 60, max = Number.POSITIVE_INFINITY } = options ?? {};
    checkSeconds(api, "`idle` in seconds", idle);
    checkCount(api, "`max`", max);
    this.#make = make;
    this.#idle = Math.max(idle, 0);
    this.#max = max;
  }

  /** The one of `key`. Use it at once: what is kept in a variable may be dropped here meanwhile. */
  for(key: K): V {
    const now = this.#clock.now();
    const known = this.#entries.get(key);
    const entry = known ?? { value: this.#make(key), usedAt: now };
    entry.usedAt = now;
    this.#entries.delete(key);
    this.#sweep(now);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Drops the one of `key`, also if it is in use: whether there was one. */
  delete(key: K): boolean {
    return this.#entries.delete(key);
  }

  /** How many there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** Those that there are, the least recently used first. */
  *[Symbol.iterator](): IterableIterator<[key: K, value: V]> {
    for (const [key, { value }] of this.#entries) yield [key, value];
  }

  /** Drops the idle ones that are old or too many. An old one in use counts as used now. */
  #sweep(now: number): void {
    let ahead = this.#entries.size; // those that are moved to the end are not looked at again
    for (const [key, entry] of this.#entries) {
      if (ahead-- === 0) return;
      const isOld = entry.usedAt + this.#idle <= now;
      if (!isOld && this.#entries.size < this.#max) return;
      if (entry.value.idle) this.#entries.delete(key);
      else if (isOld) {
        entry.usedAt = now;
        this.#entries.delete(key);
        this.#entries.set(key, entry);
      }
    }
  }
}
