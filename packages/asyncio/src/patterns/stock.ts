/**
 * What a pool has open, and the life of each item:
 *
 *             ┌──────────── opening ◀── fewer than `max`, and somebody waits
 *             ▼
 *     idle ◀──┴── resetting ◀── lent        idle ── checking ──▶ lent
 *       └──────────────┴─────────┴───────────────────┴──▶ closing
 *
 * Opening, checking, resetting and closing are tasks of the pool's, in the context in which it was
 * made. So a borrower who is cancelled interrupts none of them, and what was opened for one who has
 * left goes to the next in line. An item is idle, lent, or with one of these tasks, and never on
 * its way.
 *
 * The pool itself is a task as well, its keeper, from the first item on. It waits until all is
 * closed; cancelled, by the end of the run for example, it closes the pool. So no run ends before
 * its pools, and a test sees one that was left open.
 *
 * Invariant: idle + lent + busy + opening + closing <= max, unless `max` was lowered.
 */

import { here } from "../kernel/operation.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { Task } from "../kernel/task.ts";
import type { Wait } from "../kernel/wait.ts";
import { contextStorage } from "../ports/context-storage.ts";
import type { Timer } from "../structures/timers.ts";
import { type Ended, RETURNED } from "./release.ts";
import type { Resource } from "./resource.ts";
import { checkedDelay, type Delay, random } from "./schedule.ts";

/** Something that was opened. */
export interface Item<T> {
  readonly value: T;
  /** When its life is over, on the clock of the loop. */
  readonly until: number;
  idleSince: number;
}

/** What a stock is to do; the options of the pool, each with a value. */
export interface StockOptions<T> {
  max: number;
  readonly min: number;
  readonly idle: number;
  readonly lifetime: number;
  readonly check: ((item: T) => boolean | PromiseLike<boolean>) | undefined;
  readonly checkAfter: number;
  readonly reset: ((item: T) => unknown) | undefined;
  readonly reopen: Delay;
}

/** Who lends what is in stock. Called inside the loop: must not throw or call user code. */
export interface Lender<T> {
  readonly waiting: number;
  readonly lent: number;
  /** Gives an item to the first in line; false if nobody waits. */
  lend(item: Item<T>): boolean;
  /** Tells the first in line; false if nobody waits. */
  openingFailed(error: unknown): boolean;
  /** The pool is to be closed. */
  beginClosing(): void;
  describe(): string;
  /** In words, and as tasks: what the keeper of a closed pool waits for. */
  describeHolders(): string;
  waitsOn(): Task<unknown>[];
}

export class Stock<T> {
  readonly options: StockOptions<T>;
  readonly #resource: Resource<T>;
  readonly #lender: Lender<T>;
  /** Where and in which context the pool was made. */
  readonly home: Scope = here();
  readonly #enterHome: <R>(fn: () => R) => R = contextStorage().snapshot();
  /** The one that was used last is lent first, so that the others can grow old. */
  readonly idle: Item<T>[] = [];
  readonly opening: Set<Task<T>> = new Set();
  /** How many are being checked or reset. */
  busy = 0;
  closing = 0;
  opened = 0;
  closed = 0;
  failed = 0;
  isClosed = false;
  /** Failures to open since the last success; and nothing is opened before that time. */
  #failures = 0;
  #failingSince = 0;
  #reopensAt = Number.NEGATIVE_INFINITY;
  /** For the next idle item to go, or the next attempt to open. */
  #timer: Timer | undefined = undefined;
  keeper: Task<void> | undefined = undefined;
  #keeping: Wait<void> | undefined = undefined;

  constructor(resource: Resource<T>, lender: Lender<T>, options: StockOptions<T>) {
    this.#resource = resource;
    this.#lender = lender;
    this.options = options;
  }

