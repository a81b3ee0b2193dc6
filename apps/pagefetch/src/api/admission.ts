/**
 * Who may ask, how often, how much at once, and for how much in a month. What is counted is counted
 * in this process; the ledger is what it begins with.
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

interface Spent {
  month: string;
  cost: number;
}

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
    return new RateLimiter({ rate: Number(rate), burst: Number(burst) });
  });
  readonly #doing = new Keyed((_id: string) => new Doing());
  readonly #spent = new Map<string, Spent>();
  /** Keys from the command line: they are not in the store. */
  readonly #given: ReadonlyMap<string, Key>;

  constructor(store: Store, given: ReadonlyMap<string, Key> = new Map()) {
    this.#store = store;
    this.#given = given;
  }

  /** The key of `secret`. @throws PageError `unauthorized`. */
  async keyOf(secret: string | undefined): Promise<Key> {
    if (secret === undefined || secret === "") {
      throw new PageError(
        "unauthorized",
        "no key: send `Authorization: Bearer KEY`, `X-Api-Key: KEY` or `?key=KEY`",
      );
    }
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
    if (doing.running >= key.concurrency) {
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
    const month = monthOf(new Date());
    let spent = this.#spent.get(key.id);
    if (spent?.month !== month) {
      const from = new Date(`${month}-01T00:00:00Z`);
      const { cost } = await this.#store.ledger.usage(key.id, from, new Date("9999-12-31"));
      // Another request of the key may have asked at the same time.
      spent = this.#spent.get(key.id);
      if (spent?.month !== month) {
        spent = { month, cost };
        this.#spent.set(key.id, spent);
      }
    }
    if (spent.cost < key.budget) return;
    throw new PageError(
      "over_budget",
      `this key has spent its budget of ${key.budget} in ${month}`,
      {
        limit: { name: "budget", value: key.budget },
      },
    );
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
