/** What reports tell of scopes and waits: branches that were cut off, and more in debug mode. */

import type { CancelledError } from "../errors/errors.ts";
import { formatSeconds } from "../structures/timers.ts";
import type { Ready } from "./gate.ts";
import type { EventLoop } from "./loop.ts";
import type { Scope } from "./scope.ts";
import type { Wait } from "./wait.ts";

/** In debug mode: where tasks and waits were made. A field would cost always (bench: memory). */
export const creationSites: WeakMap<object, string> = new WeakMap();

export function describeScope({ label, task }: Scope): string {
  if (task === undefined) return label;
  return label === "task" ? task.describe() : `${label} in ${task.describe()}`;
}

function report(message: string, { loop, task }: Scope, at?: object): void {
  const sourceTraceback = at && creationSites.get(at);
  loop.callExceptionHandler({ message, task, sourceTraceback });
}

/** Reports a scope that has outlived its grace period. */
export function reportInsisted(scope: Scope, grace: number): void {
  if (!scope.loop.debug) return;
  const [wait] = scope.parkedWaits(1);
  const where =
    wait === undefined
      ? "it sits in a foreign await, which cannot be cancelled. Wrap foreign work in `cancellable`"
      : `it swallowed the cancellation and is waiting for ${wait.describe()}. Every operation in it rejects from now on`;
  const message = `${describeScope(scope)} has not ended ${formatSeconds(grace)} after it was cancelled: ${where}`;
  report(message, scope, wait ?? scope.task);
}

/** Reports a step that has taken longer than `loop.slowCallbackDuration`. */
export function reportIfSlow(loop: EventLoop, { scope }: Ready, duration: number): void {
  if (duration <= loop.slowCallbackDuration) return;
  const task = scope?.task;
  const message = `a step of ${task?.describe() ?? "a callback"} held the loop for ${formatSeconds(duration)}`;
  loop.callExceptionHandler({ message, task });
}

/** What was cut off by the end of its scope, by wait and by error. "": it was reported. */
export const cutOperations: WeakMap<Wait | CancelledError, string> = new WeakMap();
/** Waits that own work. The host tells which were forgotten: their promises are not marked. */
export const leftToHost: WeakSet<Wait> = new WeakSet();

/** In debug mode, and in tests: reports the branches that wait in a scope that has ended. */
export function reportFloating(scope: Scope): void {
  if (!scope.loop.reportsFloating) return;
  for (const wait of scope.parkedWaits()) {
    cutOperations.set(wait, "");
    const message = `${describeScope(scope)} has ended, and a branch that nobody awaited was cut off while waiting for ${wait.describe()}`;
    report(message, scope, wait);
  }
}

/** A wait is about to be cut off: what it waits for may go away. */
export function describeCut(wait: Wait): void {
  if (!cutOperations.has(wait)) cutOperations.set(wait, wait.describe());
}

/** `error` ends a wait that was cut off. True if its promise is left to the host. */
export function noteCut(error: CancelledError, wait: Wait): boolean {
  cutOperations.set(error, cutOperations.get(wait) ?? "");
  return leftToHost.has(wait);
}

/** Promise.race gives all its promises one function: true when one of them has called it. */
const decided: WeakMap<object, boolean> = new WeakMap();

/**
 * Reports a value that goes to a wait which has lost a race: it is gone from its queue, and lost.
 *
 *     await Promise.race([queue.get(), sleep(1)]);   // <- `get` waits on, and takes the next item
 *
 * Promise.race calls `then` of each promise with a function of the engine; a plain `await` does
 * not. So a `then` of its own shows which waits stand in one race. Races that a foreign promise
 * decides, and waits inside async functions, are not seen.
 */
export function watchForLostValues(wait: Wait): void {
  const { promise } = wait;
  const then = promise.then.bind(promise);
  // biome-ignore lint/suspicious/noThenProperty: it is the `then` of a promise
  Object.defineProperty(promise, "then", {
    value: (onFulfilled: unknown, onRejected: unknown) => {
      if (!isResolvingFunction(onFulfilled)) return then(onFulfilled as never, onRejected as never);
      const decide = (value: unknown): unknown => {
        if (decided.get(onFulfilled) === true && wait.handsOver) reportLost(wait);
        decided.set(onFulfilled, true);
        return onFulfilled(value); // `finally` needs what it returns
      };
      const fail = (error: unknown): unknown => {
        decided.set(onFulfilled, true);
        return (onRejected as (error: unknown) => unknown)(error); // as onFulfilled is
      };
      return then(decide, fail);
    },
  });
}

function reportLost(wait: Wait): void {
  const message = `a value went to a wait that had lost a race, and nobody will see it: ${wait.describe()}. Use \`race\`, whose losers are cancelled`;
  report(message, wait.scope, wait);
}

/** Whether `fn` looks like a function of the engine that settles a promise: it has no source. */
export function isResolvingFunction(fn: unknown): fn is (outcome: unknown) => unknown {
  if (typeof fn !== "function" || fn.name !== "") return false;
  return Function.prototype.toString.call(fn).includes("[native code]");
}
