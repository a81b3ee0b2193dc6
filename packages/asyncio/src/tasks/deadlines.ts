/**
 * Deadlines of scopes. One sets a timer of the loop, which is only as punctual as the host: so an
 * operation that begins under a deadline that has passed notices it by itself, and does not slip
 * past. The kernel asks here from the first deadline on: a program without any does not have this
 * code.
 */

import { deadlines } from "../kernel/delivery.ts";
import type { Scope } from "../kernel/scope.ts";
import { Timer } from "../structures/timers.ts";

/**
 * Moves the deadline of `scope`. The next operation notices one that has passed. Where its body
 * `hasBegun`, others may run under it: each scope looks once.
 */
export function setDeadline(scope: Scope, when: number, hasBegun = true): void {
  deadlines.check = checkDeadlines;
  const { loop, parent, task } = scope;
  const before = scope.deadline;
  loop.cancelTimer(scope.deadlineTimer);
  scope.deadlineTimer = undefined;
  if (when === Number.POSITIVE_INFINITY) return;
  const isTooLate = scope.closed || scope.cancelState.expired;
  scope.deadlineTimer = isTooLate ? new Timer(when, 0, undefined) : loop.addTimer(when, scope);
  if (isTooLate) return;
  scope.mayBeDue = true;
  if (hasBegun && when < before && (parent !== undefined || task?.scope === scope))
    loop.deadlinesSet++;
}

/** The next scope whose deadline counts in `scope`: the parent; for a task, that of its owner. */
export function around(scope: Scope): Scope | undefined {
  const { shield, parent, task } = scope;
  if (shield || parent !== undefined) return shield ? undefined : parent;
  return task?.scope === scope ? task.owner : undefined;
}

/**
 * A walk over what is around: tasks that gather each other have owners in a circle, which would
 * have no end. Compares each with the last one whose number is a power of two (Brent).
 */
export class Walk {
  #steps = 0;
  #mark: object | undefined = undefined;

  goesOn<T extends object>(next: T | undefined): next is T {
    if (next === undefined || next === this.#mark) return false;
    this.#steps++;
    if ((this.#steps & (this.#steps - 1)) === 0) this.#mark = next;
    return true;
  }
}

/**
 * Cancels scopes whose deadline has passed before its timer fired, those around the owner of a task
 * too. Notes the nearest deadline that is ahead: until then operations in `branch` need not look
 * again, and compare it with the clock.
 */
function checkDeadlines(branch: Scope): void {
  let now: number | undefined; // the clock is read once, for finite deadlines alone
  let nearest: Timer | undefined;
  let isOwners = false;
  const walk = new Walk();
  for (let scope: Scope | undefined = branch; walk.goesOn(scope); scope = around(scope)) {
    const { deadlineTimer: timer } = scope;
    if (timer !== undefined && !scope.closed && !scope.cancelState.expired) {
      now ??= branch.loop.time();
      if (timer.when > now) nearest = timer.when < (nearest?.when ?? Infinity) ? timer : nearest;
      else {
        scope.expire();
        const { first } = scope.cancelState; // the owner may not wait for its task yet
        if (isOwners && first !== undefined) branch.task?.forwardCancel(first);
      }
    }
    isOwners ||= scope.parent === undefined;
  }
  branch.nearest = nearest;
}
