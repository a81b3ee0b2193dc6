// What the implementations of the bounded map share: the items, the limit, and the proof that the
// limit was kept and every item has its result in its place.

import { mix, type Size } from "../../workload.ts";

export const limit = 100;

export function itemsFor({ tasks, repeats }: Size): number[] {
  return Array.from({ length: tasks * repeats }, (_, item) => item);
}

/** Counts how many items are worked on at a time, and fails when they are too many. */
export class Stage {
  #now = 0;

  enter(): void {
    if (++this.#now > limit) throw new Error(`${this.#now} items are worked on at a time`);
  }

  /** Gives the result for `item`. */
  leave(item: number): number {
    this.#now--;
    return item ^ 1;
  }

  checksum(results: readonly number[]): number {
    return results.reduce(mix, 0);
  }
}
