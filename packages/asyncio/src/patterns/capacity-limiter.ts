/**
 * Capacity limiters: so many at a time, each on behalf of a borrower who is known. A loan is
 * granted whole, in the call that makes room for it. Keys take turns: each has a line of its own,
 * and the first of the line whose turn it is goes next; one that does not fit yet holds up the
 * others, so that the big ones do not starve.
 *
 * Invariants: the first of the line whose turn it is does not fit, or nobody waits. A borrower has
 * one loan, or one place in line.
 */

import {
  advice,
  argumentError,
  checkCoroutine,
  checkCount,
  InvalidStateError,
} from "../errors/errors.ts";
import { render } from "../errors/render.ts";
import { here } from "../kernel/operation.ts";
import {
  type Caller,
  type Got,
  type Operation,
  operation,
  type Place,
  type Selectable,
} from "../kernel/selectable.ts";
import { type Coroutine, Task } from "../kernel/task.ts";
import { WaitList } from "../kernel/wait.ts";
import { LinkedList, type Links } from "../structures/linked-list.ts";
import { checkSyncOptions, describeSync, type SyncOptions } from "../sync/lock.ts";
import type { Idling } from "./keyed.ts";
import { perform } from "./perform.ts";
import { anything, finiteCount, type Rule, settle } from "./settings.ts";

/** What borrowing takes. */
export interface BorrowOptions {
  /** How much of the limit it takes. @default 1 */
  readonly weight?: number | undefined;
  /** Keys take turns; within one it is first come, first served. @default one key for all */
  readonly key?: unknown;
  /** Who borrows: anything, which can have one loan at a time. @default the running task */
  readonly borrower?: object | undefined;
}

/** A loan, as `limiter.holders()` shows it. */
export interface Holder {
  /** On whose behalf: mostly a task. */
  readonly borrower: object;
  /** How much of the limit it takes. */
  readonly weight: number;
  /** Since when, on the clock of the loop. */
  readonly since: number;
}

const borrower: Rule = {
  check(api, what, value) {
    if (Object(value) !== value) throw argumentError(api, `${what} to be an object`, value);
  },
};
const OPTIONS = { weight: [finiteCount, 1], key: anything, borrower } as const;

/** One loan, granted or in line. Given back once. */
interface Loan extends Disposable, Holder {
  since: number;
}

/** Those who wait with one key. */
interface Line extends Links<Line> {
  readonly key: unknown;
  readonly waits: WaitList;
}

/**
 * Lets so many in at a time, or as much as their weights come to, and knows who they are. What
 * weighs more than the limit is let in alone. `limit` can be set at any time. As a case of a
 * `select` it stands for `acquire()`. Sources: Trio's CapacityLimiter; Effect's
 * PartitionedSemaphore, where keys take turns.
 *
 * @example
 * const limiter = new patterns.CapacityLimiter(2, { name: "queries" });
 * const query = () => limiter.run(() => asyncio.sleep(0.001, limiter.statistics().borrowed));
 * assert.equal(Math.max(...(await asyncio.gather(query, query, query))), 2);
 */
export class CapacityLimiter implements Idling {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  #limit = 0;
  #borrowed = 0;
  #waiting = 0;
  readonly #holders: Set<Loan> = new Set();
  /** Who has a loan or stands in line, and the loan. */
  readonly #borrowers: Map<object, Loan> = new Map();
  /** What borrowing without options is, by the name of the call. */
  readonly #plain: Map<string, Operation<Disposable>> = new Map();
  readonly #lines: Map<unknown, Line> = new Map();
  /** The same lines in the order of their turns. None is empty. */
  readonly #turns: LinkedList<Line> = new LinkedList();
  readonly #subject = { describeWait: (): string => this.#describeHolders() };

  constructor(limit: number, options?: SyncOptions) {
    checkCount("`new CapacityLimiter`", "a limit", limit, 0);
    checkSyncOptions("CapacityLimiter", options);
    this.#limit = limit;
    this.name = options?.name;
  }

  /**
   * How much may be out at a time. Can be set: 0 lets nobody in, Infinity everybody. Fewer takes
   * nothing away from those who have theirs.
   */
  get limit(): number {
    return this.#limit;
  }

  set limit(limit: number) {
    checkCount("`limiter.limit`", "a limit", limit, 0);
    this.#limit = limit;
    this.#serve();
  }

  /** True if nobody holds a loan or waits for one. */
  get idle(): boolean {
    return this.#borrowers.size === 0;
  }

