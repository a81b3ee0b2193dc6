/**
 * Foreign promises inside scopes: the one place where the library meets work that it cannot cancel
 * by itself.
 */

import { argumentError, checkCoroutine, checkOptions } from "../errors/errors.ts";
import { isThenable } from "../errors/render.ts";
import { cancelIfDue } from "../kernel/delivery.ts";
import { here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import type { Wait } from "../kernel/wait.ts";
import { Aborting } from "./abort-signal.ts";
import {
  checkCallback,
  DISCARD,
  type DiscardOption,
  failureCameLate,
  nameOfWork,
  valueCameLate,
} from "./late.ts";

/**
 * Waits for foreign work and makes it cancellable: `start` gets a signal of its own. When the
 * current scope is cancelled, waiting stops at once and the signal aborts, with the CancelledError
 * as its reason. What the work does after that is no longer waited for. Its failure is taken as the
 * answer to the abort; debug mode shows one that does not look like it. A value that comes after
 * that goes to `discard`; without one debug mode reports it. On a virtual loop time holds still as
 * long as the work is waited for. Work that must have ended before the caller goes on is for
 * `joined`.
 *
 * @example
 * const work = (signal: AbortSignal) =>
 *   new Promise<void>((_resolve, reject) => signal.addEventListener("abort", () =>
 *   reject(signal.reason)));
 * await assert.rejects(asyncio.timeout(0.01, () => asyncio.cancellable(work)),
 * asyncio.TimeoutError);
 */
export async function cancellable<T>(
  start: (signal: AbortSignal) => PromiseLike<T>,
  options?: DiscardOption<T>,
): Promise<T> {
  checkCoroutine("`cancellable`", start);
  checkOptions("`cancellable`", options, DISCARD);
  const discard = options?.discard;
  checkCallback("`cancellable`", "discard", discard);
  const scope = here();
  const stop = scope.interruption("cancellable");
  if (stop !== undefined) await stop;
  const aborting = new Aborting(scope);
  const work = begin("`cancellable`", start, aborting);
  const name = nameOfWork(start);
  const wait: Wait<T> = park<T>(scope, name, (_wait, cancellation) => {
    aborting.abort(cancellation);
    return true;
  });
  wait.waitsOutside();
  cancelIfDue(wait as Wait); // `start` may have cancelled the scope
  work.then(
    (value) => {
      if (!wait.resume(value)) valueCameLate(scope, name, value, discard);
    },
    (error) => {
      if (!wait.fail(error)) failureCameLate(scope, "`cancellable`", error);
    },
  );
  return await wait.promise;
}

/** Starts the work. @throws TypeError if it is none. */
export function begin<T>(
  api: string,
  start: (signal: AbortSignal) => PromiseLike<T>,
  aborting: Aborting,
): PromiseLike<T> {
  const work = start(aborting.controller.signal);
  if (!isThenable(work)) throw argumentError(api, "`start` to return a promise", work);
  return work;
}
