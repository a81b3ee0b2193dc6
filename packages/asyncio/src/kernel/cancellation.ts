/**
 * What a cancellation is, and what a scope keeps once it was cancelled.
 *
 * | scope is | `cancel()` | operation begins | grace ends | `uncancel()` to 0 | body settles |
 * |---|---|---|---|---|---|
 * | calm | parked waits are told; without any, it is due | begins | - | - | closed |
 * | told | they are told again; without any, it is due | begins | insists | calm | closed |
 * | due | stays due | rejects; the scope is told | insists | calm | closed |
 * | insisting | they are told again | rejects, each of them | - | calm | closed |
 * | closed | nothing | rejects, each of them | - | - | - |
 */

import type { CancelSource } from "../errors/errors.ts";
import type { Context, ContextValues } from "../structures/context-values.ts";
import type { Timer } from "../structures/timers.ts";
import type { Scope } from "./scope.ts";
import type { Task } from "./task.ts";

/** One cancellation of one scope; each wait that it ends gets a CancelledError of its own. */
export interface Cancellation {
  readonly scope: Scope;
  readonly source: CancelSource;
  readonly reason: unknown;
  readonly requestedBy: string | undefined;
  /** Seconds until the scope is cancelled again, for good. Passed on with the cancellation. */
  readonly grace: number;
  /** The number of the first one in a chain of forwards, so that none goes round a circle. */
  readonly origin: number;
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

/** Hears what becomes of a scope, inside the loop: it must not throw or call user code. */
export interface ScopeWatcher {
  /** A cancellation has reached the scope. */
  cancelled?(cancellation: Cancellation): void;
  /** The scope is closed. Nothing is told after that. */
  closed?(): void;
}

/** What a scope knows of its cancellations. Made on demand: few are cancelled (bench: memory). */
export class CancelState {
  /** Whether the deadline has cancelled the scope. */
  expired = false;
  /** Whether a cancellation was asked for, taken back or not. */
  cancelCalled = false;
  /** Waits that a cancellation of the scope has ended, and that have not thrown yet. */
  undelivered = 0;
  /** Whether it had two waits or nested scopes at a time: so branches, which may not be parked. */
  hasBranches = false;
  /** Seconds of grace, if the scope has its own; else the cancellation or the loop decides. */
  cancelGrace: number | undefined = undefined;
  graceTimer: Timer | undefined = undefined;
  /** Cancellations asked for and not taken back by `uncancel`. */
  count = 0;
  /** The first cancellation since the count was 0: what insisting delivers again. */
  first: Cancellation | undefined = undefined;
  /** Ends the next operation here; if the scope insists or is closed, each of them. */
  due: Cancellation | undefined = undefined;
  /** Whether the grace period is over. */
  insists = false;
  /** One of a scope around, which this branch has not heard of: it was not parked, others were. */
  missed: Cancellation | undefined = undefined;
  /** The last cancellation: it ends what begins here, up to the end of turn `freshTurn`. */
  fresh: Cancellation | undefined = undefined;
  freshTurn = 0;
  /** The origin of the last cancellation that was forwarded to the task of this scope. */
  origin = 0;
  /** Operations rejected since the scope insists or is closed. */
  refusals = 0;
  watchers: ScopeWatcher[] = [];
}

/** That of every scope that nothing has happened to. Nobody changes it. */
export const CALM: Readonly<CancelState> = new CancelState();

/** Rejections that code may swallow in a scope past its grace or end. */
const MAX_REFUSALS = 10_000;

/**
 * Whether to reject one more operation of `scope`. A loop that swallows every rejection would spin
 * for ever, so at last it is left suspended, and its task ends as cancelled:
 *
 *     for (;;) try { await sleep(1) } catch {}   // <- after the grace period it never sleeps again
 */
export function hasPoint(scope: Scope): boolean {
  const { closed, loop, task } = scope;
  if (!closed && !scope.cancelState.insists) return true;
  if (++scope.ownCancelState().refusals <= MAX_REFUSALS) return true;
  const isWholeTask = task?.scope === scope;
  if (isWholeTask && !closed) {
    const message = `${task.describe()} has swallowed ${MAX_REFUSALS} cancellations after its grace period, and is left suspended`;
    loop.callExceptionHandler({ message, task });
    task.abandon();
  }
  return !isWholeTask && !closed; // code waits for the body of a nested scope: that must be able to end
}
