/**
 * Who hears of a cancellation, and in which order. One may forward itself from task to awaited task
 * without end; so deliveries are worked off as a list, and a chain of a hundred thousand tasks
 * needs no stack.
 *
 * Where is it delivered? To every wait parked at or below the scope, at once. If there is none, it
 * is `due`: it ends the next operation begun there, at its start, before that has changed anything.
 * If there are some, a branch that is not parked hears of it as well, as far as one can know of it:
 * until the next turn of the loop the cancellation is `fresh` and ends what is begun there; and a
 * nested scope in which nobody is parked has `missed` it.
 */

import type { Cancellation, ScopeWatcher } from "./cancellation.ts";
import type { Scope } from "./scope.ts";
import type { Wait } from "./wait.ts";

const deliveries: Cancellation[] = [];
let delivering = false;

/**
 * Delivers `cancellation` to all that waits at or below its scope, at once or after the deliveries
 * that are under way.
 */
export function deliver(cancellation: Cancellation): void {
  deliveries.push(cancellation);
  if (delivering) return;
  delivering = true;
  try {
    for (const next of deliveries) deliverNow(next); // it may grow meanwhile
  } finally {
    deliveries.length = 0;
    delivering = false;
  }
}

function deliverNow(cancellation: Cancellation): void {
  const { scope } = cancellation;
  const { first } = scope;
  const cancelState = scope.ownCancelState();
  const isAlone = first === scope.last && scope.nested === undefined;
  if (
    first?.isComplete === false &&
    isAlone &&
    cancelState.watchers.length === 0 &&
    !cancelState.hasBranches
  ) {
    scope.mayBeDue = true; // the common case, without lists (bench: cancel)
    makeFresh(cancellation);
    first.cancel(cancellation);
    return;
  }
  const waits: Wait[] = [];
  const watchers: ScopeWatcher[] = [];
  const scopes = reach(scope, waits, watchers);
  let isHeard = cancelState.undelivered > 0; // several cancels before the first is delivered are one CancelledError (F21)
  if (scopes.length > 1 && !isHeard) markMissed(scopes, cancellation);
  for (const watcher of watchers) watcher.cancelled?.(cancellation);
  for (const wait of waits) isHeard = wait.cancel(cancellation) || isHeard;
  if (!isHeard) scope.makeDue(cancellation, true); // the count keeps them all
  const hasBranches = scopes.some((one) => one.cancelState?.hasBranches);
  if (hasBranches && !scope.loop.isExact) scope.loop.exhaustBudget(); // those that are on their way come first
  if (hasBranches || isHeard) makeFresh(cancellation);
}

/**
 * Everything that a cancellation of `top` reaches, in order, parents first; marks the scopes on the
 * way.
 */
export function reach(top: Scope, waits?: Wait[], watchers?: ScopeWatcher[]): Scope[] {
  const scopes = [top];
  for (const scope of scopes) {
    scope.mayBeDue = true;
    for (let wait = scope.first; wait !== undefined; wait = wait.next) waits?.push(wait);
    if (scope.cancelState !== undefined) watchers?.push(...scope.cancelState.watchers);
    for (let inner = scope.nested?.first; inner !== undefined; inner = inner.next) {
      if (!inner.shield) scopes.push(inner);
    }
  }
  return scopes;
}

/**
 * Where somebody is parked, a scope in which nobody is belongs to a branch that is elsewhere:
 *
 *     await race(
 *       () => sleep(100),                                              // <- parked: cancelled at 1
 *       async () => { await cleanup(2, save); await sleep(100); },  // <- ends in a shield
 *     );
 */
function markMissed(scopes: readonly Scope[], cancellation: Cancellation): void {
  const [top] = scopes;
  const hearing = new Set<Scope | undefined>();
  for (const scope of scopes.toReversed()) {
    for (let wait = scope.first; wait !== undefined; wait = wait.next)
      if (!wait.isComplete) hearing.add(scope);
    if (hearing.has(scope) && scope !== top) hearing.add(scope.parent);
  }
  for (const scope of scopes) {
    if (!hearing.has(scope) && scope !== top && hearing.has(scope.parent))
      scope.ownCancelState().missed ??= cancellation;
  }
}

