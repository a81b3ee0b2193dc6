/**
 * What the two halves of a channel share: a line of items between senders and receivers. Fair on
 * both sides, and an item changes hands in one call, as in queues.
 *
 * Invariants: receivers wait only while the channel holds nothing and nobody waits to send; senders
 * wait only while it is full.
 */

import { InvalidStateError } from "../errors/errors.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import type { Got, Operation } from "../kernel/selectable.ts";
import { WaitList, type WaitSubject } from "../kernel/wait.ts";
import type { Overflow } from "../queues/queue.ts";
import { RingBuffer } from "../structures/ring-buffer.ts";
import { BrokenChannel, EndOfChannel } from "./channel-errors.ts";

/** The figures of a channel. */
export interface ChannelStatistics {
  /** How many items it holds. */
  readonly size: number;
  /** How many it may hold. */
  readonly capacity: number;
  /** Halves that are open. */
  readonly senders: number;
  /** Halves that are open. */
  readonly receivers: number;
  /** Tasks that wait to send. */
  readonly sending: number;
  /** Tasks that wait to receive. */
  readonly receiving: number;
  /** Items that nobody got. */
  readonly dropped: number;
}

/** What half of a channel was used after it had been closed. */
export function closedError(half: string, description: string): InvalidStateError {
  const cure = "Clone it before, for each task that uses it";
  return new InvalidStateError(`this ${half} of ${description} is closed. ${cure}`);
}

export class Core<T> {
  readonly description: string;
  readonly #capacity: number;
  readonly #overflow: Overflow;
  readonly #onDrop: ((item: T) => void) | undefined;
  readonly #items: RingBuffer<T> = new RingBuffer();
  readonly #getters: WaitList = new WaitList();
  readonly #putters: WaitList = new WaitList();
  readonly getSubject: WaitSubject = {
    describeWait: () => `${this.description}, ${this.senders} senders open, to receive from`,
  };
  readonly putSubject: WaitSubject = {
    describeWait: () => `${this.description}, ${this.receivers} receivers open, to send into`,
  };
  senders = 0;
  receivers = 0;
  #dropped = 0;
  /** What the last sender that closed with a cause has left. */
  #cause: unknown = undefined;
  /** The same of the last receiver. */
  #breakCause: unknown = undefined;
  /** Called when there is room, or nobody is left for whom there has to be. */
  onRoom: (() => void) | undefined = undefined;
  /** Makes the error that the next receiver gets before any item, of so many that were missed. */
  #lagError: ((missed: number) => unknown) | undefined = undefined;
  #missed = 0;

  constructor(
    description: string,
    capacity: number,
    overflow: Overflow,
    onDrop: ((item: T) => void) | undefined,
  ) {
    this.description = description;
    this.#capacity = capacity;
    this.#overflow = overflow;
    this.#onDrop = onDrop;
  }

  get size(): number {
    return this.#items.length;
  }

  get isFull(): boolean {
    return this.#items.length >= this.#capacity;
  }

