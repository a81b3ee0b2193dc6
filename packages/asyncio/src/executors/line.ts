/** The jobs that wait for a worker: first come, first served. Those that come back go first. */

import { LinkedList } from "../structures/linked-list.ts";
import type { Work } from "./work.ts";

export class Line {
  readonly #again: LinkedList<Work> = new LinkedList();
  readonly #new: LinkedList<Work> = new LinkedList();

  get size(): number {
    return this.#again.size + this.#new.size;
  }

  get first(): Work | undefined {
    return this.#again.first ?? this.#new.first;
  }

  add(work: Work): void {
    this.#new.add(work);
  }

  addAgain(work: Work): void {
    work.isAgain = true;
    this.#again.add(work);
  }

  remove(work: Work): void {
    (work.isAgain ? this.#again : this.#new).remove(work);
    work.isAgain = false;
  }

  toArray(): Work[] {
    return [...this.#again.toArray(), ...this.#new.toArray()];
  }
}
