/**
 * Looks out for the end of a stream between reads, so that a handler that works on an answer learns
 * that its peer has gone.
 *
 * The end comes behind the bytes that were sent before it, so looking out is reading ahead, up to a
 * limit. It is done in scopes that belong to no task. A read that comes meanwhile does not ask the
 * stream a second time: it waits for the chunk that is under way, which goes into the buffer as
 * always.
 */

import { runInScope } from "../kernel/context.ts";
import { park, Scope } from "../kernel/scope.ts";
import { type Wait, WaitList } from "../kernel/wait.ts";
import type { ByteStream } from "./network.ts";

/** The reader whose stream is watched. */
export interface WatchedReader {
  readonly stream: ByteStream;
  /** Bytes that were not read yet. */
  readonly buffered: number;
  readonly hasEnded: boolean;
  /** True if a read is under way. */
  readonly isReading: boolean;
  /** Takes a chunk; undefined is the end. */
  keep(chunk: Uint8Array | undefined): void;
}

export class EofWatch {
  readonly #reader: WatchedReader;
  /** Gives the loop and the context. */
  readonly #home: Scope;
  /** Those who wait for the end: `offer` is how much may be read ahead for them. */
  readonly #waiters: WaitList = new WaitList();
  /** Called when the end comes between reads; and how much may be read ahead for them. */
  readonly #listeners: Map<() => void, number> = new Map();
  /** Where the chunk that is under way was asked for; undefined if none is. */
  #scope: Scope | undefined = undefined;
  /** Settles when it is not under way any more. */
  #pulled: Promise<void> = Promise.resolve();
  /** The read that waits for it; it still waits if its state is "parked". */
  #read: Wait<boolean> | undefined = undefined;
  #isSuspended = false;

  constructor(reader: WatchedReader, home: Scope) {
    this.#reader = reader;
    this.#home = home;
  }

  /** Waits for the end. Rejects when the connection is lost. */
  wait(scope: Scope, subject: string, limit: number): Promise<void> {
    const wait = park<void>(scope, subject, () => {
      this.#waiters.remove(wait as Wait);
      this.#withdrawIfIdle();
      return true;
    });
    wait.offer = limit;
    this.#waiters.add(wait as Wait);
    this.look();
    return wait.promise;
  }

  /**
   * Calls `listener` when the end comes or the connection is lost, unless a read meets that. Gives
   * the way to stop it.
   */
  listen(listener: () => void, limit: number): () => void {
    this.#listeners.set(listener, limit);
    this.look();
    return () => {
      this.#listeners.delete(listener);
      this.#withdrawIfIdle();
    };
  }

  /** True if a chunk is under way: a read waits for it by `next`. */
  get isPulling(): boolean {
    return this.#scope !== undefined;
  }

  /** Where the read was called that waits in `next`. */
  get readingScope(): Scope | undefined {
    return this.#read?.state === "parked" ? this.#read.scope : undefined;
  }

  /** Waits for the chunk that is under way; false is the end. For one read at a time. */
  next(scope: Scope, subject: string): Promise<boolean> {
    const wait = park<boolean>(scope, subject, () => {
      this.#read = undefined;
      this.#withdrawIfIdle();
      return true;
    });
    this.#read = wait;
    return wait.promise;
  }

  /**
   * A read has ended, by `error` if it has failed. What it has met itself is told to those who
   * wait, and not to listeners.
   */
  readEnded(error?: unknown): void {
    if (error !== undefined && error === this.#reader.stream.lost) this.#end(error, false);
    else if (this.#reader.hasEnded) this.#end(undefined, false);
    else this.look();
  }

  /** Keeps away from the stream, until `resume` is called. */
  async suspend(): Promise<void> {
    this.#isSuspended = true;
    this.#scope?.cancel("somebody else needs the stream");
    await this.#pulled;
  }

  resume(): void {
    this.#isSuspended = false;
    this.look();
  }

  /** Asks for a chunk if the end is waited for, no read is under way, and there is room for it. */
  look(): void {
    const reader = this.#reader;
    if (this.isPulling || this.#isSuspended || reader.hasEnded || reader.isReading) return;
    const room = this.#limit - reader.buffered;
    if (room > 0) this.#pull(room);
  }

  /** How much may be read ahead; 0 if the end is not waited for. */
  get #limit(): number {
    let limit = 0;
    for (let wait = this.#waiters.first; wait !== undefined; wait = wait.listNext)
      limit = Math.max(limit, wait.offer as number); // put there by `wait`
    for (const own of this.#listeners.values()) limit = Math.max(limit, own);
    return limit;
  }

  #pull(most: number): void {
    const { loop, context } = this.#home;
    const cancelGrace = Number.POSITIVE_INFINITY; // it ends at once, and needs no timer
    const scope = new Scope(loop, { label: "a look at the end of a stream", context, cancelGrace });
    this.#scope = scope;
    const { stream } = this.#reader;
    this.#pulled = runInScope(scope, (size: number) => stream.read(size), most).then(
      (chunk) => this.#came(scope, chunk),
      (error) => this.#failed(scope, error, most),
    );
  }

  #came(scope: Scope, chunk: Uint8Array | undefined): void {
    this.#pullEnded(scope);
    this.#reader.keep(chunk);
    const isRead = this.#read?.resume(chunk !== undefined) ?? false;
    if (chunk === undefined) this.#end(undefined, !isRead);
    else if (!isRead) this.look();
  }

  #failed(scope: Scope, error: unknown, most: number): void {
    this.#pullEnded(scope);
    if (!scope.owns(error)) {
      const isRead = this.#read?.fail(error) ?? false;
      this.#end(error, !isRead);
    } else if (this.readingScope !== undefined) this.#pull(most);
    else this.look(); // it was withdrawn; a new wait may have come since then
  }

  #pullEnded(scope: Scope): void {
    this.#scope = undefined;
    scope.close();
  }

  #end(error: unknown, tellsListeners: boolean): void {
    if (error === undefined) this.#waiters.resumeAll(undefined);
    else this.#waiters.failAll(() => error);
    const listeners = [...this.#listeners.keys()];
    this.#listeners.clear();
    if (tellsListeners) for (const listener of listeners) listener();
  }

  #withdrawIfIdle(): void {
    const isWanted = this.#waiters.length > 0 || this.#listeners.size > 0;
    if (!isWanted && this.readingScope === undefined) this.#scope?.cancel("nobody waits any more");
  }
}
