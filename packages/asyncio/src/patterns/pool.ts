/**
 * Pools: things that are costly to open and can be used again, by one borrower at a time. Here is
 * the line of those who wait, and who holds what; the life of the items is in stock.ts.
 *
 * Invariant: somebody waits only while no item is idle that can be lent at once.
 */

import {
  argumentError,
  checkCoroutine,
  checkCount,
  checkOptions,
  checkSeconds,
  InvalidStateError,
  rangeError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { type Operation, operation, type Selectable } from "../kernel/selectable.ts";
import type { Task } from "../kernel/task.ts";
import { WaitList } from "../kernel/wait.ts";
import { DeadlockError } from "../tasks/deadlock.ts";
import { type AnyHolder, knotWith } from "./knot.ts";
import { type Borrower, Lent, type Loan } from "./loan.ts";
import type { Ended } from "./release.ts";
import { Resource } from "./resource.ts";
import { type Delays, delayOf, exponential } from "./schedule.ts";
import { type Item, type Lender, Stock } from "./stock.ts";

/** What `new Pool` takes. */
export interface PoolOptions<T> {
  /** What reports and errors call it. */
  readonly name?: string | undefined;
  /** How many items at most, those included that are being opened or closed. */
  readonly max: number;
  /** How many are kept open, from the first `acquire` on. @default 0 */
  readonly min?: number | undefined;
  /** Seconds after which an unused one is closed; 0 keeps none. @default 60 */
  readonly idle?: number | undefined;
  /**
   * Seconds after which one is closed, when it is not lent. Each lives up to a tenth shorter, so
   * that they are not all opened anew at the same time. @default Infinity
   */
  readonly lifetime?: number | undefined;
  /**
   * Asked before one is lent that was idle for `checkAfter` seconds. False or a failure closes it,
   * and another one takes its place.
   */
  readonly check?: ((item: T) => boolean | PromiseLike<boolean>) | undefined;
  /** Seconds. @default 1 */
  readonly checkAfter?: number | undefined;
  /** Called when one comes back, before it is lent again. A failure closes it. */
  readonly reset?: ((item: T) => unknown) | undefined;
  /**
   * How long after each of several failures in a row the next attempt to open one is made; when it
   * ends, at once. @default exponential(0.1).capped(5).jittered(0.5)
   */
  readonly reopen?: Delays | undefined;
}

const KNOWN: Names<PoolOptions<unknown>> = {
  name: 1,
  max: 1,
  min: 1,
  idle: 1,
  lifetime: 1,
  check: 1,
  checkAfter: 1,
  reset: 1,
  reopen: 1,
};

type Counted = "max" | "open" | "idle" | "lent" | "opening" | "closing" | "waiting";

/**
 * Lends things that are costly to open, each to one borrower at a time. They are opened when
 * somebody wants one and none is free, at most `max` of them. Belongs to whoever closes it, at the
 * latest to the run in which it was made, which closes it at its end. Replaces generic-pool, tarn.
 *
 * @example
 * const connection = patterns.resource(
 *   async () => ({ query: async (text: string) => text.length }),
 *   async () => {},
 * );
 * await using pool = new patterns.Pool(connection, { max: 10, name: "db" });
 * assert.equal(await pool.run((db) => db.query("select 1")), 8);
 * {
 *   using loan = await pool.acquire();
 *   await loan.item.query("select 2");
 * }
 * assert.equal(pool.statistics().opened, 1);
 */
export class Pool<T> implements AsyncDisposable, Selectable<Loan<T>> {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  readonly #stock: Stock<T>;
  readonly #waiters: WaitList = new WaitList();
  readonly #lent: Set<Lent<T>> = new Set();
  readonly #subject: AnyHolder & { describeWait(): string } = {
    needsOne: true,
    describeWait: () =>
      `${this.describe()}, ${this.#waiters.length} waiting, ${this.#describeHolders()}`,
    waitsOn: () => Array.from(this.#lent).flatMap(({ task }) => task ?? []),
  };

  constructor(resource: Resource<T>, options: PoolOptions<T>) {
    const api = "`new Pool`";
    if (!(resource instanceof Resource))
      throw argumentError(api, "a resource", resource, "Make one with `resource(open, close)`");
    if (options === undefined) throw argumentError(api, "options with a `max`", options);
    checkOptions(api, options, KNOWN);
    const {
      max,
      min = 0,
      idle = 60,
      lifetime = Number.POSITIVE_INFINITY,
      checkAfter = 1,
    } = options;
    const { check, reset } = options;
    const reopen = delayOf(api, options.reopen ?? exponential(0.1).capped(5).jittered(0.5));
    checkCount(api, "`max`", max);
    checkCount(api, "`min`", min, 0);
    if (min > max) throw rangeError(api, `\`min\` to be at most \`max\`, ${max}`, min);
    for (const [name, seconds] of Object.entries({ idle, lifetime, checkAfter }))
      checkSeconds(api, `\`${name}\` in seconds`, seconds);
    for (const hook of [check, reset]) if (hook !== undefined) checkCoroutine(api, hook);
    this.name = options.name;
    const settings = { max, min, idle, lifetime, check, checkAfter, reset, reopen };
    this.#stock = new Stock(resource, this.#makeLender(), settings);
  }

  /**
   * Borrows an item: gives a loan whose disposal gives it back. First come, first served; waits
   * while `max` items are lent. Cancelled while it waits, it has borrowed nothing. A failure to
   * open is told to the one who has waited longest; then a while passes before the next attempt.
   *
   * @throws DeadlockError where waiting would be in vain: each item is held by a task that waits
   * for one more, or for somebody who does. InvalidStateError once the pool is closed.
   */
  acquire(): Promise<Loan<T>> {
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return stop;
    const refusal = this.#refusal();
    if (refusal !== undefined) return refused(scope, this.#subject, refusal);
    if (scope.loop.isExact) scope.loop.host.watch?.(this);
    const loan = this.#take(scope.task);
    if (loan !== undefined) return this.#lendNow(scope, loan);
    const knot = this.#knotWith(scope);
    if (knot !== undefined) return refused(scope, this.#subject, knot);
    const wait = park<Loan<T>>(scope, this.#subject);
    wait.handsOver = true;
    this.#waiters.add(wait);
    this.#stock.serve();
    return wait.promise;
  }

  /** Borrows an item if one is idle and needs no check; else undefined. Overtakes nobody. */
  tryAcquire(): Loan<T> | undefined {
    const { loop, task } = here();
    if (loop.isExact) loop.host.watch?.(this);
    return this.#take(task);
  }

  /**
   * Runs `body` with a borrowed item, and gives it back on every path. Waits and rejects as
   * `acquire` does, then as `body` does.
   */
  async run<R>(body: (item: T) => R | PromiseLike<R>): Promise<R> {
    checkCoroutine("`pool.run`", body);
    const loan = await this.acquire();
    try {
      return await body(loan.item);
    } finally {
      loan[Symbol.dispose]();
    }
  }

  /** Who has borrowed something, in the order in which they did. */
  holders(): Borrower[] {
    return Array.from(this.#lent, ({ task, since }) => ({ task, since }));
  }

  /** True iff nothing is lent and nobody waits. */
  get idle(): boolean {
    return this.#lent.size === 0 && this.#waiters.length === 0;
  }

  /** How many items at most. */
  get max(): number {
    return this.#stock.options.max;
  }

  /** With fewer than before, those that are lent stay so until they come back. */
  set max(max: number) {
    checkCount("`pool.max`", "a number of items", max, Math.max(this.#stock.options.min, 1));
    this.#stock.options.max = max;
    this.#stock.sweep();
    this.#stock.serve();
  }

  /**
   * Lends nothing any more, waits until all that is lent has come back, and closes everything.
   * Those who wait for an item get an InvalidStateError. Cancelled, it goes on all the same, and
   * rejects when everything is closed.
   */
  async close(): Promise<void> {
    this.#beginClosing();
    const { keeper } = this.#stock;
    if (keeper !== undefined) await keeper;
    else await completed(here(), this.#subject, undefined);
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** How many items there are of each kind, how many wait for one, and how many there have been. */
  statistics(): Readonly<Record<Counted | "opened" | "closed" | "failed", number>> {
    const { opening, closing, busy, opened, closed, failed, idle } = this.#stock;
    const [max, lent, waiting] = [this.max, this.#lent.size, this.#waiters.length];
    const now = { max, open: idle.length + lent + busy, idle: idle.length, lent, waiting };
    return Object.freeze({ ...now, opening: opening.size, closing, opened, closed, failed });
  }

  /** @internal For `select`: `acquire`. It waits for others as well, so it ties no knot. */
  [operation](): Operation<Loan<T>> {
    return {
      subject: this.#subject,
      attempt: (caller) => {
        const refusal = this.#refusal();
        if (refusal !== undefined) throw refusal;
        if (caller.loop.isExact) caller.loop.host.watch?.(this);
        const loan = this.#take(caller.task);
        return loan === undefined ? undefined : { value: loan };
      },
      enlist: (place) => {
        this.#waiters.add(place);
        this.#stock.serve();
      },
    };
  }

  /** @internal */
  get isClosed(): boolean {
    return this.#stock.isClosed;
  }

  /** @internal */
  describe(): string {
    return this.name === undefined ? "a pool" : `pool ${JSON.stringify(this.name)}`;
  }

  /** @internal */
  leftover(): string | undefined {
    if (this.#lent.size === 0) return undefined;
    return `${this.describe()}, ${this.#lent.size} of ${this.max} not given back, ${this.#describeHolders()}`;
  }

  /** @internal A loan was disposed of. */
  cameBack(loan: Lent<T>, item: Item<T>, fault: Ended | undefined): void {
    this.#lent.delete(loan);
    this.#stock.cameBack(item, fault);
  }

  /** What the stock sees of the pool. */
  #makeLender(): Lender<T> {
    const line = this.#waiters;
    const lent = this.#lent;
    return {
      get waiting() {
        return line.length;
      },
      get lent() {
        return lent.size;
      },
      lend: (item) => line.first?.resume(this.#lend(item, line.first.task)) ?? false,
      openingFailed: (error) => line.first?.fail(error) ?? false,
      beginClosing: () => this.#beginClosing(),
      describe: () => this.describe(),
      describeHolders: () => this.#describeHolders(),
      waitsOn: () => this.#subject.waitsOn(),
    };
  }

  #take(task: Task<unknown> | undefined): Lent<T> | undefined {
    if (this.#waiters.length > 0) return undefined;
    const item = this.#stock.take();
    return item === undefined ? undefined : this.#lend(item, task);
  }

  #lend(item: Item<T>, task: Task<unknown> | undefined): Lent<T> {
    const loan = new Lent(this, item, task, this.#stock.home.loop.time());
    this.#lent.add(loan);
    return loan;
  }

  /** What `acquire` returns that has not had to wait. */
  #lendNow(scope: Scope, loan: Lent<T>): Promise<Loan<T>> {
    const promise = completed<Loan<T>>(scope, this.#subject, loan);
    if (this.#lent.size < this.max) return promise;
    // Only now can somebody wait for this loan in vain.
    loan.isFresh = true;
    promise.then(() => {
      loan.isFresh = false;
    });
    return promise;
  }

  #beginClosing(): void {
    if (this.#stock.isClosed) return;
    this.#stock.close();
    this.#waiters.failAll(() => this.#refusal());
  }

  #refusal(): InvalidStateError | undefined {
    if (!this.#stock.isClosed) return undefined;
    return new InvalidStateError(
      `\`pool.acquire\` cannot borrow from ${this.describe()}: it is closed. Close it when nobody needs it any more`,
    );
  }

  #knotWith(scope: Scope): DeadlockError<Task<unknown>> | undefined {
    if (this.#lent.size < this.max) return undefined;
    const holders = this.#subject.waitsOn();
    if (holders.length < this.#lent.size) return undefined;
    for (const { isFresh, task } of this.#lent)
      if (isFresh && task === scope.task) return undefined;
    const tasks = knotWith(scope, holders);
    if (tasks === undefined) return undefined;
    const lines = tasks.map((task) => {
      const waits = task === scope.task ? [this.#subject.describeWait()] : task.waitingFor();
      return `${task.describe()} waits for ${waits.join(", ")}`;
    });
    const title = `everyone who holds an item of ${this.describe()} waits for one more, or for somebody who does`;
    return new DeadlockError(tasks, lines, [], title);
  }

  #describeHolders(): string {
    if (this.#lent.size === 0) return "held by nobody";
    const names = [...new Set(this.holders().map(({ task }) => task?.describe() ?? "other code"))];
    return `held by ${names.slice(0, 5).join(", ")}${names.length > 5 ? ", ..." : ""}`;
  }
}
