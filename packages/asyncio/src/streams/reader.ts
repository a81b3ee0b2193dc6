/**
 * Reading: bytes, lines, and what comes before a separator, out of any ByteStream. The reader asks
 * the stream for a chunk when an operation needs one, and not before, so memory stays flat,
 * whichever side is slow.
 *
 * Here the arguments are checked, and what needs no wait is answered. The waits are in incoming.ts.
 */

import { argumentError, checkOptions, rangeError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { disposeOf } from "./dispose.ts";
import { Incoming, subjectOf, type Take } from "./incoming.ts";
import { iterate, iterateText, iteratorOf, resultOf } from "./iteration.ts";
import {
  itself,
  LINE_SUBJECT,
  type LineResult,
  lineAtHand,
  type MakeOfLine,
  resultAtHand,
  takeBytes,
  takeResult,
} from "./lines.ts";
import type { ByteStream } from "./network.ts";
import type { Parser } from "./parsing.ts";
import {
  checkLimit,
  DEFAULT_LIMIT,
  endOfText,
  find,
  LIMIT,
  LINE,
  type LimitOption,
  NO_OPTIONS,
  READING,
  type Search,
  type Separator,
  searchFor,
} from "./separators.ts";
import {
  type BytesOption,
  decoderFor,
  type EncodingOption,
  type PieceDecoders,
  pieceDecoders,
  TEXT,
  type TextOptions,
} from "./text.ts";

/** Options of every function that makes a StreamReader. */
export interface ReaderOptions {
  /** Bytes that may come before the end of a line, or another separator. @default 65,536 */
  readonly limit?: number | undefined;
}

export const READER: Names<ReaderOptions> = { limit: 1 };

const READ_LINE = "`reader.readLine`";

/**
 * Reads from a connection, a pipe, or any ByteStream. One task reads at a time. All reads are
 * checkpoints; cancelled, they leave the bytes in the buffer, for the next read. After an error of
 * the connection what has come before it can still be read; then every read rejects with it.
 * Source: asyncio.StreamReader.
 *
 * @example
 * const [near, far] = testing.memoryStreamPair();
 * const reader = new asyncio.StreamReader(far);
 * await near.write(new TextEncoder().encode("GET /\r\n\r\n"));
 * assert.equal(new TextDecoder().decode(await reader.readLine()), "GET /\r\n");
 */
export class StreamReader implements AsyncDisposable {
  /** Bytes that may come before a separator. */
  readonly limit: number;
  readonly #incoming: Incoming;
  /** True once text was read: a byte order mark is one no more. */
  #hasReadText = false;

  constructor(stream: ByteStream, options: ReaderOptions = {}) {
    checkOptions("`new StreamReader`", options, READER);
    const { limit = DEFAULT_LIMIT } = options;
    checkLimit("`new StreamReader`", limit);
    this.#incoming = new Incoming(stream);
    this.limit = limit;
  }

  /**
   * Waits until there are bytes, and gives at most `most` of them. An empty array means that the
   * stream has ended. Without an argument, or with -1, it reads to the end.
   */
  read(most = -1): Promise<Uint8Array> {
    const api = "`reader.read`";
    if (typeof most !== "number")
      return Promise.reject(argumentError(api, "a number of bytes", most));
    if (!(Number.isInteger(most) || most === Number.POSITIVE_INFINITY))
      return Promise.reject(rangeError(api, "a whole number of bytes, or Infinity", most));
    const scope = here();
    const incoming = this.#incoming;
    const stop = scope.interruption("StreamReader.read") ?? incoming.busy(scope, api);
    if (stop !== undefined) return stop;
    if (most < 0) return incoming.readToEnd(scope);
    const { buffered } = incoming;
    if (buffered > 0 || most === 0 || incoming.hasEnded)
      return completed(scope, "StreamReader.read", incoming.take(Math.min(buffered, most)));
    return incoming.readSome(scope, most);
  }

  /**
   * Reads exactly `count` bytes. `limit` does not apply: `count` may be larger.
   * @throws IncompleteReadError when the stream ends before; what there was is its `partial`, and
   * is taken.
   */
  readExactly(count: number): Promise<Uint8Array> {
    const api = "`reader.readExactly`";
    if (typeof count !== "number")
      return Promise.reject(argumentError(api, "a number of bytes", count));
    if (!(Number.isInteger(count) && count >= 0))
      return Promise.reject(rangeError(api, "a number of bytes, 0 or more", count));
    const scope = here();
    const incoming = this.#incoming;
    const stop = scope.interruption("StreamReader.readExactly") ?? incoming.busy(scope, api);
    if (stop !== undefined) return stop;
    if (incoming.buffered >= count)
      return completed(scope, "StreamReader.readExactly", incoming.take(count));
    return incoming.readExactly(scope, api, count);
  }

  /**
   * Reads a line, as bytes with its "\n". The last line may lack the "\n". At the end of the stream
   * the result is empty. With `encoding` it gives the text of the line, without "\n" or "\r\n", and
   * undefined at the end of the stream. A broken sequence of bytes becomes U+FFFD.
   * @throws LimitOverrunError when the line is longer than `limit`; the line is dropped, or as much
   * of it as has come.
   *
   * @example
   * const [near, far] = asyncio.connectionPair();
   * far.writer.write("GET /\r\nHost: localhost\r\n");
   * far.writer.close();
   * const lines: string[] = [];
   * const next = () => asyncio.timeout(5, () => near.reader.readLine({ encoding: "utf-8" }));
   * for (let line = await next(); line !== undefined; line = await next()) lines.push(line);
   * assert.deepEqual(lines, ["GET /", "Host: localhost"]);
   * near.writer.close();
   */
  readLine(options: LimitOption & EncodingOption): Promise<string | undefined>;
  readLine(options?: LimitOption & BytesOption): Promise<Uint8Array>;
  readLine(options?: LimitOption & TextOptions): Promise<Uint8Array | string | undefined> {
    if (options === undefined) return this.#search(READ_LINE, LINE, undefined, takeBytes);
    try {
      checkOptions(READ_LINE, options, READING);
      const { encoding, limit } = options;
      if (encoding === undefined) return this.#search(READ_LINE, LINE, limit, takeBytes);
      if (limit !== undefined) checkLimit(READ_LINE, limit);
      return this.#line(limit ?? this.limit, pieceDecoders(READ_LINE, encoding), itself);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Reads everything up to `separator`, and the separator with it. A separator is text or bytes. Of
   * several separators in an array, the one that ends first counts. The default is "\n". With
   * `encoding` it gives the text before the separator.
   * @throws IncompleteReadError when the stream ends before; what there was is its `partial`, and
   * is taken.
   * @throws LimitOverrunError when more than `limit` bytes come before; they stay in the buffer.
   */
  readUntil(
    separator: Separator | readonly Separator[] | undefined,
    options: LimitOption & EncodingOption,
  ): Promise<string>;
  readUntil(
    separator?: Separator | readonly Separator[],
    options?: LimitOption & BytesOption,
  ): Promise<Uint8Array>;
  readUntil(
    separator?: Separator | readonly Separator[],
    options?: LimitOption & TextOptions,
  ): Promise<Uint8Array | string> {
    const api = "`reader.readUntil`";
    try {
      checkOptions(api, options, READING);
      const { encoding, limit } = options ?? NO_OPTIONS;
      const search = searchFor(api, separator);
      if (encoding === undefined) return this.#search(api, search, limit, takeBytes);
      return this.#search(
        api,
        search,
        limit,
        this.#takeTextAs(pieceDecoders(api, encoding), search),
      );
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Reads a message with a function of yours. The function takes the fields of the message out of
   * the buffer, in plain calls without `await`. Where a call finds too few bytes, the function is
   * left, and is called again from its beginning when more have come. So it must not change
   * anything outside, and must not catch what those calls throw. The bytes are taken when the
   * function returns. If it throws, the call rejects with its error, and nothing is taken. Gives
   * undefined when the stream has ended and no bytes are left.
   *
   * This is faster than a read for each field, because bytes that are in the buffer cost no wait.
   * `input.all(parser)` gives all messages that have come.
   * @throws IncompleteReadError when the stream ends within a message; what there was is its
   * `partial`, and is taken.
   *
   * @example
   * // "2:on", "3:off", ...: a length, a colon, as many bytes
   * const word = (input: asyncio.ParserInput) => {
   *   const length = Number(input.readUntil(":", { encoding: "utf-8" }));
   *   return input.readExactly(length, { encoding: "utf-8" });
   * };
   * const reader = asyncio.readerFrom(["2:o", "n3:off"]);
   * assert.equal(await reader.parse(word), "on");
   * assert.equal(await reader.parse(word), "off");
   * assert.equal(await reader.parse(word), undefined);
   */
  parse<T>(parser: Parser<T>, options?: LimitOption): Promise<T | undefined> {
    const api = "`reader.parse`";
    const { limit = this.limit } = options ?? NO_OPTIONS;
    const scope = here();
    try {
      checkOptions(api, options, LIMIT);
      checkLimit(api, limit);
      if (typeof parser !== "function") throw argumentError(api, "a function", parser);
    } catch (error) {
      return Promise.reject(error);
    }
    const incoming = this.#incoming;
    const stop = scope.interruption("StreamReader.parse") ?? incoming.busy(scope, api);
    if (stop !== undefined) return stop;
    let needed = 1;
    if (incoming.buffered > 0) {
      try {
        needed = incoming.parseNow(scope, api, parser, limit);
        if (needed === 0) return completed(scope, "StreamReader.parse", incoming.parsed<T>());
      } catch (error) {
        return refused(scope, "StreamReader.parse", error);
      }
    }
    return incoming.parse(scope, api, parser, limit, needed);
  }

  /**
   * Waits until the peer has ended its side. This is for code that does other work and would not
   * notice the end. The end comes behind the bytes that were sent before it, so this reads ahead,
   * at most `limit` bytes. When so many bytes are in the buffer, it does not see the end until they
   * are read. Other reads may go on, and lose nothing. A checkpoint; any number of tasks may wait.
   *
   * A peer that has ended its side need not have gone: it may have sent all it had to say, and wait
   * for the answer (`writeEof`). Rejects when the connection is lost, as a read does.
   *
   * @example
   * const [client, server] = asyncio.connectionPair();
   * client.writer.write("the question\n");
   * const work = asyncio.createTask(() => asyncio.sleep(3600));
   * client.writer.close();
   * await server.reader.waitEof();
   * work.cancel("the client has left");
   * assert.equal(await server.reader.readLine({ encoding: "utf-8" }), "the question");
   * server.writer.close();
   */
  waitEof(options?: LimitOption): Promise<void> {
    const { limit = this.limit } = options ?? NO_OPTIONS;
    const subject = "StreamReader.waitEof";
    try {
      checkOptions("`reader.waitEof`", options, LIMIT);
      checkLimit("`reader.waitEof`", limit);
    } catch (error) {
      return Promise.reject(error);
    }
    const scope = here();
    const stop = scope.interruption(subject);
    if (stop !== undefined) return stop;
    if (this.#incoming.hasEnded) return completed(scope, subject, undefined);
    return this.#incoming.watchIn(scope).wait(scope, subject, limit);
  }

  /** True once a read has met the end of the stream and no bytes are left in the buffer. */
  atEof(): boolean {
    return this.#incoming.hasEnded && this.#incoming.buffered === 0;
  }

  /** Lines with their "\n", as bytes, until the end. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return iteratorOf(() => this.#search(READ_LINE, LINE, undefined, takeResult));
  }

  /**
   * Lines as text, without "\n" or "\r\n", until the end. A broken sequence of bytes becomes
   * U+FFFD. If a call of `next` is cancelled, for example by a deadline around it, it has taken
   * nothing. Go on with the same iterator.
   */
  lines(options: TextOptions & LimitOption = {}): AsyncIterableIterator<string> {
    checkOptions("`reader.lines`", options, READING);
    const { encoding = "utf-8", limit = this.limit } = options;
    checkLimit("`reader.lines`", limit);
    const decoders = pieceDecoders("`reader.lines`", encoding);
    const next = () => this.#resultAtHand(limit, decoders) ?? this.#line(limit, decoders, resultOf);
    return iteratorOf(next);
  }

  /**
   * The chunks as they come, until the end. With `encoding` they are text, and no character is cut
   * in two.
   */
  chunks(): AsyncIterableIterator<Uint8Array>;
  chunks(options: { readonly encoding: string }): AsyncIterableIterator<string>;
  chunks(options: TextOptions = {}): AsyncIterableIterator<Uint8Array | string> {
    checkOptions("`reader.chunks`", options, TEXT);
    const read = () => this.read(DEFAULT_LIMIT);
    if (options.encoding === undefined) return iterate(read);
    return iterateText(read, decoderFor("`reader.chunks`", options.encoding));
  }

  /**
   * Closes the stream that it reads from. For a connection that includes the writing side, which
   * first sends all that was written. A read that waits comes to the end. Bytes in the buffer can
   * still be read. Not a wait.
   */
  close(): void {
    this.#incoming.stream.close();
  }

  /**
   * Closes the stream, and waits until it is gone. If it is cancelled meanwhile, it rejects, and
   * bytes that have not left are dropped.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await disposeOf(this.#incoming.stream, "StreamReader");
  }

  /** @internal What it reads from. */
  get stream(): ByteStream {
    return this.#incoming.stream;
  }

  // --- for servers and for startTls

  /**
   * @internal Calls `listener` when the end comes, or the connection is lost, unless a read meets
   * that. Gives the way to stop it.
   */
  onEof(listener: () => void): () => void {
    return this.#incoming.watchIn(here()).listen(listener, this.limit);
  }

  /**
   * @internal Keeps all other code from reading until the function that it gives is called. Not
   * during a read.
   */
  reserve(api: string): () => void {
    return this.#incoming.reserve(api);
  }

  /** @internal Stops looking out for the end until what `reserve` gave is called. */
  async stopWatching(): Promise<void> {
    await this.#incoming.stopWatching();
  }

  /** @internal Takes what was read ahead: it belongs to what comes under TLS. */
  takeAhead(): Uint8Array {
    return this.#incoming.takeAll();
  }

  // --- searching

  #search<T>(api: string, search: Search, own: number | undefined, take: Take<T>): Promise<T> {
    const limit = own === undefined ? this.limit : own;
    const scope = here();
    try {
      checkLimit(api, limit);
    } catch (error) {
      return Promise.reject(error);
    }
    const incoming = this.#incoming;
    const subject = subjectOf(search);
    const stop = scope.interruption(subject) ?? incoming.busy(scope, api);
    if (stop !== undefined) return stop;
    return this.#searchIn(scope, api, search, limit, take);
  }

  #searchIn<T>(
    scope: Scope,
    api: string,
    search: Search,
    limit: number,
    take: Take<T>,
  ): Promise<T> {
    const incoming = this.#incoming;
    const match = find(incoming.buffer, search, 0);
    if (match !== undefined && match.start <= limit)
      return completed(scope, subjectOf(search), take(incoming, match));
    return incoming.readUntil(scope, api, search, limit, take);
  }

  /**
   * The next result of `lines`, if nothing but a line is to be seen to. Apart from `#line`, for the
   * engine compiles a function that is as short as this into the loop (bench: lines).
   */
  #resultAtHand(limit: number, decoders: PieceDecoders): Promise<LineResult> | undefined {
    const scope = here();
    if (!this.#hasReadText || scope.mayBeDue || scope.loop.isExact) return undefined;
    const line = this.#incoming.takeLine(limit, decoders.others);
    return line === undefined ? undefined : resultAtHand(scope, line);
  }

  /** Reads a line as text; what `make` makes of it is the result. Undefined is the end. */
  #line<T>(limit: number, decoders: PieceDecoders, make: MakeOfLine<T>): Promise<T> {
    const scope = here();
    const stop = scope.interruption(LINE_SUBJECT);
    if (stop !== undefined) return stop;
    const decoder = this.#hasReadText ? decoders.others : decoders.first;
    const line = this.#incoming.takeLine(limit, decoder);
    if (line === undefined) return this.#searchLine(scope, limit, decoders, make);
    this.#hasReadText = true;
    return lineAtHand(scope, make(line));
  }

  /** Apart from `#line`, for functions cost what is around them also where they are not made. */
  #searchLine<T>(
    scope: Scope,
    limit: number,
    decoders: PieceDecoders,
    make: MakeOfLine<T>,
  ): Promise<T> {
    const stop = this.#incoming.busy(scope, READ_LINE);
    if (stop !== undefined) return stop;
    const take = this.#takeTextAs(decoders, LINE);
    return this.#searchIn(scope, READ_LINE, LINE, limit, (incoming, match) =>
      make(incoming.buffered === 0 ? undefined : take(incoming, match)),
    );
  }

  #takeTextAs(decoders: PieceDecoders, search: Search): Take<string> {
    return (incoming, match) => {
      const { buffer } = incoming;
      const end = match === undefined ? buffer.length : endOfText(buffer, search, match, 0);
      const text = buffer.text(0, end, this.#hasReadText ? decoders.others : decoders.first);
      this.#hasReadText = true;
      incoming.drop(match?.end ?? buffer.length);
      return text;
    };
  }
}
