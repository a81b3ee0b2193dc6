/**
 * What debug mode finds of races: a value that was handed over, and that nobody will see.
 *
 *     await Promise.race([queue.get(), sleep(1)]);   // <- `get` waits on, and takes the next item
 *
 * Promise.race calls `then` of each of its promises with the same functions, which are the
 * engine's; a plain `await` does not call it. Races that a foreign promise decides, and promises
 * inside async functions, are not seen.
 */

import { isResolvingFunction } from "../errors/render.ts";
import { creationSites, waitHooks } from "../kernel/reports.ts";
import type { Wait } from "../kernel/wait.ts";

const decided: WeakSet<object> = new WeakSet(); // functions of races that are decided

/** From now on debug mode looks for them. */
export function watchLostValues(): void {
  waitHooks.add(reportLostValue);
}

/** Reports a value that goes to `wait` when that has lost a race. */
function reportLostValue(wait: Wait): void {
  whenLost(wait.promise, () => {
    if (!wait.handsOver) return;
    const { loop, task } = wait.scope;
    const message = `a value went to a wait that had lost a race, and nobody will see it: ${wait.describe()}. Use \`race\`, whose losers are cancelled`;
    const sourceTraceback = creationSites.get(wait);
    loop.callExceptionHandler({ message, task, sourceTraceback });
  });
}

/** Calls `lost` if `promise` gets a value when it has lost a race. */
function whenLost(promise: Promise<unknown>, lost: () => void): void {
  const then = promise.then.bind(promise);
  // biome-ignore lint/suspicious/noThenProperty: it is the `then` of a promise
  Object.defineProperty(promise, "then", {
    value: (onFulfilled: unknown, onRejected: unknown) => {
      if (!isResolvingFunction(onFulfilled)) return then(onFulfilled as never, onRejected as never);
      const decide = (value: unknown): unknown => {
        if (decided.has(onFulfilled)) lost();
        decided.add(onFulfilled);
        return onFulfilled(value); // `finally` needs what it returns
      };
      const fail = (error: unknown): unknown => {
        decided.add(onFulfilled);
        return (onRejected as (error: unknown) => unknown)(error); // as onFulfilled is
      };
      return then(decide, fail);
    },
  });
}
