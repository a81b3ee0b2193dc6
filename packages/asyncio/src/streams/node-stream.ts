/**
 * A ByteStream over Node's streams: a socket, a TLS socket, a pipe, the stdio of a child process.
 * One or two of them, for reading and for writing.
 *
 * Reading begins with the first read, or when a write has to wait; from then on it runs ahead of
 * its reader by one buffer. Writing hands the host no more than a few pieces at a time, so that one
 * can tell what has gone out, and drop the rest.
 *
 * Idle connections are many: whatever not every connection needs is made on first use, and the
 * listeners are shared; they find their stream under a symbol of Node's.
 */

import type { Readable, Writable } from "node:stream";
import { CancelledError, InvalidStateError } from "../errors/errors.ts";
import type { Watched } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park, type Scope } from "../kernel/scope.ts";
import type { Place } from "../kernel/selectable.ts";
import { type Wait, WaitList, type WaitSubject } from "../kernel/wait.ts";
import { type Address, type ByteStream, hostError } from "../ports/network.ts";
import { ignore } from "../structures/settlers.ts";
import { ChunkQueue } from "./chunk-queue.ts";
import { Closing } from "./closing.ts";
import { describeCaller } from "./reader.ts";

/** Where a NodeStream gets its bytes from. Its functions are called on demand. */
export interface NodeStreamSource {
  readonly readable?: Readable | undefined;
  /** May be the same stream as `readable`. */
  readonly writable?: Writable | undefined;
  readonly remoteAddress?: Address | undefined;
  /** @default 65,536 */
  readonly highWaterMark?: number | undefined;
  /**
   * True if it is a stream of the program's own, and no connection. A task of the same loop may
   * feed it, so a wait for it holds virtual time only as far as the host tells that something is
   * open. And when it fails after it was closed (a file's disk is full), `waitClosed` says so.
   * @default false
   */
  readonly isForeign?: boolean | undefined;
  /**
   * True if it outlives its stream here, as the standard output does: closed, that lets go of it.
   * @default false
   */
  readonly isKept?: boolean | undefined;
  /** What reports call it: "connection to example.org:80". */
  describe(): string;
  localAddress?(): Address;
  /** What `extra` knows. */
  extra?(name: string): unknown;
  /** Ends both sides at once, where that takes more than the streams offer. */
  reset?(): void;
  /**
   * Calls `destroy` when the peer need not be waited for any more, after all that was written has
   * left. @default at once
   */
  linger?(destroy: () => void): void;
  /** True if nothing empty may be written to it. */
  readonly refusesEmpty?: boolean | undefined;
  /** Finds better words for an error of the host. */
  explain?(error: Error): Error;
  /**
   * Begins TLS on `readable`, and calls `attach` with what to go on with in the moment in which the
   * handshake is done. Cancelled or failed, the socket is destroyed.
   */
  startTls?(options: object, attach: (source: NodeStreamSource) => void): Promise<void>;
}

/** What sockets have beyond other streams. */
interface Resettable {
  resetAndDestroy?(): void;
}

const OWNER: unique symbol = Symbol("asyncio-ts stream");

interface Owned {
  [OWNER]?: NodeStream;
}

const HIGH_WATER_MARK = 65_536;
/** Bytes that are read ahead of the reader, at least; then the host is told to pause. */
const READ_AHEAD = 65_536;
/** Bytes that the host is given at a time when it cannot take everything at once. */
const PIECE = 65_536;
const NOWHERE: Address = { host: "", port: 0 };
const EMPTY: Uint8Array = new Uint8Array(0);
type BufferConstructor = { from(bytes: Uint8Array): Uint8Array };
let bufferClass: BufferConstructor | undefined;

/**
 * A copy out of the pool of Node, which is three times as fast as an array of its own for a small
 * one.
 */
function copyOf(bytes: Uint8Array): Uint8Array {
  bufferClass ??= process.getBuiltinModule("node:buffer").Buffer;
  return bufferClass.from(bytes);
}

