/**
 * The two sides of a stream whose bytes come from, and go to, code that is not ours: the waits of
 * those who read and write it. What moves the bytes is for the stream to know.
 */

import type { InvalidStateError } from "../errors/errors.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park, type Scope } from "../kernel/scope.ts";
import type { Place } from "../kernel/selectable.ts";
import { type Wait, WaitList } from "../kernel/wait.ts";
import { ChunkQueue } from "./chunk-queue.ts";
import { busyError } from "./errors.ts";
import type { ByteStream } from "./network.ts";

/** A stream that has them. */
export interface Sided extends ByteStream {
  /** What reports call it: "connection to example.org:80". */
  describe(): string;
  /** An operation begins to wait: says what for, if it is outside of the loop. */
  waits(wait: Wait): void;
}

/** For whom a read is: who reads may want something else than the chunk. */
export interface Receiver {
  /**
   * Makes what the read gives of the chunk that it has got; undefined is the end. What is lent is
   * overwritten after the call.
   */
  chunkCame(chunk: Uint8Array | undefined, isLent?: boolean): unknown;
  /** Whether it copies now what it is lent. */
  readonly copies: boolean;
}

/** A stream of which a reader hands on the promises, without one of its own (bench: echo, idle). */
export interface DirectStream {
  /** `stream.read`, for a receiver. */
  readFor<T>(receiver: Receiver, most: number): Promise<T>;
  /** The read for `receiver`, if it waits. */
  waitOf(receiver: Receiver): Wait | undefined;
}

/** Of those who read the stream itself. */
const PLAIN: Receiver = { chunkCame: (chunk) => chunk, copies: false };

/** What has come and was not read, and the read that waits: one at a time. */
export class ReadSide {
  readonly #stream: Sided;
  /** Undefined is none. */
  #ahead: ChunkQueue | undefined = undefined;
  /** The last read that had to wait; it still waits if its state is "parked". */
  #reader: Wait | undefined = undefined;
  /** For whom that is. */
  #receiver: Receiver = PLAIN;

  constructor(stream: Sided) {
    this.#stream = stream;
  }

  /** Bytes that have come and were not read. */
  get ahead(): number {
    return this.#ahead?.size ?? 0;
  }

  get isWaiting(): boolean {
    return this.#reader?.state === "parked";
  }

  /** The read for `receiver`, if it waits. */
  waitOf(receiver: Receiver): Wait | undefined {
    return this.isWaiting && this.#receiver === receiver ? this.#reader : undefined;
  }

  /** @internal What a read waits for. */
  describeWait(): string {
    return `bytes from ${this.#stream.describe()}`;
  }

  /**
   * What a read gets that need not wait: a cancellation, a refusal since another one waits, or what
   * has come. Undefined if there is nothing.
   */
  atOnce<T = Uint8Array | undefined>(
    scope: Scope,
    most: number,
    receiver: Receiver = PLAIN,
  ): Promise<T> | undefined {
    const stop = scope.interruption(this);
    if (stop !== undefined) return stop;
    if (this.isWaiting) return refused(scope, this, this.busyError(scope));
    const ahead = this.#ahead;
    if (ahead === undefined) return undefined;
    const taken = ahead.shift(most);
    if (ahead.size === 0) this.#ahead = undefined;
    return completed(scope, this, receiver.chunkCame(taken) as T); // it knows what its reads give
  }

  /** Waits for the next bytes, at most `most` of them. */
  wait<T = Uint8Array | undefined>(
    scope: Scope,
    most: number,
    receiver: Receiver = PLAIN,
  ): Promise<T> {
    const wait = park<T>(scope, this);
    wait.handsOver = true;
    wait.offer = most;
    this.#reader = wait as Wait;
    this.#receiver = receiver;
    this.#stream.waits(wait as Wait);
    return wait.promise;
  }

  /**
   * The host has called with bytes: its own turn has begun, and so has the budget of ours. Without
   * that, of a thousand connections that become readable at once most would be answered only when
   * all were read (bench: echo of 1 KiB, 1,000 at a time).
   */
  hostTurned(): void {
    const loop = this.#reader?.scope.loop;
    if (loop?.isExact === false) loop.hostTurned();
  }

  /** Whether a read waits that takes all that comes, and copies it. */
  get copies(): boolean {
    return this.#receiver.copies && this.isWaiting && this.#reader?.offer === Infinity;
  }

