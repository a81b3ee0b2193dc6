/**
 * Conditions: wait, with a lock given up meanwhile, until another task says that something has
 * changed.
 *
 * A waiter always holds the lock again when `wait` returns or rejects. One that is notified, or
 * cancelled, moves into the line of the lock in that moment (bench: condition-notify-all), and
 * nothing ends it early there. One that was notified returns normally; a cancellation that comes
 * between the notification and the lock stays pending (F14). So no notification is lost, and none
 * has to be passed on (unlike S111). Only where the guard was disposed of meanwhile, the wait ends
 * in its turn without the lock, which was given back for good.
 */

import { argumentError, checkCount } from "../errors/errors.ts";
import { completed, here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import type { Coroutine } from "../kernel/task.ts";
import { type OnCancel, type Wait, WaitList, type WaitSubject } from "../kernel/wait.ts";
import { checkSyncOptions, checkVerdict, describeSync, Lock, type SyncOptions } from "./lock.ts";

/**
 * Lets tasks wait for a change of shared state. Source: asyncio.Condition.
 *
 * @example
 * const condition = new asyncio.Condition();
 * let items = 0;
 * const consumer = asyncio.createTask(() => condition.run(async () => {
 *   await condition.waitFor(() => items > 0);
 *   return items--;
 * }));
 * await condition.run(async () => {
 *   items++;
 *   condition.notify();
 * });
 * assert.equal(await consumer, 1);
 */
export class Condition {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  readonly #lock: Lock;
  readonly #waiters: WaitList<Wait> = new WaitList();
  readonly #subject: WaitSubject = { describeWait: () => describeSync("Condition", this.name) };

  // biome-ignore lint/correctness/noUnusedPrivateClassMembers: one for good, as in scope.ts
  static readonly #kept: Condition = /* @__PURE__ */ new Condition();

  /** With a lock of its own, or one that is shared with other conditions. */
  constructor(lock?: Lock, options?: SyncOptions) {
    if (lock !== undefined && !(lock instanceof Lock)) {
      throw argumentError("`new Condition`", "a Lock, or undefined for one of its own", lock);
    }
    checkSyncOptions("Condition", options);
    this.name = options?.name;
    this.#lock = lock ?? new Lock({ name: options?.name });
  }

  /** Takes its lock, as `lock.acquire`. */
  acquire(): Promise<Disposable> {
    return this.#lock.acquire();
  }

  /** Gives its lock back. @throws InvalidStateError when it is free, or held by another task. */
  release(): void {
    this.#lock.release();
  }

  /** True while somebody holds its lock. */
  locked(): boolean {
    return this.#lock.locked();
  }

  /** Runs `body` with the lock held, and releases it on every path. */
  run<T>(body: Coroutine<T>): Promise<T> {
    return this.#lock.runFor("`condition.run`", body);
  }

  /**
   * Gives up the lock, waits for a notification, takes the lock again, and gives true. Cancelled
   * while it waits, it takes the lock again and then rejects. Rejects with an InvalidStateError
   * when the caller does not hold the lock.
   */
  wait(): Promise<true> {
    const scope = here();
    try {
      this.#lock.checkHeld("`condition.wait`");
    } catch (error) {
      return Promise.reject(error);
    }
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return stop;
    const wait = park<true>(scope, this.#subject, this.#cancelled);
    this.#lock.giveUpFor(wait);
    this.#waiters.add(wait as Wait);
    return wait.promise;
  }

  readonly #cancelled: OnCancel = (wait, cancellation) => {
    const held = wait.cancellation;
    if (wait.list === this.#waiters) {
      this.#waiters.remove(wait);
      this.#lock.takeBackFor(wait, true);
    } else if (held !== cancellation && held?.scope === cancellation.scope)
      held.scope.makeDue(cancellation); // one more while it waits for the lock: it stays pending
    return false; // the lock ends it
  };

  /**
   * Waits until `predicate` gives something true, looking each time it is notified, and gives that.
   * The lock is held when it looks. A checkpoint, also where it is true at once. Rejects with an
   * InvalidStateError when it has to wait and the caller does not hold the lock, and with a
   * TypeError where `predicate` gives a promise.
   */
  async waitFor<T>(
    predicate: () => T,
  ): Promise<Exclude<T, false | 0 | 0n | "" | null | undefined>> {
    const api = "`condition.waitFor`";
    if (typeof predicate !== "function") throw argumentError(api, "a predicate", predicate);
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) await stop;
    for (let hasWaited = false; ; hasWaited = true) {
      const result = checkVerdict(api, predicate());
      if (result) {
        if (!hasWaited) await completed(scope, this.#subject, undefined);
        return result as Exclude<T, false | 0 | 0n | "" | null | undefined>; // it is true
      }
      await this.wait();
    }
  }

  /**
   * Wakes the `count` waiters that have waited longest. @throws InvalidStateError when the caller
   * does not hold the lock.
   */
  notify(count = 1): void {
    this.#lock.checkHeld("`condition.notify`");
    checkCount("`condition.notify`", "a number of waiters", count, 0);
    for (let left = count; left > 0; left--) {
      const wait = this.#waiters.first;
      if (wait === undefined) return;
      this.#waiters.remove(wait);
      this.#lock.takeBackFor(wait as Wait<never>, false);
    }
  }

  /** Wakes all waiters. @throws InvalidStateError when the caller does not hold the lock. */
  notifyAll(): void {
    this.notify(Number.POSITIVE_INFINITY);
  }
}
