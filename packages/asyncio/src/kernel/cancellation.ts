/**
 * What a cancellation is, and what a scope keeps once it was cancelled.
 *
 * | scope is | `cancel()` | operation begins | grace ends | `uncancel()` to 0 | body settles |
 * |---|---|---|---|---|---|
 * | calm | whoever waits is told; if nobody does, it is due | begins | - | - | closed |
 * | told | they are told again; if nobody waits, it is due | begins | insists | calm | closed |
 * | due | stays due | rejects; the scope is told | insists | calm | closed |
 * | insisting | they are told again | rejects, each of them | - | calm | closed |
 * | closed | nothing | rejects, each of them | - | - | - |
 */

import type { CancelSource } from "../errors/errors.ts";
import type { Timer } from "../structures/timers.ts";
import type { Scope } from "./scope.ts";
import type { Task } from "./task.ts";
import type { Context, ContextValues } from "./variables.ts";

/** One cancellation of one scope; each wait that it ends gets a CancelledError of its own. */
export interface Cancellation {
  readonly scope: Scope;
  readonly source: CancelSource;
  readonly reason: unknown;
  readonly requestedBy: string | undefined;
  /** Seconds until it is insisted on. Goes along when it is forwarded. */
  readonly grace: number;
  /**
   * The number of the first one, where it was passed on; so it goes round no circle twice, and
   * keeps no scope alive.
   */
  readonly origin: number;
}

let origins = 0;

/** The number of a cancellation that nobody passed on. */
export function newOrigin(): number {
  return ++origins;
}

export interface ScopeOptions {
  /** What reports call it: "timeout", "task group 'crawl'". */
  readonly label: string;
  readonly context: Context | ContextValues;
  readonly task?: Task<unknown> | undefined;
  /** Keeps the cancellations of the scopes around it out. */
  readonly shield?: boolean | undefined;
  readonly cancelGrace?: number | undefined;
}

/**
 * Told what becomes of a scope: task groups, abort signals. Inside the loop: must not throw and
 * must not call user code.
 */
export interface ScopeWatcher {
  /** A cancellation has reached the scope. */
  cancelled?(cancellation: Cancellation): void;
  /** The scope is closed. Nothing is told after that. */
  closed?(): void;
}

/**
 * What a scope has once something is up with it: made then, for most tasks are never cancelled
 * (bench: memory).
 */
export class CancelState {
  /** True iff the deadline has cancelled the scope. */
  expired = false;
  /** True once a cancellation was asked for. */
  cancelCalled = false;
  /**
   * Waits that a cancellation of the scope has ended, and that have not thrown yet. Kept by Wait.
   */
  undelivered = 0;
  /**
   * True once two waits or nested scopes were here at a time: so there are branches, and one may be
   * on its way while another waits.
   */
  hasBranches = false;
  /**
   * Seconds between the first cancellation and the second, insisting one; undefined: what the
   * cancellation brings along.
   */
  cancelGrace: number | undefined = undefined;
  graceTimer: Timer | undefined = undefined;
  /** Cancellations asked for and not taken back by `uncancel`. */
  count = 0;
  /**
   * Not delivered yet: ends the next operation that begins here, at its start. Once the scope is
   * insisted on, or closed, it stays, and ends all of them.
   */
  due: Cancellation | undefined = undefined;
  /** True once the grace period is over. */
  insists = false;
  /**
   * A cancellation of a scope around this one of which nobody in this one has heard: its branch was
   * not parked, and others were. It ends the next operation here, as one that is due, or the next
   * one around it, if the scope ends without any.
   */
  missed: Cancellation | undefined = undefined;
  /**
   * The last cancellation, and the turn of the loop up to whose end it is fresh: it ends operations
   * that begin here until then, for their branches were on their way when it came. Those that were
   * parked are told after that.
   */
  fresh: Cancellation | undefined = undefined;
  freshTurn = 0;
  /** The first cancellation since the count was 0: what insisting delivers again. */
  first: Cancellation | undefined = undefined;
  /** Of the last cancellation that was passed on to the task whose scope this is. */
  origin = 0;
  /** Operations rejected since the scope was insisted on or closed. */
  refusals = 0;
  readonly watchers: ScopeWatcher[] = [];
}

/**
 * Rejections that code may swallow in a scope past its grace or end, before it is left suspended.
 */
const MAX_REFUSALS = 10_000;

/**
 * Whether a rejection in `scope` still has a point. A loop that swallows every one of them would
 * spin for ever:
 *
 *     for (;;) try { await sleep(1) } catch {}   // <- after the grace period it never sleeps again
 *
 * It is left suspended at its next operation, which never settles, and its task ends as cancelled.
 */
export function hasPoint(scope: Scope): boolean {
  const { closed, loop, task } = scope;
  if (!closed && scope.cancelState?.insists !== true) return true;
  if (++scope.ownCancelState().refusals <= MAX_REFUSALS) return true;
  const isWholeTask = task?.scope === scope;
  if (isWholeTask && !closed) {
    const message = `${task.describe()} has swallowed ${MAX_REFUSALS} cancellations after its grace period, and is left suspended`;
    loop.callExceptionHandler({ message, task });
    task.abandon();
  }
  return !isWholeTask && !closed; // somebody waits for the body of a nested scope: it must be able to end
}
