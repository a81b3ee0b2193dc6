/**
 * Who hears of a cancellation, and what ends an operation that begins.
 *
 * Every wait parked at or below the scope is told at once. If there is none, the cancellation is
 * `due`, and ends the next operation there. While it is `fresh`, until the next turn of the loop,
 * it ends all that begins in a scope: in its own if some waits are parked, since other branches
 * cannot be listed, and in that of an operation which it ends, since nobody may await it. A nested
 * scope without a parked wait has `missed` it: its branch is elsewhere, and hears of it next.
 */

import { type Cancellation, inForce } from "./cancellation.ts";
import type { Scope } from "./scope.ts";
import type { Wait } from "./wait.ts";

const deliveries: Cancellation[] = [];
let delivering = false;

/** Delivers `cancellation` after those under way. A list: a long chain needs no deep stack. */
export function deliver(cancellation: Cancellation): void {
  if (delivering) return void deliveries.push(cancellation);
  delivering = true;
  try {
    deliverNow(cancellation);
    for (const next of deliveries) deliverNow(next); // it may grow meanwhile
  } finally {
    if (deliveries.length > 0) deliveries.length = 0;
    delivering = false;
  }
}

/** For a wait that was just parked, without asking before: what is due there is told to it. */
export function cancelIfDue(wait: Wait): void {
  const due = wait.scope.meetDue();
  if (due !== undefined) wait.cancel(due);
}
function deliverNow(cancellation: Cancellation): void {
  const { scope } = cancellation;
  const { first } = scope;
  const { undelivered, watchers, hasBranches } = scope.ownCancelState();
  if (first?.isComplete === false && !hasBranches && watchers === undefined) {
    scope.mayBeDue = true; // the common case, without lists (bench: cancel)
    makeFresh(cancellation);
    first.cancel(cancellation);
    return;
  }
  const scopes = reach(scope);
  const waits = scopes.flatMap(waitsIn);
  let isHeard = undelivered > 0; // several cancels before the first is delivered are one CancelledError (F21)
  if (scopes.length > 1) markBelow(scopes, cancellation, isHeard);
  for (const watcher of scopes.flatMap((one) => one.cancelState.watchers ?? []))
    watcher.cancelled?.(cancellation);
  for (const wait of waits) isHeard = wait.cancel(cancellation) || isHeard;
  if (!isHeard) scope.makeDue(cancellation, true);
  const mayBranch = scopes.some((one) => one.cancelState.hasBranches);
  if (mayBranch && !scope.loop.isExact) scope.loop.exhaustBudget(); // those on their way come first
  if (mayBranch || isHeard) makeFresh(cancellation);
}

/** The scopes that a cancellation of `top` reaches, parents first; all are marked. */
export function reach(top: Scope): Scope[] {
  const scopes = [top];
  for (const scope of scopes) {
    scope.mayBeDue = true;
    for (let inner = scope.nested?.first; inner !== undefined; inner = inner.next)
      if (!inner.shield) scopes.push(inner);
  }
  return scopes;
}

function waitsIn(scope: Scope): Wait[] {
  const waits: Wait[] = [];
  for (let wait = scope.first; wait !== undefined; wait = wait.next) waits.push(wait);
  return waits;
}

// Tells the scopes below. Where somebody is parked, one in which nobody is belongs to a branch that
// is elsewhere, as in a shield: it has missed the cancellation.
function markBelow(scopes: readonly Scope[], cancellation: Cancellation, isHeard: boolean): void {
  const hearing = new Set<Scope | undefined>();
  for (const scope of scopes.toReversed())
    if (hearing.has(scope) || waitsIn(scope).some((wait) => !wait.isComplete))
      hearing.add(scope).add(scope.parent);
  for (const scope of scopes.slice(1)) {
    const state = scope.ownCancelState();
    if (cancellation.scope.parent || !state.around?.scope.parent) state.around = cancellation;
    if (!isHeard && !hearing.has(scope) && hearing.has(scope.parent)) state.missed = cancellation;
  }
}

/** The branch in `branch` has heard of the cancellation of the scope `by`. */
export function markHeard(branch: Scope, by: object | undefined): void {
  for (let scope: Scope | undefined = branch; scope; scope = scope.parent) forgetMissed(scope, by);
}
/** `scope` has missed no cancellation of the scope `by`, or it does not count any more. */
export function forgetMissed(scope: Scope, by: object | undefined): void {
  if (by && scope.cancelState.missed?.scope === by) scope.ownCancelState().missed = undefined;
}

/** A join passed `cancellation` on and has a value all the same: the next operation gets it. */
export function owe(scope: Scope, cancellation: Cancellation): void {
  if (scope === cancellation.scope) scope.makeDue(cancellation);
  else if (cancellation.scope.cancelling() > 0) {
    scope.ownCancelState().missed ??= cancellation;
    reach(scope);
  }
}

/** `cancellation` came before this branch, which goes on now, could hear it: it is fresh again. */
export function renew(branch: Scope, cancellation: Cancellation): void {
  if (cancellation.scope.cancelling() === 0) return;
  if (!branch.loop.isExact) branch.loop.exhaustBudget(); // however deep the functions are that it comes from
  makeFresh(cancellation);
  for (let scope: Scope | undefined = branch; scope; scope = scope.parent) scope.mayBeDue = true;
}
/** Until the next turn of the loop, `cancellation` ends what begins in `scope`. */
export function makeFresh(cancellation: Cancellation, scope: Scope = cancellation.scope): void {
  const state = scope.ownCancelState();
  state.fresh = cancellation;
  state.freshTurn = scope.loop.turns;
  scope.loop.ensureDrain();
}
/** The cancellation that came to `scope` since the last turn of the loop. */
export function freshIn({ cancelState, loop }: Scope): Cancellation | undefined {
  const { fresh, freshTurn } = cancelState;
  return freshTurn === loop.turns ? inForce(fresh) : undefined;
}

/** Expires what is late around `branch`, and notes there what is next: tasks/deadlines.ts. */
export const deadlines: { check(branch: Scope): void } = { check: () => {} };

/** What has to end an operation that begins in `branch`. Keeps `mayBeDue` true while it has to. */
export function findDue(branch: Scope): Cancellation | undefined {
  deadlines.check(branch);
  let found: Cancellation | undefined;
  for (let scope: Scope | undefined = branch; scope; scope = scope.parent) {
    const { due, missed } = scope.cancelState;
    if (scope.closed) found = scope.cutOff();
    else if (found?.scope !== scope) found = due ?? freshIn(scope) ?? missed ?? found;
    if (scope.shield) break;
  }
  branch.mayBeDue = found !== undefined;
  return found;
}
