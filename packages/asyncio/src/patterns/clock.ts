/**
 * The clock of the running loop, for objects that outlive a run: a limiter at module level is used
 * by run after run. Real loops have one clock; that of a virtual loop has a zero of its own, so
 * what was noted on another clock means nothing.
 */

import type { Host } from "../kernel/host.ts";
import { here } from "../kernel/operation.ts";

/**
 * Gives the seconds on the clock of the running loop. `changed` forgets what was noted: it is
 * called before the first time of another clock.
 */
export function clockOf(changed: () => void): () => number {
  let known: Host | undefined;
  return () => {
    const { host } = here().loop;
    if (host !== known && known !== undefined) changed();
    known = host;
    return host.now();
  };
}
