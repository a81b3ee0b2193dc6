/**
 * Semaphores: a number of permits, given out first come, first served. `release` hands its permit
 * to the task that has waited longest in the call, so a permit is never on its way: it is free or
 * somebody has it (S113, S114).
 *
 * Invariant: somebody waits only while there is no free permit.
 */

import { argumentError, checkCoroutine, InvalidStateError, rangeError } from "../errors/errors.ts";
import { completed, here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import type { Coroutine } from "../kernel/task.ts";
import { WaitList, type WaitSubject } from "../kernel/wait.ts";
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
  /** Free permits. */
  #value: number;
  /** Free permits at the beginning. */
  readonly #initial: number;

  constructor(value = 1, options?: SyncOptions) {
    if (typeof value !== "number")
      throw argumentError(`\`new ${this.kind}\``, "a number of permits", value);
    if (!Number.isInteger(value) || value < 0)
      throw rangeError(`\`new ${this.kind}\``, "a whole number of permits, 0 or more", value);
    checkSyncOptions(this.kind, options);
    this.#value = this.#initial = value;
    this.name = options?.name;
  }

  /**
   * Waits for a permit, takes it, and gives a guard whose disposal releases it. Cancelled while it
   * waits, it has taken none.
   */
  acquire(): Promise<Disposable> {
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return stop;
    if (scope.loop.isExact) scope.loop.watch(this);
    if (this.#value > 0) {
      this.#value--;
      return completed(scope, this.#subject, new Permit(this));
    }
    const wait = park<Disposable>(scope, this.#subject);
    wait.handsOver = true;
    this.#waiters.add(wait);
    return wait.promise;
  }

  /** Gives a permit back, to the task that has waited longest. Any task may call it. */
  release(): void {
    const next = this.#waiters.first;
    if (next === undefined) this.#value++;
    else next.resume(new Permit(this));
  }

  /** True if `acquire` would wait. */
  locked(): boolean {
    return this.#value === 0;
  }

  /** True while all its permits are back. */
  get idle(): boolean {
    return this.#value >= this.#initial;
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
    const missing = this.#initial - this.#value;
    if (missing <= 0) return undefined;
    return `${this.describe()}, ${missing} of ${this.#initial} permits not given back`;
  }

  /** @internal What messages call it; not the name of the class, which a bundler may change. */
  protected get kind(): string {
    return "Semaphore";
  }

  /** @internal */
  protected get value(): number {
    return this.#value;
  }

  /** @internal */
  protected describe(): string {
    return describeSync(this.kind, this.name);
  }
}

/** One acquisition; disposing of it twice releases once. */
class Permit implements Disposable {
  #semaphore: Semaphore | undefined;

  constructor(semaphore: Semaphore) {
    this.#semaphore = semaphore;
  }

  [Symbol.dispose](): void {
    const semaphore = this.#semaphore;
    this.#semaphore = undefined;
    semaphore?.release();
  }
}

/**
 * A Semaphore that refuses to be released more often than it was acquired. Source:
 * asyncio.BoundedSemaphore.
 */
export class BoundedSemaphore extends Semaphore {
  readonly #bound: number;

  constructor(value = 1, options?: SyncOptions) {
    super(value, options);
    this.#bound = value;
  }

  /** @internal */
  protected override get kind(): string {
    return "BoundedSemaphore";
  }

  /** Gives a permit back. @throws InvalidStateError when all permits are back already. */
  override release(): void {
    if (this.value >= this.#bound) {
      throw new InvalidStateError(
        `\`release\` of ${this.describe()} came once too often: all ${this.#bound} permits are back. Release once for each acquire`,
      );
    }
    super.release();
  }
}