  /**
   * Waits for room, and gives a guard whose disposal gives it back. Cancelled while it waits, it
   * has taken nothing. Rejects with an InvalidStateError if its borrower has a loan, or waits for
   * one: two that wait for a second one would wait for ever.
   */
  async acquire(options?: BorrowOptions): Promise<Disposable> {
    return await perform(this.#borrowing("`limiter.acquire`", options), true);
  }

  /** The guard, if there is room and nobody waits; else undefined. @throws as `acquire` rejects. */
  tryAcquire(options?: BorrowOptions): Disposable | undefined {
    return this.#borrowing("`limiter.tryAcquire`", options).attempt(here())?.value;
  }

  /** Runs `body` with a loan, and gives it back on every path. */
  async run<T>(body: Coroutine<T>, options?: BorrowOptions): Promise<T> {
    checkCoroutine("`limiter.run`", body);
    using _loan = await perform(this.#borrowing("`limiter.run`", options), true);
    return await body();
  }

  /** The loans that are out, the oldest first. */
  holders(): Holder[] {
    const copy = ({ borrower, weight, since }: Loan): Holder => ({ borrower, weight, since });
    return [...this.#holders].map(copy);
  }

  /** `borrowed` is the sum of the weights that are out, `keys` how many keys are waited with. */
  statistics(): Readonly<Record<"limit" | "borrowed" | "waiting" | "keys", number>> {
    const [limit, borrowed, waiting] = [this.#limit, this.#borrowed, this.#waiting];
    return Object.freeze({ limit, borrowed, waiting, keys: this.#turns.size });
  }

  /** @internal */
  leftover(): string | undefined {
    return this.#holders.size === 0 ? undefined : this.#describeHolders();
  }

  /** @internal For `select`: `acquire`. */
  [operation](): Operation<Disposable> {
    return this.#borrowing("`select`", undefined);
  }

  #borrowing(api: string, options: BorrowOptions | undefined): Operation<Disposable> {
    const known = options === undefined ? this.#plain.get(api) : undefined;
    if (known !== undefined) return known;
    const { weight, key, borrower } = settle(api, options, OPTIONS);
    const loanFor = ({ task }: Pick<Caller, "task">): Loan => ({
      borrower: borrower ?? task ?? {},
      weight,
      since: Number.NaN,
      [Symbol.dispose]() {
        giveBack(this);
      },
    });
    const giveBack = this.#giveBack;
    const borrowing: Operation<Disposable> = {
      subject: this.#subject,
      attempt: (caller): Got<Disposable> | undefined => {
        const loan = loanFor(caller);
        if (this.#borrowers.has(loan.borrower)) throw this.#alreadyBorrowed(api, loan.borrower);
        if (this.#waiting > 0 || !this.#fits(loan)) return undefined;
        this.#lend(loan, caller);
        return { value: loan };
      },
      enlist: (place) => {
        const loan = loanFor(place);
        const line = this.#lines.get(key) ?? this.#newLine(key);
        place.offer = loan;
        line.waits.add(place as Place);
        this.#waiting++;
        this.#borrowers.set(loan.borrower, loan);
      },
      withdraw: (place) => this.#leave(this.#lines.get(key), place as Place),
      left: () => this.#serve(), // those behind it may fit
    };
    if (options === undefined) this.#plain.set(api, borrowing);
    return borrowing;
  }

  #fits({ weight }: Loan): boolean {
    if (this.#limit === 0) return false;
    return this.#borrowed + weight <= this.#limit || this.#borrowed === 0;
  }

  #lend(loan: Loan, { loop }: Pick<Caller, "loop">): void {
    loan.since = loop.time();
    this.#borrowed += loan.weight;
    this.#holders.add(loan);
    this.#borrowers.set(loan.borrower, loan);
    if (loop.isExact) loop.host.watch?.(this);
  }

  readonly #giveBack = (loan: Loan): void => {
    if (!this.#holders.delete(loan)) return;
    this.#borrowers.delete(loan.borrower);
    this.#borrowed -= loan.weight;
    this.#serve();
  };

  #newLine(key: unknown): Line {
    const line = { key, waits: new WaitList(), previous: undefined, next: undefined };
    this.#lines.set(key, line);
    this.#turns.add(line);
    return line;
  }

  /** Lends to those whose turn it is, as long as they fit. */
  #serve(): void {
    for (let line = this.#turns.first; line !== undefined; line = this.#turns.first) {
      const next = line.waits.first as Place; // no line is empty
      const loan = next.offer as Loan; // put there by #borrowing
      if (!this.#fits(loan)) return;
      this.#turns.remove(line);
      this.#turns.add(line);
      this.#leave(line, next);
      this.#lend(loan, next.scope);
      next.resume(loan);
    }
  }

  /** Takes `place` out of its line, if it is in it. */
  #leave(line: Line | undefined, place: Place): void {
    if (line === undefined || place.list !== line.waits) return;
    const loan = place.offer as Loan; // put there by #borrowing
    line.waits.remove(place);
    this.#waiting--;
    if (this.#borrowers.get(loan.borrower) === loan) this.#borrowers.delete(loan.borrower);
    if (line.waits.length > 0) return;
    this.#turns.remove(line);
    this.#lines.delete(line.key);
  }

  #alreadyBorrowed(api: string, borrower: object): InvalidStateError {
    const name = describeSync("CapacityLimiter", this.name);
    const message = `${api} was called for ${describe(borrower)}, which has a loan of ${name} already, or waits for one${advice("Give that back first, or name another `borrower`")}`;
    return new InvalidStateError(message);
  }

  #describeHolders(): string {
    const [first] = this.#holders;
    const name = `${describeSync("CapacityLimiter", this.name)}, ${this.#borrowed} of ${this.#limit} borrowed`;
    if (first === undefined) return name;
    return `${name}${this.#holders.size === 1 ? " by" : ", the oldest by"} ${describe(first.borrower)}`;
  }
}

export interface CapacityLimiter extends Selectable<Disposable> {}

function describe(borrower: object): string {
  return borrower instanceof Task ? borrower.describe() : render(borrower);
}
