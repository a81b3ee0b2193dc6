/**
 * Streams of bytes in memory: what a connection is, without a host. Both directions are pipes; a
 * pipe holds what was written and not read. Where reads cut what has arrived is a decision of an
 * exact host: one chunk today is three tomorrow.
 */

import {
  advice,
  argumentError,
  checkOptions,
  InvalidStateError,
  rangeError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import type { Watched } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { type Wait, WaitList } from "../kernel/wait.ts";
import { ChunkQueue } from "./chunk-queue.ts";
import { type Connection, connectionOf } from "./connection.ts";
import { isBytes } from "./encode.ts";
import { busyError } from "./errors.ts";
import { type Address, type ByteStream, hostError } from "./network.ts";
import type { ReaderOptions } from "./reader.ts";
import { READER } from "./reader.ts";
import { resumeForRoom } from "./sides.ts";
import type { WriterOptions } from "./writer.ts";
import { WRITER } from "./writer.ts";

const HIGH_WATER_MARK = 65_536;

/** Decides how many of `available` bytes a read gets. */
export type Cutter = (available: number) => number;

/** One direction: what was written at one end and not read at the other. */
export class Pipe {
  /** What has arrived. */
  #arrived = new ChunkQueue();
  readonly #cut: Cutter | undefined;
  /** Bytes written that have not been read: arrived or on their way. */
  unread = 0;
  /** Bytes that will never be read, since nothing goes through any more. */
  dropped = 0;
  hasEnded = false;
  /** Called once all that was written has been read, and the end is there. */
  onEnd: (() => void) | undefined = undefined;
  /** Set once nothing goes through any more: why. */
  broken: Error | undefined = undefined;
  /** The read that waits: at most one. */
  readonly readers: WaitList<Wait> = new WaitList();
  /** Those who wait until there is room, or until all is read. */
  readonly writers: WaitList = new WaitList();
  /** Those who wait for the end of the stream that writes here, which has not begun to end. */
  readonly closers: WaitList = new WaitList();
  readonly highWaterMark: number;
  readonly #loop: EventLoop;

  constructor(loop: EventLoop, highWaterMark: number, cut?: Cutter) {
    this.#loop = loop;
    this.highWaterMark = highWaterMark;
    this.#cut = cut;
  }

  get isEmpty(): boolean {
    return this.#arrived.size === 0;
  }

  /** Bytes arrive. */
  push(bytes: Uint8Array): void {
    if (this.broken !== undefined || bytes.length === 0) return;
    this.#arrived.push(bytes);
    this.#feed();
  }

  /** The end arrives. */
  end(): void {
    this.hasEnded = true;
    this.#feed();
    this.#checkEnd();
  }

  /**
   * Nothing goes through any more: every wait, now and later, gets `error`. What has arrived can
   * still be read.
   */
  break(error: Error): void {
    if (this.broken !== undefined) return;
    this.broken = error;
    this.dropped = this.unread;
    this.unread = 0;
    this.readers.failAll(() => error);
    this.writers.failAll(() => error);
    this.closers.resumeAll(undefined);
  }

  /** What has arrived will not be read. */
  drop(): void {
    this.#arrived = new ChunkQueue();
  }

  /** At most `most` bytes, as many as one chunk has. */
  take(most: number): Uint8Array {
    const available = Math.min(this.#arrived.size, most);
    const decided = this.#loop.host.cut?.(available) ?? available;
    const taken = this.#arrived.take(Math.min(decided, this.#cut?.(available) ?? available));
    if (this.broken !== undefined) {
      this.dropped -= taken.length;
      return taken;
    }
    this.unread -= taken.length;
    // Those who wait for room go on; those who wait until all is read stay.
    resumeForRoom(this.writers, this.unread);
    this.#checkEnd();
    return taken;
  }

  #checkEnd(): void {
    if (this.hasEnded && this.isEmpty) this.onEnd?.();
  }

  #feed(): void {
    const reader = this.readers.first;
    if (reader === undefined) return;
    if (this.#arrived.size > 0)
      reader.resume(this.take(reader.offer as number)); // left there by `read`
    else if (this.hasEnded) reader.resume(undefined);
  }
}

/** Carries what one end writes to the pipe at the other end. */
export interface Carrier {
  send(bytes: Uint8Array): void;
  sendEof(): void;
  /** The other end is told that nothing comes or goes any more. */
  sendReset(error: Error): void;
}

export interface StreamEnd {
  readonly name: string;
  readonly localAddress: Address;
  readonly remoteAddress: Address;
  readonly incoming: Pipe;
  readonly outgoing: Pipe;
  readonly carrier: Carrier;
}

export class MemoryStream implements ByteStream, Watched {
  readonly localAddress: Address;
  readonly remoteAddress: Address;
  readonly #name: string;
  readonly #incoming: Pipe;
  readonly #outgoing: Pipe;
  readonly #carrier: Carrier;
  #hasWrittenEof = false;
  #isClosed = false;
  /** Set if `abort` was called: what operations here fail with. */
  #aborted: Error | undefined = undefined;

  constructor(loop: EventLoop, end: StreamEnd) {
    this.localAddress = end.localAddress;
    this.remoteAddress = end.remoteAddress;
    this.#name = end.name;
    this.#incoming = end.incoming;
    this.#outgoing = end.outgoing;
    this.#carrier = end.carrier;
    this.#incoming.onEnd = () => this.#closersGoOn();
    if (loop.isExact) loop.host.watch?.(this);
  }

  get isClosing(): boolean {
    return this.#isClosed;
  }

  get highWaterMark(): number {
    return this.#outgoing.highWaterMark;
  }

  get unsent(): number {
    return this.#outgoing.unread;
  }

  get dropped(): number {
    return this.#outgoing.dropped;
  }

  get lost(): Error | undefined {
    return this.#aborted ?? this.#outgoing.broken;
  }

  /** Its directions may be lost in different ways. */
  isLoss(error: unknown): boolean {
    const losses: unknown[] = [this.#aborted, this.#incoming.broken, this.#outgoing.broken];
    return error !== undefined && losses.includes(error);
  }

  read(most: number = Number.POSITIVE_INFINITY): Promise<Uint8Array | undefined> {
    if (typeof most !== "number")
      return Promise.reject(argumentError("`stream.read`", "a number of bytes", most));
    if (!(most >= 1)) return Promise.reject(rangeError("`stream.read`", "1 byte or more", most));
    const scope = here();
    const subject = `${this.#name}.read`;
    const stop = scope.interruption(subject);
    if (stop !== undefined) return stop;
    const pipe = this.#incoming;
    const error = this.#aborted ?? this.#busyError();
    if (error !== undefined) return refused(here(), subject, error);
    if (this.#isClosed) return completed(scope, subject, undefined);
    if (!pipe.isEmpty) return completed(scope, subject, pipe.take(Math.floor(most)));
    if (pipe.broken !== undefined) return refused(here(), subject, pipe.broken);
    if (pipe.hasEnded) return completed(scope, subject, undefined);
    const wait = park<Uint8Array | undefined>(scope, subject);
    wait.handsOver = true;
    wait.offer = Math.floor(most);
    pipe.readers.add(wait);
    return wait.promise;
  }

  write(bytes: Uint8Array): Promise<void> {
    if (!isBytes(bytes))
      return Promise.reject(argumentError("`stream.write`", "a Uint8Array", bytes));
    const scope = here();
    const subject = `${this.#name}.write`;
    const stop = scope.interruption(subject);
    if (stop !== undefined) return stop;
    const pipe = this.#outgoing;
    const error = this.#isClosed ? this.#closedError("write") : this.#writeError();
    if (error !== undefined) return refused(here(), subject, error);
    this.send(bytes);
    if (pipe.unread <= pipe.highWaterMark) return completed(scope, subject, undefined);
    return this.#waitUntilUnread(pipe.highWaterMark, subject);
  }

  send(bytes: Uint8Array): void {
    if (this.#isClosed || this.#hasWrittenEof || this.lost !== undefined) return;
    this.#outgoing.unread += bytes.length;
    this.#carrier.send(new Uint8Array(bytes)); // not `slice`: that of a Buffer does not copy
  }

  drain(most: number, subject = `${this.#name}.drain`): Promise<void> {
    const scope = here();
    const stop = scope.interruption(subject);
    if (stop !== undefined) return stop;
    if (this.lost !== undefined) return refused(here(), subject, this.lost);
    if (this.unsent <= most) return completed(scope, subject, undefined);
    return this.#waitUntilUnread(most, subject);
  }

  writeEof(): void {
    if (this.#hasWrittenEof || this.#isClosed) return;
    this.#hasWrittenEof = true;
    this.#carrier.sendEof();
    this.#closersGoOn();
  }

  close(): void {
    if (this.#isClosed) return;
    this.writeEof();
    this.#isClosed = true;
    this.#incoming.readers.resumeAll(undefined);
    // There are no more reads here: the peer's writes fail from now on.
    this.#incoming.break(hostError("EPIPE", "write", this.localAddress));
    this.#incoming.drop();
    this.#closersGoOn();
  }

  /** True once nothing more is to come or to go, but for what is on its way. */
  get #isEnding(): boolean {
    const { hasEnded, isEmpty } = this.#incoming;
    const bothHaveEnded = this.#hasWrittenEof && hasEnded && isEmpty;
    return this.#isClosed || bothHaveEnded || this.lost !== undefined;
  }

  #closersGoOn(): void {
    if (this.#isEnding) this.#outgoing.closers.resumeAll(undefined);
  }

  async waitClosed(): Promise<void> {
    const subject = `${this.#name}.waitClosed`;
    const scope = here();
    const stop = scope.interruption(subject);
    if (stop !== undefined) await stop;
    if (!this.#isEnding) {
      const wait = park<void>(scope, subject);
      this.#outgoing.closers.add(wait);
      await wait.promise;
      if (this.#outgoing.unread === 0 || this.lost !== undefined) return;
    }
    try {
      await this.drain(0, subject);
    } catch (error) {
      if (!this.isLoss(error)) throw error; // gone is closed
    }
  }

  abort(): void {
    if (this.#aborted !== undefined) return;
    const aborted = hostError("ECONNABORTED", "read", this.remoteAddress);
    this.#isClosed = true;
    this.#aborted = aborted;
    this.#incoming.readers.failAll(() => aborted);
    this.#outgoing.writers.failAll(() => aborted);
    const error = hostError("ECONNRESET", "read", this.remoteAddress);
    this.#incoming.break(error);
    this.#incoming.drop();
    this.#carrier.sendReset(error);
    this.#closersGoOn();
  }

  /** What tests that leave it open are told. */
  leftover(): string | undefined {
    if (this.#isClosed || this.#incoming.broken !== undefined) return undefined;
    return `${this.#name}, which is still open`;
  }

  #waitUntilUnread(most: number, subject: string): Promise<void> {
    const wait = park<void>(here(), subject);
    wait.offer = most;
    this.#outgoing.writers.add(wait);
    return wait.promise;
  }

  #writeError(): Error | undefined {
    if (this.lost !== undefined) return this.lost;
    if (!this.#hasWrittenEof) return undefined;
    return new InvalidStateError(
      `\`stream.write\` was called after \`writeEof\` on ${this.#name}${advice("Write first")}`,
    );
  }

  #busyError(): Error | undefined {
    const other = this.#incoming.readers.first;
    return other && busyError("`stream.read`", here(), other.scope, this.#name);
  }

  #closedError(call: string): InvalidStateError {
    return new InvalidStateError(`\`stream.${call}\` was called on ${this.#name}, which is closed`);
  }
}

/** Tells the writer's end that its peer is gone. */
export function resetBoth(incoming: Pipe, outgoing: Pipe, error: Error): void {
  incoming.break(error);
  outgoing.break(error);
}

/** What `connectionPair` takes. */
export interface ConnectionPairOptions extends ReaderOptions, WriterOptions {
  /** What reports call the two ends. @default ["a", "b"] */
  readonly names?: readonly [string, string] | undefined;
}

const KNOWN: Names<ConnectionPairOptions> = { ...READER, ...WRITER, names: 1 };

/**
 * Two connections that are the two ends of one, in memory: what the writer of one writes, the
 * reader of the other reads. For parts of a program that talk like client and server, and for
 * tests. Writes wait while more than 65,536 bytes are unread, or `highWaterMark`.
 *
 * @example
 * const [client, server] = asyncio.connectionPair();
 * client.writer.write("hello\n");
 * assert.equal(new TextDecoder().decode(await server.reader.readLine()), "hello\n");
 * client.writer.close();
 * assert.equal((await server.reader.read()).length, 0);
 * server.writer.close();
 */
export function connectionPair(options: ConnectionPairOptions = {}): [Connection, Connection] {
  checkOptions("`connectionPair`", options, KNOWN);
  const { names = ["a", "b"] } = options;
  checkNames("`connectionPair`", names);
  const [a, b] = streamPair({ highWaterMark: HIGH_WATER_MARK, names });
  return [connectionOf(a, options), connectionOf(b, options)];
}

/** @throws TypeError unless they are the names of two ends. */
export function checkNames(api: string, names: unknown): void {
  const isPair = Array.isArray(names) && names.length === 2;
  if (!isPair || [...names].some((name) => typeof name !== "string"))
    throw argumentError(api, "`names` to be an array of two names", names);
}

export interface PairSettings {
  readonly highWaterMark: number;
  readonly names: readonly [string, string];
  /** Makes what cuts the bytes of one direction; left out, only the host does. */
  readonly makeCutter?: (() => Cutter) | undefined;
}

/** Two ends of one connection: what is written at one is read at the other, at once. */
export function streamPair(settings: PairSettings): [MemoryStream, MemoryStream] {
  const { highWaterMark, names, makeCutter } = settings;
  const { loop } = here();
  const toB = new Pipe(loop, highWaterMark, makeCutter?.());
  const toA = new Pipe(loop, highWaterMark, makeCutter?.());
  const [a, b] = names.map((host, index) => ({ host, port: index + 1 })) as [Address, Address];
  const end = (local: Address, remote: Address, incoming: Pipe, outgoing: Pipe): MemoryStream =>
    new MemoryStream(loop, {
      name: `memory stream ${JSON.stringify(local.host)}`,
      localAddress: local,
      remoteAddress: remote,
      incoming,
      outgoing,
      carrier: {
        send: (bytes) => outgoing.push(bytes),
        sendEof: () => outgoing.end(),
        sendReset: (error) => resetBoth(outgoing, incoming, error),
      },
    });
  return [end(a, b, toA, toB), end(b, a, toB, toA)];
}
