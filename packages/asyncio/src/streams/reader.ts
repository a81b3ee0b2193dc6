/**
 * Reading: bytes, lines, and what comes before a separator, out of any ByteStream. The reader asks the stream for a chunk
 * when an operation needs one, and not before, so memory stays flat whoever is slow.
 *
 * A chunk is put into the buffer in the step in which it comes, and an operation takes its bytes when it has all of them:
 * cancelled before that, it has taken none.
 */

import {
  argumentError,
  IncompleteReadError,
  InvalidStateError,
  LimitOverrunError,
  rangeError,
} from "../kernel/errors.ts";
import { completed, here } from "../kernel/here.ts";
import type { Scope } from "../kernel/scope.ts";
import { Wait } from "../kernel/wait.ts";
import type { ByteStream } from "../ports/network.ts";
import { encodeText } from "../ports/text.ts";
import { ByteBuffer } from "./byte-buffer.ts";

export interface LimitOption {
  /** Bytes that may come before a separator; it does not count itself. @default that of the reader */
  readonly limit?: number | undefined;
}

export interface ReaderOptions {
  /** Bytes that may come before the end of a line, or another separator. @default 65,536 */
  readonly limit?: number | undefined;
}

export interface TextOptions {
  /** A label that TextDecoder knows. @default "utf-8" */
  readonly encoding?: string | undefined;
}

export const DEFAULT_LIMIT = 65_536;
const NOTHING: Uint8Array = new Uint8Array(0);
const NEWLINE: Uint8Array = new Uint8Array([10]);
const CARRIAGE_RETURN = 13;
const ignore = (): void => {};
type Decoder = InstanceType<typeof TextDecoder>;

/** @throws TypeError, RangeError unless `limit` is a number of bytes. */
export function checkLimit(api: string, limit: number): void {
  if (typeof limit !== "number") throw argumentError(api, "`limit` to be a number of bytes", limit);
  if (!(limit > 0)) throw rangeError(api, "`limit` to be 1 byte or more", limit);
}

/** Where a separator lies in the buffer. */
interface Match {
  readonly start: number;
  readonly end: number;
}

