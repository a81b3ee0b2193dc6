/** What goes with a scope but is not the scope: how it is opened, and what becomes of the few that are cancelled. */

import type { Context, ContextValues } from "./context-var.ts";
import type { Task } from "./task.ts";
import type { Timer } from "./timers.ts";
import type { Cancellation, Wait } from "./wait.ts";

export interface ScopeOptions {
  /** What reports call it: "timeout", "task group 'crawl'". */
  readonly label: string;
  readonly context: Context | ContextValues;
  readonly task?: Task<unknown> | undefined;
  /** Keeps the cancellations of the scopes around it out. */
  readonly shield?: boolean | undefined;
  readonly cancelGrace?: number | undefined;
}

/** Told about each cancellation that reaches a scope: task groups, abort signals. */
export type CancelHook = (cancellation: Cancellation) => void;

/** What a scope has once something is up with it: made then, for most tasks are never cancelled (bench: memory). */
export class Trouble {
  /** True iff the deadline has cancelled the scope. */
  expired = false;
  /** True once a cancellation was asked for. */
  cancelCalled = false;
  /** Waits that a cancellation of the scope has ended, and that have not thrown yet. Kept by Wait. */
  undelivered = 0;
  /** Told when the scope closes. */
  onClose: (() => void) | undefined = undefined;
  /** Seconds between the first cancellation and the second, insisting one; undefined: what the cancellation brings along. */
  cancelGrace: number | undefined = undefined;
  graceTimer: Timer | undefined = undefined;
  /** Cancellations asked for and not taken back by `uncancel`. */
  count = 0;
  pending: Cancellation | undefined = undefined;
  insisted: Cancellation | undefined = undefined;
  cut: Cancellation | undefined = undefined;
  /** The first cancellation since the count was 0: what insisting delivers again. */
  first: Cancellation | undefined = undefined;
  /** Of the last cancellation that was passed on to the task whose scope this is. */
  origin = 0;
  /** Operations rejected since the scope was insisted on or closed. */
  refusals = 0;
  /** Waits that ended with the CancelledError of what they waited for, and have not thrown it yet. */
  cutBelow: Set<Wait> | undefined = undefined;
  hooks: Set<CancelHook> | undefined = undefined;
}
