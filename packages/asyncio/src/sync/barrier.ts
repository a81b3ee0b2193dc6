/**
 * Barriers: tasks wait until a number of them has come. The last arrival completes all waits in the
 * call, so the barrier is empty again at once: there is no draining state, and newcomers of the
 * next round never mix with the last (F14).
 */

import { checkCount, register } from "../errors/errors.ts";
import { completed, here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { WaitList, type WaitSubject } from "../kernel/wait.ts";
import { checkSyncOptions, describeSync, type SyncOptions } from "./lock.ts";

/** The barrier was reset or broken while a task waited at it, or was broken already. */
export class BrokenBarrierError extends Error {
  readonly code = "ERR_ASYNCIO_BROKEN_BARRIER";
}
register(BrokenBarrierError, "BrokenBarrierError");

/**
 * Lets `parties` tasks go on together. Reusable. Source: asyncio.Barrier.
 *
 * @example
 * const barrier = new asyncio.Barrier(3);
 * const indices = await asyncio.gather(() => barrier.wait(), () => barrier.wait(), () =>
 * barrier.wait()); assert.deepEqual(indices, [0, 1, 2]);
 */
export class Barrier {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  /** How many tasks it takes. */
  readonly parties: number;
  readonly #waiters: WaitList = new WaitList();
  readonly #subject: WaitSubject = {
    describeWait: () =>
      `${describeSync("Barrier", this.name)}, ${this.nWaiting} of ${this.parties} there`,
  };
  #broken = false;

  constructor(parties: number, options?: SyncOptions) {
    checkCount("`new Barrier`", "a number of tasks", parties, 1, Number.MAX_VALUE);
    checkSyncOptions("Barrier", options);
    this.parties = parties;
    this.name = options?.name;
  }

  /** How many tasks are waiting. */
  get nWaiting(): number {
    return this.#waiters.length;
  }

  /** True after `abort`, until `reset`. */
  get broken(): boolean {
    return this.#broken;
  }

  /**
   * Waits until `parties` tasks are waiting, and gives the place of this one among them, from 0. A
   * waiter that is cancelled leaves, and the others go on waiting. Rejects with a
   * BrokenBarrierError when the barrier is broken or reset.
   */
  wait(): Promise<number> {
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return stop;
    if (!this.#broken && this.#waiters.length === this.parties - 1) {
      for (let place = 0; this.#waiters.length > 0; place++) this.#waiters.resumeFirst(place);
      return completed(scope, this.#subject, this.parties - 1);
    }
    const wait = park<number>(scope, this.#subject);
    if (this.#broken) wait.fail(this.#error("is broken"));
    else this.#waiters.add(wait);
    return wait.promise;
  }

  /** Makes it as new; those who wait get a BrokenBarrierError. */
  reset(): void {
    this.#broken = false;
    this.#waiters.failAll(() => this.#error("was reset"));
  }

  /** Breaks it: those who wait, and all who come until `reset`, get a BrokenBarrierError. */
  abort(): void {
    this.#broken = true;
    this.#waiters.failAll(() => this.#error("was broken by `abort`"));
  }

  #error(what: string): BrokenBarrierError {
    return new BrokenBarrierError(
      `${describeSync("Barrier", this.name)} ${what} before all ${this.parties} tasks had come`,
    );
  }
}