/**
 * Reads from a connection, a pipe, or any ByteStream. One task reads at a time. All reads are checkpoints; cancelled, they
 * leave the bytes in the buffer, for the next read. After an error of the connection what has come before it can still be
 * read; then every read rejects with it. Source: asyncio.StreamReader.
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
  /** Where the read that is under way, and may take several chunks, was called; undefined iff there is none. */
  #reading: Scope | undefined = undefined;

  constructor(stream: ByteStream, options: ReaderOptions = {}) {
    const { limit = DEFAULT_LIMIT } = options;
    checkLimit("`new StreamReader`", limit);
    this.#stream = stream;
    this.limit = limit;
  }

  /**
   * Waits until there are bytes and gives at most `most` of them; none iff the stream has ended. Without an argument, or
   * with -1, it reads to the end.
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
    return this.#readSome(most);
  }

  /**
   * Reads exactly `count` bytes, however many that are: `limit` does not count here.
   * @throws IncompleteReadError when the stream ends before; what there was is its `partial`, and is taken.
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
   * Reads a line with its "\n". The last one may lack it; at the end of the stream the line is empty.
   * @throws LimitOverrunError when the line is longer than `limit`; the line is dropped, or as much of it as has come.
   */
  readLine(options: LimitOption = {}): Promise<Uint8Array> {
    return this.#search("`reader.readLine`", [NEWLINE], options.limit);
  }

  /**
   * Reads up to and with `separator`: text, bytes, or several of them, of which the one counts that ends first.
   * @throws IncompleteReadError when the stream ends before; what there was is its `partial`, and is taken.
   * @throws LimitOverrunError when more than `limit` bytes come before; they stay in the buffer.
   */
  readUntil(
    separator: string | Uint8Array | readonly (string | Uint8Array)[] = NEWLINE,
    options: LimitOption = {},
  ): Promise<Uint8Array> {
    const api = "`reader.readUntil`";
    const list = Array.isArray(separator) ? separator : [separator];
    const separators = list.map((one) => (typeof one === "string" ? encodeText(one) : one));
    if (!separators.every((one) => one instanceof Uint8Array))
      return Promise.reject(argumentError(api, "text or bytes, or an array of them", separator));
    if (separators.length === 0 || separators.some(({ length }) => length === 0))
      return Promise.reject(rangeError(api, "a separator of 1 byte or more", separator));
    return this.#search(api, separators, options.limit);
  }

  /** Whether the end has been read: true once a read has met it, and nothing is left in the buffer. */
  atEof(): boolean {
    return this.#hasEnded && this.#buffer.length === 0;
  }

  /** Lines with their "\n", as bytes, until the end. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return iterate(() => this.readLine().then(resultOf));
  }

  /** Lines as text, without "\n" or "\r\n", until the end. A broken sequence of bytes becomes U+FFFD. */
  lines(options: TextOptions & LimitOption = {}): AsyncIterableIterator<string> {
    const { encoding = "utf-8" } = options;
    const api = "`reader.lines`";
    let decoder = decoderFor(api, encoding); // drops a byte order mark
    const others = decoderFor(api, encoding, true);
    if (/^utf-16/.test(decoder.encoding))
      throw rangeError(api, "an encoding in which a newline is one byte", encoding);
    return iterate<string>(async () => {
      const line = await this.readLine(options);
      if (line.length === 0) return END;
      const value = decoder.decode(line.subarray(0, lengthOfText(line)));
      decoder = others;
      return { done: false, value };
    });
  }

  /** What comes, in chunks as they come, until the end; with `encoding` as text, whose characters are never cut. */
  chunks(): AsyncIterableIterator<Uint8Array>;
  chunks(options: { readonly encoding: string }): AsyncIterableIterator<string>;
  chunks(options: TextOptions = {}): AsyncIterableIterator<Uint8Array | string> {
    if (options.encoding === undefined)
      return iterate(() => this.read(DEFAULT_LIMIT).then(resultOf));
    const decoder = decoderFor("`reader.chunks`", options.encoding);
    return iterate<string>(async () => {
      for (;;) {
        const chunk = await this.read(DEFAULT_LIMIT);
        const isEnd = chunk.length === 0;
        const value = decoder.decode(chunk, { stream: !isEnd });
        if (value !== "") return { done: false, value };
        if (isEnd) return END;
      }
    });
  }

  /**
   * Reads no more: closes what it reads from, with a connection also the writing side (after all that was written has left).
   * A read that waits comes to the end. What is in the buffer can still be read. Not a wait.
   */
  close(): void {
    this.#stream.close();
  }

  /** Closes, and waits until what it reads from is gone; in a scope that was cancelled, not for that. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#stream.waitClosed();
  }

  /** @internal What it reads from. */
  get stream(): ByteStream {
    return this.#stream;
  }

  // --- for startTls

  /** @internal Keeps everybody else from reading until the function that it gives is called. Not while somebody reads. */
  reserve(api: string): () => void {
    const busy = this.#reading;
    if (busy !== undefined) throw this.#busyError(here(), busy, api);
    this.#reading = here();
    return () => {
      this.#reading = undefined;
    };
  }

  /** @internal Takes what was read ahead: it belongs to what comes under TLS. */
  takeAhead(): Uint8Array {
    return this.#takeAll();
  }

  // --- waiting

  /** What a read makes of the chunk that it has waited for. One for all reads, and no async function (bench: echo). */
  #chunkArrived: ((chunk: Uint8Array | undefined) => Uint8Array) | undefined = undefined;

  /** The promise of the read that waits. Not kept longer: it would keep its bytes. */
  #promise: Promise<Uint8Array> | undefined = undefined;
  #failing: ((error: unknown) => never) | undefined = undefined;

  /**
   * An abandoned wait never crashes the process, so its promise is marked as handled. Just before it is rejected and not
   * earlier: the engine follows promises with one reaction only, and the stack of a cancellation would end here.
   */
  #abandonable(promise: Promise<Uint8Array>): Promise<Uint8Array> {
    this.#promise = promise;
    return promise;
  }

  /** What a pull makes of its chunk. */
  #kept: ((chunk: Uint8Array | undefined) => boolean) | undefined = undefined;

  /** The buffer is empty: what comes is the answer, and the stream itself lets one read wait at a time. */
  #readSome(most: number): Promise<Uint8Array> {
    this.#chunkArrived ??= (chunk) => {
      this.#promise = undefined;
      this.#hasEnded = chunk === undefined;
      return chunk ?? NOTHING;
    };
    this.#failing ??= (error) => {
      this.#promise?.catch(ignore);
      throw error;
    };
    const other = this.#promise;
    const promise = this.#stream.read(most).then(this.#chunkArrived, this.#failing);
    if (other !== undefined) {
      // One of the two is refused, or was cancelled just now; there is one place for promises that are to be marked.
      other.catch(ignore);
      promise.catch(ignore);
    }
    return this.#abandonable(promise);
  }

  async #readToEnd(scope: Scope): Promise<Uint8Array> {
    this.#reading = scope;
    try {
      while (await this.#pull());
      return this.#takeAll();
    } catch (error) {
      this.#promise?.catch(ignore);
      throw error;
    } finally {
      this.#reading = undefined;
      this.#promise = undefined;
    }
  }

  async #readExactly(scope: Scope, api: string, count: number): Promise<Uint8Array> {
    this.#reading = scope;
    try {
      while (this.#buffer.length < count)
        if (!(await this.#pull())) throw new IncompleteReadError(api, this.#takeAll(), count);
      return this.#take(count);
    } catch (error) {
      this.#promise?.catch(ignore);
      throw error;
    } finally {
      this.#reading = undefined;
      this.#promise = undefined;
    }
  }

  #search(
    api: string,
    separators: readonly Uint8Array[],
    own: number | undefined,
  ): Promise<Uint8Array> {
    const limit = own ?? this.limit;
    const scope = here();
    try {
      checkLimit(api, limit);
    } catch (error) {
      return Promise.reject(error);
    }
    const subject = separators[0] === NEWLINE ? "StreamReader.readLine" : "StreamReader.readUntil";
    const stop = scope.interruption(subject) ?? this.#busy(scope, api);
    if (stop !== undefined) return stop;
    const match = this.#find(separators, 0);
    if (match !== undefined && match.start <= limit)
      return completed(scope, subject, this.#take(match.end));
    return this.#abandonable(this.#readUntil(scope, api, separators, limit));
  }

  async #readUntil(
    scope: Scope,
    api: string,
    separators: readonly Uint8Array[],
    limit: number,
  ): Promise<Uint8Array> {
    this.#reading = scope;
    try {
      for (let searched = 0; ; ) {
        const match = this.#find(separators, searched);
        if (match !== undefined && match.start <= limit) return this.#take(match.end);
        // A separator may have begun in the last bytes.
        searched = Math.max(0, this.#buffer.length - lengthOfLongest(separators) + 1);
        if (match !== undefined || searched > limit)
          throw this.#overrun(api, separators, match, searched, limit);
        if (await this.#pull()) continue;
        if (separators[0] === NEWLINE) return this.#takeAll();
        throw new IncompleteReadError(api, this.#takeAll());
      }
    } catch (error) {
      this.#promise?.catch(ignore);
      throw error;
    } finally {
      this.#reading = undefined;
      this.#promise = undefined;
    }
  }

  #overrun(
    api: string,
    separators: readonly Uint8Array[],
    match: Match | undefined,
    searched: number,
    limit: number,
  ): LimitOverrunError {
    if (separators[0] === NEWLINE) this.#dropLine(match);
    const consumed = match?.start ?? searched;
    return new LimitOverrunError(api, { consumed, limit, isFound: match !== undefined });
  }

  /** A line that is too long is of no use, and would be found again by the next read (S129). */
  #dropLine(match: Match | undefined): void {
    if (match === undefined) this.#buffer.clear();
    else this.#buffer.drop(match.end);
  }

  /** The separator that ends first (S132). */
  #find(separators: readonly Uint8Array[], from: number): Match | undefined {
    let found: Match | undefined;
    for (const separator of separators) {
      const start = this.#buffer.indexOf(separator, from);
      if (start === -1) continue;
      const end = start + separator.length;
      if (found === undefined || end < found.end) found = { start, end };
    }
    return found;
  }

  /** Waits for a chunk and puts it into the buffer; false at the end. No async function: it is called for each line. */
  #pull(): Promise<boolean> {
    if (this.#hasEnded) return Promise.resolve(false);
    this.#kept ??= (chunk) => {
      if (chunk === undefined) this.#hasEnded = true;
      else this.#buffer.append(chunk);
      return chunk !== undefined;
    };
    return this.#stream.read().then(this.#kept);
  }

  #take(length: number): Uint8Array {
    return length === 0 ? NOTHING : this.#buffer.take(length);
  }

  #takeAll(): Uint8Array {
    return this.#take(this.#buffer.length);
  }

  #busy(scope: Scope, api: string): Promise<never> | undefined {
    if (this.#reading === undefined) return undefined;
    const wait = new Wait<never>(scope, "StreamReader");
    wait.fail(this.#busyError(scope, this.#reading, api));
    return wait.promise;
  }

  /** Two reads at once would share the bytes in an order that nobody knows. */
  #busyError(scope: Scope, other: Scope, api: string): InvalidStateError {
    return new InvalidStateError(
      `${api} was called by ${describeCaller(scope)} while ${describeCaller(other)} is reading from the same stream. Let one task read`,
    );
  }
}

