/** Waits that somebody may end, and that end by themselves after a while. */

import type { Wait } from "../kernel/wait.ts";

/** Waits until `bell` is resumed, for at most `seconds`; leaves no timer behind. */
export async function waitForBell(bell: Wait<void>, seconds: number): Promise<void> {
  const { loop } = bell.scope;
  // No timer for ever: it would keep a process alive in which nothing can ring the bell any more.
  const timer =
    seconds === Number.POSITIVE_INFINITY
      ? undefined
      : loop.addTimer(loop.time() + Math.max(seconds, 0), bell);
  try {
    await bell.promise;
  } finally {
    if (timer !== undefined) loop.cancelTimer(timer);
  }
}
