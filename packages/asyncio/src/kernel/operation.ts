/** What every operation does: completes, waits for its turn, or is refused; and runs bodies. */

import { type CancelDetails, CancelledError } from "../errors/errors.ts";
import { findCause } from "../structures/causes.ts";
import type { Cancellation } from "./cancellation.ts";
import { currentContext, currentScope, runInScope } from "./context.ts";
import { markHeard } from "./delivery.ts";
import { Gate } from "./gate.ts";
import { realHost } from "./host.ts";
import { EventLoop } from "./loop.ts";
import { reportUnobserved } from "./reports.ts";
import { Scope } from "./scope.ts";
import { Wait, type WaitSubject } from "./wait.ts";

let outside: Scope | undefined;

/** The current scope. Outside of all, one of the default loop that is never cancelled. */
export function here(): Scope {
  const scope = currentScope();
  if (scope !== undefined) return scope;
  if (outside === undefined) {
    const loop = new EventLoop(realHost);
    outside = new Scope(loop, { label: "the program", context: currentContext() });
    loop.host.onDry(() => reportUnobserved(loop)); // no `run` ends on this loop
  }
  return outside;
}
/** What an operation returns that has completed in the call; later if the budget is spent. */
export function completed<T>(scope: Scope, subject: WaitSubject, value: T): Promise<T> {
  const { loop } = scope;
  if (loop.spend() && !(loop.isExact && loop.host.yields?.(scope, subject)))
    return Promise.resolve(value);
  return turn(scope, subject, value);
}
/** The same, after everything that is ready now. Nothing can cancel it any more. */
export function turn<T>(scope: Scope, subject: WaitSubject, value: T): Promise<T> {
  const { loop } = scope;
  if (loop.isExact) {
    const wait = new Wait<T>(scope, subject); // the host wants to know what its steps are about
    loop.host.parked?.(wait as Wait);
    wait.resume(value);
    return wait.promise;
  }
  if (value === undefined) return loop.nextTurn(scope) as Promise<T>; // T has undefined
  if (loop.spendNow()) return Promise.resolve(value);
  const gate = new Gate(scope, value);
  loop.enqueue(gate, true);
  return gate.promise;
}
/** What an operation returns that cannot begin: it rejects in its turn. */
export function refused(scope: Scope, subject: WaitSubject, error: unknown): Promise<never> {
  const wait = new Wait<never>(scope, subject);
  wait.fail(error);
  return wait.promise;
}

/**
 * Runs `body` in `scope`, nested in `parent`; the scope closes when the body has settled. An
 * operation: a due cancellation rejects it before the body runs, unless the scope is shielded.
 */
export async function openScope<T>(
  scope: Scope,
  parent: Scope,
  body: () => T | PromiseLike<T>,
): Promise<T> {
  try {
    const stop = scope.shield ? undefined : parent.interruption(scope.label);
    if (stop !== undefined) await stop;
    scope.openIn(parent);
    const value = await runInScope(scope, callBody<T>, body);
    if (!scope.loop.spend()) await turn(parent, scope.label, undefined); // a spin of bodies that never wait
    return value;
  } catch (error) {
    const leaving = scope.outermost(recognised(error, scope, scope.parent !== undefined));
    if (leaving instanceof CancelledError) markHeard(scope, leaving.scope);
    throw leaving;
  } finally {
    scope.close();
  }
}
// Whether `then` is the engine's, whose reactions keep their context: zone.js replaces it.
export const staysInContext: boolean = /^function then\(\)\s*\{\s*\[native code\]\s*\}$/.test(
  Function.prototype.toString.call(Promise.prototype.then),
);

/** Calls `body` in the scope that is entered, where also a thenable of it is awaited. */
export function callBody<T>(body: () => T | PromiseLike<T>): Promise<T> {
  // As `await` does; an async function would be a frame more (bench: timers, spawn).
  return staysInContext ? Promise.resolve(body()) : (async () => await body())();
}

/**
 * What an error in `scope` counts as, which may end its body. Foreign code answers to our signals
 * with errors of its own, caused by our CancelledError: each is that one while its scope is ending.
 */
export function recognised(error: unknown, scope: Scope, endsBody = false): unknown {
  const isOurs = error instanceof CancelledError;
  const details = isOurs ? CancelledError.detailsOf(error) : causeIn(error, scope);
  if (!(details?.scope instanceof Scope)) return error;
  const cancellation = unforwarded(details, scope, endsBody);
  cancellation.scope.noteDelivered(cancellation); // by its abort signal
  if (isOurs && cancellation === details) return error;
  const cause = cancellation.source === "abort" ? cancellation.reason : error;
  return new CancelledError(cancellation, { cause });
}
/** That of `scope`, if `details` are those of a child that it was passed on to, or end its body. */
function unforwarded(details: CancelDetails, scope: Scope, endsBody = false): Cancellation {
  const [cancellation, own] = [details as Cancellation, scope.cancelState.first]; // a scope has made it
  if (own === undefined || cancellation.scope === scope) return cancellation;
  const isForwarded = own.origin.root === cancellation.origin?.root;
  return isForwarded || (endsBody && !scope.isInside(cancellation.scope)) ? own : cancellation;
}
function causeIn(error: unknown, scope: Scope): CancelDetails | undefined {
  return findCause(error, (cause) => {
    if (!(cause instanceof CancelledError)) return undefined;
    const [from, details] = [cause.scope, CancelledError.detailsOf(cause)];
    if (!(from instanceof Scope) || from.cancelling() === 0 || !details) return null;
    const isOver = from.closed && from !== scope && !scope.isInside(from);
    return isOver && unforwarded(details, scope) === details ? null : details;
  });
}
/** Makes a cancellation that was caught come back at the next wait of its scope. */
export function makeDueAgain(error: CancelledError): void {
  const details = CancelledError.detailsOf(error);
  if (details?.scope instanceof Scope) details.scope.makeDue(details as Cancellation); // the scope made it
}
