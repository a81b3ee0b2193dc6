/** Foreign promises inside scopes: the one place where the library meets work that it cannot cancel by itself. */

import { argumentError, CancelledError, checkCoroutine, isThenable } from "../kernel/errors.ts";
import { here } from "../kernel/here.ts";
import { park } from "../kernel/scope.ts";
import type { Wait } from "../kernel/wait.ts";
import { Aborting } from "./abort-signal.ts";

/**
 * Waits for foreign work and makes it cancellable: `start` gets a signal of its own. When the current scope is cancelled,
 * waiting stops at once and the signal aborts, with the CancelledError as its reason. What the work does after that is
 * no longer waited for, and its failure is taken as the answer to the abort; debug mode shows one that has another name.
 * On a virtual loop time holds still as long as it is waited for.
 *
 * @example
 * const work = (signal: AbortSignal) =>
 *   new Promise<void>((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
 * await assert.rejects(asyncio.timeout(0.01, () => asyncio.cancellable(work)), asyncio.TimeoutError);
 */
export async function cancellable<T>(start: (signal: AbortSignal) => PromiseLike<T>): Promise<T> {
  checkCoroutine("`cancellable`", start);
  const scope = here();
  const stop = scope.interruption("cancellable");
  if (stop !== undefined) await stop;
  const aborting = new Aborting(scope);
  const work = start(aborting.controller.signal);
  if (!isThenable(work)) throw argumentError("`cancellable`", "`start` to return a promise", work);
  const { loop } = scope;
  const subject = start.name === "" ? "foreign work" : `foreign work ${start.name}`;
  const wait: Wait<T> = park<T>(scope, subject, (_wait, cancellation) => {
    aborting.abort(cancellation);
    return true;
  });
  wait.holdTime();
  work.then(
    (value) => void wait.resume(value),
    (exception) => {
      if (wait.fail(exception) || !loop.debug || isAnswerToAbort(exception)) return;
      const message = "work in `cancellable` has failed after it was told to abort";
      loop.callExceptionHandler({ message, exception, task: scope.task });
    },
  );
  return await wait.promise;
}

/** Whether foreign work failed because it was told to: with our reason, or with an AbortError of its own. */
function isAnswerToAbort(error: unknown): boolean {
  return error instanceof CancelledError || (error instanceof Error && error.name === "AbortError");
}
