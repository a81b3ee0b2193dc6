/** Failures that nobody can be given. */

import { isThenable } from "../errors/render.ts";
import { here } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";

/** Tells the exception handler of the loop. */
export function report(message: string, exception?: unknown, place: Scope = here()): void {
  place.loop.callExceptionHandler({ message, exception, task: place.task });
}

/** Calls code of the program that is only told of something. What it throws is reported. */
export function tell(what: string, call: () => unknown): void {
  try {
    heed(what, call());
  } catch (exception) {
    report(`${what} has failed`, exception);
  }
}

/** Reports what the promise of such code rejects with: nobody else has that promise. */
export function heed(what: string, told: unknown): void {
  const place = here();
  const failed = (exception: unknown): void => report(`${what} has failed`, exception, place);
  if (isThenable(told)) told.then(undefined, failed);
}
