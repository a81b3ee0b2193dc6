/**
 * What a cancellation is, and what a scope keeps once it was cancelled. Each row is a state of a
 * scope, each column an event, each cell what happens and the next state, if it is another one.
 * | scope is | `cancel()` | an operation begins | grace ends | `uncancel()` to 0 | body settles |
 * |---|---|---|---|---|---|
 * | calm | ends parked waits: told; none parked: due | it begins | - | - | closed |
 * | told | ends parked waits; none parked: due | it begins | insisting | calm | closed |
 * | due | - | it and others of that turn reject: told | insisting | calm | closed |
 * | insisting | ends parked waits | it rejects | - | calm | closed |
 * | closed | - | it rejects | - | - | - |
 */

import { advice, type CancelSource } from "../errors/errors.ts";
import type { Context, ContextValues } from "../structures/context-values.ts";
import type { Timer } from "../structures/timers.ts";
import { describeScope } from "./reports.ts";
import type { Scope } from "./scope.ts";
import type { Task } from "./task.ts";

/** One cancellation of one scope; each wait that it ends gets a CancelledError of its own. */
export interface Cancellation {
  readonly scope: Scope;
  readonly source: CancelSource;
  readonly reason: unknown;
  readonly requestedBy: string | undefined;
  readonly grace: number; // seconds until the scope is cancelled again, for good
  readonly origin: { readonly root: number }; // forwards keep it: a task takes each once, so no circle is endless
}
export interface ScopeOptions {
  readonly label: string; // what reports call it: "timeout", "task group 'crawl'"
  readonly context: Context | ContextValues;
  readonly task?: Task<unknown> | undefined;
  readonly shield?: boolean | undefined; // keeps the cancellations of the scopes around it out
  readonly cancelGrace?: number | undefined;
}
/** Hears what becomes of a scope, inside the loop: it must not throw or call user code. */
export interface ScopeWatcher {
  cancelled?(cancellation: Cancellation): void; // a cancellation has reached the scope
  closed?(): void; // the scope is closed. Nothing is told after that
}
let roots = 0;
/** What a scope knows of its cancellations. Made on demand: few are cancelled (bench: memory). */
export class CancelState {
  readonly root: number = ++roots; // by which it knows its own; the scope would be kept by those who keep an error
  expired = false; // whether the deadline has cancelled the scope
  cancelCalled = false; // whether a cancellation was asked for, taken back or not
  undelivered = 0; // waits that a cancellation of the scope has ended, and that have not thrown yet
  hasBranches = false; // two waits or nested scopes at a time; branches may also not be parked
  cancelGrace: number | undefined; // seconds; else the cancellation or the loop decides
  graceTimer: Timer | undefined;
  count = 0; // cancellations asked for and not taken back by `uncancel`
  first: Cancellation | undefined; // the first since count was 0: insisting delivers it again
  due: Cancellation | undefined; // ends the next operation; if insisting or closed, every one
  insists = false; // whether the grace period is over
  missed: Cancellation | undefined; // of a scope around: the branch here was not parked, and did not hear it
  around: Cancellation | undefined; // the latest of a scope around, of the task if no other came: it leaves first
  fresh: Cancellation | undefined; // the latest: during turn `freshTurn` it ends what begins here
  freshTurn = 0;
  origin: Cancellation["origin"] | undefined; // of the last one that was forwarded to the task of this scope
  refusals = 0; // operations rejected since the scope insists or is closed
  watchers: ScopeWatcher[] | undefined;
}
/** Nothing, once it was taken back. */
export const inForce = (one: Cancellation | undefined): Cancellation | undefined =>
  one !== undefined && (one.scope.closed || one.scope.cancelling() > 0) ? one : undefined;
export const CALM: Readonly<CancelState> = new CancelState(); // of scopes that nothing happened to

const MAX_REFUSALS = 10_000; // rejections that code may swallow in a scope past its grace or end

/**
 * Counts one more operation of `scope` that is to be rejected. False: it is left pending, and the
 * task ends cancelled. `for (;;) try { await sleep(1) } catch {}` would reject for ever otherwise.
 */
export function countRefusal(scope: Scope): boolean {
  const { closed, loop, task } = scope;
  if (!closed && !scope.cancelState.insists) return true;
  const refusals = ++scope.ownCancelState().refusals;
  if (refusals <= MAX_REFUSALS || closed) return refusals <= MAX_REFUSALS;
  const isWholeTask = task?.scope === scope; // code waits for that of a nested one: it must be able to end
  const outcome = isWholeTask ? "is left suspended" : "gets one more in each wait";
  const message = `${describeScope(scope)} has swallowed ${MAX_REFUSALS} cancellations after its grace period, and ${outcome}${advice("Let a CancelledError pass where it catches errors")}`;
  if (refusals === MAX_REFUSALS + 1) loop.callExceptionHandler({ message, task });
  if (isWholeTask) task.abandon();
  return !isWholeTask;
}
