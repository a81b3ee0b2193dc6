/**
 * The error classes that every part of the library throws, and the wording of wrong arguments.
 *
 * A class exists where a caller would react differently. `code` is permanent, messages may change.
 * A registered symbol decides `instanceof`: so it works with two copies of the package.
 */

import { type Advice, adviceFor } from "./advice.ts";
import { type AnyNames, complaintAbout } from "./options.ts";
import { attempt, isThenable, render, renderReason } from "./render.ts";

/** Who asked: code, a clock, a failing sibling, the end of a run, a signal, a scope that ends. */
export type CancelSource = "cancel" | "deadline" | "group" | "shutdown" | "abort" | "closed";

/** What a CancelledError tells. */
export interface CancelDetails {
  /** The scope that was cancelled, which alone may swallow the error. */
  readonly scope?: object | undefined;
  /** What `cancel` was given. */
  readonly reason?: unknown;
  /** Why it was cancelled. */
  readonly source?: CancelSource | undefined;
  /** The name of the task that asked for it. */
  readonly requestedBy?: string | undefined;
}

/** @internal Gives `type` its name, and an `instanceof` for all copies of this package. */
export function register<C extends new (...a: never[]) => Error>(type: C, name: string): C {
  const brand = Symbol.for(`asyncio-ts.${name}`);
  Object.defineProperties(type.prototype, {
    name: { value: name, configurable: true, writable: true },
    [brand]: { value: true },
  });
  Object.defineProperty(type, Symbol.hasInstance, {
    // A user's subclass inherits this function; for it only the prototype chain counts.
    value(this: unknown, value: unknown): boolean {
      if (this !== type) return Function.prototype[Symbol.hasInstance].call(this, value);
      if (typeof value !== "object" || value === null) return false;
      return attempt(() => brand in value) === true; // a proxy may throw
    },
  });
  return type; // for the build (scripts/bundle.mjs)
}

/**
 * Ends a wait whose scope was cancelled. Code that catches it to clean up has to rethrow it.
 * Source: asyncio.CancelledError, with the scope it came from as in Trio.
 */
export class CancelledError extends Error {
  readonly code = "ERR_ASYNCIO_CANCELLED";
  /** Of a cancelled `writer.write` or `drain`: how many of its bytes have gone out by then. */
  declare readonly bytesWritten?: number;
  // Private: printing the error does not print all that hangs on the scope.
  readonly #details: CancelDetails;

  constructor(details: CancelDetails = {}, options?: ErrorOptions) {
    super(cancelMessage(details), options);
    this.#details = details;
  }

  /** The scope that was cancelled. No other scope swallows or converts the error. */
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
  /** The name of the task that asked for it; undefined for a timer, a signal or plain code. */
  get requestedBy(): string | undefined {
    return this.#details.requestedBy;
  }
  /** @internal The cancellation that was delivered. */
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

// The latest message without a reason, for many tasks that are cancelled (bench: cancel).
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
 * The state of the object does not allow the call: the order of calls is wrong.
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

/** An explanation, or what to do: ends a message. The production build puts "" for such a call. */
export const advice = (sentence: string): Advice => `. ${sentence}`;
/** A wrong argument: says what was expected, what came, and (`cure`) how to write it. */
export function argumentError(
  api: string,
  expected: string,
  found: unknown,
  cure: Advice = "",
): TypeError {
  return withCode(new TypeError(`${api} expects ${expected}, got ${render(found)}${cure}`));
}
/** An argument of the right type and an impossible value. */
export function rangeError(api: string, expected: string, found: unknown): RangeError {
  return withCode(new RangeError(argumentError(api, expected, found).message));
}
const withCode = <E extends Error>(error: E): E =>
  Object.assign(error, { code: "ERR_ASYNCIO_INVALID_ARGUMENT" });
/** Throws unless `options` is undefined, or an object that has no other options than `names`. */
export function checkOptions(api: string, options: unknown, names: AnyNames, cure?: Advice): void {
  const complaint = options === undefined ? "" : complaintAbout(options, names, cure);
  if (complaint !== "") throw withCode(new TypeError(`${api} ${complaint}`));
}

/** Throws unless `coroutine` can be called. */
export function checkCoroutine(api: string, coroutine: unknown): void {
  if (typeof coroutine === "function") return;
  const cure = advice(
    "A promise is already running and could not be cancelled: pass `() => work()` instead of `work()`",
  );
  const isPromise = isThenable(coroutine);
  if (isPromise) coroutine.then(undefined, () => {}); // our TypeError is enough
  throw argumentError(api, "a function that returns a promise", coroutine, isPromise ? cure : "");
}

/** Throws unless `value` is a string. */
export function checkText(api: string, what: string, value: unknown): asserts value is string {
  if (typeof value !== "string") throw argumentError(api, what, value, adviceFor(value, {}));
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
