/**
 * Delivering cancellations: who hears of one, and in which order. One may forward itself from task to awaited task without
 * end; so they are worked off as a list, and a chain of a hundred thousand tasks needs no stack.
 */

import type { Scope } from "./scope.ts";
import type { CancelHook } from "./trouble.ts";
import type { Cancellation, Wait } from "./wait.ts";

const deliveries: [Scope, Cancellation][] = [];
let delivering = false;

/** Delivers `cancellation` to all that waits at or below `scope`, at once or after the deliveries that are under way. */
export function deliver(scope: Scope, cancellation: Cancellation): void {
  deliveries.push([scope, cancellation]);
  if (delivering) return;
  delivering = true;
  try {
    for (let index = 0; index < deliveries.length; index++) {
      const [target, due] = deliveries[index] as [Scope, Cancellation]; // index < length
      deliverNow(target, due);
    }
  } finally {
    deliveries.length = 0;
    delivering = false;
  }
}

function deliverNow(scope: Scope, cancellation: Cancellation): void {
  const { first } = scope;
  const trouble = scope.inTrouble();
  const isAlone = first === scope.last && scope.nested === undefined;
  if (
    first?.isComplete === false &&
    isAlone &&
    trouble.hooks === undefined &&
    !trouble.hasBranches
  ) {
    scope.attention = true; // the common case, without lists (bench: cancel)
    scope.makeFresh(cancellation);
    first.interrupt(cancellation);
    return;
  }
  const waits: Wait[] = [];
  const hooks: CancelHook[] = [];
  const scopes = reach(scope, waits, hooks);
  let isHeard = trouble.undelivered > 0; // several cancels before the first is delivered are one CancelledError (8.21)
  if (scopes.length > 1 && !isHeard) markMissed(scopes, cancellation);
  // All of them are told before one passes it on: what they wait for together may end at once.
  for (const wait of waits) wait.keep(cancellation);
  for (const hook of hooks) hook(cancellation);
  for (const wait of waits) isHeard = wait.cancel(cancellation) || isHeard;
  if (!isHeard) scope.pend(cancellation, true); // the count keeps them all
  const hasBranches = scopes.some((one) => one.trouble?.hasBranches);
  if (hasBranches && !scope.loop.isExact) scope.loop.exhaustBudget(); // those that are on their way come first
  if (hasBranches || isHeard) scope.makeFresh(cancellation);
}

/** Everything that a cancellation of `top` reaches, in order, parents first; marks the scopes on the way. */
export function reach(top: Scope, waits?: Wait[], hooks?: CancelHook[]): Scope[] {
  const scopes = [top];
  for (const scope of scopes) {
    scope.attention = true;
    for (let wait = scope.first; wait !== undefined; wait = wait.next) waits?.push(wait);
    for (const hook of scope.trouble?.hooks ?? []) hooks?.push(hook);
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
 *       async () => { await cleanup(2, save); await sleep(100); },     // <- in a shield at 1: its second sleep is cancelled
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
      scope.inTrouble().missed ??= cancellation;
  }
}

/** The branch in `scope` has heard of the cancellation of the scope `by`. */
export function markHeard(scope: Scope, by: object | undefined): void {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.parent)
    if (at.trouble?.missed && at.trouble.missed.scope === by) at.trouble.missed = undefined;
}

/** The branch that goes on in `scope` has not heard of `cancellation`: its next operation does, and that of no other branch. */
export function owe(scope: Scope, cancellation: Cancellation): void {
  if (scope === cancellation.scope || scope.closed) cancellation.scope.pend(cancellation);
  else if (cancellation.scope.cancelling() > 0) scope.inTrouble().missed ??= cancellation;
  reach(scope);
}
