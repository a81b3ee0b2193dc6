/**
 * Pools: things that are costly to open and can be used again, by one borrower at a time. Here is
 * what the program sees; the line of those who wait, and the life of the items are in stock.ts.
 */

import { checkCoroutine, checkCount, rangeError } from "../errors/errors.ts";
import { completed, here } from "../kernel/operation.ts";
import {
  type Caller,
  type Got,
  type Operation,
  operation,
  type Selectable,
} from "../kernel/selectable.ts";
import { DeadlockError } from "../tasks/deadlock.ts";
import { canGoOn, knotWith, onlyBranchOf } from "../tasks/knot.ts";
import type { TaskGroup } from "../tasks/task-group.ts";
import { timeout } from "../tasks/timeouts.ts";
import { OWNER } from "./keeper.ts";
import type { Borrower, Lent, Loan } from "./loan.ts";
import { perform } from "./perform.ts";
import { checkResource, type Resource } from "./resource.ts";
import { type Delays, delayOf, exponential } from "./schedule.ts";
import { anything, count, countOr0, needed, seconds, settle, work } from "./settings.ts";
import { Stock } from "./stock.ts";

/** What `new Pool` takes. */
export interface PoolOptions<T> {
  /** What reports and errors call it. */
  readonly name?: string | undefined;
  /** How many items at most, those included that are being opened or closed. */
  readonly max: number;
  /** How many items are kept open, from the first `acquire` on. @default 0 */
  readonly min?: number | undefined;
  /** Seconds that an item may be unused before it is closed; 0 keeps none. @default 60 */
  readonly idle?: number | undefined;
  /**
   * Seconds after its opening at which an item is closed, once it is not lent. Each gets up to a
   * tenth less, so that they are not all opened anew at the same time. @default Infinity
   */
  readonly lifetime?: number | undefined;
  /**
   * Called before an item is lent that was idle for `checkAfter` seconds. False or a failure closes
   * the item, and another one takes its place.
   */
  readonly check?: ((item: T) => boolean | PromiseLike<boolean>) | undefined;
  /** Seconds that an item may be idle without a `check`. @default 1 */
  readonly checkAfter?: number | undefined;
  /** Called when an item comes back, before it is lent again. A failure closes the item. */
  readonly reset?: ((item: T) => unknown) | undefined;
  /**
   * How long the pool waits after a failure to open an item: a delay for each failure in a row.
   * After its last delay it does not wait. @default exponential(0.1).capped(5).jittered(0.5)
   */
  readonly reopen?: Delays | undefined;
  /**
   * The group that the pool belongs to. It closes the pool when it is cancelled, and does not end
   * while something is open. @default the run
   */
  readonly owner?: Pick<TaskGroup, "createTask"> | undefined;
}

/** What `pool.acquire` takes. */
export interface AcquireOptions {
  /** Seconds that it waits for an item; then it rejects with a TimeoutError. @default Infinity */
  readonly timeout?: number | undefined;
}

const OPTIONS = {
  name: "string",
  max: needed(count),
  min: [countOr0, 0],
  idle: [seconds, 60],
  lifetime: [seconds, Number.POSITIVE_INFINITY],
  check: work,
  checkAfter: [seconds, 1],
  reset: work,
  reopen: [anything, exponential(0.1).capped(5).jittered(0.5)],
  owner: OWNER,
} as const;

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
export class Pool<T> implements AsyncDisposable {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  readonly #stock: Stock<T>;
  /** What `acquire` does. */
  readonly #acquiring: Operation<Loan<T>>;
  /** What the last `acquire` has borrowed in its call. */
  #lentNow: Lent<T> | undefined = undefined;

