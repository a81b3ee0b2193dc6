// The smallest operation that waits. The suite is tested on it, and the work of joins waits with
// it.

import { complete, interruption, park, WaitList } from "../../src/lowlevel.ts";

/** Hands each value to the task that has waited longest, and keeps it if none waits. */
export class Gate<T> {
  readonly #waits = new WaitList();
  readonly #values: T[] = [];

  get waiting(): number {
    return this.#waits.length;
  }

  get kept(): number {
    return this.#values.length;
  }

  pass(): Promise<T> {
    const stop = interruption("Gate.pass");
    if (stop !== undefined) return stop;
    if (this.#values.length > 0) return complete("Gate.pass", this.#values.shift() as T);
    const wait = park<T>("Gate.pass");
    this.#waits.add(wait);
    return wait.promise;
  }

  open(value: T): T {
    if (this.#waits.resumeFirst(value) === undefined) this.#values.push(value);
    return value;
  }
}
