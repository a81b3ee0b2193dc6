/** Waits that may be ended, and that end by themselves after a while. */

import type { Wait } from "../kernel/wait.ts";

/**
 * Waits until `bell` is resumed, for at most `seconds`, and gives what it is resumed with; leaves
 * no timer behind.
 */
export async function waitForBell<T>(
  bell: Wait<T | undefined>,
  seconds: number,
): Promise<T | undefined> {
  const { loop } = bell.scope;
  // No timer for ever: it would keep a process alive in which nothing can ring the bell any more.
  const timer =
    seconds === Number.POSITIVE_INFINITY
      ? undefined
      : loop.addTimer(loop.time() + Math.max(seconds, 0), bell);
  try {
    return await bell.promise;
  } finally {
    if (timer !== undefined) loop.cancelTimer(timer);
  }
}
