/**
 * Parsing what is buffered, in one step: a message of several fields costs one awaited call, and
 * none of its fields does.
 *
 * A parser takes its fields in plain calls. Where something is not there yet, the call throws
 * `MORE`, which is no error: it leaves the parser, nothing has been taken, and the parser is called
 * again from its beginning when more has come. So a read that is cancelled between two attempts has
 * taken nothing either. For a large message that would be done with every chunk: there what comes
 * in the time of an attempt is read first, up to half as much again.
 */

import {
  advice,
  argumentError,
  checkOptions,
  InvalidStateError,
  rangeError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { isThenable } from "../errors/render.ts";
import { openScope } from "../kernel/operation.ts";
import { Scope } from "../kernel/scope.ts";
import { ignore } from "../kernel/settlers.ts";
import type { ByteBuffer } from "./byte-buffer.ts";
import {
  checkLimit,
  endOfLine,
  endOfText,
  find,
  LINE,
  type LimitOption,
  NO_OPTIONS,
  overrun,
  READING,
  type Search,
  type Separator,
  searchedIn,
  searchFor,
} from "./separators.ts";
import {
  type BytesOption,
  type EncodingOption,
  type PieceDecoders,
  pieceDecoders,
  TEXT,
  type TextOptions,
} from "./text.ts";

/** What the calls of a parser throw. No Error: its stack would cost more than the attempt. */
const MORE: unique symbol = Symbol("more bytes are needed: let this through");

/**
 * Bytes that are parsed anew with every chunk. More of them, and each byte of a large message would
 * be looked at too often.
 */
const SMALL = 65_536;

/**
 * How many bytes make another attempt worth while that found too little in `length`, if more are
 * about to come.
 */
export function worthwhile(length: number): number {
  return length < SMALL ? 0 : 1.5 * length;
}

/**
 * Calls `read`, and waits no longer than `seconds`, and a turn of the host; false if nothing has
 * come by then.
 */
export async function readSoon(
  parent: Scope,
  seconds: number,
  read: (scope: Scope) => Promise<boolean>,
): Promise<boolean> {
  const { loop, task, context } = parent;
  const cancelGrace = Number.POSITIVE_INFINITY; // it ends at once
  const scope = new Scope(loop, { label: "a look for more bytes", task, context, cancelGrace });
  const timerDue = (): void => scope.cancel("nothing has come");
  const timer = loop.addTimer(loop.time() + seconds, { timerDue });
  try {
    return await openScope(scope, parent, () => read(scope));
  } catch (error) {
    if (scope.owns(error)) return false;
    throw error;
  } finally {
    loop.cancelTimer(timer);
  }
}

/**
 * The options that were checked last, and what they gave. A parser has the same for all its calls,
 * and to check them costs more than a field (bench: Redis-like). None with a limit.
 */
let checked: TextOptions | undefined;
let checkedEncoding: string | undefined;
let checkedDecoders: PieceDecoders | undefined;

/** @throws TypeError, RangeError unless `options` are some of `names`, with an encoding. */
function decodersOf(
  api: string,
  options: (TextOptions & LimitOption) | undefined,
  names: Names<TextOptions>,
): PieceDecoders | undefined {
  if (options === undefined) return undefined;
  const isSame = options === checked && options.encoding === checkedEncoding;
  if (isSame && (options as LimitOption).limit === undefined) return checkedDecoders;
  checkOptions(api, options, names);
  const { encoding } = options;
  const decoders = encoding === undefined ? undefined : pieceDecoders(api, encoding);
  if ("limit" in options) return decoders;
  checked = options;
  checkedEncoding = encoding;
  checkedDecoders = decoders;
  return decoders;
}

/** Makes a message of what is buffered. */
export type Parser<T> = (input: ParserInput) => T;

/**
 * What is buffered, for the parser that was given to `reader.parse`. Its calls do not wait. Where
 * something is missing they throw, and the parser is called again from its beginning when more has
 * come: it must let that through, and must not change anything outside itself. Once it has
 * returned, each of them throws an InvalidStateError.
 */
export class ParserInput {
  readonly #buffer: ByteBuffer;
  #limit = 0;
  #isOpen = false;
  /** Bytes that this attempt has taken. */
  #at = 0;
  /**
   * Bytes that the buffer must hold before another attempt has a point; 0 unless something was
   * missing.
   */
  #needed = 0;

  /** @internal */
  constructor(buffer: ByteBuffer) {
    this.#buffer = buffer;
  }

  /** How many bytes are there that were not taken. */
  get length(): number {
    this.#checkOpen();
    return this.#buffer.length - this.#at;
  }

  /**
   * Takes a line with its "\n"; with `encoding` its text, without "\n" or "\r\n".
   * @throws LimitOverrunError when the line is longer than `limit`: a message that is too long
   * stays in the buffer.
   */
  readLine(options: LimitOption & EncodingOption): string;
  readLine(options?: LimitOption & BytesOption): Uint8Array;
  readLine(options?: LimitOption & TextOptions): Uint8Array | string {
    return this.#search("`input.readLine`", LINE, options);
  }

  /**
   * Takes what comes up to and with `separator`; with `encoding` the text before it.
   * @throws LimitOverrunError as `readLine` does.
   */
  readUntil(
    separator: Separator | readonly Separator[] | undefined,
    options: LimitOption & EncodingOption,
  ): string;
  readUntil(
    separator?: Separator | readonly Separator[],
    options?: LimitOption & BytesOption,
  ): Uint8Array;
  readUntil(
    separator?: Separator | readonly Separator[],
    options?: LimitOption & TextOptions,
  ): Uint8Array | string {
    const api = "`input.readUntil`";
    return this.#search(api, searchFor(api, separator), options);
  }

  /** Takes exactly `count` bytes; with `encoding` as text. */
  readExactly(count: number, options: EncodingOption): string;
  readExactly(count: number, options?: BytesOption): Uint8Array;
  readExactly(count: number, options?: TextOptions): Uint8Array | string {
    const api = "`input.readExactly`";
    const decoders = decodersOf(api, options, TEXT);
    const start = this.#skip(api, count);
    if (decoders === undefined) return this.#buffer.piece(start, this.#at);
    return this.#buffer.text(start, this.#at, decoders.others);
  }

  /** Takes exactly `count` bytes, and gives none of them. */
  skip(count: number): void {
    this.#skip("`input.skip`", count);
  }

  /** Takes one byte. */
  readByte(): number {
    this.#checkOpen();
    if (this.#at >= this.#buffer.length) this.#ask(this.#at + 1);
    return this.#buffer.at(this.#at++);
  }

  /**
   * Calls `parser` until nothing is left but the beginning of a message, and gives what it has
   * made: one message at least. A message that `parser` refuses is left to the next call, if there
   * are others before it.
   */
  all<T>(parser: Parser<T>): T[] {
    if (typeof parser !== "function") throw argumentError("`input.all`", "a function", parser);
    const messages: T[] = [this.#call("`input.all`", parser)];
    while (this.length > 0 && this.#needed === 0) {
      const start = this.#at;
      try {
        const message = this.#call("`input.all`", parser);
        if (this.#needed > 0) throw MORE; // the parser has caught it
        if (this.#at === start) break; // it takes nothing: that would not end
        messages.push(message);
      } catch {
        this.#at = start;
        this.#needed = 0;
        break;
      }
    }
    return messages;
  }

  /** @internal What the last attempt has made. */
  value: unknown = undefined;

  /**
   * @internal Calls `parser`. Gives how many bytes it has taken, or, negative, how many it needs at
   * least.
   */
  attempt(api: string, parser: Parser<unknown>, limit: number): number {
    this.#limit = limit;
    this.#at = this.#needed = 0;
    this.#isOpen = true;
    try {
      this.value = this.#call(api, parser);
    } catch (error) {
      if (this.#needed === 0) throw error;
    } finally {
      this.#isOpen = false;
    }
    return this.#needed > 0 ? -this.#needed : this.#at;
  }

  /**
   * @throws TypeError if `parser` is an async function, whether it has found all it wants or not.
   */
  #call<T>(api: string, parser: Parser<T>): T {
    const value = parser(this);
    if (!isThenable(value)) return value;
    value.then(undefined, ignore); // it may have met `MORE`
    this.#needed = 0;
    const cure = advice("It takes what is there, and is called again when there is more");
    throw argumentError(api, "a parser that is no async function", value, cure);
  }

  #search(api: string, search: Search, options?: LimitOption & TextOptions): Uint8Array | string {
    this.#checkOpen();
    const decoders = decodersOf(api, options, READING);
    const { limit = this.#limit } = options ?? NO_OPTIONS;
    if (limit !== this.#limit) checkLimit(api, limit);
    const buffer = this.#buffer;
    const start = this.#at;
    if (decoders !== undefined && search === LINE) {
      const newline = buffer.nearNewline(start, decoders.others);
      if (newline !== -1 && newline - start <= limit) {
        this.#at = newline + 1;
        return buffer.text(start, endOfLine(buffer, start, newline), decoders.others);
      }
    }
    const match = find(buffer, search, start);
    const consumed = match === undefined ? searchedIn(buffer, search, start) : match.start - start;
    if (consumed > limit) throw overrun(api, consumed, limit, match !== undefined);
    if (match === undefined) return this.#ask(buffer.length + 1);
    this.#at = match.end;
    if (decoders === undefined) return buffer.piece(start, match.end);
    return buffer.text(start, endOfText(buffer, search, match, start), decoders.others);
  }

  /** Gives where the bytes begin. */
  #skip(api: string, count: number): number {
    this.#checkOpen();
    if (typeof count !== "number") throw argumentError(api, "a number of bytes", count);
    if (!(Number.isInteger(count) && count >= 0))
      throw rangeError(api, "a number of bytes, 0 or more", count);
    const start = this.#at;
    if (start + count > this.#buffer.length) this.#ask(start + count);
    this.#at = start + count;
    return start;
  }

  #ask(needed: number): never {
    this.#needed = needed;
    throw MORE;
  }

  #checkOpen(): void {
    if (this.#isOpen) return;
    throw new InvalidStateError(
      `the input of a parser was used after the parser had ended${advice("Take from it in the parser alone")}`,
    );
  }
}
