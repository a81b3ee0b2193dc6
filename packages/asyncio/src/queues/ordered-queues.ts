/** Queues that give their items in another order than first in, first out. */

import { advice, argumentError, checkOptions } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { render } from "../errors/render.ts";
import { type ItemStore, Queue, type QueueOptions } from "./queue.ts";

/** Negative if `a` comes first, positive if `b` does, 0 if neither; as for Array.prototype.sort. */
export type Compare<T> = (a: T, b: T) => number;

/** What `new LifoQueue` takes. */
export type LifoQueueOptions<T> = Pick<QueueOptions<T>, "name" | "onDrop">;

/** What `new PriorityQueue` takes. */
export interface PriorityQueueOptions<T> extends LifoQueueOptions<T> {
  /**
   * Which of two items comes first. @default numbers, bigints, strings and dates by `<`, arrays
   * element by element
   */
  readonly compare?: Compare<T> | undefined;
}

const LIFO: Names<LifoQueueOptions<unknown>> = { name: "string", onDrop: 1 };
const KNOWN: Names<PriorityQueueOptions<unknown>> = { ...LIFO, compare: 1 };

/**
 * A queue that gives the least item first; equal items come out in the order in which they were put
 * in. An item that is put while somebody waits goes to the waiter at once. `compare` runs inside
 * `put` and `get`; if it throws, the call fails and the queue is as before, where asyncio has put
 * the item in. Source: asyncio.PriorityQueue.
 *
 * @example
 * const queue = new asyncio.PriorityQueue<{ priority: number; url: string }>(0, {
 *   compare: (a, b) => a.priority - b.priority,
 * });
 * queue.putNowait({ priority: 2, url: "/later" });
 * queue.putNowait({ priority: 1, url: "/first" });
 * assert.equal((await queue.get()).url, "/first");
 */
export class PriorityQueue<T> extends Queue<T> {
  constructor(maxsize = 0, options?: PriorityQueueOptions<T>) {
    checkOptions("`new PriorityQueue`", options, KNOWN);
    const { compare = compareValues, name, onDrop } = options ?? {};
    if (typeof compare !== "function")
      throw argumentError("`new PriorityQueue`", "`compare` to be a function", compare);
    super(maxsize, { name, onDrop }, new Heap<T>(compare));
  }

  /** @internal */
  protected override get kind(): string {
    return "PriorityQueue";
  }
}

/** A queue that gives the newest item first. Source: asyncio.LifoQueue. */
export class LifoQueue<T> extends Queue<T> {
  constructor(maxsize = 0, options?: LifoQueueOptions<T>) {
    checkOptions("`new LifoQueue`", options, LIFO);
    super(maxsize, options, new Stack<T>());
  }

  /** @internal */
  protected override get kind(): string {
    return "LifoQueue";
  }
}

class Stack<T> implements ItemStore<T> {
  #items: T[] = [];

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T {
    return this.#items.pop() as T; // the queue asks only when there is an item
  }

  at(): T {
    return this.#items.at(-1) as T; // as above
  }

  clear(): void {
    this.#items = [];
  }
}

interface Entry<T> {
  readonly item: T;
  /** Breaks ties in favour of the item that came first. */
  readonly sequence: number;
}

/**
 * A binary heap that stays as it was when `compare` throws: an operation first finds the path along
 * which entries move, comparing only, and then moves them.
 */
export class Heap<T> implements ItemStore<T> {
  readonly #compare: Compare<T>;
  #entries: Entry<T>[] = [];
  #sequence = 0;

  constructor(compare: Compare<T>) {
    this.#compare = compare;
  }

  get length(): number {
    return this.#entries.length;
  }

  push(item: T): void {
    const entry: Entry<T> = { item, sequence: this.#sequence++ };
    if (this.#entries.length === 0) this.#comesBefore(entry, entry); // an item that cannot be compared fails now, not later
    const path = [this.#entries.length];
    for (let index = this.#entries.length; index > 0; ) {
      index = (index - 1) >> 1;
      if (!this.#comesBefore(entry, this.#at(index))) break;
      path.push(index);
    }
    this.#moveAlong(path, entry);
  }

  shift(): T {
    const first = this.#at(0);
    const last = this.#at(this.#entries.length - 1);
    const length = this.#entries.length - 1;
    const path = [0];
    for (let index = 0; index * 2 + 1 < length; ) {
      const left = index * 2 + 1;
      const least =
        left + 1 < length && this.#comesBefore(this.#at(left + 1), this.#at(left))
          ? left + 1
          : left;
      if (!this.#comesBefore(this.#at(least), last)) break;
      path.push(least);
      index = least;
    }
    this.#moveAlong(path, last);
    this.#entries.pop();
    return first.item;
  }

  at(): T {
    return this.#at(0).item;
  }

  clear(): void {
    this.#entries = [];
  }

  /** Moves each entry on `path` to the place before it, and `entry` to the last place. */
  #moveAlong(path: number[], entry: Entry<T>): void {
    for (let step = 1; step < path.length; step++)
      this.#entries[path[step - 1] as number] = this.#at(path[step] as number);
    this.#entries[path.at(-1) as number] = entry;
  }

  #at(index: number): Entry<T> {
    return this.#entries[index] as Entry<T>; // only asked below the length
  }

  #comesBefore(a: Entry<T>, b: Entry<T>): boolean {
    const order = this.#compare(a.item, b.item);
    if (typeof order !== "number" || Number.isNaN(order))
      throw argumentError("`PriorityQueue`", "`compare` to give a number", order);
    return order < 0 || (order === 0 && a.sequence < b.sequence);
  }
}

function compareValues(a: unknown, b: unknown): number {
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let index = 0; index < Math.min(a.length, b.length); index++) {
      const order = compareValues(a[index], b[index]);
      if (order !== 0) return order;
    }
    return a.length - b.length;
  }
  const [kind, other] = [kindOf(a), kindOf(b)];
  if (kind === undefined || kind !== other) {
    const hasKinds = kind !== undefined && other !== undefined;
    throw argumentError(
      "`PriorityQueue`",
      `items of one kind: numbers, strings, dates, or arrays of these${hasKinds ? `, beside ${render(b)}` : ""}`,
      kind === undefined || hasKinds ? a : b,
      advice("Pass `{ compare: (a, b) => ... }` for other items"),
    );
  }
  const [x, y] = [a as number, b as number]; // two of a kind can be compared by `<`
  return x < y ? -1 : x > y ? 1 : 0;
}

/** Values of one kind have an order among each other; undefined for those that have none. */
function kindOf(value: unknown): "number" | "string" | "date" | undefined {
  if (typeof value === "bigint" || (typeof value === "number" && !Number.isNaN(value)))
    return "number";
  if (typeof value === "string") return "string";
  return value instanceof Date && !Number.isNaN(value.getTime()) ? "date" : undefined;
}