  constructor(resource: Resource<T>, options: PoolOptions<T>) {
    const api = "`new Pool`";
    checkResource(api, resource);
    const settings = settle<PoolOptions<T>, typeof OPTIONS>(api, options, OPTIONS);
    const { min, max, name } = settings;
    if (min > max) throw rangeError(api, `\`min\` to be at most \`max\`, ${max}`, min);
    this.name = name;
    const stock = new Stock(resource, { ...settings, reopen: delayOf(api, settings.reopen) });
    this.#stock = stock;
    this.#acquiring = {
      subject: stock.subject,
      attempt: (caller) => {
        const got = this.#attempt(caller);
        if (got === undefined) this.#checkKnot();
        this.#lentNow = got?.value;
        return got;
      },
      enlist: (place) => {
        stock.waiters.add(place);
        stock.serve();
      },
    };
  }

  /** @internal For `Shared`: what the program calls to borrow. */
  set call(api: string) {
    this.#stock.call = api;
  }

  /**
   * Borrows an item: gives a loan whose disposal gives it back. First come, first served; waits
   * while `max` items are lent. Cancelled while it waits, it has borrowed nothing. A failure to
   * open is told to the one who has waited longest; then a while passes before the next attempt.
   * Past its `timeout` it rejects with a TimeoutError, and has borrowed nothing.
   *
   * @throws DeadlockError where waiting would be in vain: each item is held by a task that waits
   * for one more, or for somebody who does. InvalidStateError once the pool is closed.
   */
  acquire(options?: AcquireOptions): Promise<Loan<T>> {
    return options === undefined ? this.#acquire() : this.#acquireWithin(options);
  }

  /** Borrows an item if one is idle and needs no check; else undefined. Overtakes nobody. */
  tryAcquire(): Loan<T> | undefined {
    const { loop, task } = here();
    if (loop.isExact) loop.host.watch?.(this);
    return this.#stock.lend(task);
  }

  /**
   * Runs `body` with a borrowed item, and gives it back on every path. Waits and rejects as
   * `acquire` does, then as `body` does. @throws DeadlockError where waiting would be in vain.
   */
  async run<R>(body: (item: T) => R | PromiseLike<R>): Promise<R> {
    checkCoroutine("`pool.run`", body);
    const loan = await this.#acquire();
    try {
      return await body(loan.item);
    } finally {
      loan[Symbol.dispose](); // by hand: what `using` is compiled to costs more (bench: pool)
    }
  }

  /** Who has borrowed something, in the order in which they did. */
  holders(): Borrower[] {
    return Array.from(this.#stock.lent, ({ task, since }) => ({ task, since }));
  }

  /** True iff nothing is lent and nobody waits. */
  get idle(): boolean {
    return this.#stock.lent.size === 0 && this.#stock.waiters.length === 0;
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
    this.#stock.close();
    const { keeper, subject } = this.#stock;
    if (keeper !== undefined) await keeper.task;
    else await completed(here(), subject, undefined);
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** How many items there are of each kind, how many wait for one, and how many there have been. */
  statistics(): Readonly<Record<Counted | "opened" | "closed" | "failed", number>> {
    const { opening, closing, busy, opened, closed, failed, idle } = this.#stock;
    const [max, lent, waiting] = [this.max, this.#stock.lent.size, this.#stock.waiters.length];
    const now = { max, open: idle.length + lent + busy, idle: idle.length, lent, waiting };
    return Object.freeze({ ...now, opening: opening.size, closing, opened, closed, failed });
  }

  /** @internal For `select`: `acquire`. It waits for others as well, so it ties no knot. */
  [operation](): Operation<Loan<T>> {
    return { ...this.#acquiring, attempt: (caller) => this.#attempt(caller) };
  }

  /** @internal */
  get isClosed(): boolean {
    return this.#stock.isClosed;
  }

  /** @internal */
  describe(): string {
    return this.#stock.description;
  }

  /** @internal */
  leftover(): string | undefined {
    const { lent, description } = this.#stock;
    if (lent.size === 0) return undefined;
    return `${description}, ${lent.size} of ${this.max} not given back, ${this.#stock.describeHolders()}`;
  }

  #attempt({ loop, task }: Caller): Got<Lent<T>> | undefined {
    if (this.isClosed) throw this.#stock.refusal();
    if (loop.isExact) loop.host.watch?.(this);
    const value = this.#stock.lend(task);
    return value === undefined ? undefined : { value };
  }

  #acquire(): Promise<Loan<T>> {
    const borrowed = perform<Loan<T>>(this.#acquiring, true);
    const loan = this.#lentNow; // #acquiring sets it
    this.#lentNow = undefined;
    if (loan === undefined || this.#stock.lent.size < this.max) return borrowed;
    // Only now can somebody wait for this loan in vain.
    loan.isFresh = true;
    borrowed.then(() => {
      loan.isFresh = false;
    });
    return borrowed;
  }

  async #acquireWithin(options: AcquireOptions): Promise<Loan<T>> {
    const { timeout: limit } = settle("`pool.acquire`", options, { timeout: seconds });
    const { idle, waiters, description } = this.#stock;
    const isFree = waiters.length === 0 && idle.length > 0;
    if (limit === undefined || isFree) return await this.#acquire();
    return await timeout(limit, () => this.#acquire(), { label: `an item of ${description}` });
  }

  /** @throws DeadlockError where waiting would be in vain. */
  #checkKnot(): void {
    const { lent, subject, description } = this.#stock;
    const asking = lent.size < this.max ? undefined : onlyBranchOf(here());
    if (asking === undefined) return;
    for (const { isFresh, task } of lent)
      if (task === asking ? isFresh : task === undefined || canGoOn(task)) return;
    const tasks = knotWith(asking, subject.waitsOn());
    if (tasks === undefined) return;
    const lines = tasks.map((task) => {
      const waits = task === asking ? [subject.describeWait()] : task.waitingFor();
      return `${task.describe()} waits for ${waits.join(", ")}`;
    });
    const title = `everyone who holds an item of ${description} waits for one more, or for somebody who does`;
    throw new DeadlockError(tasks, lines, [], title);
  }
}

export interface Pool<T> extends Selectable<Loan<T>> {}
