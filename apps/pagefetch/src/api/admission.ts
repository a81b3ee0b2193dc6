/**
 * Who may ask, how often, how much at once, and for how much in a month. What is counted is counted
 * in this process. Where others have the same store, each allows its share of a rate. What was spent
 * is read from the ledger, which all of them write, and what this one spends meanwhile is added.
 */

import * as asyncio from "asyncio-ts";
import { Keyed, RateLimiter } from "asyncio-ts/patterns";
import { PageError } from "../contract/errors.ts";
import type { Key, Scope } from "../store/keys.ts";
import type { Store } from "../store/store.ts";

/** A key's place among those that run. Ended once. */
export interface Admitted extends Disposable {
  readonly key: Key;
}

export interface AdmissionOptions {
  readonly store: Store;
  /** Keys from the command line, by their secret: they are not in the store. */
  readonly keys?: ReadonlyMap<string, Key> | undefined;
  /** How many processes have the same store, this one included. @default 1 */
  readonly processes?: number | undefined;
}

interface Spent {
  readonly month: string;
  /** When the ledger was read, on the clock of the loop. */
  readonly at: number;
  cost: number;
}

/** Seconds for which the ledger is not asked again what a key has spent. */
const SPENT_FOR = 60;

/** What a key does at the moment. */
class Doing {
  running = 0;
  get idle(): boolean {
    return this.running === 0;
  }
}

export class Admission {
  readonly #store: Store;
  /** A key's settings may change: a limiter is made anew when they have. */
  readonly #limiters = new Keyed((settings: string) => {
    const [, rate, burst] = settings.split(" ");
    const ours = Math.max(1, Math.floor(Number(burst) / this.#processes));
    return new RateLimiter({ rate: Number(rate) / this.#processes, burst: ours });
  });
  readonly #doing = new Keyed((_id: string) => new Doing());
  readonly #spent = new Map<string, Spent>();
  readonly #given: ReadonlyMap<string, Key>;
  readonly #processes: number;

  constructor({ store, keys = new Map(), processes = 1 }: AdmissionOptions) {
    this.#store = store;
    this.#given = keys;
    this.#processes = processes;
  }

  /** The key of `secret`. @throws PageError `unauthorized`. */
  async keyOf(secret: string): Promise<Key> {
    const key = this.#given.get(secret) ?? (await this.#store.keys.find(secret));
    if (key === undefined) {
      throw new PageError("unauthorized", "this key does not exist, or was revoked");
    }
    return key;
  }

  /**
   * Lets one request of `key` in. Waits for nothing but the store.
   * @throws PageError `rate_limited`, `concurrency_limited`, `over_budget`, each with its limit.
   */
  async enter(key: Key): Promise<Admitted> {
    await this.#checkBudget(key);
    const limiter = this.#limiters.for(`${key.id} ${key.rate} ${key.burst}`);
    if (!limiter.tryTake()) {
      throw new PageError("rate_limited", `this key may send ${key.rate} requests a second`, {
        retryAfter: limiter.delay(),
        limit: { name: "rate", value: key.rate },
      });
    }
    const doing = this.#doing.for(key.id);
    if (doing.running >= Math.max(1, Math.floor(key.concurrency / this.#processes))) {
      throw new PageError(
        "concurrency_limited",
        `this key may have ${key.concurrency} requests at a time`,
        { retryAfter: 1, limit: { name: "concurrency", value: key.concurrency } },
      );
    }
    doing.running++;
    let isOver = false;
    return {
      key,
      [Symbol.dispose]: () => {
        if (!isOver) doing.running--;
        isOver = true;
      },
    };
  }

  /** Counts what a request has cost. */
  spend(key: Key, cost: number): void {
    const spent = this.#spent.get(key.id);
    if (spent?.month === monthOf(new Date())) spent.cost += cost;
  }

  async #checkBudget(key: Key): Promise<void> {
    if (key.budget === null) return;
    const { cost, month } = await this.#spentBy(key);
    if (cost < key.budget) return;
    throw new PageError(
      "over_budget",
      `this key has spent its budget of ${key.budget} in ${month}`,
      {
        limit: { name: "budget", value: key.budget },
      },
    );
  }

  /** What `key` has spent this month. Waits for the ledger where that was not read lately. */
  async #spentBy(key: Key): Promise<Spent> {
    const month = monthOf(new Date());
    const known = this.#spent.get(key.id);
    const isOfMonth = known?.month === month;
    if (isOfMonth && known.at + SPENT_FOR > clock()) return known;
    const from = new Date(`${month}-01T00:00:00Z`);
    try {
      const { cost } = await this.#store.ledger.usage(key.id, from, new Date("9999-12-31"));
      // Another request of the key may have asked at the same time, and something was spent since.
      const other = this.#spent.get(key.id);
      if (other !== known && other?.month === month) return other;
      const spent = { month, at: clock(), cost };
      this.#spent.set(key.id, spent);
      return spent;
    } catch (error) {
      // A ledger that is away costs no page: what was known goes on.
      if (error instanceof asyncio.CancelledError || !isOfMonth) throw error;
      return known;
    }
  }
}

/** @throws PageError `policy_denied` that names the scope. */
export function requireScope(key: Key, scope: Scope, what: string): void {
  if (key.scopes.includes(scope)) return;
  throw new PageError("policy_denied", `${what} needs a key with the scope "${scope}"`);
}

function monthOf(date: Date): string {
  return date.toISOString().slice(0, 7);
}

/** The loop's clock, for durations in answers. */
export function clock(): number {
  return asyncio.getRunningLoop().time();
}
