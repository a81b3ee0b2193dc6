/**
 * Locks. One task at a time; those who wait are served in the order in which they came. `release`
 * hands the lock to the first of them in the call, so no task that comes in between can overtake
 * (S105), and a waiter that was cancelled has left the line (S106).
 *
 * Invariant: somebody waits only while the lock is held.
 */

import {
  advice,
  argumentError,
  checkCoroutine,
  checkOptions,
  InvalidStateError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { isThenable } from "../errors/render.ts";
import { completed, here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { type Caller, type Operation, operation, type Selectable } from "../kernel/selectable.ts";
import { ignore } from "../kernel/settlers.ts";
import type { Coroutine, Task } from "../kernel/task.ts";
import { type Wait, WaitList, type WaitSubject } from "../kernel/wait.ts";

/** What every primitive of synchronisation takes. */
export interface SyncOptions {
  /** What reports and errors call it. */
  readonly name?: string | undefined;
}

const KNOWN: Names<SyncOptions> = { name: "string" };

/** @throws TypeError unless `options` are those of `new kind`. */
export function checkSyncOptions(kind: string, options: unknown): void {
  checkOptions(`\`new ${kind}\``, options, KNOWN);
}

/** "Lock 'db'", or "a Lock" for one without a name. */
export function describeSync(kind: string, name: string | undefined): string {
  if (name !== undefined) return `${kind} ${JSON.stringify(name)}`;
  return `${/^[AEIOU]/.test(kind) ? "an" : "a"} ${kind}`;
}

/** Gives back what a predicate has answered. @throws TypeError for a promise: it counts as true. */
export function checkVerdict<T>(api: string, verdict: T): T {
  if (!isThenable(verdict)) return verdict;
  verdict.then(undefined, ignore); // our TypeError is enough
  const cure = advice("A promise counts as true: take away `async`, and wait elsewhere");
  throw argumentError(api, "a predicate that answers at once", verdict, cure);
}

/** One acquisition of a lock; releasing twice does nothing. */
class Holding implements Disposable {
  readonly #lock: Lock;
  /** The task that acquired it; undefined outside every task. */
  readonly task: Task<unknown> | undefined;
  /** Whether the wait on a condition, for which it was given up, has been cancelled. */
  isCutShort = false;
  /** Whether the guard was disposed of during that wait, which then ends without the lock. */
  isOver = false;

  constructor(lock: Lock, task: Task<unknown> | undefined) {
    this.#lock = lock;
    this.task = task;
  }

  [Symbol.dispose](): void {
    this.#lock.releaseHolding(this);
  }
}

/**
 * Lets one task at a time through. Not reentrant. Source: asyncio.Lock; it knows its holder, and
 * only that task can `release` it (the guard that `acquire` gives can be handed on).
 *
 * @example
 * const lock = new asyncio.Lock({ name: "account" });
 * let balance = 0;
 * const deposit = async () => {
 *   using _guard = await lock.acquire();
 *   const before = balance;
 *   await asyncio.sleep(0.001);
 *   balance = before + 1;
 * };
 * await asyncio.gather(deposit, deposit, deposit);
 * assert.equal(balance, 3);
 */
export class Lock {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  readonly #waiters: WaitList = new WaitList();
  readonly #subject: WaitSubject = {
    describeWait: () => this.#describeHeld(),
    waitsOn: () => (this.#holding?.task === undefined ? [] : [this.#holding.task]),
  };
  /** Undefined if the lock is free. */
  #holding: Holding | undefined = undefined;
  #operation: Operation<Disposable> | undefined = undefined;

  // A lock, and one that is held.
  // biome-ignore lint/correctness/noUnusedPrivateClassMembers: for good, as in scope.ts
  static readonly #kept: Disposable = /* @__PURE__ */ new Holding(
    /* @__PURE__ */ new Lock(),
    undefined,
  );

  constructor(options?: SyncOptions) {
    checkSyncOptions("Lock", options);
    this.name = options?.name;
  }

  /**
   * Waits until the lock is free, takes it, and gives a guard whose disposal releases it. First
   * come, first served. Cancelled while it waits, it has not taken the lock.
   */
  acquire(): Promise<Disposable> {
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return stop;
    if (this.#holding === undefined) return completed(scope, this.#subject, this.#take(scope));
    const wait = park<Disposable>(scope, this.#subject);
    wait.handsOver = true;
    this.#waiters.add(wait);
    return wait.promise;
  }

  /**
   * Takes the lock if it is free, and gives its guard; undefined if it is not. Never waits, and
   * overtakes nobody: whoever waits has the lock before it is free.
   */
  tryAcquire(): Disposable | undefined {
    return this.#holding === undefined ? this.#take(here()) : undefined;
  }

  /** The task that holds it; undefined if it is free, or was acquired outside every task. */
  get holder(): Task<unknown> | undefined {
    return this.#holding?.task;
  }

  /** True iff nobody holds it. */
  get idle(): boolean {
    return this.#holding === undefined;
  }

  /** Whether somebody holds it, and how many wait for it. */
  statistics(): Readonly<{ locked: boolean; waiting: number }> {
    return Object.freeze({ locked: this.locked(), waiting: this.#waiters.length });
  }

  /** @internal For `select`: `acquire`. */
  [operation](): Operation<Disposable> {
    this.#operation ??= {
      subject: this.#subject,
      attempt: (caller) =>
        this.#holding === undefined ? { value: this.#take(caller) } : undefined,
      enlist: (place) => this.#waiters.add(place),
    };
    return this.#operation;
  }

  /**
   * Gives the lock to the task that has waited longest. @throws InvalidStateError when it is free,
   * or held by another task.
   */
  release(): void {
    this.checkHeld("`lock.release`");
    this.#handOver();
  }

  /** True while somebody holds it. */
  locked(): boolean {
    return this.#holding !== undefined;
  }

  /** Runs `body` with the lock held, and releases it on every path. */
  run<T>(body: Coroutine<T>): Promise<T> {
    return this.runFor("`lock.run`", body);
  }

  /** @internal `run`, in the name of the call that was made. */
  async runFor<T>(api: string, body: Coroutine<T>): Promise<T> {
    checkCoroutine(api, body);
    const guard = await this.acquire();
    try {
      return await body();
    } finally {
      guard[Symbol.dispose]();
    }
  }

  /** @internal @throws InvalidStateError unless the running task holds the lock. */
  checkHeld(api: string): void {
    const { task } = here();
    const holding = this.#holding;
    if (holding !== undefined && (holding.task === task || holding.task === undefined)) return;
    if (holding !== undefined && task === undefined) return;
    const name = describeSync("Lock", this.name);
    if (holding?.task === undefined || task === undefined)
      throw new InvalidStateError(
        `${api} needs ${name} to be held, but it is free${advice("Acquire it first")}`,
      );
    const message = `${api} was called by ${task.describe()}, but ${name} is held by ${holding.task.describe()}`;
    throw new InvalidStateError(`${message}${advice("Only its holder releases a lock")}`);
  }

  /** @internal Releases the lock if it is still this acquisition that holds it. */
  releaseHolding(holding: Holding): void {
    if (this.#holding === holding) this.#handOver();
    else holding.isOver = true;
  }

  /** @internal Gives the lock up for `wait` on a Condition, which keeps the acquisition. */
  giveUpFor(wait: Wait<true>): void {
    wait.offer = this.#holding;
    this.#handOver();
  }

  /**
   * @internal Puts `wait` on a Condition into line for the acquisition that it has given up, guard
   * and all. It ends when it has it, and no earlier: so the caller's block can rely on holding the
   * lock. `isCutShort`: then it rejects; else a cancellation that comes meanwhile stays pending.
   */
  takeBackFor(wait: Wait<never>, isCutShort: boolean): void {
    const holding = wait.offer as Holding; // giveUpFor has put it there
    holding.isCutShort = isCutShort;
    wait.subject = this.#subject;
    this.#waiters.add(wait as Wait);
    if (this.#holding === undefined) this.#handOver();
  }

  #take(caller: Caller): Holding {
    if (caller.loop.isExact) caller.loop.host.watch?.(this);
    this.#holding = new Holding(this, caller.task);
    return this.#holding;
  }

  #handOver(): void {
    let next = this.#waiters.first;
    this.#holding = undefined;
    for (; next !== undefined && this.#holding === undefined; next = this.#waiters.first) {
      const again = next.offer as Holding | undefined; // of a wait on a condition
      if (again?.isOver !== true) this.#holding = again ?? new Holding(this, next.scope.task);
      if (again === undefined) next.resume(this.#holding);
      else if (again.isCutShort) (next as Wait<unknown>).joined(true);
      else next.resume(true);
    }
  }

  /** @internal */
  leftover(): string | undefined {
    return this.#holding === undefined ? undefined : this.#describeHeld();
  }

  #describeHeld(): string {
    const holder = this.#holding?.task;
    return `${describeSync("Lock", this.name)}, held by ${holder?.describe() ?? "code outside every task"}`;
  }
}

export interface Lock extends Selectable<Disposable> {}