  /** The item that was used last, unless it has to be checked; items whose time is over go. */
  take(): Item<T> | undefined {
    const { check, checkAfter } = this.options;
    for (let item = this.idle.pop(); item !== undefined; item = this.idle.pop()) {
      if (this.#isOver(item)) this.#close(item);
      else if (check === undefined || this.#now() - item.idleSince < checkAfter) return item;
      else {
        this.idle.push(item);
        return undefined;
      }
    }
    return undefined;
  }

  /** An item that was lent has come back. */
  cameBack(item: Item<T>, fault: Ended | undefined): void {
    const { reset } = this.options;
    if (fault !== undefined || this.#isOver(item)) this.#close(item, fault);
    else if (reset === undefined) this.#keep(item);
    else this.#try("reset", item, async () => void (await reset(item.value)));
    this.serve();
  }

  /** Begins what is needed for those who wait, and for `min`. */
  serve(): void {
    while (this.#lender.waiting > this.opening.size + this.busy) {
      const item = this.take();
      if (item !== undefined) {
        this.#lender.lend(item);
        continue;
      }
      const unsure = this.idle.pop();
      if (unsure !== undefined)
        this.#try("check", unsure, async () => await this.options.check?.(unsure.value));
      else if (!this.#open()) break;
    }
    while (this.keeper !== undefined && this.#kept < this.options.min) if (!this.#open()) break;
    if (!this.isClosed || this.#kept + this.closing > 0) return;
    if (this.#timer !== undefined) this.home.loop.cancelTimer(this.#timer);
    this.#timer = undefined;
    this.#keeping?.joined(undefined);
  }

  /** Opens nothing any more, and closes what is not lent. */
  close(): void {
    this.isClosed = true;
    for (const task of [...this.opening]) task.cancel("the pool is being closed");
    this.sweep();
    this.serve();
  }

  /** Closes idle items whose time is over, or which are more than `max` allows. */
  sweep(): void {
    const { idle, min, max } = this.options;
    const now = this.#now();
    for (const item of this.idle.splice(0)) {
      const isUnused = item.idleSince + idle <= now && this.#kept >= min;
      const isOver = this.isClosed || now >= item.until || this.#kept >= max;
      if (isUnused || isOver) this.#close(item);
      else this.idle.push(item);
    }
    const times = this.idle.flatMap((item) => [item.until, item.idleSince + idle]);
    this.#setTimer(Math.min(...times.filter((when) => when > now)));
  }

  // --- the life of an item

  /** False if that has to wait. */
  #open(): boolean {
    if (this.isClosed || this.#kept + this.closing >= this.options.max) return false;
    if (this.#now() < this.#reopensAt) {
      this.#setTimer(this.#reopensAt);
      return false;
    }
    const task = this.#start("open", () => this.#resource.open());
    this.opening.add(task);
    this.#whenDone(task, () => {
      this.opening.delete(task);
      if (task.state === "fulfilled") this.#hasOpened(task.value as T);
      else if (task.state === "rejected") this.#openingFailed(task.failure);
    });
    return true;
  }

  #hasOpened(value: T): void {
    this.#failures = 0;
    this.#reopensAt = Number.NEGATIVE_INFINITY;
    // The golden ratio spreads lives evenly, however many there are, and a test can be repeated.
    const share = (this.opened++ * 0.618033988749895) % 1;
    const until = this.#now() + this.options.lifetime * (1 - share / 10);
    this.#keep({ value, until, idleSince: 0 });
  }

  #openingFailed(error: unknown): void {
    this.failed++;
    const isTold = this.#lender.openingFailed(error);
    if (!isTold && this.#failures === 0) this.#report("opening an item of", error);
    if (this.#failures++ === 0) this.#failingSince = this.#now();
    const elapsed = this.#now() - this.#failingSince;
    const step = { attempt: this.#failures, elapsed, error, random };
    try {
      const delay = checkedDelay("`reopen`", this.options.reopen, step);
      this.#reopensAt = this.#now() + (delay ?? 0);
    } catch (exception) {
      this.#report("`reopen` of", exception);
    }
  }

  /** Checks or resets an item. A failure closes it. */
  #try(what: string, item: Item<T>, body: () => Promise<unknown>): void {
    this.busy++;
    const task = this.#start(what, body);
    this.#whenDone(task, () => {
      this.busy--;
      const isGood = task.state === "fulfilled" && task.value !== false && !this.#isOver(item);
      if (isGood) this.#keep(item);
      else if (task.state !== "rejected") this.#close(item);
      else this.#close(item, { how: "failed", error: task.failure });
    });
  }

  /** An item can be used: by the first in line, or later. */
  #keep(item: Item<T>): void {
    if (!this.#isOver(item) && this.#lender.lend(item)) return;
    item.idleSince = this.#now();
    this.idle.push(item);
    const until = Math.min(item.until, item.idleSince + this.options.idle);
    if (this.isClosed || until <= item.idleSince) this.sweep();
    else this.#setTimer(until);
  }

  #close(item: Item<T>, ended: Ended = RETURNED): void {
    this.closing++;
    const task = this.#start("close", () => this.#resource.close(item.value, ended));
    this.#whenDone(task, () => {
      this.closing--;
      this.closed++;
      if (task.state === "rejected") this.#report("closing an item of", task.failure);
    });
  }

  /** Whether an item, which is counted nowhere now, must not be lent any more. */
  #isOver({ until }: Item<T>): boolean {
    return this.isClosed || this.#now() >= until || this.#kept >= this.options.max;
  }

  /** How many there are, but for those that are being closed. */
  get #kept(): number {
    return this.idle.length + this.#lender.lent + this.busy + this.opening.size;
  }

  // --- the pool's own tasks, and its timer

  #start<R>(what: string, body: () => Promise<R>): Task<R> {
    const { loop } = this.home;
    const name = this.#lender.describe();
    return this.#enterHome(() => {
      this.keeper ??= new Task(loop, () => this.#waitForEnd(), { name });
      return new Task(loop, body, { name: `${what}, ${name}` });
    });
  }

  /** Told inside the loop, also of a task that was left suspended. */
  #whenDone(task: Task<unknown>, done: () => void): void {
    task.observe();
    task.listen({
      futureDone: () => {
        done();
        this.serve();
      },
    });
  }

  async #waitForEnd(): Promise<void> {
    if (this.isClosed && this.#kept + this.closing === 0) return;
    const name = this.#lender.describe();
    const subject = {
      describeWait: () =>
        this.isClosed ? `${name} to end, ${this.#lender.describeHolders()}` : `the end of ${name}`,
      waitsOn: () => (this.isClosed ? this.#lender.waitsOn() : []),
    };
    const scope = here();
    const keeping = park<void>(scope, subject, () => {
      this.#lender.beginClosing();
      return false;
    });
    this.#keeping = keeping;
    const due = scope.mayBeDue ? scope.takeDue() : undefined;
    if (due !== undefined) keeping.cancel(due);
    await keeping.promise.catch(() => {}); // it has done what it was told to
  }

  /** One for all: where it is set for an earlier moment, it is set again then. */
  #setTimer(when: number): void {
    if (when === Number.POSITIVE_INFINITY || (this.#timer?.when ?? when + 1) <= when) return;
    const { loop } = this.home;
    if (this.#timer !== undefined) loop.cancelTimer(this.#timer);
    this.#timer = loop.addTimer(when, this);
  }

  /** @internal */
  timerDue(): void {
    this.#timer = undefined;
    this.sweep();
    this.serve();
  }

  #now(): number {
    return this.home.loop.time();
  }

  #report(what: string, exception: unknown): void {
    const message = `${what} ${this.#lender.describe()} has failed`;
    this.home.loop.callExceptionHandler({ message, exception });
  }
}
