/**
 * Races: several branches of one task, each in a scope of its own, so that a loser can be cancelled
 * alone. Losers are awaited: when the call settles, nothing of it runs any more. The branches are
 * nested in the caller's scope, so a cancellation from outside ends their waits directly. A branch
 * that has no wait at that moment (it sits in a shield or in a foreign await, or was just given a
 * value) hears of it at its next wait.
 */

import {
  advice,
  argumentError,
  CancelledError,
  checkCoroutine,
  checkOptions,
  checkSeconds,
  rangeError,
} from "../errors/errors.ts";
import { currentContext } from "../kernel/context.ts";
import { here, openScope } from "../kernel/operation.ts";
import { creationSites } from "../kernel/reports.ts";
import { park, Scope } from "../kernel/scope.ts";
import type { Coroutine } from "../kernel/task.ts";
import { Wait } from "../kernel/wait.ts";
import { waitForBell } from "./bell.ts";
import { ExceptionGroup } from "./exception-group.ts";
import { checkIterable } from "./iterables.ts";
import { SIGNAL, type SignalOption, underSignal } from "./timeouts.ts";

/** What `race` resolves to: what one of the thunks gives. */
export type Winner<A extends readonly Coroutine<unknown>[]> = A[number] extends () => infer T
  ? Awaited<T>
  : never;

/** How a branch that counts ended. */
type Ending =
  | { readonly index: number; readonly value: unknown }
  | { readonly index: number; readonly error: unknown };

interface Branch {
  readonly scope: Scope;
  /** True once it was cancelled, by the race or from outside. */
  isCancelled: boolean;
}

/**
 * The branches of one call, and the one wait that stands for the call: it ends when all of them
 * have. A branch that was cancelled because another one was first, or because the caller was
 * cancelled, does not count as an ending: if another branch has a value all the same, that is
 * handed over, and the cancellation stays pending (R6).
 */
class Branches {
  readonly #parent: Scope = here();
  readonly #label: string;
  readonly #branches: Branch[] = [];
  readonly #onEnd: (ending: Ending | undefined) => void;
  readonly #join: Wait<void>;
  /** The CancelledError of a branch that was cancelled from outside. */
  #outside: CancelledError | undefined = undefined;
  /** Set once no other branch will be started: tells whether there is something to hand over. */
  #hasOutcome: (() => boolean) | undefined = undefined;
  running = 0;

  /** `onEnd` is told how each branch ended; undefined if it was cancelled. */
  constructor(label: string, onEnd: (ending: Ending | undefined) => void) {
    this.#label = label;
    this.#onEnd = onEnd;
    this.#join = park<void>(this.#parent, `the branches of ${label}`, () => false);
    this.#join.isForeign = true; // all the branches may sit in foreign awaits
  }

  /** True once the caller was cancelled. */
  get isCancelled(): boolean {
    return this.#join.cancellation !== undefined || this.#outside !== undefined;
  }

  start(coroutine: Coroutine<unknown>): void {
    if (this.isCancelled) return; // by an earlier branch, in its first step
    const index = this.#branches.length;
    const { loop, task } = this.#parent;
    const label = `a branch of ${this.#label}`;
    const scope = new Scope(loop, { label, task, context: currentContext() });
    const branch = { scope, isCancelled: false };
    this.#branches.push(branch);
    scope.watch({
      cancelled() {
        branch.isCancelled = true;
      },
    });
    this.running++;
    openScope(scope, this.#parent, coroutine).then(
      (value) => this.#ended({ index, value }),
      (error) => this.#ended(this.#isCancellation(scope, error) ? undefined : { index, error }),
    );
  }

  /**
   * Cancels the branches that run on, except those that were cancelled before: they may take their
   * time.
   */
  cancelRest(): void {
    for (const { scope, isCancelled } of this.#branches) {
      if (!isCancelled) scope.cancel(undefined, "group");
    }
  }

  /**
   * Waits until all have ended. Rejects if the caller was cancelled, unless there is something to
   * hand over.
   */
  ended(hasOutcome: () => boolean): Promise<void> {
    this.#hasOutcome = hasOutcome;
    this.#settle();
    return this.#join.promise;
  }

