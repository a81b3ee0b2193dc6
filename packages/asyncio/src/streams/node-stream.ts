/**
 * A ByteStream over Node's streams: a socket, a TLS socket, a pipe, the stdio of a child process.
 * One or two of them, for reading and for writing.
 *
 * Reading begins with the first read, or when a write has to wait; from then on it runs ahead of
 * its reader by one buffer. Writing goes by pieces (piece-writer.ts). How Node's streams come to
 * their end, and which of them do not tell, is in node-quirks.ts.
 *
 * Idle connections are many: whatever not every connection needs is made on first use, and the
 * listeners are shared (node-listeners.ts).
 */

import type { Readable, Writable } from "node:stream";
import { advice, CancelledError, InvalidStateError } from "../errors/errors.ts";
import type { Watched } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { type Wait, WaitList, type WaitSubject } from "../kernel/wait.ts";
import { Closing } from "./closing.ts";
import { type Address, hostError } from "./network.ts";
import {
  disown,
  listenBelow,
  listenToCloseOnly,
  own,
  ownReadable,
  type StreamOwner,
  stopListeningToClose,
} from "./node-listeners.ts";
import { copyOf, resetOrDestroy } from "./node-quirks.ts";
import { destroyedElsewhere, type NodeStreamSource } from "./node-source.ts";
import { firstWrite, type PieceOwner, type PieceWriter } from "./piece-writer.ts";
import { type DirectStream, ReadSide, type Receiver, type Sided, WriteSide } from "./sides.ts";

const HIGH_WATER_MARK = 65_536;
/** Bytes that are read ahead of the reader, at least; then the host is told to pause. */
const READ_AHEAD = 65_536;
const NOWHERE: Address = { host: "", port: 0 };
const EMPTY: Uint8Array = new Uint8Array(0);

export class NodeStream implements Sided, DirectStream, StreamOwner, PieceOwner, Watched {
  #source: NodeStreamSource;
  /** Streams of the host that have not closed. */
  #open = 0;
  #isClosed = false;
  /** True while TLS has the socket, and the handshake is not done. */
  #isStartingTls = false;
  #lost: Error | undefined = undefined;
  #localAddress: Address | undefined = undefined;

  readonly #reading: ReadSide = new ReadSide(this);
  #isFlowing = false;
  #hasEnded = false;

  /** Made by the first write that waits for room, or `drain`. */
  #writing: WriteSide | undefined = undefined;
  /** Made by the first write that the host does not take in the call. */
  #pieces: PieceWriter | undefined = undefined;
  #hasWrittenEof = false;

  #closers: WaitList | undefined = undefined;
  /** Those who wait for the end of a foreign stream. */
  #closing: Closing | undefined = undefined;
  /** True once all is through, and the streams of the host were told to go. */
  #isDestroyed = false;

  constructor(source: NodeStreamSource, loop: EventLoop = here().loop) {
    this.#source = source;
    const { readable, writable } = source;
    if (readable !== undefined) this.#ownReadable(readable);
    if (writable !== undefined && writable !== (readable as unknown)) {
      if (!writable.closed) this.#open++;
      own(writable, this);
    }
    if (loop.isExact) loop.host.watch?.(this);
  }

