/** The errors of streams. */

import { advice, InvalidStateError, register } from "../errors/errors.ts";
import type { Scope } from "../kernel/scope.ts";

/** The stream ended before a read had all it was to have. */
export class IncompleteReadError extends Error {
  readonly code = "ERR_ASYNCIO_INCOMPLETE_READ";
  // Not enumerable: printing the error would print every byte.
  /** What there was. The read has taken it. */
  declare readonly partial: Uint8Array;
  /** How many bytes were wanted; undefined where a separator was. */
  readonly expected: number | undefined;

  constructor(api: string, partial: Uint8Array, expected?: number) {
    const wanted = expected === undefined ? "a separator" : `${expected} bytes`;
    super(`${api} expected ${wanted}, but the stream has ended after ${partial.length} bytes`);
    Object.defineProperty(this, "partial", { value: partial });
    this.expected = expected;
  }
}
register(IncompleteReadError, "IncompleteReadError");

/**
 * A line, or what comes before a separator, is longer than the limit.
 *
 * @example
 * const reader = asyncio.readerFrom("a long line\n", { limit: 5 });
 * await assert.rejects(reader.readLine(), asyncio.LimitOverrunError);
 */
export class LimitOverrunError extends Error {
  readonly code = "ERR_ASYNCIO_LIMIT_OVERRUN";
  /** Bytes that came before the separator, or have come so far without one. */
  readonly consumed: number;
  /** The limit, in bytes. */
  readonly limit: number;

  constructor(api: string, details: { consumed: number; limit: number; isFound: boolean }) {
    const { consumed, limit, isFound } = details;
    const found = isFound
      ? `the separator after ${consumed} bytes`
      : `no separator in ${consumed} bytes`;
    super(
      `${api} found ${found}, over the \`limit\` of ${limit}${advice("Pass a higher `limit` to this call, or where the reader is made")}`,
    );
    this.consumed = consumed;
    this.limit = limit;
  }
}
register(LimitOverrunError, "LimitOverrunError");

/** Two reads at once would share the bytes in no defined order. */
export function busyError(
  api: string,
  scope: Scope,
  reading: Scope,
  stream: string,
): InvalidStateError {
  return new InvalidStateError(
    `${api} was called by ${describeCaller(scope)} while ${describeCaller(reading)} is reading from ${stream}${advice("Let one task read")}`,
  );
}

/** The task of a scope in messages. */
export function describeCaller(scope: Scope): string {
  return scope.task?.describe() ?? "code outside every task";
}