  /**
   * Reports an ending that reaches no caller: a failure always, a value that may be missed in debug
   * mode.
   */
  reportLate(ending: Ending): void {
    const { loop, task } = this.#parent;
    const branch = `a branch of ${this.#label}`;
    if ("error" in ending) {
      const { error: exception } = ending;
      if (exception instanceof CancelledError) return;
      const when = this.isCancelled ? "the call was cancelled" : "another one had won";
      loop.callExceptionHandler({ message: `${branch} has failed after ${when}`, exception, task });
    } else if (loop.debug && mayBeMissed(ending.value)) {
      const held = isHeld(ending.value) ? ", and what it has to give back is still held" : "";
      loop.callExceptionHandler({
        message: `${branch} has given a value after another one had won: it is lost${held}${advice("Take in one branch only, or give it back there when it was too late")}`,
        task,
        sourceTraceback: creationSites.get(this.#join),
      });
    }
  }

  #ended(ending: Ending | undefined): void {
    this.running--;
    this.#onEnd(ending);
    this.#settle();
  }

  #settle(): void {
    if (this.running > 0 || this.#hasOutcome === undefined) return;
    if (this.#hasOutcome()) this.#join.resume();
    else if (this.#outside !== undefined) this.#join.fail(this.#outside);
    else this.#join.joined();
  }

  #isCancellation(scope: Scope, error: unknown): boolean {
    if (!(error instanceof CancelledError)) return false;
    const from = error.scope;
    if (from === scope) return true;
    if (!(from instanceof Scope) || !scope.isInside(from)) return false; // of a task that it awaited
    this.#outside ??= error;
    return true;
  }
}

/** Whether a value is more than the news that something has happened. */
function mayBeMissed(value: unknown): boolean {
  return value !== undefined && typeof value !== "boolean";
}

/** Whether it has to be given back: the guard of a lock, a connection. */
function isHeld(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Symbol.dispose in value || Symbol.asyncDispose in value;
}

/**
 * Runs all thunks side by side; the first to end wins, with its value or its failure. The others
 * are cancelled and awaited before the call settles. Takes them one by one, or as an array with
 * options. A loser that fails while it ends is reported to the exception handler. Promise.race
 * leaves the losers running; this does not.
 *
 * @example
 * const winner = await asyncio.race(() => asyncio.sleep(0.001, "fast"), () => asyncio.sleep(3600,
 * "slow")); assert.equal(winner, "fast");
 */
export function race<const A extends readonly Coroutine<unknown>[]>(
  thunks: A,
  options?: SignalOption,
): Promise<Winner<A>>;
export function race<A extends readonly Coroutine<unknown>[]>(...thunks: A): Promise<Winner<A>>;
export function race(...args: readonly unknown[]): Promise<unknown> {
  const [first, options] = args;
  if (!Array.isArray(first)) return raceAll(args as readonly Coroutine<unknown>[]);
  try {
    checkOptions("`race`", options, SIGNAL);
  } catch (error) {
    return Promise.reject(error);
  }
  const { signal } = (options ?? {}) as SignalOption;
  return underSignal("`race`", signal, () => raceAll(first as Coroutine<unknown>[]));
}

async function raceAll(thunks: readonly Coroutine<unknown>[]): Promise<unknown> {
  for (const thunk of thunks) checkCoroutine("`race`", thunk);
  if (thunks.length === 0)
    throw argumentError("`race`", "at least one function that returns a promise", undefined);
  const stop = here().interruption("race");
  if (stop !== undefined) await stop;
  let first: Ending | undefined;
  const branches = new Branches("race", (ending) => {
    if (ending === undefined) return;
    if (first !== undefined) return branches.reportLate(ending);
    first = ending;
    branches.cancelRest();
  });
  for (const thunk of thunks) branches.start(thunk);
  await branches.ended(() => first !== undefined);
  const winner = first as unknown as Ending; // set by a branch, else `ended` has rejected
  if ("error" in winner) throw winner.error;
  return winner.value;
}

/**
 * Starts the `thunks` one after the other, the next when the last has failed or `delay` seconds
 * have gone by; the first to succeed wins and the others are cancelled and awaited. Resolves to its
 * value, its index, and the failures so far by index. Rejects with an ExceptionGroup when all have
 * failed. `delay` of null waits for failures only. Source: asyncio.staggered, RFC 8305 (Happy
 * Eyeballs).
 *
 * @example
 * const attempts = [
 *   async () => { throw new Error("refused"); },
 *   () => asyncio.sleep(0.001, "connected"),
 * ];
 * const [value, index, errors] = await asyncio.staggeredRace(attempts, 0.25);
 * assert.deepEqual([value, index, errors.length], ["connected", 1, 1]);
 */
export function staggeredRace<T>(
  thunks: Iterable<Coroutine<T>>,
  delay: number | null,
): Promise<[value: T, index: number, errors: unknown[]]>;
export function staggeredRace<C extends Coroutine<unknown>>(
  thunks: Iterable<C>,
  delay: number | null,
): Promise<[value: Winner<readonly C[]>, index: number, errors: unknown[]]>;
export async function staggeredRace(
  thunks: Iterable<Coroutine<unknown>>,
  delay: number | null,
): Promise<[value: unknown, index: number, errors: unknown[]]> {
  const attempts = checkIterable("`staggeredRace`", "a list of functions", thunks);
  for (const thunk of attempts) checkCoroutine("`staggeredRace`", thunk);
  if (attempts.length === 0) throw rangeError("`staggeredRace`", "at least one function", attempts);
  if (delay !== null) checkSeconds("`staggeredRace`", "a delay in seconds, or null", delay);
  return await stagger(attempts, delay);
}

/** An array of attempts, or what makes each when its turn comes. */
interface Attempts<T> {
  readonly length: number;
  at(index: number): Coroutine<T> | undefined;
}

/**
 * `staggeredRace`, where `discard` gets the value of an attempt that another one has beaten in the
 * same step. Reports call it `label`.
 */
export async function stagger<T>(
  attempts: Attempts<T>,
  delay: number | null,
  discard?: (value: T) => void,
  label = "staggeredRace",
): Promise<[value: T, index: number, errors: unknown[]]> {
  const scope = here();
  const stop = scope.interruption(label);
  if (stop !== undefined) await stop;

  let winner: Ending | undefined;
  const errors: unknown[] = [];
  let bell: Wait<void> | undefined;
  let started = 0;
  const branches = new Branches(label, (ending) => {
    if (ending !== undefined && "value" in ending && winner === undefined) {
      winner = ending;
      branches.cancelRest();
    } else if (ending !== undefined && "value" in ending && discard !== undefined) {
      discard(ending.value as T); // the thunks give Ts
    } else if (ending !== undefined && (winner !== undefined || branches.isCancelled)) {
      branches.reportLate(ending);
    } else if (ending !== undefined && "error" in ending) errors[ending.index] = ending.error;
    // An old attempt that fails does not hurry the next one: the newest has its time.
    const isNewest = ending === undefined || ending.index === started - 1;
    if (winner !== undefined || isNewest || branches.running === 0) bell?.resume();
  });
  while (winner === undefined && !branches.isCancelled) {
    const attempt = started < attempts.length ? attempts.at(started) : undefined;
    if (attempt !== undefined) {
      started++;
      branches.start(attempt);
    } else if (branches.running === 0) break;
    const isLast = started === attempts.length || delay === null;
    // Not parked: the wait of the branches stands for the call, and hears of cancellations.
    bell = new Wait<void>(scope, `an attempt of ${label} to end`);
    await waitForBell(bell, isLast ? Number.POSITIVE_INFINITY : (delay as number)); // checked above
  }
  branches.cancelRest();
  await branches.ended(() => winner !== undefined);
  const won = winner as Ending | undefined; // set by the branches meanwhile
  if (won !== undefined && "value" in won) return [won.value as T, won.index, errors]; // the thunks give Ts
  throw new ExceptionGroup(`every attempt of \`${label}\` has failed`, errors);
}
