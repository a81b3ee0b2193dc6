/**
 * Two counts over the last seconds, in ten slots: what is older than the period does not count, to
 * a tenth of it. Constant in time and space, however much is counted.
 */

import { clockOf } from "./clock.ts";

const SLOTS = 10;

export class Recent {
  readonly #seconds: number;
  readonly #slots: { index: number; first: number; second: number }[] = [];
  readonly #now = clockOf(() => this.clear());

  /** `seconds` is how long something counts. */
  constructor(seconds: number) {
    this.#seconds = seconds;
  }

  add(first: number, second: number): void {
    const index = this.#index();
    const place = index % SLOTS;
    let slot = this.#slots[place];
    if (slot?.index !== index) slot = this.#slots[place] = { index, first: 0, second: 0 };
    slot.first += first;
    slot.second += second;
  }

  sums(): { first: number; second: number } {
    const oldest = this.#index() - SLOTS;
    const sums = { first: 0, second: 0 };
    for (const slot of this.#slots) {
      if (slot === undefined || slot.index <= oldest) continue;
      sums.first += slot.first;
      sums.second += slot.second;
    }
    return sums;
  }

  clear(): void {
    this.#slots.length = 0;
  }

  #index(): number {
    return Math.floor((this.#now() / this.#seconds) * SLOTS);
  }
}