function onData(this: Owned, chunk: Uint8Array): void {
  this[OWNER]?.dataArrived(chunk);
}
function onEnd(this: Owned): void {
  this[OWNER]?.endArrived();
}
function onError(this: Owned, error: Error): void {
  this[OWNER]?.hostFailed(error);
}
function onClose(this: Owned): void {
  this[OWNER]?.hostClosed();
}

export class NodeStream implements ByteStream, Watched {
  readonly highWaterMark: number;
  #source: NodeStreamSource;
  #readable: Readable | undefined;
  #writable: Writable | undefined;
  /** Streams of the host that have not closed. */
  #open = 0;
  #isClosed = false;
  /** True while TLS has the socket, and the handshake is not done. */
  #isStartingTls = false;
  #lost: Error | undefined = undefined;
  #localAddress: Address | undefined = undefined;

  // reading
  /** What has arrived and was not read; undefined is none. */
  #ahead: ChunkQueue | undefined = undefined;
  #isFlowing = false;
  #hasEnded = false;
  /** The last read that had to wait; it still waits if its state is "parked". */
  #reader: Wait<Uint8Array | undefined> | undefined = undefined;

  // writing
  /** What the host has not been given yet; undefined is nothing. */
  #queue: ChunkQueue | undefined = undefined;
  /**
   * True if the host has not passed everything on. The last piece that it has ends in a callback,
   * which tells when it has.
   */
  #isSending = false;
  #hasWrittenEof = false;
  /** Those who wait until less is unsent: `offer` is how much may be. */
  #writers: WaitList | undefined = undefined;
  #closers: WaitList | undefined = undefined;
  /** Those who wait for the end of a foreign stream. */
  #closing: Closing | undefined = undefined;
  /** True once all is through, and the streams of the host were told to go. */
  #isDestroyed = false;
  /** Why what was written to a foreign stream has not gone out, until a write has reported it. */
  #untold: Error | undefined = undefined;

  constructor(source: NodeStreamSource, loop: EventLoop = here().loop) {
    const { readable, writable, highWaterMark = HIGH_WATER_MARK } = source;
    this.#source = source;
    this.#readable = readable;
    this.#writable = writable;
    this.highWaterMark = highWaterMark;
    if (readable !== undefined) this.#ownReadable(readable);
    if (writable !== undefined && writable !== (readable as unknown)) this.#own(writable);
    if (loop.isExact) loop.watch(this);
  }

