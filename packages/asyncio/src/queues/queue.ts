/**
 * Queues between tasks. Fair on both sides: getters are served in the order in which they came, and
 * so are putters; no put overtakes a waiting putter (asyncio does not promise that, S123).
 *
 * An item changes hands in the call that makes it possible: `put` gives it to the first waiting
 * getter, `get` takes the oldest and moves the item of the first waiting putter in. The waits that
 * are resumed by that cannot be cancelled any more, so no cancellation loses an item or doubles it.
 *
 * Invariants: getters wait only while the queue holds nothing; putters wait only while it is full.
 */

import { checkOptions, checkSeconds, InvalidStateError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { WaitList, type WaitSubject } from "../kernel/wait.ts";
import { RingBuffer } from "../structures/ring-buffer.ts";
import { QueueEmpty, QueueFull, QueueShutDown } from "./errors.ts";

/** Where a queue keeps its items, and in which order it gives them: `shift` takes the next one. */
export interface ItemStore<T> {
  /** How many items it holds. */
  readonly length: number;
  /** May throw, and has then stored nothing. */
  push(item: T): void;
  /** Only called when there is an item. May throw, and has then taken nothing. */
  shift(): T;
  /** Drops all items and gives how many there were. */
  clear(): number;
}

/** What `new Queue` takes. */
export interface QueueOptions {
  /** What reports and errors call it. */
  readonly name?: string | undefined;
}

const KNOWN: Names<QueueOptions> = { name: 1 };
const SHUTDOWN: Names<{ immediate?: boolean }> = { immediate: 1 };

/**
 * A first-in-first-out queue of at most `maxsize` items. Source: asyncio.Queue, with fairness on
 * top. Promises are awaited when they are handed over, as everywhere in JavaScript: to pass a task
 * or promise itself, box it (`{ task }`).
 *
 * @example
 * const queue = new asyncio.Queue<number>(2, { name: "numbers" });
 * await asyncio.taskGroup(async (group) => {
 *   group.createTask(async () => {
 *     for (const number of [1, 2, 3]) await queue.put(number);
 *     queue.shutdown();
 *   });
 *   const received: number[] = [];
 *   for await (const number of queue) received.push(number);
 *   assert.deepEqual(received, [1, 2, 3]);
 * });
 */
export class Queue<T> {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  /** How many items it holds at most; Infinity if there is no limit. */
  readonly maxsize: number;
  readonly #items: ItemStore<T>;
  readonly #getters: WaitList = new WaitList();
  readonly #putters: WaitList = new WaitList();
  readonly #joiners: WaitList = new WaitList();
  readonly #getSubject: WaitSubject = { describeWait: () => `${this.#describe()}.get` };
  readonly #putSubject: WaitSubject = { describeWait: () => `${this.#describe()}.put` };
  readonly #joinSubject: WaitSubject = {
    describeWait: () => `${this.#describe()}.join, ${this.#unfinished} items unfinished`,
  };
  /** Items put and not reported by `taskDone` yet. */
  #unfinished = 0;
  #isShutDown = false;

  /** `maxsize` of 0 or less means no limit; a fraction is rounded up. */
  constructor(maxsize = 0, options?: QueueOptions, items: ItemStore<T> = new RingBuffer<T>()) {
    checkSeconds(`\`new ${this.kind}\``, "`maxsize` as a number of items", maxsize);
    this.maxsize = maxsize <= 0 ? Number.POSITIVE_INFINITY : Math.ceil(maxsize);
    checkOptions(`\`new ${this.kind}\``, options, KNOWN);
    this.name = options?.name;
    this.#items = items;
  }

  /** @internal What messages call it; not the name of the class, which a bundler may change. */
  protected get kind(): string {
    return "Queue";
  }

  /** How many items it holds. */
  qsize(): number {
    return this.#items.length;
  }

  /** True if it holds nothing. */
  empty(): boolean {
    return this.#items.length === 0;
  }

  /** True if it holds as many items as it may. */
  full(): boolean {
    return this.#items.length >= this.maxsize;
  }

  /**
   * Takes the oldest item; waits while there is none. Waiting getters are served in order.
   * Cancelled while it waits, it takes nothing. Rejects with QueueShutDown when the queue is shut
   * down and drained.
   */
  get(): Promise<Awaited<T>> {
    const scope = here();
    const interruption = scope.interruption(this.#getSubject);
    if (interruption !== undefined) return interruption;
    if (this.#items.length > 0) {
      try {
        return completed(scope, this.#getSubject, this.#take() as Awaited<T>); // resolving awaits it
      } catch (error) {
        return refused(scope, this.#getSubject, error);
      }
    }
    if (this.#isShutDown) return refused(scope, this.#getSubject, this.#shutDownError("get"));
    const wait = park<Awaited<T>>(scope, this.#getSubject);
    wait.handsOver = true;
    this.#getters.add(wait);
    return wait.promise;
  }

  /**
   * Puts an item in; waits while the queue is full. Waiting putters are served in order. Cancelled
   * while it waits, it puts nothing in. Rejects with QueueShutDown when the queue is shut down,
   * also while it waits.
   */
  put(item: T): Promise<void> {
    const scope = here();
    const interruption = scope.interruption(this.#putSubject);
    if (interruption !== undefined) return interruption;
    if (this.#isShutDown) return refused(scope, this.#putSubject, this.#shutDownError("put"));
    if (!this.full()) {
      try {
        this.#add(item);
      } catch (error) {
        return refused(scope, this.#putSubject, error);
      }
      return completed(scope, this.#putSubject, undefined);
    }
    const wait = park<void>(scope, this.#putSubject);
    wait.offer = item;
    this.#putters.add(wait);
    return wait.promise;
  }

  /**
   * Takes the oldest item. @throws QueueEmpty when there is none; QueueShutDown when there will be
   * none.
   */
  getNowait(): T {
    if (this.#items.length > 0) return this.#take();
    if (this.#isShutDown) throw this.#shutDownError("getNowait");
    throw new QueueEmpty(
      `\`getNowait\` found ${this.#describe()} empty. Use \`await queue.get()\` to wait for an item`,
    );
  }

  /**
   * Puts an item in. @throws QueueFull when there is no room; QueueShutDown when it takes nothing
   * more.
   */
  putNowait(item: T): void {
    if (this.#isShutDown) throw this.#shutDownError("putNowait");
    if (this.full()) {
      throw new QueueFull(
        `\`putNowait\` found ${this.#describe()} full: it holds ${this.maxsize}. Use \`await queue.put(item)\` to wait for room`,
      );
    }
    this.#add(item);
  }

  /**
   * Waits until every item that was put has been reported by `taskDone`. Returns at once when there
   * is none.
   */
  join(): Promise<void> {
    const scope = here();
    const interruption = scope.interruption(this.#joinSubject);
    if (interruption !== undefined) return interruption;
    if (this.#unfinished === 0) return completed(scope, this.#joinSubject, undefined);
    const wait = park<void>(scope, this.#joinSubject);
    this.#joiners.add(wait);
    return wait.promise;
  }

  /**
   * Reports that the work on one item is finished. @throws InvalidStateError when all items are
   * reported already.
   */
  taskDone(): void {
    if (this.#unfinished === 0) {
      throw new InvalidStateError(
        `\`taskDone\` was called more often than items were put into ${this.#describe()}. Call it once for each item`,
      );
    }
    this.#finish(1);
  }

  /**
   * Shuts the queue down: it takes nothing more. Items in it can still be taken, and `join` waits
   * for them; waiting putters and, since there is nothing to take, waiting getters get a
   * QueueShutDown. With `immediate` the items in it are dropped too, and count as finished.
   */
  shutdown(options?: { immediate?: boolean }): void {
    checkOptions("`queue.shutdown`", options, SHUTDOWN);
    this.#isShutDown = true;
    if (options?.immediate === true) this.#finish(this.#items.clear());
    this.#putters.failAll(() => this.#shutDownError("put"));
    this.#getters.failAll(() => this.#shutDownError("get"));
  }

  /**
   * Items as they come; ends when the queue is shut down and drained. Several tasks may iterate one
   * queue: each item goes to one of them. Does not call `taskDone`.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Awaited<T>> {
    const next = async (): Promise<IteratorResult<Awaited<T>, undefined>> => {
      if (this.#isShutDown && this.empty()) return await this.#nextOfNone();
      try {
        return { done: false, value: await this.get() };
      } catch (error) {
        const isOurs = error instanceof QueueShutDown && this.#isShutDown && this.empty(); // an item may fail with one too
        if (isOurs) return { done: true, value: undefined };
        throw error;
      }
    };
    return { next, [Symbol.asyncIterator]: () => this[Symbol.asyncIterator]() };
  }

  /**
   * An operation, as every other `next`: a loop round the loop hears of cancellations, and lets the
   * host have its turn.
   */
  #nextOfNone(): Promise<IteratorReturnResult<undefined>> {
    const scope = here();
    const stop = scope.interruption(this.#getSubject);
    return stop ?? completed(scope, this.#getSubject, { done: true, value: undefined });
  }

  #add(item: T): void {
    const isAwaited = this.#getters.length > 0;
    if (!isAwaited) this.#items.push(item); // may throw
    this.#unfinished++;
    if (isAwaited) this.#getters.resumeFirst(item); // last: resolving may call a `then` of the item's
  }

  #take(): T {
    const item = this.#items.shift();
    for (let putter = this.#putters.first; putter !== undefined; putter = this.#putters.first) {
      try {
        this.#add(putter.offer as T); // put() left its item there
        putter.resume(undefined);
        break;
      } catch (error) {
        putter.fail(error); // its item cannot be compared: the next one has its turn
      }
    }
    return item;
  }

  #finish(count: number): void {
    this.#unfinished -= count;
    if (this.#unfinished === 0) this.#joiners.resumeAll(undefined);
  }

  #shutDownError(call: string): QueueShutDown {
    return new QueueShutDown(`\`${call}\` was called on ${this.#describe()}, which is shut down`);
  }

  #describe(): string {
    return this.name === undefined ? `a ${this.kind}` : `${this.kind} ${JSON.stringify(this.name)}`;
  }
}
