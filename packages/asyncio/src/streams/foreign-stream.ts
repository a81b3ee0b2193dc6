/**
 * A ByteStream over streams that are not ours and take or give one chunk at a time: those of the
 * web platform, and iterables. One of them for reading, one for writing, or both.
 *
 * Foreign code that runs on our account (the body of an async generator, say) runs in scopes of the
 * stream's own, which belong to no task: a read that is cancelled must not reach into the generator
 * and end it, for the chunk that it is about to yield is the next read's. That of the source is
 * cancelled when the stream is closed while a chunk is under way; the sink has another one, because
 * it is still given what was written.
 */

import { CancelledError, InvalidStateError } from "../errors/errors.ts";
import { isA } from "../errors/render.ts";
import { runInScope } from "../kernel/context.ts";
import type { Watched } from "../kernel/host.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { Scope } from "../kernel/scope.ts";
import type { Wait } from "../kernel/wait.ts";
import { RingBuffer } from "../structures/ring-buffer.ts";
import { Closing } from "./closing.ts";
import { type Address, hostError } from "./network.ts";
import { ReadSide, type Sided, WriteSide } from "./sides.ts";

/** Where chunks come from. */
export interface Source {
  /**
   * The next chunk, which may be empty; undefined at the end. One call at a time, none after the
   * end or an error.
   */
  pull(): PromiseLike<Uint8Array | undefined>;
  /**
   * Nothing more is wanted. Called while a chunk may be under way, at most once, and not after the
   * end or an error.
   */
  cancel(): PromiseLike<unknown>;
}

/** Where chunks go to. One call at a time. */
export interface Sink {
  /** Fulfils when the chunk has been taken, and there is room for another. */
  push(chunk: Uint8Array): PromiseLike<unknown>;
  /** All has been pushed. Fulfils when it is through. */
  end(): PromiseLike<unknown>;
  /** Nothing more comes, and what is under way may be dropped. */
  abort(reason: Error): PromiseLike<unknown>;
  /** Rejects when the sink has failed by itself. */
  readonly failed: PromiseLike<unknown>;
}

export interface ForeignStreamOptions {
  /** What reports call it: "an async iterable". */
  readonly name: string;
  /** What its report ends with if it does not answer when it is closed: why that may be. */
  readonly whySilent?: string | undefined;
  readonly source?: Source | undefined;
  readonly sink?: Sink | undefined;
}

const HIGH_WATER_MARK = 65_536;
const NOWHERE: Address = { host: "", port: 0 };

export class ForeignStream implements Sided, Watched {
  readonly localAddress: Address = NOWHERE;
  readonly remoteAddress: Address = NOWHERE;
  readonly highWaterMark: number = HIGH_WATER_MARK;
  readonly #name: string;
  readonly #sourceScope: Scope;
  readonly #sinkScope: Scope;
  /** Undefined once nothing comes any more. */
  #source: Source | undefined;
  /** Undefined once nothing goes any more. */
  #sink: Sink | undefined;
  #isClosed = false;
  #lost: Error | undefined = undefined;
  /** Foreign calls that have not come back, and after which there is nothing more to do. */
  #endings = 0;
  readonly #closing: Closing;

  readonly #reading: ReadSide = new ReadSide(this);
  /** True if a chunk is under way. */
  #isPulling = false;

  readonly #writing: WriteSide = new WriteSide(this);
  /** What the sink has not been given. */
  readonly #queue: RingBuffer<Uint8Array> = new RingBuffer();
  unsent = 0;
  dropped = 0;
  #isPushing = false;
  #hasWrittenEof = false;

