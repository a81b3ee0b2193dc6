/**
 * Giving something back: in a shield, so that no cancellation from outside keeps it from happening,
 * and for a bounded time, so that nobody waits for ever.
 *
 *     begun ──seconds──▶ cancelled ──UNWIND──▶ left behind
 *       └──── ends ─────────┴────▶ the caller goes on
 */

import { CancelledError, TimeoutError } from "../errors/errors.ts";
import { currentContext } from "../kernel/context.ts";
import { here, openScope } from "../kernel/operation.ts";
import { park, Scope } from "../kernel/scope.ts";
import type { Wait } from "../kernel/wait.ts";
import { formatSeconds } from "../structures/timers.ts";
import { setDeadline } from "../tasks/deadlines.ts";

/** How the body ended for which something was opened. */
export type Ended =
  | { readonly how: "returned" }
  | { readonly how: "failed"; readonly error: unknown }
  | { readonly how: "cancelled"; readonly error: unknown };

export const RETURNED: Ended = { how: "returned" };

/** How a body ended that threw `error`. */
export function endedBy(error: unknown): Ended {
  return { how: error instanceof CancelledError ? "cancelled" : "failed", error };
}

/** What a release takes. */
export interface ReleaseOptions {
  /** What reports and errors call it. */
  readonly name?: string | undefined;
  /**
   * Seconds that it has to end, in a shield. Then it is cancelled; if it does not hear of that, in
   * a foreign await for example, it is left behind a second later. @default 5
   */
  readonly releaseDelay?: number | undefined;
}

/** Seconds that a release has to unwind, once its time is over. */
const UNWIND = 1;

/**
 * Runs `release` to its end, whatever is cancelled around it. Rejects with what it throws, and with
 * a TimeoutError when its time was over.
 */
export async function releaseWithin(
  seconds: number,
  what: string,
  release: () => unknown,
): Promise<void> {
  const parent = here();
  const { loop, task } = parent;
  const context = currentContext();
  const label = `the release of ${what}`;
  const scope = new Scope(loop, { label, task, context, shield: true, cancelGrace: UNWIND });
  setDeadline(scope, loop.time() + seconds);
  const waitFor = (work: Promise<unknown>): Promise<unknown> => {
    // The second cancellation, the insisting one, ends the wait.
    const wait: Wait = park(scope, label, () => scope.cancelState.insists);
    wait.isForeign = true;
    work.then(
      () => wait.resume(undefined),
      (error) => wait.fail(error),
    );
    return wait.promise;
  };
  try {
    await openScope(scope, parent, () => waitFor((async () => await release())()));
  } catch (error) {
    if (!scope.owns(error)) throw error;
    const end = scope.cancelState.insists ? "has not ended, and is left behind" : "was cancelled";
    const message = `${label} ${end}: its ${formatSeconds(Math.max(seconds, 0))} are over`;
    throw new TimeoutError(message, { cause: error });
  }
}
