/**
 * Reading: bytes, lines, and what comes before a separator, out of any ByteStream. The reader asks
 * the stream for a chunk when an operation needs one, and not before, so memory stays flat,
 * whichever side is slow.
 *
 * A chunk is put into the buffer in the step in which it comes, and an operation takes its bytes
 * when it has all of them: cancelled before that, it has taken none.
 */

import { argumentError, checkOptions, InvalidStateError, rangeError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { ignore } from "../structures/settlers.ts";
import { ByteBuffer } from "./byte-buffer.ts";
import { disposeOf } from "./dispose.ts";
import { EofWatch, type WatchedReader } from "./eof-watch.ts";
import { IncompleteReadError } from "./errors.ts";
import { iterate, iterateText } from "./iteration.ts";
import type { ByteStream } from "./network.ts";
import { type Parser, ParserInput, readSoon, worthwhile } from "./parsing.ts";
import {
  checkLimit,
  DEFAULT_LIMIT,
  endOfText,
  find,
  LIMIT,
  LINE,
  type LimitOption,
  type Match,
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
  decoderFor,
  type EncodingOption,
  pieceDecoders,
  TEXT,
  type TextOptions,
} from "./text.ts";

/** What everything takes that makes a StreamReader. */
export interface ReaderOptions {
  /** Bytes that may come before the end of a line, or another separator. @default 65,536 */
  readonly limit?: number | undefined;
}

export const READER: Names<ReaderOptions> = { limit: 1 };

/**
 * Takes the first bytes of the buffer, up to the separator `match`; it is undefined at the end of
 * the stream.
 */
type Take<T> = (match: Match | undefined) => T;

const NOTHING: Uint8Array = new Uint8Array(0);
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
  readonly #stream: ByteStream;
  readonly #buffer: ByteBuffer = new ByteBuffer();
  /** True once a read has met the end. */
  #hasEnded = false;
  /** True once text was read: a byte order mark is one no more. */
  #hasReadText = false;
  /**
   * Where the read that is under way, and may take several chunks, was called; undefined if there
   * is none.
   */
  #reading: Scope | undefined = undefined;
  /**
   * Reads under way that take what comes: one, but for those that the stream is about to refuse.
   */
  #readingSome = 0;
  /** Undefined until a task waits for the end. */
  #watch: EofWatch | undefined = undefined;
  #parserInput: ParserInput | undefined = undefined;

  constructor(stream: ByteStream, options: ReaderOptions = {}) {
    checkOptions("`new StreamReader`", options, READER);
    const { limit = DEFAULT_LIMIT } = options;
    checkLimit("`new StreamReader`", limit);
    this.#stream = stream;
    this.limit = limit;
  }

  /**
   * Waits until there are bytes and gives at most `most` of them; none if, and only if, the stream
   * has ended. Without an argument, or with -1, it reads to the end.
   */
  read(most = -1): Promise<Uint8Array> {
    const api = "`reader.read`";
    if (typeof most !== "number")
      return Promise.reject(argumentError(api, "a number of bytes", most));
    if (!(Number.isInteger(most) || most === Number.POSITIVE_INFINITY))
      return Promise.reject(rangeError(api, "a whole number of bytes, or Infinity", most));
    const scope = here();
    const stop = scope.interruption("StreamReader.read") ?? this.#busy(scope, api);
    if (stop !== undefined) return stop;
    if (most < 0) return this.#abandonable(this.#readToEnd(scope));
    const { length } = this.#buffer;
    if (length > 0 || most === 0 || this.#hasEnded)
      return completed(scope, "StreamReader.read", this.#take(Math.min(length, most)));
    if (this.#watch?.isPulling === true)
      return this.#abandonable(this.#readWatched(scope, this.#watch, most));
    return this.#readSome(most);
  }

  /**
   * Reads exactly `count` bytes, however many that are: `limit` does not count here.
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
    const stop = scope.interruption("StreamReader.readExactly") ?? this.#busy(scope, api);
    if (stop !== undefined) return stop;
    if (this.#buffer.length >= count)
      return completed(scope, "StreamReader.readExactly", this.#take(count));
    return this.#abandonable(this.#readExactly(scope, api, count));
  }

  /**
   * Reads a line, as bytes with its "\n"; the last one may lack it, and at the end of the stream
   * the line is empty. With `encoding` it gives the text of the line, without "\n" or "\r\n", and
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
    const api = "`reader.readLine`";
    if (options === undefined) return this.#search(api, LINE, undefined, this.#takeBytes);
    try {
      checkOptions(api, options, READING);
      const { encoding, limit } = options;
      if (encoding === undefined) return this.#search(api, LINE, limit, this.#takeBytes);
      return this.#search(api, LINE, limit, this.#takeLineAs(api, encoding));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Reads up to and with `separator`: text, bytes, or several of them, of which the one counts that
   * ends first; "\n" if it is left out. With `encoding` it gives the text before the separator.
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
      if (encoding === undefined) return this.#search(api, search, limit, this.#takeBytes);
      return this.#search(api, search, limit, this.#takeTextAs(api, encoding, search));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Reads a message by a function of yours, which makes it of what is buffered, in plain calls;
   * when the stream has ended, and nothing is left, it gives undefined. Where a call of the parser
   * finds too little, the parser is left, and called again from its beginning when more has come.
   * So it must not change anything outside, and must not catch what those calls throw. What it has
   * taken is taken when it returns. If it throws, the call rejects with that, and nothing is taken.
   *
   * Faster than a read for each field: what is buffered costs no wait. `input.all(parser)` gives
   * all messages that are there.
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
    const stop = scope.interruption("StreamReader.parse") ?? this.#busy(scope, api);
    if (stop !== undefined) return stop;
    let needed = 1;
    if (this.#buffer.length > 0) {
      this.#reading = scope; // the parser must not read
      try {
        const taken = this.#attempt(api, parser, limit);
        if (taken >= 0) return completed(scope, "StreamReader.parse", this.#parsed<T>(taken));
        needed = -taken;
      } catch (error) {
        return refused(scope, "StreamReader.parse", error);
      } finally {
        this.#reading = undefined;
        this.#watch?.look();
      }
    }
    return this.#abandonable(this.#parse(scope, api, parser, limit, needed));
  }

  /**
   * Waits until the peer has ended its side, for code that works and would not notice that
   * otherwise. The end comes behind what was sent before it. So this reads ahead, at most `limit`
   * bytes; when so many wait to be read, it sees no further until somebody reads them. Reads may go
   * on meanwhile, and nothing is taken from them. A checkpoint; any number of tasks may wait.
   *
   * That a peer has ended its side need not mean that it has gone: it may have said all, and wait
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
    if (this.#hasEnded) return completed(scope, subject, undefined);
    return this.#watchIn(scope).wait(scope, subject, limit);
  }

  /**
   * Whether the end has been read: true once a read has met it, and nothing is left in the buffer.
   */
  atEof(): boolean {
    return this.#hasEnded && this.#buffer.length === 0;
  }

  /** Lines with their "\n", as bytes, until the end. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return iterate(() => this.readLine());
  }

  /**
   * Lines as text, without "\n" or "\r\n", until the end. A broken sequence of bytes becomes
   * U+FFFD. A call of `next` that is cancelled, by a deadline around it for example, has taken
   * nothing: go on with the same iterator.
   */
  lines(options: TextOptions & LimitOption = {}): AsyncIterableIterator<string> {
    checkOptions("`reader.lines`", options, READING);
    const { encoding = "utf-8", limit } = options;
    pieceDecoders("`reader.lines`", encoding);
    return iterate(() => this.readLine({ encoding, limit }));
  }

  /**
   * What comes, in chunks as they come, until the end; with `encoding` as text, whose characters
   * are never cut.
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
   * Reads no more: closes what it reads from, with a connection also the writing side (after all
   * that was written has left). A read that waits comes to the end. What is in the buffer can still
   * be read. Not a wait.
   */
  close(): void {
    this.#stream.close();
  }

  /**
   * Closes, and waits until what it reads from is gone. Cancelled meanwhile it rejects, and what
   * has not left is dropped.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await disposeOf(this.#stream, "StreamReader");
  }

  /** @internal What it reads from. */
  get stream(): ByteStream {
    return this.#stream;
  }

  // --- for servers and for startTls

  /**
   * @internal Calls `listener` when the end comes, or the connection is lost, unless a read meets
   * that. Gives the way to stop it.
   */
  onEof(listener: () => void): () => void {
    return this.#watchIn(here()).listen(listener, this.limit);
  }

  /**
   * @internal Keeps all other code from reading until the function that it gives is called. Not
   * during a read.
   */
  reserve(api: string): () => void {
    const busy = this.#reading;
    if (busy !== undefined) throw this.#busyError(here(), busy, api);
    this.#reading = here();
    return () => {
      this.#reading = undefined;
      this.#watch?.resume();
    };
  }

  /** @internal Stops looking out for the end until what `reserve` gave is called. */
  async stopWatching(): Promise<void> {
    await this.#watch?.suspend();
  }

  /** @internal Takes what was read ahead: it belongs to what comes under TLS. */
  takeAhead(): Uint8Array {
    return this.#takeAll();
  }

  // --- waiting

  /**
   * What a read makes of the chunk that it has waited for. One for all reads, and no async function
   * (bench: echo).
   */
  #chunkArrived: ((chunk: Uint8Array | undefined) => Uint8Array) | undefined = undefined;

  /** The promise of the read that waits. Not kept longer: it would keep its bytes. */
  #promise: Promise<unknown> | undefined = undefined;
  #failing: ((error: unknown) => never) | undefined = undefined;

  /**
   * An abandoned wait never crashes the process, so its promise is marked as handled. Just before
   * it is rejected and not earlier: the engine follows promises with one reaction only, and the
   * stack of a cancellation would end here.
   */
  #abandonable<T>(promise: Promise<T>): Promise<T> {
    this.#promise = promise;
    return promise;
  }

  /** What a pull makes of its chunk. */
  #kept: ((chunk: Uint8Array | undefined) => boolean) | undefined = undefined;

  /**
   * The buffer is empty: what comes is the answer, and the stream itself lets one read wait at a
   * time.
   */
  #readSome(most: number): Promise<Uint8Array> {
    this.#chunkArrived ??= (chunk) => {
      this.#readingSome--;
      this.#promise = undefined;
      this.#hasEnded = chunk === undefined;
      this.#watch?.readEnded();
      return chunk ?? NOTHING;
    };
    this.#failing ??= (error) => {
      this.#readingSome--;
      this.#promise?.catch(ignore);
      this.#watch?.readEnded(error);
      throw error;
    };
    const other = this.#promise;
    this.#readingSome++;
    const promise = this.#stream.read(most).then(this.#chunkArrived, this.#failing);
    if (other !== undefined) {
      // One of the two is refused, or was cancelled just now; there is one place for promises that
      // are to be marked.
      other.catch(ignore);
      promise.catch(ignore);
    }
    return this.#abandonable(promise);
  }

  /** A chunk is under way already, because a task waits for the end. */
  async #readWatched(scope: Scope, watch: EofWatch, most: number): Promise<Uint8Array> {
    this.#reading = scope;
    try {
      await watch.next(scope, "StreamReader.read");
      this.#readEnded();
      return this.#take(Math.min(this.#buffer.length, most));
    } catch (error) {
      throw this.#readFailed(error);
    }
  }

  async #readToEnd(scope: Scope): Promise<Uint8Array> {
    this.#reading = scope;
    try {
      while (await this.#pull(scope, "StreamReader.read"));
      this.#readEnded();
      return this.#takeAll();
    } catch (error) {
      throw this.#readFailed(error);
    }
  }

  async #readExactly(scope: Scope, api: string, count: number): Promise<Uint8Array> {
    this.#reading = scope;
    try {
      while (this.#buffer.length < count)
        if (!(await this.#pull(scope, "StreamReader.readExactly")))
          throw new IncompleteReadError(api, this.#takeAll(), count);
      this.#readEnded();
      return this.#take(count);
    } catch (error) {
      throw this.#readFailed(error);
    }
  }

  #search<T>(api: string, search: Search, own: number | undefined, take: Take<T>): Promise<T> {
    const limit = own ?? this.limit;
    const scope = here();
    try {
      checkLimit(api, limit);
    } catch (error) {
      return Promise.reject(error);
    }
    const subject = search.isLine ? "StreamReader.readLine" : "StreamReader.readUntil";
    const stop = scope.interruption(subject) ?? this.#busy(scope, api);
    if (stop !== undefined) return stop;
    const match = find(this.#buffer, search, 0);
    if (match !== undefined && match.start <= limit) return completed(scope, subject, take(match));
    return this.#abandonable(this.#readUntil(scope, api, search, limit, take));
  }

  async #readUntil<T>(
    scope: Scope,
    api: string,
    search: Search,
    limit: number,
    take: Take<T>,
  ): Promise<T> {
    this.#reading = scope;
    const subject = search.isLine ? "StreamReader.readLine" : "StreamReader.readUntil";
    try {
      for (let searched = 0; ; ) {
        const match = find(this.#buffer, search, searched);
        if (match !== undefined && match.start <= limit) {
          this.#readEnded();
          return take(match);
        }
        searched = searchedIn(this.#buffer, search);
        if (match !== undefined || searched > limit) {
          if (search.isLine) this.#dropLine(match);
          throw overrun(api, match?.start ?? searched, limit, match !== undefined);
        }
        if (await this.#pull(scope, subject)) continue;
        if (!search.isLine) throw new IncompleteReadError(api, this.#takeAll());
        this.#readEnded();
        return take(undefined);
      }
    } catch (error) {
      throw this.#readFailed(error);
    }
  }

  async #parse<T>(
    scope: Scope,
    api: string,
    parser: Parser<T>,
    limit: number,
    atFirst: number,
  ): Promise<T | undefined> {
    this.#reading = scope;
    const pull = (inside: Scope) => this.#pull(inside, "StreamReader.parse");
    try {
      for (let needed = atFirst, enough = 0, seconds = 0; ; ) {
        while (this.#buffer.length < needed) {
          if (await pull(scope)) continue;
          if (this.#buffer.length > 0) throw new IncompleteReadError(api, this.#takeAll(), needed);
          this.#readEnded();
          return undefined;
        }
        while (this.#buffer.length < enough && (await readSoon(scope, seconds, pull)));
        const start = scope.loop.time();
        const taken = this.#attempt(api, parser, limit);
        if (taken >= 0) {
          this.#readEnded();
          return this.#parsed<T>(taken);
        }
        needed = -taken;
        enough = worthwhile(this.#buffer.length);
        seconds = scope.loop.time() - start;
      }
    } catch (error) {
      throw this.#readFailed(error);
    }
  }

  #attempt(api: string, parser: Parser<unknown>, limit: number): number {
    this.#parserInput ??= new ParserInput(this.#buffer);
    return this.#parserInput.attempt(api, parser, limit);
  }

  #parsed<T>(taken: number): T {
    const input = this.#parserInput as ParserInput; // it has parsed
    const { value } = input;
    input.value = undefined;
    this.#drop(taken);
    return value as T; // of the parser
  }

  /** The read that is under way has what it wanted, and is about to take it. */
  #readEnded(): void {
    this.#reading = undefined;
    this.#promise = undefined;
    this.#watch?.readEnded();
  }

  #readFailed(error: unknown): unknown {
    this.#promise?.catch(ignore);
    this.#reading = undefined;
    this.#promise = undefined;
    this.#watch?.readEnded(error);
    return error;
  }

  /** A line that is too long is of no use, and would be found again by the next read (S129). */
  #dropLine(match: Match | undefined): void {
    if (match === undefined) this.#buffer.clear();
    else this.#buffer.drop(match.end);
  }

  /**
   * Waits for a chunk and puts it into the buffer; false at the end. No async function: it is
   * called for each line.
   */
  #pull(scope: Scope, subject: string): Promise<boolean> {
    if (this.#hasEnded) return Promise.resolve(false);
    if (this.#watch?.isPulling === true) return this.#watch.next(scope, subject);
    this.#kept ??= (chunk) => {
      this.#keep(chunk);
      return chunk !== undefined;
    };
    return this.#stream.read().then(this.#kept);
  }

  #keep(chunk: Uint8Array | undefined): void {
    if (chunk === undefined) this.#hasEnded = true;
    else this.#buffer.append(chunk);
  }

  #take(length: number): Uint8Array {
    if (length === 0) return NOTHING;
    const taken = this.#buffer.take(length);
    this.#watch?.look(); // there is room again
    return taken;
  }

  #takeAll(): Uint8Array {
    return this.#take(this.#buffer.length);
  }

  #bytesTaker: Take<Uint8Array> | undefined = undefined;

  get #takeBytes(): Take<Uint8Array> {
    this.#bytesTaker ??= (match) => this.#take(match?.end ?? this.#buffer.length);
    return this.#bytesTaker;
  }

  #takeLineAs(api: string, encoding: string): Take<string | undefined> {
    const take = this.#takeTextAs(api, encoding, LINE);
    return (match) => (this.#buffer.length === 0 ? undefined : take(match));
  }

  #takeTextAs(api: string, encoding: string, search: Search): Take<string> {
    const decoders = pieceDecoders(api, encoding);
    return (match) => {
      const buffer = this.#buffer;
      const end = match === undefined ? buffer.length : endOfText(buffer, search, match, 0);
      const text = buffer.text(0, end, this.#hasReadText ? decoders.others : decoders.first);
      this.#hasReadText = true;
      this.#drop(match?.end ?? buffer.length);
      return text;
    };
  }

  #drop(length: number): void {
    this.#buffer.drop(length);
    this.#watch?.look(); // there is room again
  }

  #watchIn(scope: Scope): EofWatch {
    this.#watch ??= new EofWatch(this.#watched(), scope);
    return this.#watch;
  }

  #watched(): WatchedReader {
    const buffered = (): number => this.#buffer.length;
    const hasEnded = (): boolean => this.#hasEnded;
    const isReading = (): boolean => this.#reading !== undefined || this.#readingSome > 0;
    return {
      stream: this.#stream,
      get buffered() {
        return buffered();
      },
      get hasEnded() {
        return hasEnded();
      },
      get isReading() {
        return isReading();
      },
      keep: (chunk) => this.#keep(chunk),
    };
  }

  #busy(scope: Scope, api: string): Promise<never> | undefined {
    if (this.#reading === undefined) return undefined;
    return refused(scope, "StreamReader", this.#busyError(scope, this.#reading, api));
  }

  /** Two reads at once would share the bytes in no defined order. */
  #busyError(scope: Scope, other: Scope, api: string): InvalidStateError {
    return new InvalidStateError(
      `${api} was called by ${describeCaller(scope)} while ${describeCaller(other)} is reading from the same stream. Let one task read`,
    );
  }
}

/** The task of a scope in messages. */
export function describeCaller(scope: Scope): string {
  return scope.task?.describe() ?? "code outside every task";
}
