/**
 * One request for what many ask for at the same time, where they want the cache: the first one
 * fetches, and the others wait until it has ended and look into the cache. A page is handed to its
 * caller while it comes, so what is shared is not a result (as `singleFlight` would share it) but
 * what the first one leaves behind.
 *
 * Callers do not depend on each other: who waits goes on by itself after a few seconds, as the first
 * one may read slowly; when what came could not be kept; and when it failed. If the first one leaves
 * before its page has come, the next one takes its place.
 */

import * as asyncio from "asyncio-ts";

/** Seconds. nginx has the same (`proxy_cache_lock_timeout`). */
const PATIENCE = 5;

interface Flight {
  readonly ended: asyncio.Event;
  /** Whether the request ended before anybody knew what would come. */
  hasLeft: boolean;
}

/** Who has it fetches. */
export interface Lead {
  /** Exactly once, when what was fetched is in the cache, or nothing will be. */
  end(hasLeft: boolean): void;
}

export class Collapsed {
  readonly #flights = new Map<string, Flight>();

  /**
   * Undefined if somebody else has fetched what `key` names: the cache may have it now. Cancelled,
   * the caller leaves, and the others go on waiting.
   */
  async join(key: string): Promise<Lead | undefined> {
    for (;;) {
      const known = this.#flights.get(key);
      if (known === undefined) return this.#begin(key);
      await asyncio.moveOnAfter(PATIENCE, () => known.ended.wait());
      if (!known.hasLeft) return undefined;
    }
  }

  #begin(key: string): Lead {
    const flight = { ended: new asyncio.Event(), hasLeft: false };
    this.#flights.set(key, flight);
    return {
      end: (hasLeft) => {
        flight.hasLeft = hasLeft;
        this.#flights.delete(key);
        flight.ended.set();
      },
    };
  }
}
