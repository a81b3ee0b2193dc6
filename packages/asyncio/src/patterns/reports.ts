/** Failures that nobody can be given. */

import { here } from "../kernel/operation.ts";

/** Tells the exception handler of the loop. */
export function report(message: string, exception?: unknown): void {
  const { loop, task } = here();
  loop.callExceptionHandler({ message, exception, task });
}

/** Calls code of the program that is only told of something. What it throws is reported. */
export function tell(what: string, call: () => unknown): void {
  try {
    call();
  } catch (exception) {
    report(`${what} has failed`, exception);
  }
}
