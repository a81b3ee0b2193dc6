/**
 * What the engine's promises show of races. Promise.race calls `then` of each of its promises with
 * the same functions, which are the engine's; a plain `await` does not call it.
 *
 *     await Promise.race([queue.get(), sleep(1)]);   // <- `get` waits on, and takes the next item
 *
 * Races that a foreign promise decides, and promises inside async functions, are not seen.
 */

const decided: WeakSet<object> = new WeakSet(); // functions of races that are decided

/** Calls `lost` if `promise` gets a value when it has lost a race. */
export function watchRaces(promise: Promise<unknown>, lost: () => void): void {
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

/** Whether `fn` looks like a function of the engine that settles a promise: it has no source. */
export function isResolvingFunction(fn: unknown): fn is (outcome: unknown) => unknown {
  if (typeof fn !== "function" || fn.name !== "") return false;
  return Function.prototype.toString.call(fn).includes("[native code]");
}
