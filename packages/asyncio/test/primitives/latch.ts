import { complete, interruption, park, WaitList } from "../../src/lowlevel.ts";

/** Opens for good when it has been counted down to 0. */
export class Latch {
  readonly #waiters = new WaitList();
  readonly #subject = { describeWait: () => `a Latch, ${this.#count} to go` };
  #count: number;

  constructor(count: number) {
    if (!Number.isInteger(count) || count < 0)
      throw new RangeError(`\`new Latch\` expects a whole number, 0 or more, got ${count}`);
    this.#count = count;
  }

  /** Counts one down. At 0 all who wait go on, in the order in which they came. */
  countDown(): void {
    if (this.#count > 0 && --this.#count === 0) this.#waiters.resumeAll(undefined);
  }

  /** Waits until the count is 0; at once if it is. Cancelled, it leaves the line. */
  wait(): Promise<void> {
    const stop = interruption(this.#subject);
    if (stop !== undefined) return stop;
    if (this.#count === 0) return complete(this.#subject, undefined);
    const wait = park<void>(this.#subject);
    this.#waiters.add(wait);
    return wait.promise;
  }
}
