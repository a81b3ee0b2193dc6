/**
 * For authors of operations (the lowlevel door). An operation is a function that returns a promise and keeps three rules:
 * ask `interruption` first and return what it gives; change all state in the call; wait only through `park`.
 *
 *     acquire(): Promise<void> {
 *       const stop = interruption("Gate.acquire");
 *       if (stop !== undefined) return stop;                    // cancelled: nothing has changed
 *       if (this.isOpen) return complete("Gate.acquire", undefined);
 *       const wait = park<void>("Gate.acquire");
 *       this.waiters.add(wait);                                 // a WaitList: the wait leaves when it ends
 *       return wait.promise;
 *     }
 */

import type { Cancellation } from "../kernel/cancellation.ts";
import { runInScope } from "../kernel/context.ts";
import { completed, here } from "../kernel/operation.ts";
import { park as parkIn } from "../kernel/scope.ts";
import type { Wait, WaitSubject } from "../kernel/wait.ts";

/** The rejection of an operation begun now, if the current scope was cancelled; the operation returns it. */
export function interruption(describe: WaitSubject): Promise<never> | undefined {
  return here().interruption(describe);
}

/** What an operation returns that is complete in the call. Counts against the budget that keeps the host alive. */
export function complete<T>(describe: WaitSubject, value: T): Promise<T> {
  return completed(here(), describe, value);
}

/**
 * Parks a new wait in the current scope. Whoever holds it ends it with `resume` or `fail`; the operation returns its
 * `promise`. `describe` is shown in reports.
 *
 * When the scope is cancelled, `onCancel` is called first, in that scope (other AsyncLocalStorage stores are those of
 * whoever cancels): it withdraws what the operation registered and
 * returns true; or it passes the cancellation on to what it waits for, returns false, and the wait goes on.
 */
export function park<T>(
  describe: WaitSubject,
  onCancel?: (wait: Wait<T>, cancellation: Cancellation) => boolean,
): Wait<T> {
  const scope = here();
  if (onCancel === undefined) return parkIn<T>(scope, describe);
  return parkIn<T>(scope, describe, (wait, cancellation) => {
    return runInScope(scope, () => onCancel(wait as unknown as Wait<T>, cancellation), undefined); // the very wait made here
  });
}

/** A point where the current scope may be cancelled and other tasks may have their turn. */
export function checkpoint(): Promise<void> {
  return interruption("checkpoint") ?? complete("checkpoint", undefined);
}
