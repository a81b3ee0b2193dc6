/**
 * What a StreamReader reads out of: the bytes that have come and were not taken, whether the end
 * has come, and the read that is under way.
 *
 *     stream ── pull ──▶ keep ──▶ buffer ── take ──▶ the caller of a read
 *                  ▲                 │
 *                  └── too little ───┘
 *
 * A chunk is put into the buffer in the step in which it comes, and an operation takes its bytes
 * when it has all of them: cancelled before that, it has taken none. One operation at a time: two
 * would share the bytes in no defined order.
 */

import { here, refused } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { ignore } from "../kernel/settlers.ts";
import type { Wait } from "../kernel/wait.ts";
import { ByteBuffer } from "./byte-buffer.ts";
import { EofWatch, type WatchedReader } from "./eof-watch.ts";
import { busyError, IncompleteReadError } from "./errors.ts";
import type { ByteStream } from "./network.ts";
import { checkByteStream } from "./network.ts";
import { type Parser, ParserInput, readSoon, worthwhile } from "./parsing.ts";
import { find, type Match, overrun, type Search, searchedIn } from "./separators.ts";
import type { DirectStream, Receiver } from "./sides.ts";
import type { PieceDecoder } from "./text.ts";

/**
 * Takes the first bytes, up to the separator `match`; it is undefined at the end of the stream.
 */
export type Take<T> = (incoming: Incoming, match: Match | undefined) => T;

const NOTHING: Uint8Array = new Uint8Array(0);

interface Reactions {
  /**
   * Reads under way that take what comes: one, but for those that the stream is about to refuse.
   */
  underWay: number;
  arrived(chunk: Uint8Array | undefined): Uint8Array;
  failed(error: unknown): never;
  kept(chunk: Uint8Array | undefined): boolean;
}

export class Incoming implements WatchedReader, Receiver {
  readonly stream: ByteStream;
  /** The same, if it can be read directly. */
  readonly #direct: DirectStream | undefined;
  /** Made when bytes have come that no read takes at once. */
  #buffer: ByteBuffer | undefined = undefined;
  /** True once a read has met the end. */
  hasEnded = false;
  /**
   * Where the read that is under way, and may take several chunks, was called; undefined if there
   * is none.
   */
  #reading: Scope | undefined = undefined;
  /**
   * The promise of the read that waits, undefined if none does. It is kept so that it can be marked
   * as handled: an abandoned wait never crashes the process. That is done just before it is
   * rejected and not earlier: the engine follows promises with one reaction only, and the stack of
   * a cancellation would end here.
   */
  #promise: Promise<unknown> | undefined = undefined;
  /** Undefined until a task waits for the end. */
  #watch: EofWatch | undefined = undefined;
  #parserInput: ParserInput | undefined = undefined;
  /**
   * What becomes of a chunk that is not read directly. Made once, at the first read that waits, and
   * for all of them.
   */
  #reactions: Reactions | undefined = undefined;

  constructor(stream: ByteStream) {
    checkByteStream("`new StreamReader`", stream);
    this.stream = stream;
    this.#direct = "readFor" in stream ? (stream as ByteStream & DirectStream) : undefined;
  }

  /** Bytes that were not taken. */
  get buffered(): number {
    return this.#buffer?.length ?? 0;
  }

  get buffer(): ByteBuffer {
    this.#buffer ??= new ByteBuffer();
    return this.#buffer;
  }

  get isReading(): boolean {
    const isSome = this.#reactions !== undefined && this.#reactions.underWay > 0;
    return this.#reading !== undefined || isSome || this.#directRead !== undefined;
  }