  #ownReadable(readable: Readable): void {
    // Before other code makes it flow, as Node does with the output of a child that has ended.
    readable.pause();
    readable.on("data", onData);
    readable.on("end", onEnd);
    this.#hasEnded = readable.readableEnded;
    this.#own(readable);
  }

  #own(stream: Readable | Writable): void {
    if (!stream.closed) this.#open++;
    (stream as Owned)[OWNER] = this;
    stream.on("error", onError);
    stream.on("close", onClose);
    if (!stream.closed && isSilent(stream)) tellOfClose(stream);
  }

  get localAddress(): Address {
    this.#localAddress ??= this.#source.localAddress?.() ?? NOWHERE;
    return this.#localAddress;
  }

  get remoteAddress(): Address {
    return this.#source.remoteAddress ?? NOWHERE;
  }

  get unsent(): number {
    return this.#isSending ? this.#queued + (this.#writable?.writableLength ?? 0) : 0;
  }

  /** Bytes that the host has not been given yet. */
  get #queued(): number {
    return this.#queue?.size ?? 0;
  }

  get lost(): Error | undefined {
    return this.#lost;
  }

  get isClosing(): boolean {
    return this.#isClosed;
  }

  extra(name: string): unknown {
    return this.#source.extra?.(name);
  }

  // --- reading

  read(most: number = Number.POSITIVE_INFINITY): Promise<Uint8Array | undefined> {
    const scope = here();
    const stop = scope.interruption(this);
    if (stop !== undefined) return stop;
    if (this.#reader?.state === "parked") return refused(scope, this, this.#busyError(scope));
    if (this.#ahead !== undefined) return completed(scope, this, this.#take(this.#ahead, most));
    const readable = this.#readable;
    if (this.#hasEnded || readable === undefined) return completed(scope, this, undefined);
    if (this.#lost !== undefined) return refused(scope, this, this.#lost);
    if (this.#isClosed) return completed(scope, this, undefined);
    const wait = park<Uint8Array | undefined>(scope, this);
    wait.handsOver = true;
    wait.offer = most;
    this.#waitsOutside(wait as Wait);
    this.#reader = wait;
    this.#flow(readable);
    return wait.promise;
  }

  #flow(readable: Readable): void {
    if (this.#isFlowing) return;
    this.#isFlowing = true;
    readable.resume();
  }

  /**
   * A peer may answer before it has read everything, and then reset the connection, as a server
   * does that refuses a large request. The reset would take the answer with it out of the operating
   * system, so it is read while a write waits.
   */
  #readAhead(): void {
    const readable = this.#readable;
    if (readable === undefined || readable !== (this.#writable as unknown)) return;
    const isOver = this.#isClosed || this.#isStartingTls || this.#source.isForeign === true;
    if (!isOver && (this.#ahead?.size ?? 0) < READ_AHEAD) this.#flow(readable);
  }

  /** @internal What a read waits for. */
  describeWait(): string {
    return `bytes from ${this.#source.describe()}`;
  }

  /** @internal */
  dataArrived(chunk: Uint8Array): void {
    if (this.#isClosed || chunk.length === 0) return;
    // Plain bytes: `slice` of a Buffer would not copy, and its text would look different from that
    // of other streams.
    const bytes = new Uint8Array(chunk.buffer as ArrayBuffer, chunk.byteOffset, chunk.length);
    const reader = this.#reader;
    if (reader?.state === "parked") {
      const most = reader.offer as number; // left there by `read`
      if (bytes.length > most) this.#keep(bytes.subarray(most));
      reader.resume(bytes.length > most ? bytes.subarray(0, most) : bytes);
    } else this.#keep(bytes);
  }

  /** @internal */
  endArrived(): void {
    this.#hasEnded = true;
    this.#reader?.resume(undefined);
  }

  #keep(bytes: Uint8Array): void {
    this.#ahead ??= new ChunkQueue();
    if (!this.#ahead.append(bytes)) this.#ahead.push(bytes);
    if (this.#ahead.size < READ_AHEAD) return;
    this.#isFlowing = false;
    this.#readable?.pause();
  }

  #take(ahead: ChunkQueue, most: number): Uint8Array {
    const taken = ahead.shift(most);
    if (ahead.size === 0) this.#ahead = undefined;
    return taken;
  }

  // --- writing

  send(bytes: Uint8Array): void {
    const writable = this.#writable;
    const isOver = this.#isClosed || this.#hasWrittenEof || this.#lost !== undefined;
    if (writable === undefined || isOver || bytes.length === 0) return;
    if (this.#isSending || bytes.length > PIECE) {
      this.#queue ??= new ChunkQueue();
      // What code of the program takes keeps its chunks.
      if (!isSocket(writable) || !this.#queue.append(bytes)) this.#queue.push(copyOf(bytes));
      if (!this.#isSending) this.#sendNext(writable, this.#queue);
      return;
    }
    const copy = copyOf(bytes);
    if (this.#source.refusesEmpty || !isSocket(writable)) {
      this.#send(writable, copy); // code of the program would see the empty piece
    } else {
      // The usual case: the host takes it in the call. A callback for each write would cost a tick
      // (bench: echo).
      writable.write(copy);
      if (writable.writableLength > 0) this.#send(writable, EMPTY);
    }
  }

  drain(most: number): Promise<void> {
    const scope = here();
    const subject = this.#subject("room to write to");
    const stop = scope.interruption(subject);
    if (stop !== undefined) return stop;
    if (this.#lost !== undefined) {
      this.#untold = undefined;
      return refused(scope, subject, this.#lost);
    }
    if (this.unsent <= most) return completed(scope, subject, undefined);
    const wait = park<void>(scope, subject);
    wait.offer = most;
    this.#waitsOutside(wait as Wait);
    this.#readAhead();
    this.#writers ??= new WaitList();
    this.#writers.add(wait);
    return wait.promise;
  }

  write(bytes: Uint8Array): Promise<void> {
    const scope = here();
    const stop = scope.interruption(this.#subject("room to write to"));
    if (stop !== undefined) return stop;
    this.send(bytes);
    return this.drain(this.highWaterMark);
  }

  writeEof(): void {
    if (this.#hasWrittenEof || this.#isClosed) return;
    this.#hasWrittenEof = true;
    if (this.#queue === undefined) this.#endWriting();
  }

  #endWriting(): void {
    if (this.#source.isKept !== true) this.#writable?.end();
  }

  /** A piece that ends in a callback; what the host has before it is then through as well. */
  #send(writable: Writable, piece: Uint8Array): void {
    this.#isSending = true;
    writable.write(piece, (error) => {
      if (error || this.#lost !== undefined) return; // "error" or "close" tells; or it was aborted
      this.#isSending = false;
      if (this.#queue !== undefined) this.#sendNext(writable, this.#queue);
      else if (this.#isClosed) this.#finish();
      else if (this.#hasWrittenEof) this.#endWriting();
      this.#resumeWriters();
    });
  }

  #sendNext(writable: Writable, queue: ChunkQueue): void {
    const piece = isSocket(writable) ? queue.take(PIECE) : queue.shift(PIECE);
    if (queue.size === 0) this.#queue = undefined;
    this.#send(writable, piece);
  }

  #resumeWriters(): void {
    if (this.#writers === undefined) return;
    const { unsent } = this;
    const all: Place[] = [];
    for (
      let wait: Place | undefined = this.#writers.first;
      wait !== undefined;
      wait = wait.listNext
    )
      all.push(wait);
    for (const wait of all) if (unsent <= (wait.offer as number)) wait.resume(undefined); // how much may be
  }

  // --- TLS

  async startTls(options: object, takeAhead: () => Uint8Array = () => EMPTY): Promise<void> {
    const scope = here();
    const stop = scope.interruption(this.#subject("the TLS handshake on"));
    if (stop !== undefined) await stop;
    const source = this.#source;
    const readable = this.#readable;
    if (source.startTls === undefined || readable === undefined)
      throw new InvalidStateError(
        `\`startTls\` was called on ${source.describe()}, which is no connection. TLS needs a socket`,
      );
    if (this.#reader?.state === "parked") throw this.#busyError(scope);
    // TLS would wait for an end that was seen before it came.
    if (this.#hasEnded) this.failed(hostError("ECONNRESET", "read", source.remoteAddress));
    if (this.#lost !== undefined) throw this.#lost;
    this.#isStartingTls = true;
    this.#giveBack(readable, takeAhead());
    try {
      await source.startTls(options, (next) => this.#goOnWith(next, readable));
      if (this.#lost !== undefined) throw this.#lost; // aborted in the same moment
    } catch (error) {
      if (error instanceof CancelledError) this.abort();
      else {
        const lost = this.#lost ?? error;
        this.failed(lost as Error); // of the handshake
        this.#isClosed = true;
        readable.destroy();
        throw lost;
      }
      throw error;
    } finally {
      this.#isStartingTls = false;
    }
  }

  /**
   * Puts back what was read ahead, and listens to the host no more, but for the end of the socket.
   */
  #giveBack(readable: Readable, ahead: Uint8Array): void {
    readable.pause();
    readable.off("data", onData);
    readable.off("end", onEnd);
    readable.off("error", onError);
    readable.on("error", ignore);
    const later = this.#ahead?.take(Number.POSITIVE_INFINITY) ?? EMPTY;
    for (const chunk of [later, ahead]) if (chunk.length > 0) readable.unshift(copyOf(chunk));
    this.#ahead = undefined;
    this.#isFlowing = false;
  }

  #goOnWith(next: NodeStreamSource, old: Readable): void {
    old.off("close", onClose);
    this.#open = 0;
    this.#source = next;
    this.#readable = next.readable;
    this.#writable = next.writable;
    this.#isStartingTls = false;
    if (next.readable !== undefined) this.#ownReadable(next.readable);
    if (this.#isClosed) next.reset?.(); // aborted meanwhile
  }

  // --- the end

  close(): void {
    if (this.#isClosed) return;
    if (this.#isStartingTls) {
      this.abort(); // nothing is on its way but the handshake
      return;
    }
    this.#isClosed = true;
    this.#ahead = undefined;
    this.#reader?.resume(undefined);
    // What the peer still sends is thrown away: unread bytes would turn the end into a reset, and
    // ours might be lost.
    this.#readable?.resume();
    if (this.#queue === undefined) this.#finish();
  }

  async waitClosed(): Promise<void> {
    const scope = here();
    const isGone = this.#open === 0 || this.#closing?.isLeftBehind === true;
    if (!isGone && scope.peekDue() === undefined) await this.#waitUntilGone(scope).promise;
    const error = this.#untold;
    this.#untold = undefined;
    if (error !== undefined) throw error;
  }

  #waitUntilGone(scope: Scope): Wait<void> {
    const subject = this.#subject("the end of");
    if (this.#source.isForeign === true) {
      this.#closing ??= new Closing(scope, this.#source.describe());
      if (this.#isDestroyed) this.#closing.asked();
      return this.#closing.wait(scope, subject);
    }
    const wait = park<void>(scope, subject);
    wait.waitsOutside();
    this.#closers ??= new WaitList();
    this.#closers.add(wait);
    return wait;
  }

  abort(): void {
    if (this.#open === 0 && this.#isClosed) return;
    this.#isClosed = true;
    this.failed(hostError("ECONNABORTED", "read", this.#source.remoteAddress));
    this.#untold = undefined;
    this.#ahead = undefined;
    if (this.#source.reset !== undefined) {
      this.#source.reset();
      return;
    }
    if (this.#source.isKept === true) {
      this.#letGo();
      return;
    }
    for (const stream of new Set<(Readable | Writable) & Resettable>(this.#both())) {
      if (isTcp(stream) && !isShuttingDown(stream)) stream.resetAndDestroy?.();
      else stream.destroy();
    }
    this.#destroyed();
  }

  /** @internal */
  hostFailed(error: Error): void {
    this.failed(this.#source.explain?.(error) ?? error);
    if (this.#isClosed) this.#destroy(); // one that does not by itself would never finish
  }

  /** @internal The connection is lost. */
  failed(error: Error): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    this.#queue = undefined;
    this.#reader?.fail(error);
    const isTold = this.#writers?.first !== undefined || this.#writable === undefined;
    if (this.#source.isForeign === true && !isTold) this.#untold = error;
    this.#writers?.failAll(() => error);
  }

  /** @internal */
  hostClosed(): void {
    if (--this.#open > 0) return;
    if (!this.#isOver()) {
      // Other code has destroyed it behind our back: a child that has ended leaves its stdin so.
      const { remoteAddress } = this.#source;
      const isPipe = this.#readable === undefined;
      this.failed(
        isPipe ? hostError("EPIPE", "write") : hostError("ECONNABORTED", "read", remoteAddress),
      );
    }
    this.#closers?.resumeAll(undefined);
    this.#closing?.ended();
    this.#writers?.resumeAll(undefined);
  }

  /** What tests that leave it open are told. */
  leftover(): string | undefined {
    // The host closes by itself what has ended.
    return this.#isOver() || this.#open === 0
      ? undefined
      : `${this.#source.describe()}, still open`;
  }

  /** True if both sides have ended as they should. */
  #isOver(): boolean {
    const hasRead = this.#hasEnded || this.#readable === undefined;
    const hasWritten = this.#hasWrittenEof || this.#writable === undefined;
    return this.#isClosed || this.#isStartingTls || (hasRead && hasWritten);
  }

  /** All is with the host: ends the writing side, then both. */
  #finish(): void {
    if (this.#source.isKept === true) {
      if (!this.#isSending) this.#letGo();
      return;
    }
    const writable = this.#writable;
    const destroy = (): void => this.#destroy();
    const finished = (): void => {
      if (this.#source.linger === undefined || this.#hasEnded) destroy();
      else this.#source.linger(destroy);
    };
    if (writable === undefined || writable.destroyed || this.#lost !== undefined) destroy();
    else if (writable.writableFinished) finished();
    else {
      writable.once("finish", finished);
      writable.end();
    }
  }

  /** Other code may use the streams of the host again. */
  #letGo(): void {
    for (const stream of this.#both()) {
      stream.off("error", onError);
      stream.off("close", onClose);
      delete (stream as Owned)[OWNER];
    }
    this.#open = 1;
    this.hostClosed();
  }

  #destroy(): void {
    if (this.#source.isKept === true) {
      this.#letGo();
      return;
    }
    for (const stream of this.#both()) stream.destroy();
    this.#destroyed();
  }

  #destroyed(): void {
    this.#isDestroyed = true;
    this.#closing?.asked();
  }

  #both(): (Readable | Writable)[] {
    return [this.#readable, this.#writable].filter((stream) => stream !== undefined);
  }

  #waitsOutside(wait: Wait): void {
    if (this.#source.isForeign === true) wait.isForeign = true;
    else wait.waitsOutside();
  }

  #subject(what: string): WaitSubject {
    return { describeWait: () => `${what} ${this.#source.describe()}` };
  }

  #busyError(scope: Scope): InvalidStateError {
    const other = (this.#reader as Wait).scope; // it waits
    return new InvalidStateError(
      `\`stream.read\` was called by ${describeCaller(scope)} while ${describeCaller(other)} is reading from ${this.#source.describe()}. Let one task read`,
    );
  }
}

/** Whether a NodeStream has it already: there can be one. */
export function isAdapted(stream: object): boolean {
  return (stream as Owned)[OWNER] !== undefined;
}

/**
 * True if it was told not to emit "close" (`emitClose: false`), and does not do that by itself, as
 * sockets do.
 */
function isSilent(stream: Readable | Writable): boolean {
  type States = Record<"_writableState" | "_readableState", { emitClose?: boolean } | undefined>;
  const { _writableState, _readableState } = stream as unknown as Partial<States>; // so Node itself finds it out
  return (_writableState ?? _readableState)?.emitClose === false && !isSocket(stream);
}

function tellOfClose(stream: Readable | Writable): void {
  afterDestroy(stream, () => {
    stream.off("close", onClose);
    onClose.call(stream as Owned);
  });
}

/** Calls `told` when a silent stream has gone, and has told its error. */
function afterDestroy(stream: Readable | Writable, told: () => void): void {
  const { _destroy: destroy } = stream;
  stream._destroy = (error, callback) =>
    destroy.call(stream, error, (failure) => {
      callback(failure);
      process.nextTick(told);
    });
}

/**
 * Destroys a stream that no NodeStream has, and waits until it is gone. Rejects if it fails by
 * that.
 */
export function destroyed(stream: Readable | Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.on("error", reject);
    if (stream.closed || (stream.destroyed && isSilent(stream))) resolve();
    else if (isSilent(stream)) afterDestroy(stream, resolve);
    else stream.once("close", resolve);
    stream.destroy();
  });
}

function isSocket(stream: object): boolean {
  return "setNoDelay" in stream;
}

/** Only TCP connections can be reset; asking a pipe for it throws. */
function isTcp(stream: object): boolean {
  const { remoteFamily } = stream as { remoteFamily?: string };
  return remoteFamily === "IPv4" || remoteFamily === "IPv6";
}

/**
 * True while the host waits for the last bytes and the end to leave. A socket cannot be reset then:
 * the host says EINVAL, and forgets a handle that keeps the process alive.
 */
export function isShuttingDown(socket: Readable | Writable): boolean {
  const { writableEnded, writableFinished, writableLength } = socket as Writable; // it is a socket
  return writableEnded && !writableFinished && writableLength === 0;
}
