/**
 * The clock of the running loop, for objects that outlive a run: a limiter at module level is used
 * by run after run. Real loops have one clock; that of a virtual loop has a zero of its own, so
 * what was noted on another clock means nothing.
 */

import type { Host } from "../kernel/host.ts";
import { here } from "../kernel/operation.ts";

export class Clock {
  readonly #changed: () => void;
  #host: Host | undefined = undefined;

  /** `changed` forgets what was noted; it is called before the first time of another clock. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Seconds on the clock of the running loop. */
  now(): number {
    const { host } = here().loop;
    if (host !== this.#host && this.#host !== undefined) this.#changed();
    this.#host = host;
    return host.now();
  }
}