/** The branch in `scope` has heard of the cancellation of the scope `by`. */
export function markHeard(scope: Scope, by: object | undefined): void {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.parent)
    if (at.cancelState?.missed !== undefined && at.cancelState.missed.scope === by)
      at.cancelState.missed = undefined;
}

/**
 * The branch that goes on in `scope` has not heard of `cancellation`: its next operation does, and
 * that of no other branch.
 */
export function owe(scope: Scope, cancellation: Cancellation): void {
  if (scope === cancellation.scope || scope.closed) cancellation.scope.makeDue(cancellation);
  else if (cancellation.scope.cancelling() > 0) {
    scope.ownCancelState().missed ??= cancellation;
    reach(scope);
  }
}

/**
 * Lets `cancellation` meet the next operation of the branch that goes on now: it was elsewhere, or
 * in line, when that came.
 */
export function renew(branch: Scope, cancellation: Cancellation): void {
  if (cancellation.scope.cancelling() === 0) return;
  if (!branch.loop.isExact) branch.loop.exhaustBudget(); // however deep the functions are that it comes from
  makeFresh(cancellation);
  for (let scope: Scope | undefined = branch; scope !== undefined; scope = scope.parent)
    scope.mayBeDue = true;
}

function makeFresh(cancellation: Cancellation): void {
  const { loop } = cancellation.scope;
  const state = cancellation.scope.ownCancelState();
  state.fresh = cancellation;
  state.freshTurn = loop.turns;
  loop.ensureDrain();
}

/** The cancellation of `scope` that came since the last turn of the loop. */
export function freshIn({ cancelState, loop }: Scope): Cancellation | undefined {
  return cancelState?.freshTurn === loop.turns ? cancelState.fresh : undefined;
}

/**
 * What has to end an operation that begins in `branch`. Keeps `mayBeDue` true as long as it has to
 * be.
 */
export function findDue(branch: Scope): Cancellation | undefined {
  const isTimed = checkDeadlines(branch);
  let found: Cancellation | undefined;
  for (let scope: Scope | undefined = branch; scope !== undefined; scope = scope.parent) {
    const { cancelState: state } = scope;
    if (scope.closed) found = scope.cutOff();
    else if (state !== undefined) {
      // What this branch has missed goes first.
      const own = found?.scope === scope && !state.insists ? found : state.due;
      found = own ?? freshIn(scope) ?? missedIn(scope) ?? found;
    }
    if (scope.shield) break;
  }
  branch.mayBeDue = isTimed || found !== undefined;
  return found;
}

function missedIn({ shield, cancelState }: Scope): Cancellation | undefined {
  const missed = shield ? undefined : cancelState?.missed;
  return missed !== undefined && missed.scope.cancelling() > 0 ? missed : undefined; // it may have been taken back
}

/**
 * A timer is only as punctual as the host: no operation may slip past a deadline. Gives whether one
 * is still ahead. Those around the owner of a task count, too: it would be cancelled by them.
 */
function checkDeadlines(branch: Scope): boolean {
  let now: number | undefined; // the clock is read for finite deadlines alone, and once
  let isAhead = false;
  let isOwners = false;
  for (let scope: Scope | undefined = branch; scope !== undefined; scope = scope.around) {
    const { deadline } = scope;
    if (deadline !== Number.POSITIVE_INFINITY && !scope.closed && !scope.isExpired) {
      now ??= branch.loop.time();
      if (deadline > now) isAhead = true;
      else {
        scope.expire();
        // The owner may not have come to wait for its task yet, and passes nothing on.
        if (isOwners && scope.cancellation) branch.task?.forwardCancel(scope.cancellation);
      }
    }
    isOwners ||= scope.parent === undefined;
  }
  return isAhead;
}
