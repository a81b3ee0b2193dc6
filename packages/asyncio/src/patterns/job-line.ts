/**
 * The jobs of a queue that have not begun, the least priority number first, equal ones in the order
 * in which they came: a list for each priority, and a heap of those lists. A job leaves in constant
 * time. A list that is empty by that stays in the heap until it is the first, or until most are.
 */

import type { Task } from "../kernel/task.ts";
import { Heap } from "../queues/ordered-queues.ts";
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
  /** The same. */
  readonly #heap: Heap<Rank> = new Heap((a, b) => a.priority - b.priority);

  /** The one whose turn is next; undefined if nobody waits. */
  get first(): Job<unknown> | undefined {
    while (this.#heap.length > 0) {
      const { first, priority } = this.#heap.at();
      if (first !== undefined) return first as Job<unknown>; // no other tasks stand here
      this.#heap.shift();
      this.#ranks.delete(priority);
    }
    return undefined;
  }

  add(job: Job<unknown>): void {
    const { priority } = job.details;
    let rank = this.#ranks.get(priority);
    if (rank === undefined) {
      rank = new Rank(priority);
      this.#ranks.set(priority, rank);
      this.#heap.push(rank);
    }
    rank.add(job);
    this.size++;
  }

  remove(job: Job<unknown>): void {
    this.#ranks.get(job.details.priority)?.remove(job);
    if (this.#ranks.size <= 2 * --this.size + 16) return;
    this.#heap.clear();
    for (const rank of this.#ranks.values())
      if (rank.size > 0) this.#heap.push(rank);
      else this.#ranks.delete(rank.priority);
  }

  /** All of them in the order of their turns, for walks during which some may leave. */
  toArray(): Job<unknown>[] {
    const ranks = [...this.#ranks.values()].sort((a, b) => a.priority - b.priority);
    return ranks.flatMap((rank) => rank.toArray() as Job<unknown>[]); // as above
  }
}