  constructor({ name, whySilent, source, sink }: ForeignStreamOptions) {
    this.#name = name;
    this.#source = source;
    this.#sink = sink;
    const { loop, context } = here();
    this.#sourceScope = new Scope(loop, { label: name, context });
    this.#sinkScope = new Scope(loop, { label: name, context });
    const leave = (): void => {
      this.#sourceScope.cancel(`${name} was closed`); // what waits in an operation of ours may end yet
      this.#sourceScope.close();
    };
    this.#closing = new Closing(this.#sourceScope, name, leave, whySilent);
    sink?.failed.then(undefined, (error) => this.#sinkFailed(error));
    if (loop.isExact) loop.host.watch?.(this);
  }

  get lost(): Error | undefined {
    return this.#lost;
  }

  get isClosing(): boolean {
    return this.#isClosed;
  }

  /** @internal */
  describe(): string {
    return this.#name;
  }

  /** @internal */
  waits(wait: Wait): void {
    wait.isForeign = true;
  }

  // --- reading

  read(most: number = Number.POSITIVE_INFINITY): Promise<Uint8Array | undefined> {
    const scope = here();
    const reading = this.#reading;
    const atOnce = reading.atOnce(scope, most);
    if (atOnce !== undefined) return atOnce;
    if (this.#source === undefined) {
      if (this.#lost !== undefined) return refused(scope, reading, this.#lost);
      return completed(scope, reading, undefined);
    }
    const read = reading.wait(scope, most);
    if (!this.#isPulling) this.#pull(this.#source);
    return read;
  }

  #pull(source: Source): void {
    this.#isPulling = true;
    this.#call(this.#sourceScope, () => source.pull()).then(
      (chunk) => {
        this.#isPulling = false;
        if (this.#source === undefined) return; // closed meanwhile
        if (chunk === undefined) this.#sourceEnded();
        else if (chunk.length === 0) this.#pullAgain(source);
        else this.#reading.arrived(chunk);
      },
      (error) => {
        this.#isPulling = false;
        if (this.#source !== undefined) this.#sourceFailed(error);
        else this.#report(error);
      },
    );
  }

  /**
   * After an empty chunk. A source may give them without end: the host has its turn as with every
   * operation (R9).
   */
  #pullAgain(source: Source): void {
    this.#isPulling = true;
    this.#sourceScope.loop.nextTurn(this.#sourceScope).then(() => {
      this.#isPulling = false;
      // The next read asks again, if the one that waited has given up.
      if (this.#source !== undefined && this.#reading.isWaiting) this.#pull(source);
    });
  }

  #sourceEnded(): void {
    this.#source = undefined;
    this.#reading.end();
    this.#settled();
  }

  // --- writing

  send(bytes: Uint8Array): void {
    const isOver = this.#hasWrittenEof || this.#sink === undefined || bytes.length === 0;
    if (isOver) return;
    this.#queue.push(new Uint8Array(bytes)); // not `slice`: that of a Buffer does not copy
    this.unsent += bytes.length;
    this.#pushNext();
  }

  drain(most: number): Promise<void> {
    return this.#writing.drain(most);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#writing.write(bytes);
  }

