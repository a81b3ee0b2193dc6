/** How the parts wait: each says what it does in two parts, for `select`, and waits by the same. */

import { completed, here, refused } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import type { Operation } from "../kernel/selectable.ts";
import type { OnCancel } from "../kernel/wait.ts";

/** What an operation gives that has nothing to give. */
export const DONE = { value: undefined } as const;

/**
 * Begins `operation` as a wait of its own. `handsOver`: what it gives would be lost with it.
 */
export function perform<T>(operation: Operation<T>, handsOver = false): Promise<Awaited<T>> {
  const scope = here();
  const { subject } = operation;
  const stop = scope.interruption(subject);
  if (stop !== undefined) return stop;
  try {
    const got = operation.attempt(scope);
    if (got !== undefined) return completed(scope, subject, got.value as Awaited<T>); // resolving awaits it
  } catch (error) {
    return refused(scope, subject, error);
  }
  const isPlain = operation.withdraw === undefined && operation.left === undefined;
  const wait = park<Awaited<T>>(scope, subject, isPlain ? undefined : leaving(operation));
  wait.handsOver = handsOver;
  operation.enlist(wait as never); // whoever serves it resolves it with a T
  return wait.promise;
}

/** Where it has to do more than to leave its line. */
function leaving<T>(operation: Operation<T>): OnCancel {
  return (wait) => {
    if (operation.withdraw === undefined) wait.list?.remove(wait);
    else operation.withdraw(wait);
    operation.left?.();
    return true;
  };
}

/** A loop: what `take` gives, until it fails with what `isEnd`. */
export function iterate<T>(
  take: () => Promise<T>,
  isEnd: (error: unknown) => boolean,
): AsyncIterableIterator<T> {
  const iterator: AsyncIterableIterator<T> = {
    async next() {
      try {
        return { done: false, value: await take() };
      } catch (error) {
        if (!isEnd(error)) throw error;
        return { done: true, value: undefined };
      }
    },
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}
