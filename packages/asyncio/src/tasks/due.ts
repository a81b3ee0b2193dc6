/** What code can ask about its own deadline and cancellation without waiting. */

import { CancelledError } from "../errors/errors.ts";
import { here } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { around, Walk } from "./deadlines.ts";

/**
 * Seconds until the nearest deadline around the running code, those around the owner of the task
 * included: Infinity if there is none, 0 if it has passed or a cancellation is due.
 */
export function timeLeft(): number {
  const deadline = effectiveDeadline();
  return deadline === Number.POSITIVE_INFINITY
    ? deadline
    : Math.max(deadline - here().loop.time(), 0);
}

/**
 * The nearest deadline around the running code, those around the owner of the task included, on the
 * clock of the loop: Infinity if there is none, -Infinity when a cancellation is due. Source:
 * trio.current_effective_deadline.
 *
 * @example
 * await asyncio.timeout(5, async () => {
 *   const left = asyncio.effectiveDeadline() - asyncio.getRunningLoop().time();
 *   assert.ok(left > 4 && left <= 5);
 * });
 */
export function effectiveDeadline(): number {
  const start = here();
  if (start.peekDue() !== undefined) return Number.NEGATIVE_INFINITY;
  let deadline = Number.POSITIVE_INFINITY;
  const walk = new Walk();
  for (let scope: Scope | undefined = start; walk.goesOn(scope); scope = around(scope))
    if (!scope.closed) deadline = Math.min(deadline, scope.deadline);
  return deadline;
}

/**
 * Whether the next operation of the running code would reject, because its scope was cancelled or a
 * deadline has passed. Delivers nothing: that operation still rejects. For loops that compute.
 *
 * @example
 * const task = asyncio.createTask(async () => {
 *   const before = asyncio.isCancelled();
 *   asyncio.currentTask()?.cancel();
 *   return [before, asyncio.isCancelled()];
 * });
 * assert.deepEqual(await task, [false, true]);
 */
export function isCancelled(): boolean {
  return here().peekDue() !== undefined;
}

/**
 * Throws the CancelledError that the next operation of the running code would reject with, if there
 * is one. Throwing it counts as delivering it, so code that catches it can await while it cleans
 * up. For loops that compute. Sources: `ensureActive` of Kotlin, Trio's `checkpoint_if_cancelled`.
 *
 * @example
 * const hashing = asyncio.createTask(async () => {
 *   for (let round = 0; ; round++) {
 *     if (round === 3) asyncio.currentTask()?.cancel("enough");
 *     asyncio.throwIfCancelled();
 *   }
 * });
 * await assert.rejects(hashing, asyncio.CancelledError);
 */
export function throwIfCancelled(): void {
  const due = here().takeDue();
  if (due === undefined) return;
  throw new CancelledError(due, due.source === "abort" ? { cause: due.reason } : undefined);
}