  writeEof(): void {
    if (this.#hasWrittenEof) return;
    this.#hasWrittenEof = true;
    this.#pushNext();
  }

  /** Gives the sink its next chunk, or the end, when it has come back from the last. */
  #pushNext(): void {
    const sink = this.#sink;
    if (sink === undefined || this.#isPushing) return;
    const chunk = this.#queue.length === 0 ? undefined : this.#queue.shift();
    if (chunk === undefined && !this.#hasWrittenEof) return;
    this.#isPushing = true;
    this.#call(this.#sinkScope, () => (chunk === undefined ? sink.end() : sink.push(chunk))).then(
      () => {
        this.#isPushing = false;
        if (this.#sink === undefined) return; // lost meanwhile
        if (chunk === undefined) this.#sink = undefined;
        else this.unsent -= chunk.length;
        this.#writing.lessIsUnsent();
        this.#pushNext();
        this.#settled();
      },
      (error) => this.#sinkFailed(error),
    );
  }

  // --- the end

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#reading.drop();
    this.#dropSource();
    this.writeEof();
    this.#settled();
  }

  async waitClosed(): Promise<void> {
    const scope = here();
    const subject = { describeWait: () => `the end of ${this.#name}` };
    const stop = scope.interruption(subject);
    if (stop !== undefined) await stop;
    const isGone = this.#isOver || this.#closing.isLeftBehind;
    if (isGone) await completed(scope, subject, undefined);
    else await this.#closing.wait(scope, subject).promise;
    this.#writing.throwUntold();
  }

  abort(): void {
    if (this.#isClosed && this.#sink === undefined) return;
    this.#isClosed = true;
    const sink = this.#sink;
    const error = hostError("ECONNABORTED", "read");
    this.#reading.drop();
    this.#lose(error, false);
    this.#dropSource(error);
    if (sink !== undefined) this.#end(this.#sinkScope, () => sink.abort(error));
    this.#settled();
  }

  /** What tests that leave it open are told. */
  leftover(): string | undefined {
    return this.#isOver ? undefined : `${this.#name}, still open`;
  }

  /** True if nothing comes or goes any more, and foreign code is through. */
  get #isOver(): boolean {
    return this.#source === undefined && this.#sink === undefined && this.#endings === 0;
  }

  /** What has come can still be read. */
  #sourceFailed(cause: unknown): void {
    const error = this.#errorOf(cause);
    const sink = this.#sink;
    this.#source = undefined;
    this.#lose(error, false);
    this.#reading.fail(error);
    if (sink !== undefined) this.#end(this.#sinkScope, () => sink.abort(error));
    this.#settled();
  }

  #sinkFailed(cause: unknown): void {
    if (this.#sink === undefined) return;
    const error = this.#errorOf(cause);
    this.#lose(error, true);
    this.#dropSource(error);
    this.#settled();
  }

  /** A cancellation inside foreign code is none of its reader. */
  #errorOf(cause: unknown): Error {
    const isCancelled = cause instanceof CancelledError;
    if (isA(cause, Error) && !isCancelled) return cause;
    const how = isCancelled ? "was cancelled" : `has failed with ${String(cause)}`;
    return new InvalidStateError(`${this.#name} ${how}, and is of no use any more`, { cause });
  }

  /** Nothing goes out any more. `isOwed` if that has to be reported where no write waits. */
  #lose(error: Error, isOwed: boolean): void {
    this.#lost ??= error;
    this.#sink = undefined;
    this.#queue.clear();
    this.dropped += this.unsent;
    this.unsent = 0;
    this.#writing.fail(error, isOwed);
  }

  #dropSource(error?: Error): void {
    const source = this.#source;
    this.#source = undefined;
    if (error === undefined) this.#reading.end();
    else this.#reading.fail(error);
    if (source === undefined) return;
    if (this.#isPulling) this.#sourceScope.cancel(`${this.#name} was closed`);
    this.#end(this.#sourceScope, () => source.cancel());
  }

  /** The last call to a source or a sink. */
  #end(scope: Scope, call: () => PromiseLike<unknown>): void {
    this.#endings++;
    const ended = (): void => {
      this.#endings--;
      this.#settled();
    };
    this.#call(scope, call).then(ended, (error) => {
      this.#report(error);
      ended();
    });
  }

  #settled(): void {
    if (this.#isOver) {
      this.#sourceScope.close();
      this.#sinkScope.close();
      this.#closing.ended();
    } else if (this.#source === undefined && this.#sink === undefined) this.#closing.asked();
  }

  /** Runs foreign code. */
  async #call<T>(scope: Scope, call: () => PromiseLike<T>): Promise<T> {
    return await runInScope(scope, call, undefined);
  }

  /**
   * The reading has ended, so no read would report it. A source that its own scope has cancelled
   * before has not failed.
   */
  #report(exception: unknown): void {
    if (exception instanceof CancelledError) return;
    const message = `${this.#name} has failed while it was closed`;
    this.#sourceScope.loop.callExceptionHandler({ message, exception });
  }
}
