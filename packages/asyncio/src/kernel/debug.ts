/**
 * What is found out about scopes and waits: branches that were cut off, always; the rest in debug
 * mode.
 */

import { type CancelledError, InvalidStateError } from "../errors/errors.ts";
import { formatSeconds } from "../structures/timers.ts";
import type { Ready } from "./gate.ts";
import type { EventLoop } from "./loop.ts";
import type { Scope } from "./scope.ts";
import type { Wait } from "./wait.ts";

/**
 * In debug mode, and in tests: where tasks were created and operations called. Kept apart from
 * them, because a field costs all of them (bench: memory).
 */
export const creationSites: WeakMap<object, string> = new WeakMap();

/**
 * Reports a scope that has outlived its grace period: it has swallowed its cancellation, or cannot
 * see it.
 */
export function reportInsisted(scope: Scope, grace: number): void {
  const { loop, task } = scope;
  if (!loop.debug) return;
  const [wait] = scope.parkedWaits(1);
  const where =
    wait === undefined
      ? "it sits in a foreign await, which cannot be cancelled. Wrap foreign work in `cancellable`"
      : `it swallowed the cancellation and is waiting for ${wait.describe()}. Every operation in it rejects from now on`;
  loop.callExceptionHandler({
    message: `${describeScope(scope)} has not ended ${formatSeconds(grace)} after it was cancelled: ${where}`,
    task,
    sourceTraceback: (wait && creationSites.get(wait)) ?? task?.createdAt,
  });
}

/** Reports a step that has taken longer than `loop.slowCallbackDuration`. */
export function reportIfSlow(loop: EventLoop, { scope }: Ready, duration: number): void {
  if (duration <= loop.slowCallbackDuration) return;
  const task = scope?.task;
  const message = `a step of ${task?.describe() ?? "a callback"} held the loop for ${formatSeconds(duration)}`;
  loop.callExceptionHandler({ message, task });
}

/**
 * What a wait was for that was cut off with its scope: found out before what it waited for goes
 * away. "": it was reported.
 */
const cutOff: WeakMap<Wait, string> = new WeakMap();
/** The errors of such waits, and of operations that were begun after the end of their scope. */
const cutErrors: WeakMap<CancelledError, { readonly scope: Scope; readonly what: string }> =
  new WeakMap();
/**
 * Waits that were cut off and own work: whether their promise was forgotten is for the host to
 * tell, so it is not marked as handled.
 */
export const leftToHost: WeakSet<Wait> = new WeakSet();
/**
 * In debug mode: reports the branches that still wait in a scope that has ended, also those that
 * lost a race.
 */
export function reportFloating(scope: Scope): void {
  const { loop, task } = scope;
  if (!loop.reportsFloating) return;
  for (const wait of scope.parkedWaits()) {
    cutOff.set(wait, "");
    loop.callExceptionHandler({
      message: `${describeScope(scope)} has ended, and a branch that nobody awaited was cut off while waiting for ${wait.describe()}`,
      task,
      sourceTraceback: creationSites.get(wait),
    });
  }
}

/** A wait is about to be cut off. */
export function describeCut(wait: Wait): void {
  if (!cutOff.has(wait)) cutOff.set(wait, wait.describe());
}

/**
 * The wait was cut off with `scope`, and `error` is what it ends with. True iff its promise is left
 * to the host.
 */
export function noteCut(error: CancelledError, wait: Wait, scope: Scope): boolean {
  cutErrors.set(error, { scope, what: cutOff.get(wait) ?? wait.describe() });
  return leftToHost.has(wait);
}

/**
 * How the operation that `error` has ended was cut off; undefined if it was not, or if that was
 * reported.
 */
export function cutBehind(
  error: CancelledError,
): { readonly scope: Scope; readonly what: string } | undefined {
  const cut = cutErrors.get(error);
  return cut?.what === "" ? undefined : cut;
}

export function describeScope({ label, task }: Scope): string {
  if (task === undefined) return label;
  return label === "task" ? task.describe() : `${label} in ${task.describe()}`;
}

/**
 * Promise.race gives each of its promises the same function; true once one of them has called it.
 */
const decided: WeakMap<object, boolean> = new WeakMap();

/**
 * Reports a value that goes to a wait which has lost a race: it was taken from its queue, and
 * nobody will see it.
 *
 *     await Promise.race([queue.get(), sleep(1)]);   // <- `get` waits on, and takes the next item
 *
 * Promise.race and the like call `then` of the promises that they are given, with functions of the
 * engine's; a plain `await` does not. So a `then` of its own shows which waits stand in one race,
 * at no cost outside debug mode. Races that a foreign promise decides, and waits inside async
 * functions, are not seen.
 */
export function watchForLostValues(wait: Wait): void {
  const { promise, scope } = wait;
  const then = promise.then.bind(promise);
  // biome-ignore lint/suspicious/noThenProperty: it is the `then` of a promise
  Object.defineProperty(promise, "then", {
    value: (onFulfilled: unknown, onRejected: unknown) => {
      if (!isResolvingFunction(onFulfilled)) return then(onFulfilled as never, onRejected as never);
      const decide = (value: unknown): unknown => {
        if (decided.get(onFulfilled) === true && wait.handsOver) reportLost(wait, scope);
        decided.set(onFulfilled, true);
        return onFulfilled(value); // `finally` passes functions of the engine's too, and needs what they return
      };
      const fail = (error: unknown): unknown => {
        decided.set(onFulfilled, true);
        return (onRejected as (error: unknown) => unknown)(error); // the engine's own, as onFulfilled is
      };
      return then(decide, fail);
    },
  });
}

function reportLost(wait: Wait, { loop, task }: Scope): void {
  loop.callExceptionHandler({
    message: `a value went to a wait that had lost a race, and nobody will see it: ${wait.describe()}. Use \`race\`, whose losers are cancelled`,
    task,
    sourceTraceback: creationSites.get(wait),
  });
}

/**
 * Whether `fn` looks like a function with which the engine settles a promise: its source text is
 * not JavaScript.
 */
export function isResolvingFunction(fn: unknown): fn is (outcome: unknown) => unknown {
  if (typeof fn !== "function" || fn.name !== "") return false;
  return Function.prototype.toString.call(fn).includes("[native code]");
}

/** For tasks that would wait for each other for ever, in the order in which they do. */
export function cycleError(path: string[]): InvalidStateError {
  const [only] = path;
  if (path.length === 1)
    return new InvalidStateError(`task ${only} awaits itself, and would wait for ever`);
  return new InvalidStateError(
    `tasks await each other in a circle, and would wait for ever: ${[path.at(-1), ...path].join(" -> ")}`,
  );
}
