/**
 * Races: several branches of one task, each in a scope of its own, so that a loser can be cancelled alone. Losers are
 * awaited: when the call settles, nothing of it runs any more. The branches are nested in the caller's scope, so a
 * cancellation from outside reaches them directly.
 */

import { openScope, pendAgain } from "../kernel/body.ts";
import { currentContext } from "../kernel/context-var.ts";
import {
  argumentError,
  CancelledError,
  checkCoroutine,
  checkIterable,
  checkSeconds,
  ExceptionGroup,
  rangeError,
} from "../kernel/errors.ts";
import { here } from "../kernel/here.ts";
import { park, Scope } from "../kernel/scope.ts";
import type { Coroutine } from "../kernel/task.ts";
import type { Wait } from "../kernel/wait.ts";
import { waitForBell } from "./bell.ts";

/** What `race` resolves to: what one of the thunks gives. */
export type Winner<A extends readonly Coroutine<unknown>[]> = A[number] extends () => PromiseLike<
  infer T
>
  ? Awaited<T>
  : never;

/** How a branch that counts ended. */
type Ending =
  | { readonly index: number; readonly value: unknown }
  | { readonly index: number; readonly error: unknown };

/**
 * The branches of one call. A branch that was cancelled because another one was first, or because the caller was cancelled,
 * does not count as an ending: if another branch has a value all the same, that is handed over, and the cancellation stays
 * pending (rule 6).
 */
class Branches {
  readonly #parent: Scope = here();
  readonly #label: string;
  readonly #branches: { readonly scope: Scope; isCancelled: boolean }[] = [];
  readonly #ends: Promise<void>[] = [];
  readonly #onEnd: (ending: Ending | undefined) => void;
  /** A cancellation of the caller that ended a branch. */
  outside: CancelledError | undefined = undefined;
  running = 0;

  /** `onEnd` is told how each branch ended; undefined if it was cancelled. */
  constructor(label: string, onEnd: (ending: Ending | undefined) => void) {
    this.#label = label;
    this.#onEnd = onEnd;
  }

  start(coroutine: Coroutine<unknown>): void {
    const index = this.#branches.length;
    const { loop, task } = this.#parent;
    const label = `a branch of ${this.#label}`;
    const scope = new Scope(loop, { label, task, context: currentContext() });
    const branch = { scope, isCancelled: false };
    this.#branches.push(branch);
    scope.addCancelHook(() => {
      branch.isCancelled = true;
    });
    this.running++;
    const end = openScope(scope, this.#parent, coroutine).then(
      (value) => this.#ended({ index, value }),
      (error) => this.#ended(this.#isCancelled(scope, error) ? undefined : { index, error }),
    );
    this.#ends.push(end);
  }

  /** Cancels the branches that run on, and waits for all. One that is cleaning up after a cancellation may take its time. */
  async cancelled(): Promise<void> {
    for (const { scope, isCancelled } of this.#branches) {
      if (!isCancelled) scope.cancel(undefined, "group");
    }
    await Promise.all(this.#ends);
  }

  reportLate(exception: unknown): void {
    const { loop, task } = this.#parent;
    if (exception instanceof CancelledError) return;
    const message = `a branch of ${this.#label} has failed after another one had won`;
    loop.callExceptionHandler({ message, exception, task });
  }

  #ended(ending: Ending | undefined): void {
    this.running--;
    this.#onEnd(ending);
  }

  #isCancelled(scope: Scope, error: unknown): boolean {
    if (!(error instanceof CancelledError)) return false;
    const from = error.scope;
    if (from === scope) return true;
    if (!(from instanceof Scope) || !scope.isInside(from)) return false; // of a task that it awaited
    this.outside ??= error;
    return true;
  }
}

/**
 * Runs all thunks side by side; the first to end wins, with its value or its failure. The others are cancelled and awaited
 * before the call settles. A loser that fails while it ends is reported to the exception handler. What Promise.race
 * leaves running, this does not.
 *
 * @example
 * const winner = await asyncio.race(() => asyncio.sleep(0.001, "fast"), () => asyncio.sleep(3600, "slow"));
 * assert.equal(winner, "fast");
 */
