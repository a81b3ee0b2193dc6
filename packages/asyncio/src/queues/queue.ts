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

import {
  advice,
  argumentError,
  checkCount,
  checkOptions,
  InvalidStateError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { type Got, type Operation, operation, type Selectable } from "../kernel/selectable.ts";
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
  /** Drops all items. */
  clear(): void;
  /** The item that `shift` would take, for `queue.peek`. Only called when there is an item. */
  at?(position: 0): T;
}

/** What a full queue does with the next item: its putter waits, or an item is dropped. */
export type Overflow = "wait" | "dropOldest" | "dropNewest";

/** What `new Queue` takes. */
export interface QueueOptions<T = unknown> {
  /** What reports and errors call it. */
  readonly name?: string | undefined;
  /**
   * What becomes of an item that is put while the queue is full. Of one item and "dropOldest", it
   * keeps the last. @default "wait"
   */
  readonly overflow?: Overflow | undefined;
  /**
   * Is called with each item that is dropped, by `overflow` or by `shutdown({ immediate })`. What
   * it throws is reported.
   */
  readonly onDrop?: ((item: T) => void) | undefined;
}

/** What `queue.shutdown` takes. */
export interface ShutdownOptions {
  /** Drops the items that are in it. @default false */
  readonly immediate?: boolean | undefined;
  /** What those who get are given, as it is, once the queue is drained. */
  readonly cause?: unknown;
}

