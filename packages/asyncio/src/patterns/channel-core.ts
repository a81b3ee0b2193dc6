/**
 * What the two halves of a channel share: a line of items between senders and receivers. Fair on
 * both sides, and an item changes hands in one call, as in queues.
 *
 * Invariants: receivers wait only while the channel holds nothing and nobody waits to send; senders
 * wait only while it is full.
 */

import type { Got, Operation } from "../kernel/selectable.ts";
import { WaitList, type WaitSubject } from "../kernel/wait.ts";
import type { Overflow } from "../queues/queue.ts";
import { RingBuffer } from "../structures/ring-buffer.ts";
import { BrokenChannel, EndOfChannel, Lagged } from "./channel-errors.ts";
import { DONE } from "./perform.ts";
import { tell } from "./reports.ts";

/**
 * The figures of a channel. `size` and `capacity` are how many items it holds and may hold,
 * `senders` and `receivers` the halves that are open, `sending` and `receiving` the tasks that wait
 * for it, and `dropped` the items that nobody got.
 */
export type ChannelStatistics = Readonly<
  Record<
    "size" | "capacity" | "senders" | "receivers" | "sending" | "receiving" | "dropped",
    number
  >
>;

/** What sends `item`, at once by `trySend` or as one of those who wait in `line`. */
export function sending<T>(
  subject: WaitSubject,
  line: WaitList,
  item: T,
  trySend: (item: T) => boolean,
): Operation<undefined> {
  return {
    subject,
    attempt: () => (trySend(item) ? DONE : undefined),
    enlist(place) {
      place.offer = item;
      line.add(place);
    },
  };
}

/** What a core is made with. */
interface CoreOptions<T> {
  readonly description: string;
  readonly capacity: number;
  /** "lag": the oldest item goes, and the next receiver is told so by an error first. */
  readonly overflow: Overflow | "lag";
  readonly onDrop: ((item: T) => void) | undefined;
  /** Called when there is room, or nobody is left for whom there has to be. */
  readonly onRoom?: () => void;
}

export class Core<T> {
  readonly options: CoreOptions<T>;
  readonly #items: RingBuffer<T> = new RingBuffer();
  readonly getters: WaitList = new WaitList();
  readonly putters: WaitList = new WaitList();
  readonly getSubject: WaitSubject = {
    describeWait: () =>
      `${this.options.description}, ${this.senders} senders open, to receive from`,
  };
  readonly putSubject: WaitSubject = {
    describeWait: () =>
      `${this.options.description}, ${this.receivers} receivers open, to send into`,
  };
  senders = 0;
  receivers = 0;
  #dropped = 0;
  /** What the last sender that closed with a cause has left; and the last receiver. */
  #cause: unknown = undefined;
  #breakCause: unknown = undefined;
  /** How many items the next receiver is to be told of that it has missed. */
  #missed = 0;

  constructor(options: CoreOptions<T>) {
    this.options = options;
  }

  get size(): number {
    return this.#items.length;
  }

  get isFull(): boolean {
    return this.#items.length >= this.options.capacity;
  }

  /** True if all senders are closed, none has left a cause, and nothing is left. */
  get isAtEnd(): boolean {
    const isEmpty = this.size === 0 && this.putters.length === 0 && this.#missed === 0;
    return isEmpty && this.senders === 0 && this.#cause === undefined;
  }

  /** Sends `item` if nobody has to wait for that. @throws BrokenChannel. */
  trySend(item: T): boolean {
    const { overflow } = this.options;
    if (this.receivers === 0) throw this.#broken();
    if (this.getters.resumeFirst(item) !== undefined) return true;
    if (!this.isFull) this.#items.push(item);
    else if (overflow === "wait") return false;
    else if (overflow === "dropNewest") this.#drop(item);
    else {
      const oldest = this.#items.shift();
      this.#items.push(item);
      if (overflow === "lag") this.#missed++;
      this.#drop(oldest);
    }
    return true;
  }

  /** The next item if there is one. @throws EndOfChannel, or the cause; Lagged. */
  tryReceive(): Got<T> | undefined {
    if (this.#missed > 0) {
      const lagged = new Lagged(this.#missed);
      this.#missed = 0;
      throw lagged;
    }
    const putter = this.putters.first;
    const offer = putter?.offer as T; // left there by whoever stands in line
    const isHeld = this.#items.length > 0;
    if (!isHeld && putter === undefined) {
      if (this.senders === 0) throw this.#endError();
      return undefined;
    }
    const value = isHeld ? this.#items.shift() : offer;
    if (putter !== undefined && isHeld) this.#items.push(offer);
    if (putter === undefined) this.options.onRoom?.();
    else putter.resume(undefined);
    return { value };
  }

  senderClosed(cause: unknown): void {
    this.#cause ??= cause;
    if (--this.senders === 0) this.getters.failAll(() => this.#endError());
  }

  receiverClosed(cause: unknown): void {
    this.#breakCause ??= cause;
    if (--this.receivers > 0) return;
    const left: T[] = [];
    while (this.#items.length > 0) left.push(this.#items.shift());
    this.putters.failAll(() => this.#broken());
    for (const item of left) this.#drop(item);
    this.options.onRoom?.();
  }

  #drop(item: T): void {
    const { onDrop, description } = this.options;
    this.#dropped++;
    if (onDrop !== undefined) tell(`\`onDrop\` of ${description}`, () => onDrop(item));
  }

  #endError(): unknown {
    const message = `nothing comes any more from ${this.options.description}: all senders are closed`;
    return this.#cause ?? new EndOfChannel(message);
  }

  #broken(): BrokenChannel {
    const cause = this.#breakCause;
    const message = `nobody takes what is sent into ${this.options.description}: all receivers are closed`;
    return new BrokenChannel(message, cause === undefined ? undefined : { cause });
  }

  statistics(): ChannelStatistics {
    const { senders, receivers, size } = this;
    const [sending, receiving, dropped] = [this.putters.length, this.getters.length, this.#dropped];
    const { capacity } = this.options;
    return Object.freeze({ size, capacity, senders, receivers, sending, receiving, dropped });
  }
}
