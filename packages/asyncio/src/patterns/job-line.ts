/**
 * The jobs of a queue that have not begun, the least priority number first, equal ones in the order
 * in which they came: a list for each priority, and a heap of those lists. A job leaves in constant
 * time; a list that is empty by that stays in the heap until it comes to the top, or until half of
 * them are.
 */

import type { Task } from "../kernel/task.ts";
import { LinkedList } from "../structures/linked-list.ts";
import type { Job } from "./job.ts";

/** The jobs of one priority. A job has the links of a task, which it needs when it has begun. */
class Rank extends LinkedList<Task<unknown>> {
  readonly priority: number;

  constructor(priority: number) {
    super();
    this.priority = priority;
  }
}

export class JobLine {
  size = 0;
  readonly #ranks: Map<number, Rank> = new Map();
  /** The same ranks: none comes before its parent, at (index - 1) >> 1. */
  #heap: Rank[] = [];
  #empty = 0;

  /** The one whose turn is next; undefined if nobody waits. */
  get first(): Job<unknown> | undefined {
    while (this.#heap[0]?.size === 0) this.#removeTop();
    return this.#heap[0]?.first as Job<unknown> | undefined; // no other tasks stand here
  }

  add(job: Job<unknown>): void {
    const { priority } = job.details;
    let rank = this.#ranks.get(priority);
    if (rank === undefined) {
      rank = new Rank(priority);
      this.#ranks.set(priority, rank);
      this.#rise(rank);
    } else if (rank.size === 0) this.#empty--;
    rank.add(job as Task<unknown>);
    this.size++;
  }

  remove(job: Job<unknown>): void {
    const rank = this.#ranks.get(job.details.priority) as Rank; // it stands there
    rank.remove(job as Task<unknown>);
    this.size--;
    if (rank.size > 0 || ++this.#empty <= this.#heap.length / 2) return;
    this.#heap = this.#heap.filter(({ size }) => size > 0).sort(mostUrgentFirst); // a heap, too
    this.#empty = 0;
    this.#ranks.clear();
    for (const rank of this.#heap) this.#ranks.set(rank.priority, rank);
  }

  /** All of them in the order of their turns, for walks during which some may leave. */
  toArray(): Job<unknown>[] {
    const ranks = this.#heap.toSorted(mostUrgentFirst);
    return ranks.flatMap((rank) => rank.toArray() as Job<unknown>[]); // no others stand here
  }

  #rise(rank: Rank): void {
    let index = this.#heap.length;
    for (let above = (index - 1) >> 1; index > 0; index = above, above = (index - 1) >> 1) {
      const parent = this.#heap[above] as Rank; // it is before the end
      if (parent.priority < rank.priority) break;
      this.#heap[index] = parent;
    }
    this.#heap[index] = rank;
  }

  /** Takes out the first rank, which is empty. */
  #removeTop(): void {
    const heap = this.#heap;
    this.#empty--;
    this.#ranks.delete((heap[0] as Rank).priority); // called only if there is one
    const last = heap.pop() as Rank;
    const { length } = heap;
    if (length === 0) return;
    let index = 0;
    for (let below = 1; below < length; below = 2 * index + 1) {
      const [left, right] = [heap[below] as Rank, heap[below + 1]];
      const child = right !== undefined && right.priority < left.priority ? right : left;
      if (last.priority < child.priority) break;
      heap[index] = child;
      index = child === left ? below : below + 1;
    }
    heap[index] = last;
  }
}

const mostUrgentFirst = (a: Rank, b: Rank): number => a.priority - b.priority;
