/** What becomes of foreign work that ends after its caller has left. */

import { advice, argumentError, CancelledError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { isA } from "../errors/render.ts";
import { currentContext } from "../kernel/context.ts";
import { here, openScope } from "../kernel/operation.ts";
import { Scope } from "../kernel/scope.ts";
import { Task } from "../kernel/task.ts";
import { findCause } from "../structures/causes.ts";

/** Options of `cancellable`. */
export interface DiscardOption<T> {
  /**
   * Gets the value when it comes too late: the caller was cancelled, so nothing else will release
   * what the value stands for. May be async. It runs to its end, shielded from cancellations, in a
   * task of its own that the run waits for; a failure of it is reported to the exception handler.
   */
  readonly discard?: ((value: T) => unknown) | undefined;
}

export const DISCARD: Names<DiscardOption<unknown>> = { discard: 1 };

/** Throws unless `callback` is a function or undefined. */
export function checkCallback(api: string, name: string, callback: unknown): void {
  if (callback === undefined || typeof callback === "function") return;
  throw argumentError(api, `\`${name}\` to be a function`, callback);
}

/** What reports call the work that `start` starts. */
export function nameOfWork(start: { readonly name: string }): string {
  return start.name === "" ? "foreign work" : `foreign work ${start.name}`;
}

/** A value has come, and its caller has left. */
export function valueCameLate<T>(
  scope: Scope,
  name: string,
  value: T,
  discard: ((value: T) => unknown) | undefined,
): void {
  const { loop, task } = scope;
  if (discard !== undefined) {
    const body = () => discardShielded(name, value, discard);
    new Task(loop, body, { name: `discard of ${name}`, eagerStart: true });
  } else if (loop.debug && value !== undefined) {
    const message = `${name} has given a value after it was cancelled, and nobody will see it${advice("If it has to be released, pass `discard`")}`;
    loop.callExceptionHandler({ message, task });
  }
}

async function discardShielded<T>(
  name: string,
  value: T,
  discard: (value: T) => unknown,
): Promise<void> {
  const parent = here();
  const { loop, task } = parent;
  const scope = new Scope(loop, {
    label: "discard",
    task,
    context: currentContext(),
    shield: true,
  });
  try {
    await openScope(scope, parent, async () => discard(value));
  } catch (exception) {
    const message = `\`discard\` of ${name} has failed`;
    loop.callExceptionHandler({ message, exception, task });
  }
}

/**
 * Work has failed, and its caller has left: that is its answer to the abort. Debug mode shows what
 * does not look like one.
 */
export function failureCameLate({ loop, task }: Scope, api: string, exception: unknown): void {
  if (!loop.debug || isAnswerToAbort(exception)) return;
  const message = `work in ${api} has failed after it was told to abort`;
  loop.callExceptionHandler({ message, exception, task });
}

/**
 * Whether foreign work failed because it was told to: with our reason, or with an AbortError of its
 * own.
 */
function isAnswerToAbort(error: unknown): boolean {
  if (isA(error, Error) && error.name === "AbortError") return true;
  const isOurs = (cause: object): true | undefined => cause instanceof CancelledError || undefined;
  return findCause(error, isOurs) ?? false;
}
