/**
 * Channels: two halves that can be cloned and closed apart. When the last sender is closed, the
 * channel ends; when the last receiver is, it is broken. Closing a receiver ends its own waits;
 * what a closed sender waits to send is sent.
 */

import { advice, checkCount, InvalidStateError, rangeError } from "../errors/errors.ts";
import {
  type Got,
  type Operation,
  operation,
  type Place,
  type Selectable,
} from "../kernel/selectable.ts";
import type { Overflow } from "../queues/queue.ts";
import { describeSync, type SyncOptions } from "../sync/lock.ts";
import { type ChannelStatistics, Core, sending } from "./channel-core.ts";
import { EndOfChannel } from "./channel-errors.ts";
import { iterate, perform } from "./perform.ts";
import { callback, oneOf, settle } from "./settings.ts";

/** What `channel` takes. */
export interface ChannelOptions<T> extends SyncOptions {
  /** What becomes of an item that is sent while the channel is full. @default "wait" */
  readonly overflow?: Overflow | undefined;
  /**
   * Is called with each item that nobody gets: dropped by `overflow`, or left when the last
   * receiver is closed. What it throws is reported.
   */
  readonly onDrop?: ((item: T) => void) | undefined;
}

const OVERFLOW = oneOf("wait", "dropOldest", "dropNewest");

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
  const api = "`channel`";
  checkCount(api, "a capacity", capacity, 0);
  const rules = { name: "string", overflow: [OVERFLOW, "wait"], onDrop: callback } as const;
  const { overflow, onDrop, name } = settle(api, options, rules);
  if (capacity === 0 && overflow !== "wait")
    throw rangeError(api, `a capacity of 1 or more with \`overflow: "${overflow}"\``, 0);
  const core = new Core<T>({
    description: describeSync("channel", name),
    capacity,
    overflow,
    onDrop,
  });
  return [new Sender(core), new Receiver(core)];
}

/** What half of a channel was used after it had been closed. */
function closedError<T>(half: string, { options: { description } }: Core<T>): InvalidStateError {
  const cure = advice("Clone it before, for each task that uses it");
  return new InvalidStateError(`this ${half} of ${description} is closed${cure}`);
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
    return perform(this.putOperation(item));
  }

  /**
   * Sends an item if it need not wait for that; false if it would have to. @throws BrokenChannel
   * when all receivers are closed; InvalidStateError when this half is.
   */
  trySend(item: T): boolean {
    if (this.#isClosed) throw closedError("sender", this.#core);
    return this.#core.trySend(item);
  }

  /**
   * Another sender of the channel, which ends when all are closed. @throws InvalidStateError when
   * this one is.
   */
  clone(): Sender<T> {
    if (this.#isClosed) throw closedError("sender", this.#core);
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
    const { putSubject, putters } = this.#core;
    return sending(putSubject, putters, item, (one) => this.trySend(one));
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
  readonly #receiving: Operation<T>;

  /** @internal */
  constructor(core: Core<T>, onClose?: () => void) {
    this.#core = core;
    this.#onClose = onClose;
    core.receivers++;
    this.#receiving = {
      subject: core.getSubject,
      attempt: () => this.tryReceive(),
      enlist: (place) => {
        place.offer = this; // whose wait it is
        core.getters.add(place);
      },
    };
  }

  /**
   * Takes the oldest item; waits while there is none. First come, first served. Cancelled while it
   * waits, it has taken nothing. Rejects with EndOfChannel, or the cause, when all senders are
   * closed and nothing is left, and with InvalidStateError when this half is closed.
   */
  receive(): Promise<Awaited<T>> {
    return perform(this.#receiving, true);
  }

  /**
   * Takes the oldest item if there is one. @throws EndOfChannel, or the cause, when none will come;
   * InvalidStateError when this half is closed.
   */
  tryReceive(): Got<T> | undefined {
    if (this.#isClosed) throw closedError("receiver", this.#core);
    return this.#core.tryReceive();
  }

  /**
   * Another receiver of the channel: each item goes to one of them. @throws InvalidStateError when
   * this one is closed.
   */
  clone(): Receiver<T> {
    if (this.#isClosed) throw closedError("receiver", this.#core);
    return new Receiver(this.#core, this.#onClose);
  }

  /**
   * Closes this half: those who wait to receive by it get an InvalidStateError. After the last one
   * what is left is dropped, and senders get BrokenChannel.
   */
  close(cause?: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const core = this.#core;
    if (core.receivers === 1) this.#onClose?.();
    const mine: Place[] = [];
    for (let place = core.getters.first; place !== undefined; place = place.listNext)
      if (place.offer === this) mine.push(place);
    for (const place of mine) place.fail(closedError("receiver", core));
    core.receiverClosed(cause);
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
    const isEnd = (error: unknown): boolean => this.#isEnd(error);
    return iterate(() => this.receive(), isEnd);
  }

  /** The figures of the channel. */
  statistics(): ChannelStatistics {
    return this.#core.statistics();
  }

  /** @internal For `select`: `receive`. */
  [operation](): Operation<T> {
    return this.#receiving;
  }

  /** @internal */
  nextOperation(): Operation<IteratorResult<T, undefined>> {
    const { subject, enlist } = this.#receiving;
    const end = { value: { done: true, value: undefined } } as const;
    return {
      subject,
      enlist: enlist as (place: unknown) => void, // `convert` makes of an item what the place gives
      attempt: () => {
        if (this.#core.isAtEnd && !this.#isClosed) return end;
        const got = this.tryReceive();
        return got && { value: { done: false, value: got.value } };
      },
      convert: (value) => ({ done: false, value: value as T }), // it comes from a sender
      recover: (error) => (this.#isEnd(error) ? end : undefined),
    };
  }

  /** Whether `error` says that all senders are closed, and none has left a cause. */
  #isEnd(error: unknown): boolean {
    return error instanceof EndOfChannel && this.#core.isAtEnd;
  }
}

export interface Receiver<T> extends Selectable<T> {}
