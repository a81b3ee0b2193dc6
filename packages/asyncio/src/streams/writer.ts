/**
 * Writing: bytes and text into any ByteStream. A write takes its bytes in the call, whatever
 * happens after it, so writes of several tasks never mix, and writes that are not awaited arrive
 * all the same. What can be waited for, and cancelled, is only that there is room again.
 *
 * That wait begins when the promise of a write is awaited, and not in the call:
 *
 *     writer.write(head);        // <- were this a wait, a cancellation now would end it,
 *     writer.write(body);        // no code would see that, and `drain` would go on waiting
 *     await writer.drain();
 */

import {
  advice,
  argumentError,
  CancelledError,
  checkOptions,
  InvalidStateError,
  rangeError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { Future } from "../kernel/future.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { ignore } from "../kernel/settlers.ts";
import { Backpressure } from "./backpressure.ts";
import { disposeOf } from "./dispose.ts";
import { concatenate, encodeText, isBytes, lendText } from "./encode.ts";
import { describeCaller } from "./errors.ts";
import { type Address, type ByteStream, checkByteStream, hostError } from "./network.ts";
import type { StreamReader } from "./reader.ts";
import {
  type CipherInfo,
  CLIENT_TLS,
  type ClientTlsOptions,
  type PeerCertificate,
  SERVER_TLS,
  type ServerTlsOptions,
} from "./tls-options.ts";

/** Options of every function that makes a StreamWriter. */
export interface WriterOptions {
  /**
   * Bytes on their way above which `write` and `drain` wait. @default that of the stream, usually
   * 65,536
   */
  readonly highWaterMark?: number | undefined;
  /** Bytes on their way at which they go on. @default a quarter of `highWaterMark` */
  readonly lowWaterMark?: number | undefined;
}

export const WRITER: Names<WriterOptions> = { highWaterMark: 1, lowWaterMark: 1 };

/** What `getExtraInfo` knows, by name. */
export interface ExtraInfo {
  /** The address of the peer. */
  readonly peername: Address;
  /** The address of this end. */
  readonly sockname: Address;
  /** The object of the host under the connection: a `net.Socket` of Node. Undefined in memory. */
  readonly socket: object;
  /** Under TLS: how it is encrypted. */
  readonly cipher: CipherInfo;
  /** Under TLS: "TLSv1.3". */
  readonly tlsVersion: string;
  /** Under TLS: the certificate of the peer, if it has shown one. */
  readonly peercert: PeerCertificate;
  /**
   * Under TLS: the protocol that both sides speak, if they have agreed on one of `alpnProtocols`.
   */
  readonly alpnProtocol: string;
  /** Under TLS: the name that the client has asked for. */
  readonly serverHostname: string;
}

/** Of either side; which one it is, and what that allows, is for the stream to know. */
const TLS: Names<ClientTlsOptions & ServerTlsOptions> = { ...CLIENT_TLS, ...SERVER_TLS };
const NOTHING: Uint8Array = new Uint8Array(0);
/**
 * The low and the high water mark. @throws TypeError, RangeError unless they are numbers of bytes
 * in that order.
 */
export function waterMarks(
  api: string,
  options: WriterOptions,
  usual: number,
): readonly [low: number, high: number] {
  for (const mark of [options.highWaterMark, options.lowWaterMark])
    if (mark !== undefined && typeof mark !== "number")
      throw argumentError(api, "water marks in bytes", mark);
  const { highWaterMark = usual } = options;
  const { lowWaterMark = Math.floor(highWaterMark / 4) } = options;
  if (!(highWaterMark >= 0))
    throw rangeError(api, "`highWaterMark` of 0 bytes or more", highWaterMark);
  if (!(lowWaterMark >= 0 && lowWaterMark <= highWaterMark))
    throw rangeError(api, `\`lowWaterMark\` from 0 to ${highWaterMark}`, lowWaterMark);
  return [lowWaterMark, highWaterMark];
}

/** Where bytes stand that a wait is about, counted from the first that was written. */
interface Span {
  readonly from: number;
  readonly to: number;
  /**
   * What `drain` returned: marked as handled before it is rejected, for an abandoned wait never
   * crashes the process.
   */
  promise?: Promise<void>;
}

/**
 * Writes to a connection, a pipe, or any ByteStream (`stream`). Bytes that were written go out in
 * order, unless the connection is lost or aborted. Close the writer when you are done. `await
 * using` does that, and waits until all bytes have left. Source: asyncio.StreamWriter.
 *
 * @example
 * const [near, far] = testing.memoryStreamPair();
 * const writer = new asyncio.StreamWriter(near);
 * await writer.write("hello\n");
 * writer.close();
 * assert.equal(new TextDecoder().decode(await new asyncio.StreamReader(far).read()), "hello\n");
 */
export class StreamWriter implements AsyncDisposable {
  readonly #stream: ByteStream;
  /** What reads from the same connection. */
  readonly #reader: StreamReader | undefined;
  readonly #high: number;
  readonly #low: number;
  /** Bytes taken since it was made. */
  #taken = 0;
  #hasWrittenEof = false;
  #isClosed = false;
  #isStartingTls = false;
  /** The error of the stream, once an awaited write has rejected with it. */
  #told: Error | undefined = undefined;
  /** Where the writes that wait were called; undefined if none waits. */
  #waiting: Scope | undefined = undefined;
  #waits = 0;

  /** With the reader of the same connection, if `startTls` is to be used. */
  constructor(stream: ByteStream, options: WriterOptions = {}, reader?: StreamReader) {
    checkOptions("`new StreamWriter`", options, WRITER);
    checkByteStream("`new StreamWriter`", stream);
    const [low, high] = waterMarks("`new StreamWriter`", options, stream.highWaterMark);
    this.#stream = stream;
    this.#reader = reader;
    this.#high = high;
    this.#low = low;
  }

  /**
   * Takes the bytes, or text as UTF-8, in the call. If you await it, it waits while more than
   * `highWaterMark` bytes are on their way: that is a checkpoint. If that wait is cancelled, the
   * bytes go out all the same, and `error.bytesWritten` tells how many of them have done so.
   * Rejects when the connection is lost. A rejection that is not awaited does no harm. Rejects with
   * ECONNABORTED after other code has closed the connection at this end, for example by
   * `reader.close` or `server.closeClients`.
   * @throws InvalidStateError after `close` or `writeEof`, or while the write of another task
   * waits.
   */
  write(bytes: Uint8Array | string): Promise<void> {
    const chunk = typeof bytes === "string" ? lendText(bytes) : bytes;
    if (!isBytes(chunk))
      return Promise.reject(argumentError("`writer.write`", "a Uint8Array or a string", bytes));
    return this.#write(chunk);
  }

  /** Writes all of them, one after the other. It adds no line ends. Otherwise as `write`. */
  writeLines(lines: Iterable<Uint8Array | string>): Promise<void> {
    const api = "`writer.writeLines`";
    if (
      typeof (lines as Partial<typeof lines> | null | undefined)?.[Symbol.iterator] !== "function"
    )
      return Promise.reject(argumentError(api, "an iterable of Uint8Arrays or strings", lines));
    const chunks = [...lines].map((line) => (typeof line === "string" ? encodeText(line) : line));
    const wrong = chunks.findIndex((chunk) => !isBytes(chunk));
    if (wrong !== -1)
      return Promise.reject(argumentError(api, "Uint8Arrays or strings", chunks[wrong]));
    return this.#write(concatenate(chunks));
  }

  /**
   * If more than `highWaterMark` bytes are on their way, waits until at most `lowWaterMark` are. A
   * checkpoint; any number of tasks may wait here. Rejects when the connection is lost.
   */
  drain(): Promise<void> {
    const span: Span = { from: this.bytesWritten, to: this.#taken };
    span.promise = this.#drain(span);
    return span.promise;
  }

  /**
   * Ends this side: the peer reads to the end, and may go on writing. Nothing can be written after
   * it.
   * @throws InvalidStateError when the sides of the stream cannot be ended alone.
   */
  writeEof(): void {
    if (!this.canWriteEof())
      throw new InvalidStateError(
        `\`writer.writeEof\` was called on a stream whose sides cannot be ended alone${advice("Use `close`")}`,
      );
    this.#hasWrittenEof = true;
    this.#stream.writeEof();
  }

  /** Whether this side can be ended alone, by `writeEof`. */
  canWriteEof(): boolean {
    return this.#stream.canWriteEof ?? true;
  }

  /**
   * Closes both sides, after all that was written has left. A read that waits here comes to the
   * end. Not a wait.
   */
  close(): void {
    this.#isClosed = true;
    this.#stream.close();
  }

  /** True once it was closed, or its connection is lost. */
  isClosing(): boolean {
    const { isClosing = false, lost } = this.#stream;
    return this.#isClosed || isClosing || lost !== undefined;
  }

  /**
   * Waits until the connection is gone, after `close`. By then all bytes have left, or never will.
   * A checkpoint.
   */
  async waitClosed(): Promise<void> {
    try {
      await this.#stream.waitClosed();
    } catch (error) {
      if (error !== this.#told) throw error;
    }
  }

  /**
   * Closes both sides at once. Bytes on their way are dropped, and the peer gets ECONNRESET. Not a
   * wait.
   */
  abort(): void {
    this.#isClosed = true;
    this.#stream.abort();
  }

  /** Gives what is known of the connection under `name`; undefined if it has no such thing. */
  getExtraInfo<K extends keyof ExtraInfo>(name: K): ExtraInfo[K] | undefined {
    const stream = this.#stream;
    const { host, path } = stream.remoteAddress;
    const isConnection = host !== "" || path !== undefined;
    if (!isConnection && (name === "peername" || name === "sockname")) return undefined;
    const found =
      name === "peername"
        ? stream.remoteAddress
        : name === "sockname"
          ? stream.localAddress
          : stream.extra?.(name);
    return found as ExtraInfo[K] | undefined; // the stream keeps to the names
  }

  /**
   * Bytes that have gone out: handed to the operating system; in memory, read by the peer. Those
   * that were dropped when the connection was lost have not.
   */
  get bytesWritten(): number {
    const { unsent, dropped = 0 } = this.#stream;
    return this.#taken - unsent - dropped;
  }

  /**
   * Goes on under TLS. This is for protocols that begin in plain text. Waits until all bytes have
   * left, then until the handshake is done. A connection of `openConnection` is the client. A
   * connection of `startServer` is the server, and needs a certificate. Bytes that the reader has
   * read ahead go to TLS, and are never taken for bytes that came under it. No other task may read
   * or write meanwhile. If the handshake fails or is cancelled, the connection is lost.
   * @throws TimeoutError after `handshakeDelay`; for the errors of certificates see the guide to
   * streams and servers.
   * @throws InvalidStateError after `close` or `writeEof`, during a read, or where there is no
   * socket.
   */
  async startTls(options: ClientTlsOptions | ServerTlsOptions = {}): Promise<void> {
    const api = "`writer.startTls`";
    checkOptions(api, options, TLS);
    const stream = this.#stream;
    if (this.#isClosed || this.#hasWrittenEof)
      throw new InvalidStateError(
        `${api} was called after \`${this.#isClosed ? "close" : "writeEof"}\`${advice("TLS needs both directions")}`,
      );
    if (stream.startTls === undefined)
      throw new InvalidStateError(
        `${api} was called on a stream in memory, which carries plain bytes${advice("TLS needs a socket: leave it out there")}`,
      );
    if (this.#isStartingTls)
      throw new InvalidStateError(`${api} was called while another call of it is at work`);
    const release = this.#reader?.reserve(api);
    this.#isStartingTls = true;
    try {
      await this.#reader?.stopWatching();
      await stream.drain(0);
      await stream.startTls(options, () => this.#reader?.takeAhead() ?? NOTHING);
    } finally {
      this.#isStartingTls = false;
      release?.();
    }
  }

  /**
   * Closes, and waits until all bytes have left. If it is cancelled meanwhile, or is called in a
   * scope that was cancelled, it aborts: bytes that have not left are lost. Then it rejects with
   * the cancellation. If the block is being left by a cancellation already, scopes count the two as
   * one.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const stream = this.#stream;
    await disposeOf(
      {
        get unsent() {
          return stream.unsent;
        },
        close: () => this.close(),
        abort: () => this.abort(),
        waitClosed: () => this.waitClosed(),
      },
      "StreamWriter",
    );
  }

  #write(chunk: Uint8Array): Promise<void> {
    const scope = here();
    const stream = this.#stream;
    const error = this.#refusal(scope);
    if (error !== undefined) return error;
    const from = this.#taken;
    this.#taken += chunk.length;
    stream.send(chunk);
    if (stream.unsent <= this.#high && !scope.mayBeDue)
      return completed(scope, "StreamWriter.write", undefined);
    const span = { from, to: this.#taken };
    return new Backpressure(() => this.#waitForRoom(span));
  }

  #refusal(scope: Scope): Promise<void> | undefined {
    const { lost, isClosing = false } = this.#stream;
    if (this.#isClosed || this.#hasWrittenEof) {
      const call = this.#isClosed ? "close" : "writeEof";
      const message = `\`writer.write\` was called after \`${call}\`${advice("Write first")}`;
      return refused(scope, "StreamWriter.write", lost ?? new InvalidStateError(message));
    }
    if (lost !== undefined)
      return new Backpressure(() => {
        this.#told = lost; // not before it is awaited: it might never be told
        return refused(scope, "StreamWriter.write", lost);
      });
    if (isClosing) return refused(scope, "StreamWriter.write", closedElsewhere(this.#stream));
    if (this.#isStartingTls) {
      const message =
        "`writer.write` was called while `startTls` is at work. Await it: what is written now would be neither plain nor secure";
      return refused(scope, "StreamWriter.write", new InvalidStateError(message));
    }
    const other = this.#waiting;
    if (other?.task === scope.task || other === undefined) return undefined;
    if (other.task === undefined || scope.task === undefined) return undefined; // callers cannot be told apart there
    const future = new Future<never>(); // its failure is reported if it is not awaited: the bytes are not taken
    future.setException(
      new InvalidStateError(
        `\`writer.write\` was called by ${describeCaller(scope)} while a write of ${describeCaller(other)} waits for room${advice("Let one task write, or put a Lock round it")}`,
      ),
    );
    return future;
  }

  /** What awaiting a write is. */
  async #waitForRoom(span: Span): Promise<void> {
    this.#waiting = here();
    this.#waits++;
    try {
      await this.#drain(span);
    } finally {
      if (--this.#waits === 0) this.#waiting = undefined;
    }
  }

  async #drain(span: Span): Promise<void> {
    const stream = this.#stream;
    try {
      await stream.drain(stream.unsent > this.#high ? this.#low : Number.POSITIVE_INFINITY);
    } catch (error) {
      if (error instanceof CancelledError) this.#tellWritten(error, span);
      span.promise?.catch(ignore);
      throw error;
    }
  }

  #tellWritten(error: CancelledError, { from, to }: Span): void {
    const bytesWritten = Math.min(Math.max(this.bytesWritten - from, 0), to - from);
    Object.assign(error, { bytesWritten });
  }
}

/** Errors of writes that found their stream closed under them, and that stream. */
const closedUnder: WeakMap<object, ByteStream> = new WeakMap();

/**
 * The code that writes has made no mistake, unlike after a `close` of its own. So the error looks
 * like a lost connection.
 */
function closedElsewhere(stream: ByteStream): Error {
  const { message, ...details } = hostError("ECONNABORTED", "write", stream.remoteAddress);
  const error = Object.assign(
    new Error(`${message}: closed at this end, by its reader, its server, or the end of its run`),
    details,
  );
  closedUnder.set(error, stream);
  return error;
}

/**
 * Whether `error` is the very error by which `stream` tells that it is lost, or that it was closed
 * under its writer.
 */
export function isLossOf(stream: ByteStream, error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const isIts = stream.isLoss?.(error) ?? error === stream.lost;
  return isIts || closedUnder.get(error) === stream;
}
