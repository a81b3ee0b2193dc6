/**
 * How a cancelled wait rejects: in its turn, marked as handled. A stack costs more than the rest
 * (bench: cancel), so of many at a time the first have one, of their victim, the others a line.
 */

import { advice, CancelledError } from "../errors/errors.ts";
import { RingBuffer } from "../structures/ring-buffer.ts";
import type { Cancellation } from "./cancellation.ts";
import type { EventLoop } from "./loop.ts";
import { noteCut } from "./reports.ts";
import { ignore, type Settle, settled } from "./settlers.ts";
import type { Wait } from "./wait.ts";

const STACKS = 32; // in one burst
const LEFT_OUT = `\n    (stack left out${advice("Many others came just before it. Debug mode keeps all")})`;
let stacksLeft = STACKS;
const traced: RingBuffer<Wait> = new RingBuffer(); // of the `makeCancelled` that will run
let bare: Wait[] = []; // of the `rejectBare` that will run

/** Rejects `wait`, which was cancelled, two microtasks from now. */
export function rejectCancelled(wait: Wait, resolve: Settle): void {
  const { loop } = wait.scope;
  const isCut = wait.cancellation?.source === "closed"; // its report tells the place
  if (stacksLeft > 0 || isCut || loop.isExact) {
    if (!loop.isExact && !isCut && stacksLeft-- === STACKS) endBurst(loop);
    traced.push(wait);
    settled.then(makeCancelled).then(resolve, wait.reject);
  } else if (bare.push(wait) === 1) settled.then(ignore).then(rejectBare);
}

function endBurst(loop: EventLoop): void {
  loop.host.macrotask(() => {
    if (loop.isIdle) stacksLeft = STACKS;
    else endBurst(loop);
  });
}
// A reaction whose promise passes its error on to that of the wait: so the engine records the stack
// of the victim, not of the canceller, and never compiles a function that throws.
function makeCancelled(): never {
  throw errorFor(traced.shift(), true);
}
makeCancelled.prototype = CancelledError.prototype;
// One reaction for all of them, so they keep their order, and no stack is captured meanwhile.
function rejectBare(): void {
  const waits = bare;
  bare = [];
  const limit: unknown = Reflect.get(Error, "stackTraceLimit");
  Reflect.set(Error, "stackTraceLimit", 0); // does nothing where it is frozen
  waits.forEach((wait) => void wait.reject(errorFor(wait, false))); // a message never throws
  Reflect.set(Error, "stackTraceLimit", limit);
}

/** To `resolve` with it rejects, at once: so no future has to keep a `reject` (bench: memory). */
export const thrower = {
  outcome: undefined as unknown,
  // biome-ignore lint/suspicious/noThenProperty: the engine looks for one, and gets the outcome
  get then(): never {
    throw this.outcome;
  },
};
function errorFor(wait: Wait, hasStack: boolean): CancelledError {
  const details = wait.cancellation as Cancellation; // it was cancelled
  const cause = details.source === "abort" ? details.reason : wait.offer;
  const options = cause === undefined ? undefined : { cause };
  let error: CancelledError;
  if (hasStack) {
    // As if `makeCancelled` were its class: the stack begins above that one, captured once.
    error = Reflect.construct(CancelledError, [details, options], makeCancelled);
  } else {
    error = new CancelledError(details, options);
    if (Object.hasOwn(error, "stack")) error.stack = `CancelledError: ${error.message}${LEFT_OUT}`; // on Bun it would be enumerable
  }
  // Marked as handled now, with the stack captured: for that the engine follows single reactions.
  const isLeft = details.source === "closed" && noteCut(error, wait);
  if (!isLeft && wait.promise !== settled) wait.promise.then(undefined, ignore);
  details.scope.ownCancelState().undelivered--;
  return error;
}
