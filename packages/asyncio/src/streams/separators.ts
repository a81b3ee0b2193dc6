/**
 * What ends a line or another message, and how much may come before it. The end is a separator, or
 * that of several which ends first.
 */

import { argumentError, checkCount, rangeError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import type { ByteBuffer } from "./byte-buffer.ts";
import { encodeText, isBytes } from "./encode.ts";
import { LimitOverrunError } from "./errors.ts";
import type { TextOptions } from "./text.ts";

/** How much is buffered in search of an end. */
export interface LimitOption {
  /**
   * Bytes that may come before a separator; it does not count itself. @default that of the reader
   */
  readonly limit?: number | undefined;
}

export const LIMIT: Names<LimitOption> = { limit: 1 };
/** The options of reads that look for a separator. */
export const READING: Names<TextOptions & LimitOption> = { encoding: "string", limit: 1 };
/** Those of a call without any. */
export const NO_OPTIONS: TextOptions & LimitOption = {};

export const DEFAULT_LIMIT = 65_536;

/** @throws TypeError, RangeError unless `limit` is a number of bytes. */
export function checkLimit(api: string, limit: number): void {
  checkCount(api, "`limit` in bytes", limit);
}

/** Text, which is UTF-8, or bytes. */
export type Separator = string | Uint8Array;

/** Where a separator lies in the buffer. */
export interface Match {
  readonly start: number;
  readonly end: number;
}

/** What a read looks for. */
export interface Search {
  readonly separators: readonly Uint8Array[];
  /**
   * True if it is a line: the end of the stream ends it too, and one that is too long is dropped.
   */
  readonly isLine: boolean;
}

const NEWLINE: readonly Uint8Array[] = [new Uint8Array([10])];

export const LINE: Search = { separators: NEWLINE, isLine: true };

/**
 * @throws TypeError, RangeError unless it is text or bytes, or several of them, and none is empty.
 */
export function searchFor(
  api: string,
  separator: Separator | readonly Separator[] | undefined,
): Search {
  if (separator === undefined) return { separators: NEWLINE, isLine: false };
  const list = Array.isArray(separator) ? separator : [separator];
  const separators = list.map((one) => (typeof one === "string" ? encodeText(one) : one));
  if (!separators.every((one) => isBytes(one)))
    throw argumentError(api, "text or bytes, or an array of them", separator);
  if (separators.length === 0 || separators.some(({ length }) => length === 0))
    throw rangeError(api, "a separator of 1 byte or more", separator);
  return { separators, isLine: false };
}

/**
 * Bytes that are looked through first for several separators, of which one may be far away, or
 * nowhere.
 */
const FIRST_WINDOW = 256;

/** The separator that ends first, not before `from`; of those that end together the longest. */
export function find(buffer: ByteBuffer, search: Search, from: number): Match | undefined {
  const { length } = buffer;
  if (search.separators.length > 1)
    for (let window = FIRST_WINDOW; from + window < length; window *= 2) {
      const found = findBefore(buffer, search, from, from + window);
      if (found !== undefined) return found;
    }
  return findBefore(buffer, search, from, length);
}

/** The same among those that end before `to`. */
function findBefore(
  buffer: ByteBuffer,
  { separators }: Search,
  from: number,
  to: number,
): Match | undefined {
  let found: Match | undefined;
  for (const separator of separators) {
    const start = buffer.indexOf(separator, from, to);
    if (start === -1) continue;
    const end = start + separator.length;
    const isLonger = end === found?.end && start < found.start;
    if (found === undefined || end < found.end || isLonger) found = { start, end };
  }
  return found;
}

const CARRIAGE_RETURN = 13;

/** Where the text of what was found ends, that begins at `from`. */
export function endOfText(
  buffer: ByteBuffer,
  { isLine }: Search,
  { start }: Match,
  from: number,
): number {
  return isLine ? endOfLine(buffer, from, start) : start;
}

/** Where the text of a line ends, whose "\n" is at `newline`: it may end in "\r\n". */
export function endOfLine(buffer: ByteBuffer, from: number, newline: number): number {
  const isLonger = newline > from && buffer.at(newline - 1) === CARRIAGE_RETURN;
  return isLonger ? newline - 1 : newline;
}

/** How many bytes from `from` on hold no separator, and no beginning of one that may go on. */
export function searchedIn(buffer: ByteBuffer, { separators }: Search, from = 0): number {
  const longest = separators.reduce((most, { length }) => Math.max(most, length), 0);
  return Math.max(0, buffer.length - from - longest + 1);
}

/** `consumed` bytes came before the separator, or without one. */
export function overrun(
  api: string,
  consumed: number,
  limit: number,
  isFound: boolean,
): LimitOverrunError {
  return new LimitOverrunError(api, { consumed, limit, isFound });
}
