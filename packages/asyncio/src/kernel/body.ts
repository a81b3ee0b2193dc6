/** Running a body in a scope of its own: what every scope opener does. */

import { type CancelDetails, CancelledError } from "../errors/errors.ts";
import { findCause } from "../structures/causes.ts";
import { runInScope } from "./context.ts";
import { markHeard } from "./delivery.ts";
import { Scope } from "./scope.ts";
import { type Cancellation, Wait, type WaitSubject } from "./wait.ts";

/**
 * Runs `body` in `scope`, nested in `parent`; the scope closes when the body has settled. An operation: a pending
 * cancellation rejects it before the body runs, unless the scope is shielded.
 */
export async function openScope<T>(
  scope: Scope,
  parent: Scope,
  body: () => T | PromiseLike<T>,
): Promise<T> {
  try {
    const stop = scope.shield ? undefined : parent.interruption(scope.label);
    if (stop !== undefined) await stop;
    scope.nestIn(parent);
    const value = await runInScope(scope, callBody<T>, body);
    if (!scope.loop.spend()) await turn(parent, scope.label); // a spin of bodies that never wait
    return value;
  } catch (error) {
    const leaving = scope.unwound(recognised(error, scope));
    if (leaving instanceof CancelledError) markHeard(scope, leaving.scope);
    throw leaving;
  } finally {
    scope.close();
  }
}

/** Lets everything that is ready, and the host, have its turn first. */
function turn(scope: Scope, subject: WaitSubject): Promise<void> {
  const wait = new Wait<void>(scope, subject);
  wait.resume();
  return wait.promise;
}

/** Awaits the body inside its own context: a thenable that a body merely returns is waited for in the body's scope. */
async function callBody<T>(body: () => T | PromiseLike<T>): Promise<T> {
  return await body();
}

/**
 * What an error that leaves a body in `scope` counts as. Foreign code answers to our signals with errors of its own, which
 * have our CancelledError as their cause. As long as the scope that it comes from is ending, such an error counts as that.
 */
export function recognised(error: unknown, scope: Scope): unknown {
  const isOurs = error instanceof CancelledError;
  const details = isOurs ? CancelledError.detailsOf(error) : causeIn(error, scope);
  if (!(details?.scope instanceof Scope)) return error;
  const cancellation = details as Cancellation; // a scope has made it
  cancellation.scope.wasDelivered(cancellation); // by its abort signal
  if (isOurs) return error;
  const cause = cancellation.source === "abort" ? cancellation.reason : error;
  return new CancelledError(cancellation, { cause });
}

function causeIn(error: unknown, scope: Scope): CancelDetails | undefined {
  return findCause(error, (cause) => {
    if (!(cause instanceof CancelledError)) return undefined;
    const from = cause.scope;
    if (!(from instanceof Scope) || from.cancelling() === 0) return null;
    const isOver = from.closed && from !== scope && !scope.isInside(from);
    return isOver ? null : CancelledError.detailsOf(cause);
  });
}

/** Makes a cancellation that was caught come back at the next wait of its scope. */
export function pendAgain(error: CancelledError): void {
  const details = CancelledError.detailsOf(error);
  if (details?.scope instanceof Scope) details.scope.pend(details as Cancellation); // the scope made it
}
