/**
 * The error classes that every part of the library throws, and the wording of every wrong argument.
 *
 * A class exists where a caller would react differently; it owns its wording, the call site passes
 * the variable parts. `code` is permanent, messages may change. `instanceof` is decided by a
 * registered symbol, so it also works when two copies of the package are loaded. How a cancellation
 * travels is in scope.ts.
 */

import { type AnyNames, complaintAbout } from "./options.ts";
import { isThenable, render, renderReason } from "./render.ts";

export { isThenable };

/**
 * Who asked for a cancellation: code (`cancel`), a clock, a failing sibling, the end of a run, an
 * abort, or the end of the scope itself.
 */
export type CancelSource = "cancel" | "deadline" | "group" | "shutdown" | "abort" | "closed";

/**
 * What a CancelledError tells. `scope` is the scope that was cancelled: only its own scope may
 * swallow the error.
 */
export interface CancelDetails {
  /** The scope that was cancelled. */
  readonly scope?: object | undefined;
  /** What `cancel` was given. */
  readonly reason?: unknown;
  /** Why it was cancelled. */
  readonly source?: CancelSource | undefined;
  /** The name of the task that asked for it. */
  readonly requestedBy?: string | undefined;
}

/**
 * @internal Gives `errorClass` its name, and an `instanceof` that recognises the instances of other
 * copies of this package.
 */
export function register(errorClass: abstract new (...args: never[]) => Error, name: string): void {
  const brand = Symbol.for(`asyncio-ts.${name}`);
  Object.defineProperty(errorClass.prototype, "name", {
    value: name,
    configurable: true,
    writable: true,
  });
  Object.defineProperty(errorClass.prototype, brand, { value: true });
  Object.defineProperty(errorClass, Symbol.hasInstance, {
    // A user's subclass inherits this function; for it only the prototype chain counts.
    value(this: unknown, value: unknown): boolean {
      if (this !== errorClass) return Function.prototype[Symbol.hasInstance].call(this, value);
      if (typeof value !== "object" || value === null) return false;
      try {
        return brand in value;
      } catch {
        return false; // a proxy
      }
    },
  });
}

/**
 * Ends a wait whose scope was cancelled. Let it pass: code that catches it to clean up has to
 * rethrow it. Source: CPython's asyncio.CancelledError, with the scope it came from as in Trio.
 */
export class CancelledError extends Error {
  readonly code = "ERR_ASYNCIO_CANCELLED";
  /**
   * Of a cancelled `writer.write` or `drain`: how many of its bytes have gone out. The rest is
   * buffered and follows.
   */
  declare readonly bytesWritten?: number;
  // Private, so that printing the error does not print the scope and all that hangs on it.
  readonly #details: CancelDetails;

  constructor(details: CancelDetails = {}, options?: ErrorOptions) {
    super(cancelMessage(details), options);
    this.#details = details;
  }

  /**
   * The scope that was cancelled. A scope swallows or converts the CancelledErrors that carry
   * itself, and no others.
   */
  get scope(): object | undefined {
    return this.#details.scope;
  }

  /** What was passed to `cancel(reason)`. */
  get reason(): unknown {
    return this.#details.reason;
  }

  /** Why the scope was cancelled. */
  get source(): CancelSource {
    return this.#details.source ?? "cancel";
  }

  /**
   * The name of the task that asked for the cancellation; undefined when it was a timer, a signal
   * or plain code.
   */
  get requestedBy(): string | undefined {
    return this.#details.requestedBy;
  }

  /** @internal The record that was delivered, for scopes that have to deliver it again. */
  static detailsOf(error: CancelledError): CancelDetails | undefined {
    return #details in error ? error.#details : undefined;
  }
}
register(CancelledError, "CancelledError");

const SOURCE_WORDS: Record<CancelSource, string> = {
  cancel: "cancelled",
  deadline: "cancelled because its deadline has passed",
  group: "cancelled because its task group is ending",
  shutdown: "cancelled because the run is shutting down",
  abort: "cancelled by an AbortSignal",
  closed: "cut off: the scope it was started in has ended before it",
};

// The latest message without a reason: cancelling many tasks makes many errors that say the same
// (bench: cancel).
let latest: { source: CancelSource; requestedBy: string | undefined; message: string } | undefined;

