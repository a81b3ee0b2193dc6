/**
 * Races: several branches of one task, each in a scope of its own, so that a loser can be cancelled alone. Losers are
 * awaited: when the call settles, nothing of it runs any more. The branches are nested in the caller's scope, so a
 * cancellation from outside reaches them directly.
 */

import { openScope } from "../kernel/body.ts";
import { currentContext } from "../kernel/context-var.ts";
import {
  argumentError,
  CancelledError,
  checkCoroutine,
  checkSeconds,
  ExceptionGroup,
  rangeError,
} from "../kernel/errors.ts";
import { here } from "../kernel/loop.ts";
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

/** How a branch ended: with a value, with a failure, or cancelled because another one was first. */
type Ending = { readonly index: number } & (
  | { readonly value: unknown }
  | { readonly error: unknown }
  | { readonly lost: true }
);

/** The branches of one call. */
class Branches {
  readonly #parent: Scope = here();
  readonly #label: string;
  readonly #scopes: Scope[] = [];
  readonly #endings: Promise<void>[] = [];
  readonly #onEnd: (ending: Ending) => void;

  constructor(label: string, onEnd: (ending: Ending) => void) {
    this.#label = label;
    this.#onEnd = onEnd;
  }

  start(coroutine: Coroutine<unknown>): void {
    const index = this.#scopes.length;
    const { loop, task } = this.#parent;
    const scope = new Scope(loop, {
      label: `a branch of ${this.#label}`,
      task,
      context: currentContext(),
    });
    this.#scopes.push(scope);
    const ending = openScope(scope, this.#parent, coroutine).then(
      (value) => this.#onEnd({ index, value }),
      (error) => this.#onEnd(scope.owns(error) ? { index, lost: true } : { index, error }),
    );
    this.#endings.push(ending);
  }

  /** Cancels the branches that have not ended, and waits for them. */
  async cancelAll(): Promise<void> {
    for (const scope of this.#scopes) scope.cancel(undefined, "group");
    await Promise.all(this.#endings);
  }

  reportLate(exception: unknown): void {
    const { loop, task } = this.#parent;
    if (exception instanceof CancelledError) return;
    loop.callExceptionHandler({
      message: `a branch of ${this.#label} has failed after another one had won`,
      exception,
      task,
    });
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
  let settleFirst: () => void = () => {};
  const firstEnded = new Promise<void>((resolve) => {
    settleFirst = resolve;
  });
  const branches = new Branches("race", (ending) => {
    if (first === undefined) first = ending;
    else if ("error" in ending) branches.reportLate(ending.error);
    settleFirst();
  });
  for (const thunk of thunks) branches.start(thunk);
  await firstEnded;
  await branches.cancelAll();
  const ending = first as unknown as Ending; // set before firstEnded settles
  if ("error" in ending) throw ending.error;
  return (ending as { value: Winner<A> }).value; // nothing cancels a branch before the first has ended
}

/**
 * Starts the thunks one after the other, the next when the last has failed or `delay` seconds have gone by; the first to
 * succeed wins and the others are cancelled and awaited. Resolves to its value, its index, and the failures so far by
 * index. Rejects with an ExceptionGroup when all have failed. `delay` of null waits for failures only.
 * Source: asyncio.staggered, RFC 8305 (Happy Eyeballs) (S152).
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
  const attempts = [...thunks];
  for (const thunk of attempts) checkCoroutine("`staggeredRace`", thunk);
  if (attempts.length === 0) throw rangeError("`staggeredRace`", "at least one function", attempts);
  if (delay !== null) checkSeconds("`staggeredRace`", "a delay in seconds, or null", delay);
  const scope = here();
  const stop = scope.interruption("staggeredRace");
  if (stop !== undefined) await stop;

  let winner: { readonly value: T; readonly index: number } | undefined;
  const errors: unknown[] = [];
  let running = 0;
  let bell: Wait<void> | undefined;
  const branches = new Branches("staggeredRace", (ending) => {
    running--;
    if ("value" in ending)
      winner ??= { value: ending.value as T, index: ending.index }; // the thunks give Ts
    else if ("error" in ending && winner === undefined) errors[ending.index] = ending.error;
    else if ("error" in ending) branches.reportLate(ending.error);
    bell?.resume();
  });
  try {
    for (let next = 0; winner === undefined && (next < attempts.length || running > 0); ) {
      const attempt = attempts[next];
      if (attempt !== undefined) {
        next++;
        running++;
        branches.start(attempt);
      }
      const isLast = next === attempts.length || delay === null;
      bell = park<void>(scope, "an attempt of staggeredRace to end");
      await waitForBell(bell, isLast ? Number.POSITIVE_INFINITY : (delay as number)); // checked above
    }
  } finally {
    await branches.cancelAll();
  }
  if (winner === undefined)
    throw new ExceptionGroup("every attempt of `staggeredRace` has failed", errors);
  return [winner.value, winner.index, errors];
}
