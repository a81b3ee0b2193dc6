/**
 * The functions that settle a promise, without a closure for each promise (bench: switch). One
 * executor leaves them here, and the code that has made a promise with it takes them at once.
 */

export type Settle = (outcome: unknown) => void;
/** Marks a rejection as handled: `promise.then(undefined, ignore)`. */
export const ignore: Settle = () => {};
/** To begin something in a microtask; also the promise of waits that have none. */
export const settled: Promise<never> = Promise.resolve() as Promise<never>;
/** Those of the promise that was made last, until they are forgotten. */
export const latest: { resolve: Settle; reject: Settle } = { resolve: ignore, reject: ignore };

/** For `new Promise(keepSettlers)`. */
export const keepSettlers = (resolve: (value: never) => void, reject: Settle): void => {
  latest.resolve = resolve as Settle; // the code that takes it knows the type
  latest.reject = reject;
};

/** They would keep the last promise, and what awaits it, alive. */
export function dropSettlers(): void {
  latest.resolve = latest.reject = ignore;
}