function cancelMessage({ source = "cancel", requestedBy, reason, scope }: CancelDetails): string {
  const { loop } = (scope ?? {}) as { readonly loop?: { readonly endedRun?: string } }; // a Scope
  if (source === "closed" && loop?.endedRun !== undefined)
    return `${SOURCE_WORDS.closed}: ${loop.endedRun} has ended`;
  if (reason === undefined && latest?.source === source && latest.requestedBy === requestedBy)
    return latest.message;
  const by = requestedBy === undefined ? "" : ` by task ${JSON.stringify(requestedBy)}`;
  const why = reason === undefined ? "" : `: ${renderReason(reason)}`;
  const message = SOURCE_WORDS[source] + by + why;
  if (reason === undefined) latest = { source, requestedBy, message };
  return message;
}

/** A deadline has passed. `cause` is the CancelledError that ended the work, if there was one. */
export class TimeoutError extends Error {
  readonly code = "ERR_ASYNCIO_TIMEOUT";
}
register(TimeoutError, "TimeoutError");

/**
 * The object is not in a state that allows the call: the order of calls is wrong.
 *
 * @example
 * const future = new asyncio.Future<number>();
 * future.setResult(1);
 * assert.throws(() => future.setResult(2), asyncio.InvalidStateError);
 */
export class InvalidStateError extends Error {
  readonly code = "ERR_ASYNCIO_INVALID_STATE";
}
register(InvalidStateError, "InvalidStateError");

/** A wrong argument: a TypeError that says what was expected, what came, and the `cure`. */
export function argumentError(
  api: string,
  expected: string,
  found: unknown,
  cure?: string,
): TypeError {
  return withCode(new TypeError(argumentMessage(api, expected, found, cure)));
}

/** An argument of the right type and an impossible value. */
export function rangeError(api: string, expected: string, found: unknown): RangeError {
  return withCode(new RangeError(argumentMessage(api, expected, found)));
}

function argumentMessage(api: string, expected: string, found: unknown, cure?: string): string {
  return `${api} expects ${expected}, got ${render(found)}${cure === undefined ? "" : `. ${cure}`}`;
}

function withCode<E extends Error>(error: E): E {
  return Object.assign(error, { code: "ERR_ASYNCIO_INVALID_ARGUMENT" });
}

/** Throws unless `options` is undefined, or an object that has no other options than `names`. */
export function checkOptions(api: string, options: unknown, names: AnyNames, cure?: string): void {
  if (options === undefined) return;
  const complaint = complaintAbout(api, options, names, cure);
  if (complaint !== undefined) throw withCode(new TypeError(complaint));
}

/** Throws unless `coroutine` can be called; a promise gets advice: it would be running already. */
export function checkCoroutine(api: string, coroutine: unknown): void {
  if (typeof coroutine === "function") return;
  if (isThenable(coroutine)) coroutine.then(undefined, () => {}); // the TypeError is enough
  const cure = isThenable(coroutine)
    ? "A promise is already running and could not be cancelled: pass `() => work()` instead of `work()`"
    : undefined;
  throw argumentError(api, "a function that returns a promise", coroutine, cure);
}

/** Throws unless `value` is a number that is not NaN. */
export function checkSeconds(api: string, what: string, value: unknown): asserts value is number {
  if (typeof value !== "number") throw argumentError(api, what, value);
  if (Number.isNaN(value)) throw rangeError(api, what, value);
}

/** Throws unless `value` is a whole number from `least` to `most`; Infinity is one of them. */
export function checkCount(
  api: string,
  what: string,
  value: unknown,
  least = 1,
  most: number = 1 / 0,
): void {
  const expected = `${what}, a whole number of ${least} or more`;
  if (typeof value !== "number") throw argumentError(api, expected, value);
  const isWhole = Number.isInteger(value) || value === 1 / 0;
  if (!isWhole || value < least || value > most) throw rangeError(api, expected, value);
}

/** Throws unless `value` is a number above 0, and no Infinity. */
export function checkAmount(api: string, what: string, value: unknown): void {
  if (typeof value !== "number") throw argumentError(api, `${what}, a number above 0`, value);
  if (!(value > 0 && value < 1 / 0)) throw rangeError(api, `${what}, a number above 0`, value);
}