const END: IteratorResult<never, undefined> = { done: true, value: undefined };

function resultOf(bytes: Uint8Array): IteratorResult<Uint8Array, undefined> {
  return bytes.length === 0 ? END : { done: false, value: bytes };
}

/** Written by hand: an async generator costs twice as much as what it iterates over (bench: echo, by lines). */
function iterate<T>(
  next: () => Promise<IteratorResult<T, undefined>>,
): AsyncIterableIterator<T, undefined> {
  return { next, [Symbol.asyncIterator]: () => iterate(next) };
}

function lengthOfLongest(separators: readonly Uint8Array[]): number {
  return separators.reduce((longest, { length }) => Math.max(longest, length), 0);
}

/** The task of a scope in messages. */
export function describeCaller(scope: Scope): string {
  return scope.task?.describe() ?? "code outside every task";
}

/** The length of a line without its "\n" or "\r\n". */
function lengthOfText(line: Uint8Array): number {
  if (line.at(-1) !== NEWLINE[0]) return line.length;
  return line.at(-2) === CARRIAGE_RETURN ? line.length - 2 : line.length - 1;
}

function decoderFor(api: string, encoding: string, ignoreBOM = false): Decoder {
  try {
    return new TextDecoder(encoding, { ignoreBOM });
  } catch {
    throw rangeError(api, "`encoding` to be one that TextDecoder knows", encoding);
  }
}
