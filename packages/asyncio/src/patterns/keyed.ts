/**
 * Things by key, made on demand and dropped when nobody has used them for a while: a limiter for
 * each host, a breaker for each service, a lock for each id. No timer: each use looks at those that
 * were used least recently, a few at most, so the cost of dropping is spread over the uses.
 */

import { advice, argumentError } from "../errors/errors.ts";
import { isThenable } from "../errors/render.ts";
import { LinkedList, type Links } from "../structures/linked-list.ts";
import { clockOf } from "./clock.ts";
import { checkFunction, count, seconds, settle } from "./settings.ts";

/** Something that can be asked whether anybody would miss it. */
export interface Idling {
  /** True iff nobody holds it, waits for it, or would notice if another one took its place. */
  readonly idle: boolean;
}

/** What `new Keyed` takes. */
export interface KeyedOptions {
  /** Seconds that an idle object is kept. @default 60 */
  readonly idle?: number | undefined;
  /**
   * How many objects are kept. Above that the idle ones are dropped, the least recently used first.
   * @default Infinity
   */
  readonly max?: number | undefined;
}

const OPTIONS = { idle: [seconds, 60], max: [count, Number.POSITIVE_INFINITY] } as const;
/** How many are looked at, at most, when one is used. */
const LOOKS = 8;

interface Entry<K, V> extends Links<Entry<K, V>> {
  readonly key: K;
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
  readonly #options;
  readonly #entries: Map<K, Entry<K, V>> = new Map();
  /** The one that was used least recently comes first. */
  readonly #order: LinkedList<Entry<K, V>> = new LinkedList();
  readonly #now = clockOf(() => {
    for (const entry of this.#order.toArray()) entry.usedAt = Number.NEGATIVE_INFINITY;
  });

  constructor(make: (key: K) => V, options?: KeyedOptions) {
    checkFunction("`new Keyed`", "a function that makes one", make);
    this.#make = make;
    this.#options = settle("`new Keyed`", options, OPTIONS);
  }

  /** The one of `key`. Use it at once: what is kept in a variable may be dropped here meanwhile. */
  for(key: K): V {
    const now = this.#now();
    let entry = this.#entries.get(key);
    if (entry !== undefined) this.#order.remove(entry);
    else entry = { key, value: this.#made(key), usedAt: now, previous: undefined, next: undefined };
    this.#sweep(now);
    this.#entries.set(key, entry);
    this.#used(entry, now);
    return entry.value;
  }

  #made(key: K): V {
    const value = this.#make(key);
    if (typeof (value as Partial<Idling> | null | undefined)?.idle === "boolean") return value;
    const expected = "something from its function that tells whether it is `idle`";
    const cure = isThenable(value) ? advice("It gives it at once, so it cannot be async") : "";
    throw argumentError("`keyed.for`", expected, value, cure);
  }

  /** Drops the one of `key`, also if it is in use: whether there was one. */
  delete(key: K): boolean {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#order.remove(entry);
    return this.#entries.delete(key);
  }

  /** How many there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** Those that there are, the least recently used first. */
  *[Symbol.iterator](): IterableIterator<[key: K, value: V]> {
    for (const { key, value } of this.#order.toArray()) yield [key, value];
  }

  /** Drops idle ones that are old or too many. One that is in use counts as used now. */
  #sweep(now: number): void {
    const { idle, max } = this.#options;
    for (let looks = Math.min(this.#order.size, LOOKS); looks > 0; looks--) {
      const entry = this.#order.first as Entry<K, V>; // there are as many as that
      if (entry.usedAt + Math.max(idle, 0) > now && this.#order.size < max) return;
      if (entry.value.idle) this.delete(entry.key);
      else {
        this.#order.remove(entry);
        this.#used(entry, now);
      }
    }
  }

  #used(entry: Entry<K, V>, now: number): void {
    entry.usedAt = now;
    this.#order.add(entry);
  }
}