  /**
   * Bytes have come. They are kept, and not copied unless they are few, or lent, as they are only
   * where `copies` says so.
   */
  arrived(bytes: Uint8Array, isLent?: boolean): void {
    const reader = this.#reader;
    if (reader?.state !== "parked") {
      this.#keep(bytes);
      return;
    }
    const most = reader.offer as number; // left there by `wait`
    if (bytes.length > most) this.#keep(bytes.subarray(most));
    const taken = bytes.length > most ? bytes.subarray(0, most) : bytes;
    reader.resume(this.#receiver.chunkCame(taken, isLent));
  }

  #keep(bytes: Uint8Array): void {
    this.#ahead ??= new ChunkQueue();
    if (!this.#ahead.append(bytes)) this.#ahead.push(bytes);
  }

  /** Nothing comes any more: the read that waits comes to the end. */
  end(): void {
    if (this.isWaiting) this.#reader?.resume(this.#receiver.chunkCame(undefined));
  }

  fail(error: Error): void {
    this.#reader?.fail(error);
  }

  /** What has come will not be read. */
  drop(): void {
    this.#ahead = undefined;
  }

  /** Takes all that has come, in one piece; undefined if that is nothing. */
  takeAll(): Uint8Array | undefined {
    const all = this.#ahead?.take(Number.POSITIVE_INFINITY);
    this.#ahead = undefined;
    return all;
  }

  busyError(scope: Scope): InvalidStateError {
    const other = (this.#reader as Wait).scope; // it waits
    return busyError("`stream.read`", scope, other, this.#stream.describe());
  }
}

/** Those who wait until less is unsent, and the error that no write has reported yet. */
export class WriteSide {
  readonly #stream: Sided;
  /** `offer` is how much may be unsent. */
  #waiters: WaitList | undefined = undefined;
  /** Why what was written has not gone out, until a write has reported it. */
  #untold: Error | undefined = undefined;

  constructor(stream: Sided) {
    this.#stream = stream;
  }

  /** @internal What a write waits for. */
  describeWait(): string {
    return `room to write to ${this.#stream.describe()}`;
  }

  get isWaiting(): boolean {
    return this.#waiters?.first !== undefined;
  }

  /** `stream.drain`. */
  drain(most: number): Promise<void> {
    const scope = here();
    const stream = this.#stream;
    const stop = scope.interruption(this);
    if (stop !== undefined) return stop;
    if (stream.lost !== undefined) {
      this.#untold = undefined;
      return refused(scope, this, stream.lost);
    }
    if (stream.unsent <= most) return completed(scope, this, undefined);
    const wait = park<void>(scope, this);
    wait.offer = most;
    stream.waits(wait as Wait);
    this.#waiters ??= new WaitList();
    this.#waiters.add(wait);
    return wait.promise;
  }

  /** `stream.write`. */
  write(bytes: Uint8Array): Promise<void> {
    const stop = here().interruption(this);
    if (stop !== undefined) return stop;
    this.#stream.send(bytes);
    return this.#stream.drain(this.#stream.highWaterMark);
  }

  /** Something has gone out. */
  lessIsUnsent(): void {
    if (this.#waiters !== undefined) resumeForRoom(this.#waiters, this.#stream.unsent);
  }

  /** Nothing is left to wait for. */
  end(): void {
    this.#waiters?.resumeAll(undefined);
  }

  /** Nothing goes out any more. `isOwed` if `throwUntold` is to tell where no write waits. */
  fail(error: Error, isOwed: boolean): void {
    if (isOwed && !this.isWaiting) this.#untold = error;
    this.#waiters?.failAll(() => error);
  }

  /** The stream was aborted: nobody asks. */
  forgetUntold(): void {
    this.#untold = undefined;
  }

  /** Throws what no write has reported. Once. */
  throwUntold(): void {
    const error = this.#untold;
    this.#untold = undefined;
    if (error !== undefined) throw error;
  }
}

/** Lets those go on who wait until at most as much is unsent, by their `offer`. */
export function resumeForRoom(waiters: WaitList, unsent: number): void {
  if (waiters.first === undefined) return;
  const all: Place[] = [];
  for (let wait: Place | undefined = waiters.first; wait !== undefined; wait = wait.listNext)
    all.push(wait);
  for (const wait of all) if (unsent <= (wait.offer as number)) wait.resume(undefined);
}