export async function race<A extends readonly Coroutine<unknown>[]>(
  ...thunks: A
): Promise<Winner<A>> {
  for (const thunk of thunks) checkCoroutine("`race`", thunk);
  if (thunks.length === 0)
    throw argumentError("`race`", "at least one function that returns a promise", undefined);
  const scope = here();
  const stop = scope.interruption("race");
  if (stop !== undefined) await stop;
  let first: Ending | undefined;
  let decide = (): void => {};
  const decided = new Promise<void>((resolve) => {
    decide = resolve;
  });
  const branches = new Branches("race", (ending) => {
    if (first === undefined) first = ending;
    else if (ending !== undefined && "error" in ending) branches.reportLate(ending.error);
    if (first !== undefined || branches.running === 0) decide();
  });
  for (const thunk of thunks) branches.start(thunk);
  await decided;
  await branches.cancelled();
  const winner = first as Ending | undefined; // set by the branches meanwhile
  if (winner === undefined) throw branches.outside;
  if (branches.outside !== undefined) pendAgain(branches.outside);
  if ("error" in winner) throw winner.error;
  return winner.value as Winner<A>; // a value of one of the thunks
}

/**
 * Starts the thunks one after the other, the next when the last has failed or `delay` seconds have gone by; the first to
 * succeed wins and the others are cancelled and awaited. Resolves to its value, its index, and the failures so far by
 * index. Rejects with an ExceptionGroup when all have failed. `delay` of null waits for failures only.
 * Source: asyncio.staggered, RFC 8305 (Happy Eyeballs).
 *
 * @example
 * const attempts = [
 *   async () => { throw new Error("refused"); },
 *   () => asyncio.sleep(0.001, "connected"),
 * ];
 * const [value, index, errors] = await asyncio.staggeredRace(attempts, 0.25);
 * assert.deepEqual([value, index, errors.length], ["connected", 1, 1]);
 */
export async function staggeredRace<T>(
  thunks: Iterable<Coroutine<T>>,
  delay: number | null,
): Promise<[value: T, index: number, errors: unknown[]]> {
  const attempts = checkIterable("`staggeredRace`", "a list of functions", thunks);
  for (const thunk of attempts) checkCoroutine("`staggeredRace`", thunk);
  if (attempts.length === 0) throw rangeError("`staggeredRace`", "at least one function", attempts);
  if (delay !== null) checkSeconds("`staggeredRace`", "a delay in seconds, or null", delay);
  const scope = here();
  const stop = scope.interruption("staggeredRace");
  if (stop !== undefined) await stop;

  let winner: Ending | undefined;
  const errors: unknown[] = [];
  let bell: Wait<void> | undefined;
  let started = 0;
  const branches = new Branches("staggeredRace", (ending) => {
    if (ending !== undefined && "value" in ending) winner ??= ending;
    else if (ending !== undefined && winner === undefined) errors[ending.index] = ending.error;
    else if (ending !== undefined) branches.reportLate(ending.error);
    // An old attempt that fails does not hurry the next one: the newest has its time.
    const isNewest = ending === undefined || ending.index === started - 1;
    if (winner !== undefined || isNewest || branches.running === 0) bell?.resume();
  });
  // A cancellation reaches the attempts directly. It does not end this wait: one that has succeeded meanwhile wins.
  const stay = (): false => false;
  while (winner === undefined && (started < attempts.length || branches.running > 0)) {
    if (bell?.cancellation !== undefined || branches.outside !== undefined) break;
    const attempt = attempts[started];
    if (attempt !== undefined) {
      started++;
      branches.start(attempt);
    }
    const isLast = started === attempts.length || delay === null;
    bell = park<void>(scope, "an attempt of staggeredRace to end", stay);
    await waitForBell(bell, isLast ? Number.POSITIVE_INFINITY : (delay as number)); // checked above
  }
  await branches.cancelled();
  const won = winner as Ending | undefined; // set by the branches meanwhile
  if (won !== undefined && "value" in won) {
    if (branches.outside !== undefined) pendAgain(branches.outside);
    return [won.value as T, won.index, errors]; // the thunks give Ts
  }
  const interruption = scope.interruption("staggeredRace");
  if (interruption !== undefined) await interruption;
  if (branches.outside !== undefined) throw branches.outside;
  throw new ExceptionGroup("every attempt of `staggeredRace` has failed", errors);
}
