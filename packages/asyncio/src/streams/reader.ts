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
import type { ByteStream } from "../kernel/network.ts";
import type { Scope } from "../kernel/scope.ts";
import { Wait } from "../kernel/wait.ts";
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
const encoder = new TextEncoder();
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
 * read; then every read rejects with it. Source: asyncio.StreamReader (S129 to S136).
 *
 * @example
 * const [near, far] = testing.memoryStreamPair();
 * const reader = new asyncio.StreamReader(far);
 * await near.write(new TextEncoder().encode("GET /\r\n\r\n"));
 * assert.equal(new TextDecoder().decode(await reader.readLine()), "GET /\r\n");
 */
export class StreamReader {
  /** Bytes that may come before a separator. */
  readonly limit: number;
  #stream: ByteStream;
  readonly #buffer: ByteBuffer = new ByteBuffer();
  /** True once a read has met the end. */
  #hasEnded = false;
  /** Where the read that is under way was called; undefined iff there is none. */
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
    if (Number.isNaN(most)) return Promise.reject(rangeError(api, "a number of bytes", most));
    const scope = here();
    const stop = scope.interruption("StreamReader.read") ?? this.#busy(scope, api);
    if (stop !== undefined) return stop;
    if (most < 0) return this.#exclusively(scope, () => this.#readToEnd());
    const { length } = this.#buffer;
    if (length > 0 || most === 0 || this.#hasEnded)
      return completed(scope, "StreamReader.read", this.#take(Math.min(length, most)));
    return this.#readSome(scope, most);
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
    return this.#exclusively(scope, async () => {
      while (this.#buffer.length < count)
        if (!(await this.#pull())) throw new IncompleteReadError(api, this.#takeAll(), count);
      return this.#take(count);
    });
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
    const separators = list.map((one) => (typeof one === "string" ? encoder.encode(one) : one));
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
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (let line = await this.readLine(); line.length > 0; line = await this.readLine())
      yield line;
  }

  /** Lines as text, without "\n" or "\r\n", until the end. A broken sequence of bytes becomes U+FFFD. */
  async *lines(options: TextOptions & LimitOption = {}): AsyncGenerator<string, void, undefined> {
    const { encoding = "utf-8" } = options;
    const whole = {
      first: decoderFor("`reader.lines`", encoding),
      others: decoderFor("`reader.lines`", encoding, true),
    };
    if (/^utf-16/.test(whole.first.encoding))
      throw rangeError("`reader.lines`", "an encoding in which a newline is one byte", encoding);
    let decoder = whole.first; // it drops a byte order mark
    for (;;) {
      const line = await this.readLine(options);
      if (line.length === 0) return;
      yield decoder.decode(line.subarray(0, lengthOfText(line)));
      decoder = whole.others;
    }
  }

  /** What comes, in chunks as they come, until the end; with `encoding` as text, whose characters are never cut. */
  chunks(): AsyncGenerator<Uint8Array, void, undefined>;
  chunks(options: { readonly encoding: string }): AsyncGenerator<string, void, undefined>;
  chunks(options: TextOptions = {}): AsyncGenerator<Uint8Array | string, void, undefined> {
    if (options.encoding === undefined) return this.#chunks();
    return this.#text(decoderFor("`reader.chunks`", options.encoding));
  }

  async *#chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const chunk = await this.read(DEFAULT_LIMIT);
      if (chunk.length === 0) return;
      yield chunk;
    }
  }

  async *#text(decoder: Decoder): AsyncGenerator<string, void, undefined> {
    for await (const chunk of this.#chunks()) {
      const text = decoder.decode(chunk, { stream: true });
      if (text !== "") yield text;
    }
    const rest = decoder.decode();
    if (rest !== "") yield rest;
  }

  // --- for startTls

  /** @internal Goes on with another stream; gives what was read ahead of the old one. Not while somebody reads. */
  switchTo(stream: ByteStream): Uint8Array {
    const busy = this.#reading;
    if (busy !== undefined) throw this.#busyError(here(), busy, "`writer.startTls`");
    this.#stream = stream;
    return this.#takeAll();
  }

  // --- waiting

  async #readSome(scope: Scope, most: number): Promise<Uint8Array> {
    this.#reading = scope;
    try {
      const chunk = await this.#stream.read(most);
      if (chunk !== undefined) return chunk;
      this.#hasEnded = true;
      return NOTHING;
    } finally {
      this.#reading = undefined;
    }
  }

  async #readToEnd(): Promise<Uint8Array> {
    while (await this.#pull());
    return this.#takeAll();
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
    return this.#exclusively(scope, () => this.#readUntil(api, separators, limit));
  }

  async #readUntil(
    api: string,
    separators: readonly Uint8Array[],
    limit: number,
  ): Promise<Uint8Array> {
    const isLine = separators[0] === NEWLINE;
    const longest = Math.max(...separators.map(({ length }) => length));
    for (let searched = 0; ; ) {
      const match = this.#find(separators, searched);
      if (match !== undefined && match.start <= limit) return this.#take(match.end);
      // A separator may have begun in the last bytes.
      searched = Math.max(0, this.#buffer.length - longest + 1);
      if (match !== undefined || searched > limit) {
        const consumed = match?.start ?? searched;
        if (isLine) this.#dropLine(match);
        throw new LimitOverrunError(api, { consumed, limit, isFound: match !== undefined });
      }
      if (await this.#pull()) continue;
      if (isLine) return this.#takeAll();
      throw new IncompleteReadError(api, this.#takeAll());
    }
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

  /** Waits for a chunk and puts it into the buffer; false at the end. */
  async #pull(): Promise<boolean> {
    if (this.#hasEnded) return false;
    const chunk = await this.#stream.read();
    if (chunk === undefined) this.#hasEnded = true;
    else this.#buffer.append(chunk);
    return chunk !== undefined;
  }

  async #exclusively(scope: Scope, body: () => Promise<Uint8Array>): Promise<Uint8Array> {
    this.#reading = scope;
    try {
      return await body();
    } finally {
      this.#reading = undefined;
    }
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
