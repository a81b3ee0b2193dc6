/**
 * Semaphores: a number of permits, given out first come, first served. `release` hands its permit
 * to the task that has waited longest in the call, so a permit is never on its way: it is free or
 * somebody has it (S113, S114). Several at once are granted whole, and nobody overtakes the first
 * in line, so those who want many do not starve.
 *
 * Invariant: the first in line wants more than is free.
 */

import { advice, checkCoroutine, checkCount, InvalidStateError } from "../errors/errors.ts";
import { completed, here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { type Operation, operation, type Place, type Selectable } from "../kernel/selectable.ts";
import type { Coroutine } from "../kernel/task.ts";
import { type Wait, WaitList, type WaitSubject } from "../kernel/wait.ts";
import { checkSyncOptions, describeSync, type SyncOptions } from "./lock.ts";

/**
 * Lets a number of tasks through at a time. Releasing more often than acquiring adds permits;
 * BoundedSemaphore refuses that. Source: asyncio.Semaphore.
 *
 * @example
 * const semaphore = new asyncio.Semaphore(2, { name: "connections" });
 * let inUse = 0;
 * let most = 0;
 * const work = () => semaphore.run(async () => {
 *   most = Math.max(most, ++inUse);
 *   await asyncio.sleep(0.001);
 *   inUse--;
 * });
 * await asyncio.gather(work, work, work, work);
 * assert.equal(most, 2);
 */
export class Semaphore {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  readonly #waiters: WaitList = new WaitList();
  readonly #subject: WaitSubject = {
    describeWait: () => `${this.describe()}, ${this.#waiters.length} waiting`,
  };
  /** Free permits; below 0 while more are out than there are. */
  #value: number;
  /** How many there are in all. */
  #permits: number;

  constructor(value = 1, options?: SyncOptions) {
    checkPermits(`\`new ${this.kind}\``, value, 0);
    checkSyncOptions(this.kind, options);
    this.#value = this.#permits = value;
    this.name = options?.name;
  }

  /** Free permits; below 0 while more are out than `resize` allows. */
  get value(): number {
    return this.#value;
  }

  /** True iff all permits are free, and nobody waits. */
  get idle(): boolean {
    return this.#value >= this.#permits && this.#waiters.first === undefined;
  }

  /**
   * Waits for a permit, takes it, and gives a guard whose disposal releases it. Takes `count`
   * permits at once when all of them are free, and nobody stands before. More than there are in
   * all are no mistake: it waits until `resize` or `release` has added some, and so do all behind
   * it. Cancelled while it waits, it has taken none. @param count @default 1
   */
  acquire(count = 1): Promise<Disposable> {
    if (count !== 1) {
      try {
        checkPermits("`semaphore.acquire`", count, 1);
      } catch (error) {
        return Promise.reject(error);
      }
    }
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return stop;
    if (scope.loop.isExact) scope.loop.host.watch?.(this);
    if (this.#fits(count)) return completed(scope, this.#subject, this.#take(count));
    const wait = park<Disposable>(
      scope,
      this.#subject,
      count === 1 ? undefined : this.#letOthersIn,
    );
    wait.handsOver = true;
    wait.offer = count;
    this.#waiters.add(wait);
    return wait.promise;
  }

  /**
   * Takes `count` permits if they are free and nobody waits, and gives their guard; undefined
   * otherwise. Never waits. @param count @default 1
   */
  tryAcquire(count = 1): Disposable | undefined {
    checkPermits("`semaphore.tryAcquire`", count, 1);
    const { loop } = here();
    if (loop.isExact) loop.host.watch?.(this);
    return this.#fits(count) ? this.#take(count) : undefined;
  }

  /**
   * Gives `count` permits back, to those who have waited longest. Any task may call it.
   * @param count @default 1
   */
  release(count = 1): void {
    if (count !== 1) checkPermits("`semaphore.release`", count, 1);
    this.#value += count;
    this.#serve();
  }

  /**
   * Sets how many permits there are in all. Of fewer, those that are out stay out until they come
   * back; 0 lets nobody in any more. @throws TypeError or RangeError unless `permits` is a whole
   * number, 0 or more.
   */
  resize(permits: number): void {
    checkPermits("`semaphore.resize`", permits, 0);
    this.#value += permits - this.#permits;
    this.#permits = permits;
    this.#serve();
  }

  /** True if `acquire` would wait. */
  locked(): boolean {
    return !this.#fits(1);
  }

  /** How many permits there are, how many of them are free, and how many tasks wait. */
  statistics(): Readonly<{ permits: number; free: number; waiting: number }> {
    const waiting = this.#waiters.length;
    return Object.freeze({ permits: this.#permits, free: this.#value, waiting });
  }

  /** @internal For `select`: `acquire`. */
  [operation](): Operation<Disposable> {
    return this.acquireOperation(1);
  }

  /** @internal */
  acquireOperation(count: number): Operation<Disposable> {
    checkPermits("`acquiring`", count, 1);
    return {
      subject: this.#subject,
      attempt: ({ loop }) => {
        if (loop.isExact) loop.host.watch?.(this);
        return this.#fits(count) ? { value: this.#take(count) } : undefined;
      },
      enlist: (place) => {
        place.offer = count;
        this.#waiters.add(place);
      },
      left: () => this.#serve(),
    };
  }

  /** Runs `body` with a permit, and gives it back on every path. */
  async run<T>(body: Coroutine<T>): Promise<T> {
    checkCoroutine("`semaphore.run`", body);
    const guard = await this.acquire();
    try {
      return await body();
    } finally {
      guard[Symbol.dispose]();
    }
  }

  /**
   * @internal More permits than at the beginning are none of anybody's: the semaphore is used as a
   * signal.
   */
  leftover(): string | undefined {
    const missing = this.#permits - this.#value;
    if (missing <= 0) return undefined;
    return `${this.describe()}, ${missing} of ${this.#permits} permits not given back`;
  }

  /** @internal What messages call it; not the name of the class, which a bundler may change. */
  protected get kind(): string {
    return "Semaphore";
  }

  /** @internal */
  protected describe(): string {
    return describeSync(this.kind, this.name);
  }

  /** @internal */
  protected get permits(): number {
    return this.#permits;
  }

  #fits(count: number): boolean {
    return count <= this.#value && this.#waiters.first === undefined;
  }

  #take(count: number): Disposable {
    this.#value -= count;
    return new Permit(this, count);
  }

  #serve(): void {
    for (let next = this.#waiters.first; next !== undefined; next = this.#waiters.first) {
      const count = next.offer as number; // left there by whoever stands in line
      if (count > this.#value) return;
      next.resume(this.#take(count));
    }
  }

  /**
   * The onCancel of a wait for several: it may have been the first, and what is free too little for
   * it alone.
   */
  readonly #letOthersIn = (wait: Wait<never>): true => {
    this.#waiters.remove(wait as Place);
    this.#serve();
    return true;
  };
}

export interface Semaphore extends Selectable<Disposable> {}

function checkPermits(api: string, count: unknown, least: 0 | 1): asserts count is number {
  checkCount(api, "a number of permits", count, least, Number.MAX_VALUE);
}

/** One acquisition; disposing of it twice releases once. */
class Permit implements Disposable {
  #semaphore: Semaphore | undefined;
  readonly #count: number;

  constructor(semaphore: Semaphore, count: number) {
    this.#semaphore = semaphore;
    this.#count = count;
  }

  [Symbol.dispose](): void {
    const semaphore = this.#semaphore;
    this.#semaphore = undefined;
    semaphore?.release(this.#count);
  }
}

/**
 * A Semaphore that refuses to be released more often than it was acquired. Source:
 * asyncio.BoundedSemaphore.
 */
export class BoundedSemaphore extends Semaphore {
  /** @internal */
  protected override get kind(): string {
    return "BoundedSemaphore";
  }

  /** Gives `count` permits back. @throws InvalidStateError when all permits are back already. */
  override release(count = 1): void {
    checkPermits("`semaphore.release`", count, 1);
    if (this.value + count > this.permits) {
      throw new InvalidStateError(
        `\`release\` of ${this.describe()} came once too often: all ${this.permits} permits are back${advice("Release once for each acquire")}`,
      );
    }
    super.release(count);
  }
}
