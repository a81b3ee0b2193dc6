/**
 * Capacity limiters: so many at a time, each on behalf of a borrower who is known. A loan is
 * granted whole, in the call that makes room for it. Keys take turns: each has a line of its own,
 * and the first of the line whose turn it is goes next; one that does not fit yet holds up the
 * others, so that the big ones do not starve.
 *
 * Invariants: the first of the line whose turn it is does not fit, or nobody waits. A borrower has
 * one loan, or one place in line.
 */

import { checkCoroutine, checkCount, checkOptions, InvalidStateError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { render } from "../errors/render.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { type Coroutine, Task } from "../kernel/task.ts";
import { type Wait, WaitList } from "../kernel/wait.ts";
import { LinkedList, type Links } from "../structures/linked-list.ts";
import { checkSyncOptions, describeSync, type SyncOptions } from "../sync/lock.ts";
import type { Idling } from "./keyed.ts";

/** What borrowing takes. */
export interface BorrowOptions {
  /** How much of the limit it takes. @default 1 */
  readonly weight?: number | undefined;
  /** Keys take turns; within one it is first come, first served. @default one key for all */
  readonly key?: unknown;
  /** On whose behalf: one loan each. @default the running task */
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

const KNOWN: Names<BorrowOptions> = { weight: 1, key: 1, borrower: 1 };

/** One loan, granted or in line. Given back once. */
class Loan implements Disposable, Holder {
  readonly borrower: object;
  readonly weight: number;
  since = Number.NaN;
  readonly #giveBack: (loan: Loan) => void;

  constructor(borrower: object, weight: number, giveBack: (loan: Loan) => void) {
    this.borrower = borrower;
    this.weight = weight;
    this.#giveBack = giveBack;
  }

  [Symbol.dispose](): void {
    this.#giveBack(this);
  }
}

/** Those who wait with one key. */
class Line implements Links<Line> {
  readonly key: unknown;
  readonly waits: WaitList = new WaitList();
  previous: Line | undefined = undefined;
  next: Line | undefined = undefined;

  constructor(key: unknown) {
    this.key = key;
  }
}

/**
 * Lets so many in at a time, or as much as their weights come to, and knows who they are. What
 * weighs more than the limit is let in alone. `limit` can be set at any time. Source: Trio's
 * CapacityLimiter; turns of keys as in Effect's PartitionedSemaphore.
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
  /** Who has a loan or stands in line. */
  readonly #borrowers: Set<object> = new Set();
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
    this.#check("`limiter.acquire`", options);
    return await this.#acquire("`limiter.acquire`", options);
  }

  /** The guard, if there is room and nobody waits; else undefined. @throws as `acquire` rejects. */
  tryAcquire(options?: BorrowOptions): Disposable | undefined {
    const api = "`limiter.tryAcquire`";
    this.#check(api, options);
    const scope = here();
    const loan = this.#loanFor(scope, options);
    if (this.#borrowers.has(loan.borrower)) throw this.#alreadyBorrowed(api, loan.borrower);
    if (this.#waiting > 0 || !this.#fits(loan)) return undefined;
    this.#lend(loan, scope);
    return loan;
  }

  /** Runs `body` with a loan, and gives it back on every path. */
  async run<T>(body: Coroutine<T>, options?: BorrowOptions): Promise<T> {
    checkCoroutine("`limiter.run`", body);
    this.#check("`limiter.run`", options);
    using _loan = await this.#acquire("`limiter.run`", options);
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

  #acquire(api: string, options: BorrowOptions | undefined): Promise<Disposable> {
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return stop;
    const loan = this.#loanFor(scope, options);
    if (this.#borrowers.has(loan.borrower))
      return refused(scope, this.#subject, this.#alreadyBorrowed(api, loan.borrower));
    if (this.#waiting === 0 && this.#fits(loan)) {
      this.#lend(loan, scope);
      return completed(scope, this.#subject, loan);
    }
    const key = options?.key;
    const line = this.#lines.get(key) ?? this.#newLine(key);
    const wait = park<Disposable>(scope, this.#subject, (wait) => this.#left(line, wait));
    wait.handsOver = true;
    wait.offer = loan;
    line.waits.add(wait as Wait);
    this.#waiting++;
    this.#borrowers.add(loan.borrower);
    return wait.promise;
  }

  #loanFor(scope: Scope, options: BorrowOptions = {}): Loan {
    const { borrower = scope.task ?? {}, weight = 1 } = options;
    return new Loan(borrower, weight, (loan) => this.#giveBack(loan));
  }

  #fits({ weight }: Loan): boolean {
    if (this.#limit === 0) return false;
    return this.#borrowed + weight <= this.#limit || this.#borrowed === 0;
  }

  #lend(loan: Loan, { loop }: Scope): void {
    loan.since = loop.time();
    this.#borrowed += loan.weight;
    this.#holders.add(loan);
    this.#borrowers.add(loan.borrower);
    if (loop.isExact) loop.host.watch?.(this);
  }

  #giveBack(loan: Loan): void {
    if (!this.#holders.delete(loan)) return;
    this.#borrowers.delete(loan.borrower);
    this.#borrowed -= loan.weight;
    this.#serve();
  }

  #newLine(key: unknown): Line {
    const line = new Line(key);
    this.#lines.set(key, line);
    this.#turns.add(line);
    return line;
  }

  /** Lends to those whose turn it is, as long as they fit. */
  #serve(): void {
    for (let line = this.#turns.first; line !== undefined; line = this.#turns.first) {
      const next = line.waits.first as Wait; // no line is empty
      const loan = next.offer as Loan; // put there by #acquire
      if (!this.#fits(loan)) return;
      this.#waiting--;
      this.#turns.remove(line);
      if (line.waits.length > 1) this.#turns.add(line);
      else this.#lines.delete(line.key);
      this.#lend(loan, next.scope);
      next.resume(loan);
    }
  }

  /** A wait is being cancelled: those behind it may fit. */
  #left(line: Line, wait: Wait<never>): true {
    line.waits.remove(wait as Wait);
    this.#waiting--;
    this.#borrowers.delete((wait.offer as Loan).borrower); // put there by #acquire
    if (line.waits.length === 0) {
      this.#turns.remove(line);
      this.#lines.delete(line.key);
    }
    this.#serve();
    return true;
  }

  #check(api: string, options: BorrowOptions | undefined): void {
    checkOptions(api, options, KNOWN);
    checkCount(api, "`weight`", options?.weight ?? 1, 1, Number.MAX_VALUE);
  }

  #alreadyBorrowed(api: string, borrower: object): InvalidStateError {
    const who = borrower instanceof Task ? borrower.describe() : render(borrower);
    const name = describeSync("CapacityLimiter", this.name);
    return new InvalidStateError(
      `${api} was called for ${who}, which has a loan of ${name} already, or waits for one. Give that back first, or name another \`borrower\``,
    );
  }

  #describeHolders(): string {
    const [first] = this.#holders;
    const name = `${describeSync("CapacityLimiter", this.name)}, ${this.#borrowed} of ${this.#limit} borrowed`;
    if (first === undefined) return name;
    const { borrower } = first;
    const who = borrower instanceof Task ? borrower.describe() : render(borrower);
    return `${name}${this.#holders.size === 1 ? " by" : ", the oldest by"} ${who}`;
  }
}
