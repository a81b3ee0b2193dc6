/**
 * Scopes with a deadline, and scopes by hand. All of them are one kernel scope round a body; they
 * differ in what they make of the CancelledError that comes out of it. They have the callback form
 * only: a disposer cannot see the error of its block, and so could neither convert nor swallow it.
 */

import {
  advice,
  checkCoroutine,
  checkOptions,
  checkSeconds,
  InvalidStateError,
  TimeoutError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import type { ScopeOptions } from "../kernel/cancellation.ts";
import { currentContext } from "../kernel/context.ts";
import { realHost } from "../kernel/host.ts";
import { here, openScope } from "../kernel/operation.ts";
import { Scope } from "../kernel/scope.ts";
import type { Coroutine } from "../kernel/task.ts";
import { formatSeconds } from "../structures/timers.ts";
import { bindSignal, checkSignal } from "./abort.ts";
import { setDeadline } from "./deadlines.ts";
import { noticeFakeTimers } from "./fake-timers.ts";

/** Options of everything that opens a scope. */
export interface SignalOption {
  /** Cancels the scope when it aborts; the caller then gets `signal.reason` as it is. */
  readonly signal?: AbortSignal | undefined;
}

export const SIGNAL: Names<SignalOption> = { signal: "AbortSignal" };
const CLOCK_TIME = "a time in seconds on the clock of `loop.time()`, or null";

/** What `timeout` and `timeoutAt` take. */
export interface TimeoutOptions extends SignalOption {
  /** What the time is for, as the error says it: "loading the profile". */
  readonly label?: string | undefined;
}

const TIMEOUT: Names<TimeoutOptions> = { signal: "AbortSignal", label: "string" };

/** A scope to be nested in the current one, in the same task and context. */
function nestedScope(parent: Scope, label: string, options: Partial<ScopeOptions> = {}): Scope {
  const { shield, cancelGrace } = options;
  const { loop, task } = parent;
  if (loop.host === realHost) noticeFakeTimers(); // a deadline of it would not come
  return new Scope(loop, { label, task, context: currentContext(), shield, cancelGrace });
}

/**
 * `openScope`, with a signal that can cancel the scope. Without one there is no async frame more
 * (bench: timers).
 */
function openWithSignal<T>(
  scope: Scope,
  parent: Scope,
  body: Coroutine<T>,
  signal?: AbortSignal,
): Promise<T> {
  if (signal === undefined) return openScope(scope, parent, body);
  return openUnderSignal(scope, parent, body, signal);
}

/**
 * Runs `body` in a scope of its own if there is a `signal`, which cancels it; its reason then comes
 * out as it is.
 */
export function underSignal<T>(
  api: string,
  signal: AbortSignal | undefined,
  body: () => Promise<T>,
): Promise<T> {
  if (signal === undefined) return body();
  const parent = here();
  return openUnderSignal(nestedScope(parent, api), parent, body, signal);
}

async function openUnderSignal<T>(
  scope: Scope,
  parent: Scope,
  body: Coroutine<T>,
  signal: AbortSignal,
): Promise<T> {
  let release: (() => void) | undefined;
  try {
    checkSignal(signal);
    release = bindSignal(scope, signal);
    return await openScope(scope, parent, body);
  } catch (error) {
    throw scope.owns(error) && error.source === "abort" ? error.reason : error;
  } finally {
    release?.();
    scope.close(); // also when the scope was never opened: it may have a deadline already
  }
}

/**
 * The deadline of a running `timeout`. Source: asyncio.Timeout.
 *
 * @example
 * await asyncio.timeout(0.01, async (deadline) => {
 *   deadline.reschedule(null); // it is going well: no deadline any more
 *   assert.equal(deadline.when(), undefined);
 *   await asyncio.sleep(0.02);
 * });
 */
export class Timeout {
  readonly #scope: Scope;

  /** @internal */
  constructor(scope: Scope) {
    this.#scope = scope;
  }

  /** The deadline, on the clock of the loop; undefined if there is none. */
  when(): number | undefined {
    const { deadline } = this.#scope;
    return deadline === Number.POSITIVE_INFINITY ? undefined : deadline;
  }

  /**
   * Moves the deadline to `when`, on the clock of the loop; null removes it.
   * @throws InvalidStateError once it has passed or the body has ended.
   */
  reschedule(when: number | null): void {
    const deadline = when === null ? Number.POSITIVE_INFINITY : when;
    checkSeconds("`timeout.reschedule`", CLOCK_TIME, deadline);
    const state = this.#scope.closed
      ? "the body has ended"
      : this.expired()
        ? "the deadline has passed"
        : undefined;
    if (state !== undefined)
      throw new InvalidStateError(`\`timeout.reschedule\` came too late: ${state}`);
    setDeadline(this.#scope, deadline);
  }

  /** True once the deadline has cancelled the body, also if the body then swallowed that. */
  expired(): boolean {
    return this.#scope.cancelState.expired;
  }
}

/**
 * Runs `body` and gives what it returns, if it ends within `seconds`. Else the waits of the body
 * are cancelled, and when it has ended by that, the call rejects with a TimeoutError. It never
 * abandons the body: cleaning up may take longer than the deadline. `null` or Infinity means no
 * deadline; with 0 or less the first wait is cancelled.
 *
 * Cancellations from outside pass through and are never converted. Of nested timeouts that are both
 * due, the outermost raises. Source: asyncio.timeout.
 *
 * @example
 * await assert.rejects(asyncio.timeout(0.01, () => asyncio.sleep(3600)), asyncio.TimeoutError);
 */
export function timeout<T>(
  seconds: number | null,
  body: (scope: Timeout) => T | PromiseLike<T>,
  options?: TimeoutOptions,
): Promise<T> {
  return runWithDeadline("`timeout`", true, seconds, body, options);
}

/**
 * `timeout` with an absolute deadline: `when` is in seconds on the clock of the loop. If `body` has
 * not ended by then, it is cancelled, and the call rejects with a TimeoutError. Source:
 * asyncio.timeout_at.
 *
 * @example
 * const when = asyncio.getRunningLoop().time() + 0.01;
 * await assert.rejects(asyncio.timeoutAt(when, () => asyncio.sleep(3600)), asyncio.TimeoutError);
 */
export function timeoutAt<T>(
  when: number | null,
  body: (scope: Timeout) => T | PromiseLike<T>,
  options?: TimeoutOptions,
): Promise<T> {
  return runWithDeadline("`timeoutAt`", false, when, body, options);
}

/**
 * `seconds` from now, or until then. The one async frame of a timeout beside those of its scope and
 * its body (bench: timers).
 */
async function runWithDeadline<T>(
  api: string,
  isFromNow: boolean,
  seconds: number | null,
  body: (scope: Timeout) => T | PromiseLike<T>,
  options: TimeoutOptions | undefined,
): Promise<T> {
  if (seconds !== null) {
    const what = isFromNow ? "a number of seconds, or null" : CLOCK_TIME;
    checkSeconds(api, what, seconds);
  }
  checkCoroutine(api, body);
  checkOptions(api, options, TIMEOUT);
  const parent = here();
  const scope = nestedScope(parent, "timeout");
  if (seconds !== null) setDeadline(scope, isFromNow ? parent.loop.time() + seconds : seconds);
  try {
    const run = (): T | PromiseLike<T> => body(new Timeout(scope));
    return await openWithSignal(scope, parent, run, options?.signal);
  } catch (error) {
    if (!scope.owns(error)) throw error;
    const what = isFromNow && seconds !== null ? ` of ${formatSeconds(seconds)}` : "";
    const label = options?.label === undefined ? "" : ` for ${options.label}`;
    const message = `${api} cancelled the body: the deadline${what}${label} has passed`;
    throw new TimeoutError(message, { cause: error });
  }
}

/** What `moveOnAfter` gives: the value of the body, or that the deadline cut it off. */
export type Moved<T> =
  | { readonly cancelled: false; readonly value: T }
  | { readonly cancelled: true };

/**
 * `timeout` for work that may go unfinished: tells by its result whether `body` was cut off after
 * `seconds`. `null` or Infinity means no deadline; with 0 or less the first wait is cancelled.
 * Source: trio.move_on_after.
 *
 * @example
 * const slow = await asyncio.moveOnAfter(0.01, () => asyncio.sleep(3600, "slow"));
 * const fast = await asyncio.moveOnAfter(3600, async () => "fast");
 * assert.deepEqual([slow, fast], [{ cancelled: true }, { cancelled: false, value: "fast" }]);
 */
export async function moveOnAfter<T>(
  seconds: number | null,
  body: Coroutine<T>,
  options?: SignalOption,
): Promise<Moved<T>> {
  const api = "`moveOnAfter`";
  if (seconds !== null) checkSeconds(api, "a number of seconds, or null", seconds);
  checkCoroutine(api, body);
  checkOptions(api, options, SIGNAL);
  const parent = here();
  const scope = nestedScope(parent, "moveOnAfter");
  if (seconds !== null) setDeadline(scope, scope.loop.time() + seconds);
  try {
    const value = await openWithSignal(scope, parent, body, options?.signal);
    return { cancelled: false, value };
  } catch (error) {
    if (!scope.owns(error)) throw error;
    return { cancelled: true };
  }
}

/**
 * Runs `body` so that cancellations from outside do not reach it, for at most `seconds`: what a
 * `finally` block awaits. Gives what the body returns, undefined if the time was over before. Not
 * rejected by a pending cancellation: a cancelled task can clean up. The time ends waits of the
 * library; put a foreign promise into `cancellable`.
 *
 * @example
 * const log: string[] = [];
 * const task = asyncio.createTask(async () => {
 *   try {
 *     await asyncio.sleep(3600);
 *   } finally {
 *     await asyncio.cleanup(1, async () => log.push(await asyncio.sleep(0.001, "closed")));
 *   }
 * });
 * await asyncio.sleep(0);
 * task.cancel();
 * await assert.rejects(task, asyncio.CancelledError);
 * assert.deepEqual(log, ["closed"]);
 */
export async function cleanup<T>(seconds: number, body: Coroutine<T>): Promise<T | undefined> {
  checkSeconds("`cleanup`", "a number of seconds", seconds);
  checkCoroutine("`cleanup`", body);
  const parent = here();
  const scope = nestedScope(parent, "cleanup", { shield: true });
  setDeadline(scope, scope.loop.time() + seconds);
  try {
    return await openScope(scope, parent, body);
  } catch (error) {
    if (!scope.owns(error)) throw error;
    return undefined;
  }
}

/** What `new CancelScope` takes. */
export interface CancelScopeOptions extends SignalOption {
  /** Absolute, on the clock of the loop. @default Infinity */
  readonly deadline?: number | undefined;
  /** Keeps the cancellations of the scopes around it out of the body. @default false */
  readonly shield?: boolean | undefined;
  /** Seconds to clean up in after a cancellation. @default that of the loop */
  readonly cancelGrace?: number | undefined;
}

const KNOWN: Names<CancelScopeOptions> = {
  deadline: 1,
  shield: "boolean",
  cancelGrace: 1,
  signal: "AbortSignal",
};

/**
 * A region that can be cancelled from elsewhere. Single use. Source: trio.CancelScope.
 *
 * @example
 * const scope = new asyncio.CancelScope();
 * const [result] = await asyncio.gather(
 *   () => scope.run(() => asyncio.sleep(3600, "never")),
 *   async () => scope.cancel("changed my mind"),
 * );
 * assert.equal(result, undefined);
 * assert.ok(scope.cancelled);
 */
export class CancelScope {
  readonly #options: CancelScopeOptions;
  #deadline: number;
  /** Undefined until `run`. */
  #scope: Scope | undefined = undefined;
  /** The reason of a `cancel` that came before `run`. */
  #early: { readonly reason: unknown; readonly requestedBy: string | undefined } | undefined =
    undefined;
  #cancelled = false;

  constructor(options?: CancelScopeOptions) {
    const api = "`new CancelScope`";
    checkOptions(api, options, KNOWN);
    const { deadline = Number.POSITIVE_INFINITY, cancelGrace = 0 } = options ?? {};
    checkSeconds(api, "`deadline` in seconds on the clock of `loop.time()`", deadline);
    checkSeconds(api, "`cancelGrace` in seconds", cancelGrace);
    this.#options = options ?? {};
    this.#deadline = deadline;
  }

  /**
   * Runs `body` and gives what it returns; undefined if this scope was cancelled and that cut the
   * body off. Rejects with an InvalidStateError the second time.
   */
  async run<T>(body: Coroutine<T>): Promise<T | undefined> {
    checkCoroutine("`CancelScope.run`", body);
    if (this.#scope !== undefined)
      throw new InvalidStateError(
        `\`CancelScope.run\` was called twice${advice("A scope is for one body: make another")}`,
      );
    const { shield, cancelGrace, signal } = this.#options;
    const parent = here();
    const scope = nestedScope(parent, "cancel scope", { shield, cancelGrace });
    this.#scope = scope;
    setDeadline(scope, this.#deadline);
    if (this.#early !== undefined)
      scope.cancel(this.#early.reason, "cancel", this.#early.requestedBy);
    try {
      return await openWithSignal(scope, parent, body, signal);
    } catch (error) {
      const aborted = signal?.aborted === true && error === signal.reason;
      this.#cancelled = aborted || scope.owns(error);
      if (aborted || !this.#cancelled) throw error;
      return undefined;
    }
  }

  /**
   * Cancels every wait of the body; before `run`, the first. Does nothing once the body has ended.
   */
  cancel(reason?: unknown): void {
    const requestedBy = here().task?.getName();
    if (this.#scope !== undefined) this.#scope.cancel(reason, "cancel", requestedBy);
    else this.#early ??= { reason, requestedBy };
  }

  /** True once a cancellation was asked for, by `cancel`, the deadline, or the signal. */
  get cancelCalled(): boolean {
    return this.#scope?.cancelState.cancelCalled ?? this.#early !== undefined;
  }

  /** True once the scope has cut its body off, also where `run` then rejects, with an abort. */
  get cancelled(): boolean {
    return this.#cancelled;
  }

  get deadline(): number {
    return this.#deadline;
  }

  /** Moves the deadline: absolute, on the clock of the loop. */
  set deadline(when: number) {
    checkSeconds("`CancelScope.deadline`", "seconds on the clock of `loop.time()`", when);
    this.#deadline = when;
    if (this.#scope !== undefined) setDeadline(this.#scope, when);
  }
}
