/** Deadlines that end in a PageError which says what took so long. */

import { type Timeout, TimeoutError, timeout } from "asyncio-ts";
import { PageError, type Phase } from "../contract/errors.ts";

/**
 * Runs `body`. When `seconds` have passed, it is cancelled; the phase of that moment is told.
 * @param options - `spent`: seconds of them that have passed before
 */
export async function within<T>(
  seconds: number,
  name: string,
  phase: () => Phase,
  body: () => Promise<T>,
  { signal, spent = 0 }: { signal?: AbortSignal | undefined; spent?: number } = {},
): Promise<T> {
  let deadline: Timeout | undefined;
  try {
    return await timeout(
      Math.max(seconds - spent, 0),
      (scope) => {
        deadline = scope;
        return body();
      },
      signal === undefined ? {} : { signal },
    );
  } catch (error) {
    // A TimeoutError of the caller's own function is the caller's.
    if (!(error instanceof TimeoutError) || deadline?.expired() !== true) throw error;
    const message = `\`${name}\` of ${seconds} s has passed in phase ${phase()}`;
    const details = { phase: phase(), limit: { name, value: seconds } };
    throw new PageError("timeout", message, details, { cause: error });
  }
}
