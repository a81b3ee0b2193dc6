// What is known of primitives from outside, and must agree with what they say.

import assert from "node:assert/strict";
import { inspect } from "node:util";
import * as asyncio from "../../src/index.ts";

export class CountedSemaphore extends asyncio.Semaphore {
  get free(): number {
    return this.value;
  }
}

export class CountedBoundedSemaphore extends asyncio.BoundedSemaphore {
  get free(): number {
    return this.value;
  }
}

/** A lock or semaphore, and what is known about it from outside. */
export class Guarded {
  readonly capacity: number;
  inside = 0;
  waiting = 0;
  /** Tickets, in the order in which their holders came in. */
  readonly entered: number[] = [];

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  enter(ticket: number): void {
    this.entered.push(ticket);
    this.resume();
  }

  resume(): void {
    this.inside++;
    assert.ok(this.inside <= this.capacity, `${this.inside} inside where ${this.capacity} may be`);
  }

  leave(): void {
    this.inside--;
  }

  checkOrder(what: string): void {
    if (this.capacity === 1)
      assertIncreasing(this.entered, `${what} was not first come, first served`);
  }
}

/** A queue, and what is known about it from outside. */
export class Ledger<T> {
  readonly queue: asyncio.Queue<T>;
  readonly put: Set<number> = new Set();
  readonly got: { readonly ticket: number; readonly id: number }[] = [];
  getting = 0;
  putting = 0;
  joining = 0;
  reported = 0;
  /** True once items may have been dropped. */
  isImmediate = false;

  constructor(queue: asyncio.Queue<T>) {
    this.queue = queue;
  }

  check(): void {
    const { queue } = this;
    assert.ok(queue.qsize() <= queue.maxsize, "more items than there is room for");
    if (this.getting > 0) assert.ok(queue.empty(), "a task waits for an item that is there");
    if (this.putting > 0) assert.ok(queue.full(), "a task waits for room that is there");
    if (this.joining > 0) assert.ok(this.put.size > this.reported, "join waits for nothing");
    if (!this.isImmediate) assert.equal(queue.qsize(), this.put.size - this.got.length, "qsize");
  }

  /** Takes what is left, and asserts that every item is accounted for once. */
  settle(idOf: (item: T) => number): void {
    const left: T[] = [];
    while (!this.queue.empty()) left.push(this.queue.getNowait());
    const ids = [...this.got.map(({ id }) => id), ...left.map(idOf)];
    assert.equal(new Set(ids).size, ids.length, "an item came out twice");
    for (const id of ids) assert.ok(this.put.has(id), "an item came out whose put had failed");
    if (!this.isImmediate) assert.equal(ids.length, this.put.size, "an item was lost");
    if (this.queue instanceof asyncio.PriorityQueue)
      assertIncreasing(
        left.map((item) => (item as Item).order),
        "the queue is out of order",
      );
    else if (!(this.queue instanceof asyncio.LifoQueue)) {
      const byTicket = this.got.toSorted((a, b) => a.ticket - b.ticket).map(({ id }) => id);
      assertIncreasing([...byTicket, ...left.map(idOf)], "the queue was not first in, first out");
    }
  }
}

export interface Item {
  readonly id: number;
  readonly order: number;
}

function assertIncreasing(numbers: readonly number[], message: string): void {
  const isBroken = numbers.some((number, index) => number <= (numbers[index - 1] ?? -1));
  assert.ok(!isBroken, `${message}: ${inspect(numbers, { breakLength: Infinity })}`);
}