  get #directRead(): Wait | undefined {
    return this.#direct?.waitOf(this);
  }

  /** Refuses a read while another one is under way. */
  busy(scope: Scope, api: string): Promise<never> | undefined {
    // No direct read waits while there are bytes.
    const other = this.#reading ?? (this.buffered > 0 ? undefined : this.#directRead?.scope);
    if (other === undefined) return undefined;
    return refused(scope, "StreamReader", busyError(api, scope, other, "the same stream"));
  }

  /** Takes a chunk that has come; undefined is the end. */
  keep(chunk: Uint8Array | undefined, isLent = false): void {
    if (chunk === undefined) this.hasEnded = true;
    else this.buffer.append(chunk, isLent);
  }

  take(length: number): Uint8Array {
    if (length === 0) return NOTHING;
    const taken = this.buffer.take(length);
    this.#watch?.look(); // there is room again
    return taken;
  }

  takeAll(): Uint8Array {
    return this.take(this.buffered);
  }

  /** Takes a line as text, if one is at hand that need not be searched for. */
  takeLine(limit: number, decoder: PieceDecoder): string | undefined {
    if (this.#reading !== undefined) return undefined;
    const line = this.#buffer?.takeLine(limit, decoder);
    if (line !== undefined) this.#watch?.look(); // there is room again
    return line;
  }

  drop(length: number): void {
    this.buffer.drop(length);
    this.#watch?.look(); // there is room again
  }

  // --- reads that wait

  /**
   * Waits for a chunk, of which it gives at most `most` bytes; none at the end. Only while the
   * buffer is empty: then what comes is the answer.
   */
  readSome(scope: Scope, most: number): Promise<Uint8Array> {
    if (this.#watch?.isPulling === true)
      return this.#pending(this.#readWatched(scope, this.#watch, most));
    if (this.#direct !== undefined && this.#watch === undefined)
      return this.#direct.readFor<Uint8Array>(this, most);
    const reactions = this.#ownReactions();
    const other = this.#promise;
    reactions.underWay++;
    const promise = this.stream.read(most).then(reactions.arrived, reactions.failed);
    if (other !== undefined) {
      // The stream refuses one of the two, or one was cancelled just now. Both are marked here,
      // since `#promise` has room for one.
      other.catch(ignore);
      promise.catch(ignore);
    }
    return this.#pending(promise);
  }

  /** @internal Of a read that is direct. */
  chunkCame(chunk: Uint8Array | undefined, isLent?: boolean): unknown {
    if (this.#reading !== undefined) return this.#kept(chunk, isLent);
    if (chunk === undefined) this.hasEnded = true;
    return chunk ?? NOTHING;
  }

  /** @internal Whether the read takes several chunks, into the buffer. */
  get copies(): boolean {
    return this.#reading !== undefined;
  }

  #kept(chunk: Uint8Array | undefined, isLent?: boolean): boolean {
    this.keep(chunk, isLent);
    return chunk !== undefined;
  }

  #ownReactions(): Reactions {
    const reactions: Reactions = this.#reactions ?? {
      underWay: 0,
      arrived: (chunk) => {
        reactions.underWay--;
        this.#promise = undefined;
        this.hasEnded = chunk === undefined;
        this.#watch?.readEnded();
        return chunk ?? NOTHING;
      },
      failed: (error) => {
        reactions.underWay--;
        this.#promise?.catch(ignore);
        this.#watch?.readEnded(error);
        throw error;
      },
      kept: (chunk) => this.#kept(chunk),
    };
    this.#reactions = reactions;
    return reactions;
  }

  /** A chunk is under way already, because a task waits for the end. */
  async #readWatched(scope: Scope, watch: EofWatch, most: number): Promise<Uint8Array> {
    this.#reading = scope;
    try {
      await watch.next(scope, "StreamReader.read");
      this.#readEnded();
      return this.take(Math.min(this.buffer.length, most));
    } catch (error) {
      throw this.#readFailed(error);
    }
  }

  readToEnd(scope: Scope): Promise<Uint8Array> {
    return this.#pending(this.#readToEnd(scope));
  }

  async #readToEnd(scope: Scope): Promise<Uint8Array> {
    this.#reading = scope;
    try {
      while (await this.#pull(scope, "StreamReader.read"));
      this.#readEnded();
      return this.takeAll();
    } catch (error) {
      throw this.#readFailed(error);
    }
  }

  readExactly(scope: Scope, api: string, count: number): Promise<Uint8Array> {
    return this.#pending(this.#readExactly(scope, api, count));
  }

  async #readExactly(scope: Scope, api: string, count: number): Promise<Uint8Array> {
    this.#reading = scope;
    try {
      while (this.buffer.length < count)
        if (!(await this.#pull(scope, "StreamReader.readExactly")))
          throw new IncompleteReadError(api, this.takeAll(), count);
      this.#readEnded();
      return this.take(count);
    } catch (error) {
      throw this.#readFailed(error);
    }
  }

  readUntil<T>(
    scope: Scope,
    api: string,
    search: Search,
    limit: number,
    take: Take<T>,
  ): Promise<T> {
    return this.#pending(this.#readUntil(scope, api, search, limit, take));
  }

  async #readUntil<T>(
    scope: Scope,
    api: string,
    search: Search,
    limit: number,
    take: Take<T>,
  ): Promise<T> {
    this.#reading = scope;
    const { buffer } = this;
    try {
      for (let searched = 0; ; ) {
        const match = find(buffer, search, searched);
        if (match !== undefined && match.start <= limit) {
          this.#readEnded();
          return take(this, match);
        }
        searched = searchedIn(buffer, search);
        if (match !== undefined || searched > limit) {
          // A line that is too long is of no use, and would be found again by the next read (S129).
          if (search.isLine) buffer.drop(match?.end ?? buffer.length);
          throw overrun(api, match?.start ?? searched, limit, match !== undefined);
        }
        if (await this.#pull(scope, subjectOf(search))) continue;
        if (!search.isLine) throw new IncompleteReadError(api, this.takeAll());
        this.#readEnded();
        return take(this, undefined);
      }
    } catch (error) {
      throw this.#readFailed(error);
    }
  }

  // --- parsers

  /**
   * Lets `parser` run over what is buffered. 0 if it has had enough: `parsed` gives its value.
   * Otherwise how many bytes it needs in all, and then it has taken none.
   */
  parseNow(scope: Scope, api: string, parser: Parser<unknown>, limit: number): number {
    this.#reading = scope; // the parser must not read
    try {
      return this.#attempt(api, parser, limit);
    } finally {
      this.#reading = undefined;
      this.#watch?.look();
    }
  }

  #attempt(api: string, parser: Parser<unknown>, limit: number): number {
    this.#parserInput ??= new ParserInput(this.buffer);
    const taken = this.#parserInput.attempt(api, parser, limit);
    if (taken < 0) return -taken;
    this.drop(taken);
    return 0;
  }

  parsed<T>(): T {
    const input = this.#parserInput as ParserInput; // it has parsed
    const { value } = input;
    input.value = undefined;
    return value as T; // of the parser
  }

  /** Waits until there are `atFirst` bytes, and then for as many as the parser needs. */
  parse<T>(
    scope: Scope,
    api: string,
    parser: Parser<T>,
    limit: number,
    atFirst: number,
  ): Promise<T | undefined> {
    return this.#pending(this.#parse(scope, api, parser, limit, atFirst));
  }

  async #parse<T>(
    scope: Scope,
    api: string,
    parser: Parser<T>,
    limit: number,
    atFirst: number,
  ): Promise<T | undefined> {
    this.#reading = scope;
    const { buffer } = this;
    try {
      for (let needed = atFirst, enough = 0, seconds = 0; ; ) {
        while (buffer.length < needed) {
          if (await this.#pull(scope, "StreamReader.parse")) continue;
          if (buffer.length > 0) throw new IncompleteReadError(api, this.takeAll(), needed);
          this.#readEnded();
          return undefined;
        }
        while (buffer.length < enough && (await this.#pullSoon(scope, seconds)));
        enough = worthwhile(buffer.length);
        const start = enough === 0 ? 0 : scope.loop.time(); // which costs as much as a short message
        needed = this.#attempt(api, parser, limit);
        if (needed === 0) {
          this.#readEnded();
          return this.parsed<T>();
        }
        seconds = enough === 0 ? 0 : scope.loop.time() - start;
      }
    } catch (error) {
      throw this.#readFailed(error);
    }
  }

  #pullSoon(scope: Scope, seconds: number): Promise<boolean> {
    return readSoon(scope, seconds, (inside) => this.#pull(inside, "StreamReader.parse"));
  }

  // --- the course of a read

  /** A read begins to wait, and `promise` is what its caller gets. */
  #pending<T>(promise: Promise<T>): Promise<T> {
    this.#promise = promise;
    return promise;
  }

  /**
   * Waits for a chunk and puts it into the buffer; false at the end. No async function: it is
   * called for each line.
   */
  #pull(scope: Scope, subject: string): Promise<boolean> {
    if (this.hasEnded) return Promise.resolve(false);
    if (this.#watch?.isPulling === true) return this.#watch.next(scope, subject);
    if (this.#direct !== undefined)
      return this.#direct.readFor<boolean>(this, Number.POSITIVE_INFINITY);
    return this.stream.read().then(this.#ownReactions().kept);
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

  // --- for servers, `waitEof` and `startTls`

  /** Looks out for the end between reads. `scope` gives the loop. */
  watchIn(scope: Scope): EofWatch {
    if (this.#watch !== undefined) return this.#watch;
    const watch = new EofWatch(this, scope);
    this.#watch = watch;
    // One that takes what comes is not told of otherwise.
    if (this.#reading === undefined)
      this.#directRead?.promise.then(
        () => watch.readEnded(),
        (error) => watch.readEnded(error),
      );
    return watch;
  }

  /** Keeps all reads away until the function that it gives is called. Not during a read. */
  reserve(api: string): () => void {
    const scope = here();
    const other = this.#reading ?? this.#directRead?.scope;
    if (other !== undefined) throw busyError(api, scope, other, "the same stream");
    this.#reading = scope;
    return () => {
      this.#reading = undefined;
      this.#watch?.resume();
    };
  }

  /** Stops looking out for the end until what `reserve` gave is called. */
  async stopWatching(): Promise<void> {
    await this.#watch?.suspend();
  }
}

/** What reports say that a search waits for. */
export function subjectOf({ isLine }: Search): string {
  return isLine ? "StreamReader.readLine" : "StreamReader.readUntil";
}