  /** Sends `item` if nobody has to wait for that. @throws BrokenChannel. */
  trySend(item: T): boolean {
    if (this.receivers === 0) throw this.#broken();
    if (this.#getters.resumeFirst(item) !== undefined) return true;
    if (!this.isFull) this.#items.push(item);
    else if (this.#overflow === "wait") return false;
    else if (this.#overflow === "dropNewest") this.drop(item);
    else {
      const oldest = this.#items.shift();
      this.#items.push(item);
      this.drop(oldest);
    }
    return true;
  }

  /** The next item if there is one. @throws EndOfChannel, or the cause. */
  tryReceive(): Got<T> | undefined {
    if (this.#lagError !== undefined) throw this.#takeLag(this.#lagError);
    const putter = this.#putters.first;
    if (this.#items.length > 0) {
      const value = this.#items.shift();
      if (putter !== undefined) this.#items.push(putter.offer as T); // left there by `send`
      if (putter !== undefined) putter.resume(undefined);
      else this.onRoom?.();
      return { value };
    }
    if (putter !== undefined) {
      const value = putter.offer as T; // as above
      putter.resume(undefined);
      return { value };
    }
    if (this.senders === 0) throw this.endError();
    return undefined;
  }

  send(item: T): Promise<void> {
    const scope = here();
    const stop = scope.interruption(this.putSubject);
    if (stop !== undefined) return stop;
    try {
      if (this.trySend(item)) return completed(scope, this.putSubject, undefined);
    } catch (error) {
      return refused(scope, this.putSubject, error);
    }
    const wait = park<void>(scope, this.putSubject);
    wait.offer = item;
    this.#putters.add(wait);
    return wait.promise;
  }

  receive(): Promise<Awaited<T>> {
    const scope = here();
    const stop = scope.interruption(this.getSubject);
    if (stop !== undefined) return stop;
    try {
      const got = this.tryReceive();
      if (got !== undefined) return completed(scope, this.getSubject, got.value as Awaited<T>); // resolving awaits it
    } catch (error) {
      return refused(scope, this.getSubject, error);
    }
    const wait = park<Awaited<T>>(scope, this.getSubject);
    wait.handsOver = true;
    this.#getters.add(wait);
    return wait.promise;
  }

  sending(item: T): Operation<undefined> {
    return {
      subject: this.putSubject,
      attempt: () => (this.trySend(item) ? { value: undefined } : undefined),
      enlist: (place) => {
        place.offer = item;
        this.#putters.add(place);
      },
    };
  }

  receiving(): Operation<T> {
    return {
      subject: this.getSubject,
      attempt: () => this.tryReceive(),
      enlist: (place) => this.#getters.add(place),
    };
  }

  /** The oldest item goes, and the next receiver is told so by an error first. */
  lag(makeError: (missed: number) => unknown): void {
    this.#missed++;
    this.#lagError = makeError;
    this.drop(this.#items.shift());
  }

  #takeLag(makeError: (missed: number) => unknown): unknown {
    const missed = this.#missed;
    this.#missed = 0;
    this.#lagError = undefined;
    return makeError(missed);
  }

  senderClosed(cause: unknown): void {
    this.#cause ??= cause;
    if (--this.senders === 0) this.#getters.failAll(() => this.endError());
  }

  receiverClosed(cause: unknown): void {
    this.#breakCause ??= cause;
    if (--this.receivers > 0) return;
    const left: T[] = [];
    while (this.#items.length > 0) left.push(this.#items.shift());
    this.#putters.failAll(() => this.#broken());
    this.#getters.failAll(() => closedError("receiver", this.description));
    for (const item of left) this.drop(item);
    this.onRoom?.();
  }

  drop(item: T): void {
    this.#dropped++;
    try {
      this.#onDrop?.(item);
    } catch (exception) {
      const message = `\`onDrop\` of ${this.description} has failed`;
      here().loop.callExceptionHandler({ message, exception, task: here().task });
    }
  }

  /** Whether `error` says that all senders are closed, and none has left a cause. */
  isEnd(error: unknown): boolean {
    return error instanceof EndOfChannel && this.senders === 0 && this.#cause === undefined;
  }

  endError(): unknown {
    if (this.#cause !== undefined) return this.#cause;
    return new EndOfChannel(
      `nothing comes any more from ${this.description}: all senders are closed`,
    );
  }

  #broken(): BrokenChannel {
    const cause = this.#breakCause;
    const message = `nobody takes what is sent into ${this.description}: all receivers are closed`;
    return new BrokenChannel(message, cause === undefined ? undefined : { cause });
  }

  statistics(): ChannelStatistics {
    return Object.freeze({
      size: this.#items.length,
      capacity: this.#capacity,
      senders: this.senders,
      receivers: this.receivers,
      sending: this.#putters.length,
      receiving: this.#getters.length,
      dropped: this.#dropped,
    });
  }
}