const KNOWN: Names<QueueOptions> = { name: "string", overflow: 1, onDrop: 1 };
const SHUTDOWN: Names<ShutdownOptions> = { immediate: "boolean", cause: 1 };
const OVERFLOWS: readonly unknown[] = ["wait", "dropOldest", "dropNewest"];

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
  #dropped = 0;
  /** `get` in two parts: made when a `select` asks for it. */
  #getting: Operation<T> | undefined = undefined;
  readonly #overflow: Overflow;
  readonly #onDrop: ((item: T) => void) | undefined;
  /** Undefined until it is shut down. */
  #end: { readonly cause: unknown } | undefined = undefined;
  // biome-ignore lint/correctness/noUnusedPrivateClassMembers: one for good, as in scope.ts
  static readonly #kept: Queue<never> = /* @__PURE__ */ new Queue();
  /** `maxsize` of 0 or less means no limit; a fraction is refused. */
  constructor(maxsize = 0, options?: QueueOptions<T>, items: ItemStore<T> = new RingBuffer<T>()) {
    checkCount(`\`new ${this.kind}\``, "`maxsize`", maxsize <= 0 ? 0 : maxsize, 0);
    this.maxsize = maxsize <= 0 ? Number.POSITIVE_INFINITY : maxsize;
    checkOptions(`\`new ${this.kind}\``, options, KNOWN);
    const { name, overflow = "wait", onDrop } = options ?? {};
    const expected = '`overflow` to be "wait", "dropOldest" or "dropNewest"';
    if (!OVERFLOWS.includes(overflow))
      throw argumentError(`\`new ${this.kind}\``, expected, overflow);
    if (onDrop !== undefined && typeof onDrop !== "function")
      throw argumentError(`\`new ${this.kind}\``, "`onDrop` as a function", onDrop);
    this.name = name;
    this.#overflow = overflow;
    this.#onDrop = onDrop;
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
   * The item that `get` would take, which stays; undefined if there is none. @throws
   * InvalidStateError when the store that the queue was made with has no `at`.
   */
  peek(): Got<T> | undefined {
    if (this.#items.length === 0) return undefined;
    if (this.#items.at === undefined)
      throw new InvalidStateError("`queue.peek` needs an item store that has `at`");
    return { value: this.#items.at(0) };
  }

  /**
   * How many items it holds and may hold, how many tasks wait to get and to put, how many items
   * `taskDone` was not called for yet, and how many were dropped.
   */
  statistics(): Readonly<
    Record<"size" | "maxsize" | "getting" | "putting" | "unfinished" | "dropped", number>
  > {
    return Object.freeze({
      size: this.#items.length,
      maxsize: this.maxsize,
      getting: this.#getters.length,
      putting: this.#putters.length,
      unfinished: this.#unfinished,
      dropped: this.#dropped,
    });
  }

  /**
   * Takes the oldest item; waits while there is none. Waiting getters are served in order.
   * Cancelled while it waits, it takes nothing. Rejects with QueueShutDown, or with the cause, when
   * the queue is shut down and drained.
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
    if (this.#end !== undefined)
      return refused(scope, this.#getSubject, this.#shutDownError("get"));
    const wait = park<Awaited<T>>(scope, this.#getSubject);
    wait.handsOver = true;
    this.#getters.add(wait);
    return wait.promise;
  }

  /**
   * Puts an item in; waits while the queue is full. Waiting putters are served in order. Cancelled
   * while it waits, it puts nothing in. With `overflow` it never waits, and an item is dropped.
   * Rejects with QueueShutDown when the queue is shut down, also while it waits.
   */
  put(item: T): Promise<void> {
    const scope = here();
    const interruption = scope.interruption(this.#putSubject);
    if (interruption !== undefined) return interruption;
    if (this.#end !== undefined)
      return refused(scope, this.#putSubject, this.#shutDownError("put"));
    if (this.#hasRoom()) {
      try {
        this.#admit(item);
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
    if (this.#end !== undefined) throw this.#shutDownError("getNowait");
    const message = `\`getNowait\` found ${this.#describe()} empty${advice("Use `await queue.get()` to wait for an item")}`;
    throw new QueueEmpty(message);
  }

  /**
   * Puts an item in. @throws QueueFull when there is no room; QueueShutDown when it takes nothing
   * more.
   */
  putNowait(item: T): void {
    if (this.#end !== undefined) throw this.#shutDownError("putNowait");
    if (!this.#hasRoom()) {
      const message = `\`putNowait\` found ${this.#describe()} full: it holds ${this.maxsize}${advice("Use `await queue.put(item)` to wait for room")}`;
      throw new QueueFull(message);
    }
    this.#admit(item);
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
      const message = `\`taskDone\` was called more often than items were put into ${this.#describe()}${advice("Call it once for each item")}`;
      throw new InvalidStateError(message);
    }
    this.#finish(1);
  }

  /**
   * Shuts the queue down: it takes nothing more. Items in it can still be taken, and `join` waits
   * for them; waiting putters and, since there is nothing to take, waiting getters get a
   * QueueShutDown. With `immediate` the items in it are dropped too, and count as finished. With a
   * `cause` getters and loops are given that, as it is, and putters have it as the cause of theirs.
   */
  shutdown(options?: ShutdownOptions): void {
    checkOptions("`queue.shutdown`", options, SHUTDOWN);
    this.#end ??= { cause: options?.cause };
    if (options?.immediate === true) this.#dropAll();
    this.#putters.failAll(() => this.#shutDownError("put"));
    this.#getters.failAll(() => this.#shutDownError("get"));
  }

  /**
   * Items as they come; ends when the queue is shut down and drained. Several tasks may iterate one
   * queue: each item goes to one of them. Does not call `taskDone`.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Awaited<T>> {
    const next = async (): Promise<IteratorResult<Awaited<T>, undefined>> => {
      if (this.#isAtEnd()) return await this.#nextOfNone();
      try {
        return { done: false, value: await this.get() };
      } catch (error) {
        const isOurs = error instanceof QueueShutDown && this.#isAtEnd(); // an item may fail with one too
        if (isOurs) return { done: true, value: undefined };
        throw error;
      }
    };
    return { next, [Symbol.asyncIterator]: () => this[Symbol.asyncIterator]() };
  }

  /** @internal For `select`: `get`. */
  [operation](): Operation<T> {
    this.#getting ??= {
      subject: this.#getSubject,
      attempt: () => {
        if (this.#items.length > 0) return { value: this.#take() };
        if (this.#end !== undefined) throw this.#shutDownError("get");
        return undefined;
      },
      enlist: (place) => this.#getters.add(place),
    };
    return this.#getting;
  }

  /** @internal */
  putOperation(item: T): Operation<undefined> {
    return {
      subject: this.#putSubject,
      attempt: () => {
        if (this.#end !== undefined) throw this.#shutDownError("put");
        if (!this.#hasRoom()) return undefined;
        this.#admit(item);
        return { value: undefined };
      },
      enlist: (place) => {
        place.offer = item;
        this.#putters.add(place);
      },
    };
  }

  /** @internal */
  nextOperation(): Operation<IteratorResult<T, undefined>> {
    return {
      subject: this.#getSubject,
      attempt: () => {
        if (this.#items.length > 0) return { value: { done: false, value: this.#take() } };
        if (this.#isAtEnd()) return { value: { done: true, value: undefined } };
        if (this.#end !== undefined) throw this.#shutDownError("get");
        return undefined;
      },
      enlist: (place) => this.#getters.add(place),
      convert: (value) => ({ done: false, value: value as T }),
      recover: () => (this.#isAtEnd() ? { value: { done: true, value: undefined } } : undefined),
    };
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

  /** Whether a loop over it ends: it is drained, and was not shut down with a cause. */
  #isAtEnd(): boolean {
    return this.#end !== undefined && this.#end.cause === undefined && this.empty();
  }

  #hasRoom(): boolean {
    return this.#overflow !== "wait" || !this.full();
  }

  /** Adds an item where somebody waits for it or `#hasRoom`: the place of another one, maybe. */
  #admit(item: T): void {
    if (this.#overflow === "wait" || !this.full()) this.#add(item);
    else if (this.#overflow === "dropNewest") this.#drop(item);
    else {
      const oldest = this.#items.shift();
      this.#items.push(item); // the other one's work is finished, and this one's is not
      this.#drop(oldest);
    }
  }

  #drop(item: T): void {
    this.#dropped++;
    if (this.#onDrop === undefined) return;
    try {
      this.#onDrop(item);
    } catch (exception) {
      const message = `\`onDrop\` of ${this.#describe()} has failed`;
      here().loop.callExceptionHandler({ message, exception, task: here().task });
    }
  }

  #dropAll(): void {
    const { length } = this.#items;
    const dropped: T[] = [];
    try {
      if (this.#onDrop !== undefined) while (!this.empty()) dropped.push(this.#items.shift());
    } catch {
      // Items that cannot be compared any more go without a word.
    }
    this.#dropped += this.#items.length;
    this.#items.clear();
    for (const item of dropped) this.#drop(item);
    this.#finish(length);
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

  #shutDownError(call: "get" | "getNowait" | "put" | "putNowait"): unknown {
    const cause = this.#end?.cause;
    if (cause !== undefined && call.startsWith("get")) return cause;
    const message = `\`${call}\` was called on ${this.#describe()}, which is shut down`;
    return new QueueShutDown(message, cause === undefined ? undefined : { cause });
  }

  #describe(): string {
    return this.name === undefined ? `a ${this.kind}` : `${this.kind} ${JSON.stringify(this.name)}`;
  }
}

export interface Queue<T> extends Selectable<T> {}