  #ownReadable(readable: Readable): void {
    this.#hasEnded = readable.readableEnded;
    if (!readable.closed) this.#open++;
    ownReadable(readable, this);
  }

  get #readable(): Readable | undefined {
    return this.#source.readable;
  }

  get #writable(): Writable | undefined {
    return this.#source.writable;
  }

  get #writeSide(): WriteSide {
    this.#writing ??= new WriteSide(this);
    return this.#writing;
  }

  get highWaterMark(): number {
    return this.#source.highWaterMark ?? HIGH_WATER_MARK;
  }

  get localAddress(): Address {
    this.#localAddress ??= this.#source.localAddress?.() ?? NOWHERE;
    return this.#localAddress;
  }

  get remoteAddress(): Address {
    return this.#source.remoteAddress ?? NOWHERE;
  }

  get unsent(): number {
    return this.#pieces?.unsent ?? 0;
  }

  get dropped(): number {
    return this.#pieces?.dropped ?? 0;
  }

  get lost(): Error | undefined {
    return this.#lost;
  }

  get isClosing(): boolean {
    return this.#isClosed;
  }

  /** @internal */
  describe(): string {
    return this.#source.describe();
  }

  extra(name: string): unknown {
    return this.#source.extra?.(name);
  }

  // --- reading

  read(most: number = Number.POSITIVE_INFINITY): Promise<Uint8Array | undefined> {
    return this.readFor(undefined, most);
  }

  /** @internal */
  readFor<T>(receiver: Receiver | undefined, most: number): Promise<T> {
    const scope = here();
    const reading = this.#reading;
    const atOnce = reading.atOnce<T>(scope, most, receiver);
    if (atOnce !== undefined) return atOnce;
    const readable = this.#readable;
    const isAtEnd = this.#hasEnded || readable === undefined;
    if (!isAtEnd && this.#lost !== undefined) return refused(scope, reading, this.#lost);
    if (isAtEnd || this.#isClosed)
      return completed(scope, reading, receiver?.chunkCame(undefined) as T); // what its reads give
    const read = reading.wait<T>(scope, most, receiver);
    this.#flow(readable);
    return read;
  }

  /** @internal */
  waitOf(receiver: Receiver): Wait | undefined {
    return this.#reading.waitOf(receiver);
  }

  #flow(readable: Readable): void {
    if (this.#isFlowing) return;
    this.#isFlowing = true;
    if (this.#source.isSocketOfOurs === true) listenBelow(readable);
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
    if (!isOver && this.#reading.ahead < READ_AHEAD) this.#flow(readable);
  }

  /** @internal */
  get copies(): boolean {
    return this.#reading.copies;
  }

  /** @internal */
  dataArrived(bytes: Uint8Array, isLent?: boolean): void {
    if (this.#isClosed || bytes.length === 0) return;
    // Streams of the program may be fed by code that runs in a turn of ours.
    if (this.#source.isForeign !== true) this.#reading.hostTurned();
    this.#reading.arrived(bytes, isLent);
    if (this.#reading.ahead < READ_AHEAD) return;
    this.#isFlowing = false;
    this.#readable?.pause();
  }

  /** @internal */
  endArrived(): void {
    this.#hasEnded = true;
    this.#reading.end();
  }

  // --- writing

  send(bytes: Uint8Array): void {
    const writable = this.#writable;
    const isOver = this.#isClosed || this.#hasWrittenEof || this.#lost !== undefined;
    if (writable === undefined || isOver || bytes.length === 0) return;
    const pieces = this.#pieces;
    if (pieces !== undefined) pieces.send(bytes);
    else this.#pieces = firstWrite(writable, this.#source.refusesEmpty === true, this, bytes);
  }

  drain(most: number): Promise<void> {
    const writing = this.#writeSide;
    const drained = writing.drain(most);
    if (writing.isWaiting) this.#readAhead();
    return drained;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#writeSide.write(bytes);
  }

  writeEof(): void {
    if (this.#hasWrittenEof || this.#isClosed) return;
    this.#hasWrittenEof = true;
    if (this.#isHandedOver) this.#endWriting();
  }

  #endWriting(): void {
    if (this.#source.isKept !== true) this.#writable?.end();
  }

  /** True if the host has been given everything. */
  get #isHandedOver(): boolean {
    return this.#pieces?.isHandedOver ?? true;
  }

  /** @internal */
  pieceWentOut(): void {
    if (this.#pieces?.isSending === false) {
      if (this.#isClosed) this.#finish();
      else if (this.#hasWrittenEof) this.#endWriting();
    }
    this.#writing?.lessIsUnsent();
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
        `\`startTls\` was called on ${source.describe()}, which is no connection${advice("TLS needs a socket")}`,
      );
    if (this.#reading.isWaiting) throw this.#reading.busyError(scope);
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

  /** Puts back what was read ahead. From then on only the end of the socket is listened to. */
  #giveBack(readable: Readable, ahead: Uint8Array): void {
    listenToCloseOnly(readable);
    const later = this.#reading.takeAll() ?? EMPTY;
    for (const chunk of [later, ahead]) if (chunk.length > 0) readable.unshift(copyOf(chunk));
    this.#isFlowing = false;
  }

  #goOnWith(next: NodeStreamSource, old: Readable): void {
    stopListeningToClose(old);
    this.#open = 0;
    this.#source = next;
    this.#pieces = undefined; // it has sent everything
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
    this.#reading.drop();
    this.#reading.end();
    // What the peer still sends is thrown away: unread bytes would turn the end into a reset, and
    // ours might be lost.
    this.#readable?.resume();
    if (this.#isHandedOver) this.#finish();
  }

  async waitClosed(): Promise<void> {
    const scope = here();
    const subject = this.#subject("the end of");
    const stop = scope.interruption(subject);
    if (stop !== undefined) await stop;
    const isGone = this.#open === 0 || this.#closing?.isLeftBehind === true;
    await (isGone ? completed(scope, subject, undefined) : this.#untilGone(scope, subject));
    this.#writing?.throwUntold();
  }

  #untilGone(scope: Scope, subject: WaitSubject): Promise<void> {
    if (this.#source.isForeign === true) {
      this.#closing ??= new Closing(scope, this.#source.describe());
      if (this.#isDestroyed) this.#closing.asked();
      return this.#closing.wait(scope, subject).promise;
    }
    const wait = park<void>(scope, subject);
    wait.waitsOutside();
    this.#closers ??= new WaitList();
    this.#closers.add(wait);
    return wait.promise;
  }

  abort(): void {
    if (this.#open === 0 && this.#isClosed) return;
    this.#isClosed = true;
    this.failed(hostError("ECONNABORTED", "read", this.#source.remoteAddress));
    this.#writing?.forgetUntold();
    this.#reading.drop();
    if (this.#source.reset !== undefined) this.#source.reset();
    else if (this.#source.isKept === true) this.#letGo();
    else {
      for (const stream of new Set(this.#both())) resetOrDestroy(stream);
      this.#destroyed();
    }
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
    this.#pieces?.drop();
    this.#reading.fail(error);
    // Of a connection every later write tells.
    const isOwed = this.#source.isForeign === true && this.#writable !== undefined;
    (isOwed ? this.#writeSide : this.#writing)?.fail(error, isOwed);
  }

  /** @internal */
  hostClosed(): void {
    if (--this.#open > 0) return;
    if (!this.#isOver()) this.failed(destroyedElsewhere(this.#source));
    this.#closers?.resumeAll(undefined);
    this.#closing?.ended();
    this.#writing?.end();
  }

  /** What tests that leave it open are told. */
  leftover(): string | undefined {
    if (this.#isOver() || this.#open === 0) return undefined; // the host closes what has ended
    return `${this.#source.describe()}, still open`;
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
      if (this.#pieces?.isSending !== true) this.#letGo();
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
    for (const stream of this.#both()) disown(stream);
    this.#open = 1;
    this.hostClosed();
  }

  #destroy(): void {
    if (this.#source.isKept === true) this.#letGo();
    else {
      for (const stream of this.#both()) stream.destroy();
      this.#destroyed();
    }
  }

  #destroyed(): void {
    this.#isDestroyed = true;
    this.#closing?.asked();
  }

  #both(): (Readable | Writable)[] {
    return [this.#readable, this.#writable].filter((stream) => stream !== undefined);
  }

  /** @internal */
  waits(wait: Wait): void {
    if (this.#source.isForeign === true) wait.isForeign = true;
    else wait.waitsOutside();
  }

  #subject(what: string): WaitSubject {
    return { describeWait: () => `${what} ${this.#source.describe()}` };
  }
}
