/** The end of an `await using` block over a stream. */

import { CancelledError } from "../errors/errors.ts";
import { here, makeDueAgain } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import type { WaitSubject } from "../kernel/wait.ts";

/** What is disposed of: a stream, or an endpoint. */
export interface Closable {
  /** How much was taken and has not left: what `abort` would drop. */
  readonly unsent: number;
  close(): void;
  abort(): void;
  waitClosed(): Promise<void>;
}

/**
 * Closes, and waits until all bytes have left. If it cannot wait that long, it aborts, because
 * nothing may be left open. Bytes that had not left are lost then. So it has to reject with the
 * cancellation: otherwise the block would seem to have succeeded.
 *
 * A disposer does not see how its block was left. If a cancellation leaves the block and we reject
 * too, the engine makes a SuppressedError of the two. Every scope knows that as a cancellation, but
 * code in between may look for the CancelledError itself. So we reject only where bytes are lost.
 */
export async function disposeOf(closable: Closable, subject: WaitSubject): Promise<void> {
  const scope = here();
  const isLeft = isLeftByCancellation(scope);
  if (scope.peekDue() !== undefined) {
    const isLoss = closable.unsent > 0;
    if (isLoss) closable.abort();
    else closable.close();
    if (isLoss) await scope.interruption(subject);
    return;
  }
  closable.close();
  try {
    await closable.waitClosed();
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
    const isLoss = closable.unsent > 0;
    closable.abort();
    if (!isLeft || isLoss) throw error;
    makeDueAgain(error);
  }
}

/**
 * True if a cancellation of a scope around the running code has reached it, or the scope has ended
 * without it.
 */
function isLeftByCancellation(start: Scope): boolean {
  for (let scope: Scope | undefined = start; scope !== undefined; scope = scope.parent) {
    if (scope.closed) return true;
    if (scope.cancelling() > 0 && scope.cancelState.due === undefined) return true;
    if (scope.shield) return false;
  }
  return false;
}
