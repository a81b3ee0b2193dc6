/**
 * Channels: two halves that can be cloned and closed apart. When the last sender is closed, the
 * channel ends; when the last receiver is, it is broken.
 */

import { argumentError, checkOptions, checkSeconds, rangeError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { here, refused } from "../kernel/operation.ts";
import { type Got, type Operation, operation, type Selectable } from "../kernel/selectable.ts";
import type { Overflow } from "../queues/queue.ts";
import { describeSync } from "../sync/lock.ts";
import { type ChannelStatistics, Core, closedError } from "./channel-core.ts";

/** What `channel` takes. */
export interface ChannelOptions<T> {
  /** What reports and errors call it. */
  readonly name?: string | undefined;
  /** What becomes of an item that is sent while the channel is full. @default "wait" */
  readonly overflow?: Overflow | undefined;
  /**
   * Is called with each item that nobody gets: dropped by `overflow`, or left when the last
   * receiver is closed. What it throws is reported.
   */
  readonly onDrop?: ((item: T) => void) | undefined;
}

const KNOWN: Names<ChannelOptions<unknown>> = { name: 1, overflow: 1, onDrop: 1 };

/**
 * Makes a channel that holds `capacity` items, and gives its two halves. 0 makes senders wait until
 * somebody has taken the item; Infinity has no limit. Close the sender when nothing more comes:
 * `using` does. Sources: memory channels of Trio, `mpsc` of Tokio.
 *
 * @example
 * const [sender, receiver] = patterns.channel<number>(10, { name: "readings" });
 * asyncio.createTask(async () => {
 *   using mine = sender;
 *   for (const reading of [1, 2, 3]) await mine.send(reading);
 * });
 * const readings: number[] = [];
 * for await (const reading of receiver) readings.push(reading);
 * assert.deepEqual(readings, [1, 2, 3]);
 */
export function channel<T>(
  capacity: number,
  options?: ChannelOptions<T>,
): [sender: Sender<T>, receiver: Receiver<T>] {
  checkCapacity("`channel`", capacity, 0);
  checkOptions("`channel`", options, KNOWN);
  const { overflow = "wait", onDrop, name } = options ?? {};
  if (!["wait", "dropOldest", "dropNewest"].includes(overflow)) {
    const expected = '`overflow` to be "wait", "dropOldest" or "dropNewest"';
    throw argumentError("`channel`", expected, overflow);
  }
  if (capacity === 0 && overflow !== "wait")
    throw rangeError("`channel`", `a capacity of 1 or more with \`overflow: "${overflow}"\``, 0);
  checkOnDrop("`channel`", onDrop);
  const core = new Core<T>(describeSync("channel", name), capacity, overflow, onDrop);
  return [new Sender(core), new Receiver(core)];
}

/** @throws TypeError or RangeError unless it is a whole number from `least` on, or Infinity. */
export function checkCapacity(api: string, capacity: unknown, least: 0 | 1): void {
  const expected = `a capacity: a whole number of items, ${least} or more, or Infinity`;
  checkSeconds(api, expected, capacity);
  const isWhole = Number.isInteger(capacity) || capacity === Number.POSITIVE_INFINITY;
  if (!isWhole || capacity < least) throw rangeError(api, expected, capacity);
}

export function checkOnDrop(api: string, onDrop: unknown): void {
  if (onDrop !== undefined && typeof onDrop !== "function")
    throw argumentError(api, "`onDrop` as a function", onDrop);
}

/** The half of a channel that items go into. Made by `channel`, and by `clone`. */
export class Sender<T> implements Disposable {
  readonly #core: Core<T>;
  #isClosed = false;

  /** @internal */
  constructor(core: Core<T>) {
    this.#core = core;
    core.senders++;
  }

  /**
   * Sends an item; waits while the channel is full. First come, first served. Cancelled while it
   * waits, it has sent nothing. Rejects with BrokenChannel when all receivers are closed, also
   * while it waits, and with InvalidStateError when this half is.
   */
  send(item: T): Promise<void> {
    if (!this.#isClosed) return this.#core.send(item);
    const error = closedError("sender", this.#core.description);
    return refused(here(), this.#core.putSubject, error);
  }

  /**
   * Sends an item if it need not wait for that; false if it would have to. @throws BrokenChannel
   * when all receivers are closed; InvalidStateError when this half is.
   */
  trySend(item: T): boolean {
    if (this.#isClosed) throw closedError("sender", this.#core.description);
    return this.#core.trySend(item);
  }

  /**
   * Another sender of the channel, which ends when all are closed. @throws InvalidStateError when
   * this one is.
   */
  clone(): Sender<T> {
    if (this.#isClosed) throw closedError("sender", this.#core.description);
    return new Sender(this.#core);
  }

  /**
   * Closes this half. After the last one receivers get what is left, and then EndOfChannel, or the
   * `cause` as it is.
   */
  close(cause?: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#core.senderClosed(cause);
  }

  /** True once it was closed. */
  get closed(): boolean {
    return this.#isClosed;
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** The figures of the channel. */
  statistics(): ChannelStatistics {
    return this.#core.statistics();
  }

  /** @internal */
  putOperation(item: T): Operation<undefined> {
    if (this.#isClosed) throw closedError("sender", this.#core.description);
    return this.#core.sending(item);
  }
}

/**
 * The half of a channel that items come out of. Made by `channel`, by `clone`, by `subscribe`.
 *
 * @example
 * const take = async (receiver: patterns.Receiver<string>) => {
 *   for await (const item of receiver) return item; // leaving the loop closes nothing
 *   return undefined;
 * };
 * const [sender, receiver] = patterns.channel<string>(2);
 * for (const item of ["a", "b"]) sender.trySend(item);
 * assert.deepEqual([await take(receiver), await take(receiver)], ["a", "b"]);
 */
export class Receiver<T> implements AsyncIterable<T>, Disposable {
  readonly #core: Core<T>;
  readonly #onClose: (() => void) | undefined;
  #isClosed = false;

  /** @internal */
  constructor(core: Core<T>, onClose?: () => void) {
    this.#core = core;
    this.#onClose = onClose;
    core.receivers++;
  }

  /**
   * Takes the oldest item; waits while there is none. First come, first served. Cancelled while it
   * waits, it has taken nothing. Rejects with EndOfChannel, or the cause, when all senders are
   * closed and nothing is left, and with InvalidStateError when this half is closed.
   */
  receive(): Promise<Awaited<T>> {
    if (!this.#isClosed) return this.#core.receive();
    const error = closedError("receiver", this.#core.description);
    return refused(here(), this.#core.getSubject, error);
  }

  /**
   * Takes the oldest item if there is one. @throws EndOfChannel, or the cause, when none will come;
   * InvalidStateError when this half is closed.
   */
  tryReceive(): Got<T> | undefined {
    if (this.#isClosed) throw closedError("receiver", this.#core.description);
    return this.#core.tryReceive();
  }

  /**
   * Another receiver of the channel: each item goes to one of them. @throws InvalidStateError when
   * this one is closed.
   */
  clone(): Receiver<T> {
    if (this.#isClosed) throw closedError("receiver", this.#core.description);
    return new Receiver(this.#core, this.#onClose);
  }

  /**
   * Closes this half. After the last one what is left is dropped, and senders get BrokenChannel.
   */
  close(cause?: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#core.receivers === 1) this.#onClose?.();
    this.#core.receiverClosed(cause);
  }

  /** True once it was closed. */
  get closed(): boolean {
    return this.#isClosed;
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Items as they come; ends when all senders are closed and nothing is left, or throws the cause.
   * Leaving the loop closes nothing: another loop goes on.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Awaited<T>> {
    const next = async (): Promise<IteratorResult<Awaited<T>, undefined>> => {
      try {
        return { done: false, value: await this.receive() };
      } catch (error) {
        if (!this.#core.isEnd(error)) throw error;
        return { done: true, value: undefined };
      }
    };
    return { next, [Symbol.asyncIterator]: () => this[Symbol.asyncIterator]() };
  }

  /** The figures of the channel. */
  statistics(): ChannelStatistics {
    return this.#core.statistics();
  }

  /** @internal For `select`: `receive`. */
  [operation](): Operation<T> {
    if (this.#isClosed) throw closedError("receiver", this.#core.description);
    return this.#core.receiving();
  }

  /** @internal */
  nextOperation(): Operation<IteratorResult<T, undefined>> {
    const { subject, attempt, enlist } = this[operation]();
    const recover = (error: unknown): Got<IteratorResult<T, undefined>> | undefined =>
      this.#core.isEnd(error) ? { value: { done: true, value: undefined } } : undefined;
    return {
      subject,
      enlist: enlist as (place: unknown) => void, // `convert` makes of an item what the place gives
      attempt: (caller) => {
        try {
          const got = attempt(caller);
          return got && { value: { done: false, value: got.value } };
        } catch (error) {
          const end = recover(error);
          if (end === undefined) throw error;
          return end;
        }
      },
      convert: (value) => ({ done: false, value: value as T }), // it comes from a sender
      recover,
    };
  }
}

export interface Receiver<T> extends Selectable<T> {}
