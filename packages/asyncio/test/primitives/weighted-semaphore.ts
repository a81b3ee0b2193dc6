import { complete, interruption, park, type Wait, watchHeld } from "../../src/lowlevel.ts";

/**
 * So many units for all: memory, connections to one host. First come, first served, so a large
 * request is not overtaken.
 */
export class WeightedSemaphore {
  readonly #units: number;
  #free: number;
  /** Those who wait and what they want, in the order in which they came. */
  readonly #wants = new Map<Wait<Disposable>, number>();

  constructor(units: number) {
    this.#units = units;
    this.#free = units;
  }

  get free(): number {
    return this.#free;
  }

  /**
   * Waits for `units` of them, and gives a guard whose disposal gives them back. Cancelled while it
   * waits, it has taken none.
   */
  acquire(units: number): Promise<Disposable> {
    if (!(units > 0 && units <= this.#units)) {
      const message = `\`acquire\` expects more than 0 units and at most ${this.#units}, got ${units}`;
      return Promise.reject(new RangeError(message));
    }
    const subject = `${units} units of a WeightedSemaphore`;
    const stop = interruption(subject);
    if (stop !== undefined) return stop;
    if (this.#wants.size === 0 && units <= this.#free) return complete(subject, this.#take(units));
    const wait = park<Disposable>(subject, (wait) => {
      this.#wants.delete(wait);
      this.#letIn(); // it may have been the first, and what is free too little for it alone
      return true;
    });
    this.#wants.set(wait, units);
    return wait.promise;
  }

  #take(units: number): Disposable {
    this.#free -= units;
    watchHeld(this);
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#free += units;
        this.#letIn();
      },
    };
  }

  #letIn(): void {
    for (const [wait, units] of this.#wants) {
      if (units > this.#free) return;
      this.#wants.delete(wait);
      wait.resume(this.#take(units));
    }
  }

  /** For tests: what was taken and not given back. */
  leftover(): string | undefined {
    const taken = this.#units - this.#free;
    return taken === 0 ? undefined : `${taken} units of a WeightedSemaphore`;
  }
}
