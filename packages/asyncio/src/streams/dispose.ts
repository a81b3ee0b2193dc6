/** The end of an `await using` block: what it owes to whoever left it, by whatever way. */

import { pendAgain } from "../kernel/body.ts";
import { CancelledError } from "../kernel/errors.ts";
import { here } from "../kernel/here.ts";
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
 * Closes, and waits until all has left. Nothing may be left open, so if it cannot wait that long it aborts, and what had not
 * left is lost. Then it has to reject with the cancellation, or the block would have succeeded; as closing by hand does.
 *
 * But a disposer does not see how its block was left. An error that it throws on top of another makes a SuppressedError of
 * both, by which no timeout and no group knows its own cancellation. So where a cancellation has been delivered already, it is
 * what the block is being left by, and nothing is thrown on top of it.
 */
export async function disposeOf(closable: Closable, subject: WaitSubject): Promise<void> {
  const scope = here();
  const isLeft = isLeftByCancellation(scope);
  if (scope.peekInterruption() !== undefined) {
    const isLoss = closable.unsent > 0;
    if (isLoss) closable.abort();
    else closable.close();
    if (isLoss && !isLeft) await scope.interruption(subject);
    return;
  }
  closable.close();
  try {
    await closable.waitClosed();
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
    closable.abort();
    if (!isLeft) throw error;
    pendAgain(error);
  }
}

/** True iff a cancellation of a scope around the running code has reached it, or the scope has ended without it. */
function isLeftByCancellation(start: Scope): boolean {
  for (let scope: Scope | undefined = start; scope !== undefined; scope = scope.parent) {
    if (scope.closed) return true;
    if (scope.cancelling() > 0 && !scope.hasDue) return true;
    if (scope.shield) return false;
  }
  return false;
}
