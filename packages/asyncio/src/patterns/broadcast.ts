/**
 * Broadcasts: each subscriber gets each item. Every subscription is a channel of its own; what
 * happens to one that is behind is chosen when the broadcast is made, and nobody is stalled without
 * that.
 *
 * Invariant: senders wait only while a subscriber has no room.
 */

import { InvalidStateError, rangeError } from "../errors/errors.ts";
import type { Operation } from "../kernel/selectable.ts";
import { WaitList, type WaitSubject } from "../kernel/wait.ts";
import type { Overflow } from "../queues/queue.ts";
import { describeSync, type SyncOptions } from "../sync/lock.ts";
import { Receiver } from "./channel.ts";
import { Core, sending } from "./channel-core.ts";
import { perform } from "./perform.ts";
import { callback, count, countOr0, needed, oneOf, settle } from "./settings.ts";

/** What `new Broadcast` takes. */
export interface BroadcastOptions<T> extends SyncOptions {
  /** How many items a subscriber may be behind: 1 or more, or Infinity. */
  readonly capacity: number;
  /**
   * What happens when one is further behind: senders wait for it, or it misses items, and is told
   * so by a Lagged error if this is "lag". @default "wait"
   */
  readonly overflow?: Overflow | "lag" | undefined;
  /** How many of the last items a new subscriber gets first: at most `capacity`. @default 0 */
  readonly replay?: number | undefined;
  /** Is called with each item that a subscriber misses. What it throws is reported. */
  readonly onDrop?: ((item: T) => void) | undefined;
}

const OPTIONS = {
  capacity: needed(count),
  overflow: [oneOf("wait", "dropOldest", "dropNewest", "lag"), "wait"],
  replay: [countOr0, 0],
  onDrop: callback,
  name: "string",
} as const;

/**
 * Passes each item to all who have subscribed before it was sent. Sources: `broadcast` of Tokio,
 * SharedFlow of Kotlin, PubSub of Effect.
 *
 * @example
 * const prices = new patterns.Broadcast<number>({ capacity: 10 });
 * using first = prices.subscribe();
 * await prices.send(1);
 * using second = prices.subscribe(); // from this call on
 * await prices.send(2);
 * assert.deepEqual([await first.receive(), await first.receive()], [1, 2]);
 * assert.equal(await second.receive(), 2);
 */
export class Broadcast<T> implements Disposable {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  readonly #options;
  readonly #subscribers: Set<Core<T>> = new Set();
  readonly #senders: WaitList = new WaitList();
  readonly #subject: WaitSubject = {
    describeWait: () => `the slowest subscriber of ${this.#describe()} to have room`,
  };
  /** The last items, for new subscribers. */
  readonly #last: T[] = [];
  #sent = 0;
  #dropped = 0;
  #end: { readonly cause: unknown } | undefined = undefined;

  constructor(options: BroadcastOptions<T>) {
    const api = "`new Broadcast`";
    this.#options = settle<BroadcastOptions<T>, typeof OPTIONS>(api, options, OPTIONS);
    const { capacity, replay, name } = this.#options;
    if (replay > capacity)
      throw rangeError(api, "`replay` as a whole number of items, at most `capacity`", replay);
    this.name = name;
  }

  /**
   * Passes `item` to all subscribers, in one step. With `overflow: "wait"` it waits until all have
   * room; cancelled meanwhile, nobody has got it. Rejects with InvalidStateError once it is closed.
   */
  send(item: T): Promise<void> {
    return perform(this.putOperation(item));
  }

  /**
   * Passes `item` to all subscribers if none has to be waited for; false otherwise. @throws
   * InvalidStateError once it is closed.
   */
  trySend(item: T): boolean {
    if (this.#end !== undefined) throw this.#closedError();
    return this.#pass(item);
  }

  /**
   * Subscribes, in the call: gets the last `replay` items, and each that is sent from now on. Close
   * what it gives to leave (`using` does). It ends when the broadcast is closed.
   */
  subscribe(): Receiver<T> {
    const { onDrop } = this.#options;
    const core = new Core<T>({
      ...this.#options,
      description: `a subscription of ${this.#describe()}`,
      onDrop: (item) => {
        this.#dropped++;
        return onDrop?.(item);
      },
      onRoom: () => this.#serve(),
    });
    core.senders = 1;
    const receiver = new Receiver(core, () => this.#subscribers.delete(core));
    for (const item of this.#last) core.trySend(item);
    if (this.#end === undefined) this.#subscribers.add(core);
    else core.senderClosed(this.#end.cause);
    return receiver;
  }

  /**
   * Ends it: subscribers get what is left for them, and then EndOfChannel, or the `cause` as it is.
   * Those who wait to send get an InvalidStateError.
   */
  close(cause?: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { cause };
    this.#senders.failAll(() => this.#closedError());
    for (const core of this.#subscribers) core.senderClosed(cause);
    this.#subscribers.clear();
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * How many subscribers there are, how many items were sent and missed, how many items the slowest
   * subscriber is behind, and how many tasks wait to send.
   */
  statistics(): Readonly<
    Record<"subscribers" | "sent" | "dropped" | "furthestBehind" | "sending", number>
  > {
    return Object.freeze({
      subscribers: this.#subscribers.size,
      sent: this.#sent,
      dropped: this.#dropped,
      furthestBehind: Math.max(0, ...[...this.#subscribers].map(({ size }) => size)),
      sending: this.#senders.length,
    });
  }

  /** @internal */
  putOperation(item: T): Operation<undefined> {
    return sending(this.#subject, this.#senders, item, (one) => this.trySend(one));
  }

  #pass(item: T): boolean {
    if (this.#senders.first !== undefined || !this.#hasRoom()) return false;
    this.#deliver(item);
    return true;
  }

  #hasRoom(): boolean {
    if (this.#options.overflow !== "wait") return true;
    for (const core of this.#subscribers) if (core.isFull) return false;
    return true;
  }

  #deliver(item: T): void {
    this.#sent++;
    const { replay } = this.#options;
    if (replay > 0 && this.#last.push(item) > replay) this.#last.shift();
    for (const core of [...this.#subscribers]) core.trySend(item);
  }

  /** Lets those who wait to send go on, as far as there is room. */
  #serve(): void {
    for (let next = this.#senders.first; next !== undefined; next = this.#senders.first) {
      if (!this.#hasRoom()) return;
      const item = next.offer as T; // left there by `send`
      next.resume(undefined);
      this.#deliver(item);
    }
  }

  #closedError(): InvalidStateError {
    return new InvalidStateError(`${this.#describe()} is closed: nothing can be sent any more`);
  }

  #describe(): string {
    return describeSync("Broadcast", this.name);
  }
}
