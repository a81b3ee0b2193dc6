/**
 * What a pool has open and lends, who waits for it, and the life of each item:
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
 * The pool itself is a task as well, its keeper, while something is open: a child of its owner if
 * it has one. It waits until all is closed; cancelled, by the end of the run for example, it closes
 * the pool. So no run ends before its pools, a test sees one that was left open, and one that has
 * nothing open holds nobody up, and leaves nothing behind when it is dropped.
 *
 * Invariants: somebody waits only while no item is idle that can be lent at once.
 * idle + lent + busy + opening + closing <= max, unless `max` was lowered.
 */

import { advice, InvalidStateError } from "../errors/errors.ts";
import { here } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { Task } from "../kernel/task.ts";
import { WaitList } from "../kernel/wait.ts";
import { contextStorage } from "../ports/context-storage.ts";
import type { Timer } from "../structures/timers.ts";
import { describeSync } from "../sync/lock.ts";
import type { AnyHolder } from "../tasks/knot.ts";
import type { TaskGroup } from "../tasks/task-group.ts";
import { Keeper, type Kept } from "./keeper.ts";
import { type Item, Lent } from "./loan.ts";
import { type Ended, RETURNED } from "./release.ts";
import type { Resource } from "./resource.ts";
import { type Course, courseOf, type Delay } from "./schedule.ts";

/** What a stock is to do; the options of the pool, each with a value. */
interface StockOptions<T> {
  max: number;
  readonly min: number;
  readonly idle: number;
  readonly lifetime: number;
  readonly check: ((item: T) => boolean | PromiseLike<boolean>) | undefined;
  readonly checkAfter: number;
  readonly reset: ((item: T) => unknown) | undefined;
  readonly reopen: Delay;
  readonly owner: Pick<TaskGroup, "createTask"> | undefined;
  readonly name: string | undefined;
}

export class Stock<T> {
  readonly options: StockOptions<T>;
  readonly description: string;
  /** What the program calls to borrow, for errors. */
  call = "`pool.acquire`";
  readonly #resource: Resource<T>;
  /** Where and in which context the pool was made. */
  readonly #home: Scope = here();
  readonly #enterHome: <R>(fn: () => R) => R = contextStorage().snapshot();
  readonly waiters: WaitList = new WaitList();
  readonly lent: Set<Lent<T>> = new Set();
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
  /** Of the failures to open since the last success; and nothing is opened before that time. */
  #course: Course | undefined = undefined;
  #reopensAt = Number.NEGATIVE_INFINITY;
  /** For the next idle item to go, or the next attempt to open. */
  #timer: Timer | undefined = undefined;
  keeper: Keeper | undefined = undefined;
  readonly #role: Kept;
  readonly subject: AnyHolder & { describeWait(): string } = {
    needsOne: true,
    describeWait: () =>
      `${this.description}, ${this.waiters.length} waiting, ${this.describeHolders()}`,
    waitsOn: () => Array.from(this.lent).flatMap(({ task }) => task ?? []),
  };

  constructor(resource: Resource<T>, options: StockOptions<T>) {
    this.#resource = resource;
    this.options = options;
    this.description = describeSync("pool", options.name);
    this.#role = {
      name: this.description,
      describeWait: () =>
        this.isClosed
          ? `${this.description} to end, ${this.describeHolders()}`
          : `the end of ${this.description}`,
      waitsOn: () => (this.isClosed ? this.subject.waitsOn() : []),
      cancelled: () => this.close(),
    };
  }

  // --- lending

  /** Lends the item that was used last, unless somebody waits, or it has to be checked. */
  lend(task: Task<unknown> | undefined): Lent<T> | undefined {
    if (this.waiters.length > 0) return undefined;
    const now = this.#now();
    const item = this.#take(now);
    return item === undefined ? undefined : this.#lendTo(task, item, now);
  }

  /** An item that was lent has come back. */
  cameBack(loan: Lent<T>, item: Item<T>, fault: Ended | undefined): void {
    const { reset } = this.options;
    const now = this.#now();
    this.lent.delete(loan);
    if (fault !== undefined || this.#isOver(item, now)) this.#close(item, fault);
    else if (reset === undefined) this.#keep(item, now);
    else this.#try("reset", item, async () => void (await reset(item.value)));
    this.serve();
  }

  /** Begins what is needed for those who wait, and for `min`. */
  serve(): void {
    while (this.waiters.length > this.opening.size + this.busy)
      if (!this.#handIdle() && !this.#open()) break;
    while (this.keeper !== undefined && this.#kept < this.options.min) if (!this.#open()) break;
    const isWanted = !this.isClosed && this.waiters.length + this.options.min > 0;
    if (isWanted || this.#kept + this.closing > 0) return;
    if (this.#timer !== undefined) this.#home.loop.cancelTimer(this.#timer);
    this.#timer = undefined;
    this.keeper?.end();
    if (!this.isClosed) this.keeper = undefined; // the next one who wants an item brings another
  }

  /** Lends and opens nothing any more, and closes what is not lent. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const task of [...this.opening]) task.cancel("the pool is being closed");
    this.sweep();
    this.serve();
    this.waiters.failAll(() => this.refusal());
  }

  /** Why nothing is lent any more. */
  refusal(): InvalidStateError {
    const message = `\`pool.acquire\` cannot borrow from ${this.description}: it is closed${advice("Close it when nobody needs it any more")}`;
    return new InvalidStateError(message);
  }

  /** Closes idle items whose time is over, or which are more than `max` allows. */
  sweep(): void {
    const { idle, min } = this.options;
    const now = this.#now();
    for (const item of this.idle.splice(0)) {
      const isUnused = item.idleSince + idle <= now && this.#kept >= min;
      if (isUnused || this.#isOver(item, now)) this.#close(item);
      else this.idle.push(item);
    }
    const times = this.idle.flatMap((item) => [item.until, item.idleSince + idle]);
    this.#setTimer(Math.min(...times.filter((when) => when > now)));
  }

  /** Takes the item that was used last, unless it has to be checked; those that are over go. */
  #take(now: number): Item<T> | undefined {
    const { check, checkAfter } = this.options;
    for (let item = this.idle.pop(); item !== undefined; item = this.idle.pop()) {
      if (this.#isOver(item, now)) this.#close(item);
      else if (check === undefined || now - item.idleSince < checkAfter) return item;
      else {
        this.idle.push(item);
        return undefined;
      }
    }
    return undefined;
  }

  /** Hands an idle item to the first in line, or checks one for him; false if none is idle. */
  #handIdle(): boolean {
    if (this.idle.length === 0) return false; // does not look at the clock (bench: pool)
    const now = this.#now();
    const item = this.#take(now);
    if (item !== undefined) return this.#hand(item, now);
    const unsure = this.idle.pop();
    if (unsure === undefined) return false;
    this.#try("check", unsure, async () => await this.options.check?.(unsure.value));
    return true;
  }

  #lendTo(task: Task<unknown> | undefined, item: Item<T>, now: number): Lent<T> {
    const loan = new Lent(this, item, task, now);
    this.lent.add(loan);
    return loan;
  }

  /** Lends to the first in line; false if nobody waits. */
  #hand(item: Item<T>, now: number): boolean {
    const { first } = this.waiters;
    return first?.resume(this.#lendTo(first.task, item, now)) ?? false;
  }

  // --- the life of an item

  /** False if that has to wait. */
  #open(): boolean {
    if (this.isClosed || this.#kept + this.closing >= this.options.max) return false;
    if (this.#now() < this.#reopensAt) {
      this.#setTimer(this.#reopensAt);
      return false;
    }
    if (!this.#begin()) return false;
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
    const now = this.#now();
    this.#course = undefined;
    this.#reopensAt = Number.NEGATIVE_INFINITY;
    // The golden ratio spreads lives evenly, however many there are, and a test can be repeated.
    const share = (this.opened++ * 0.618033988749895) % 1;
    const until = now + this.options.lifetime * (1 - share / 10);
    this.#keep({ value, until, idleSince: now }, now);
  }

  #openingFailed(error: unknown): void {
    this.failed++;
    const isTold = this.waiters.first?.fail(error) ?? false;
    if (!isTold && this.#course === undefined) this.#report("opening an item of", error);
    this.#course ??= courseOf("`reopen`", this.options.reopen, this.#home.loop);
    try {
      this.#reopensAt = this.#now() + (this.#course(error)?.delay ?? 0);
    } catch (exception) {
      this.#report("`reopen` of", exception);
    }
  }

  /** Checks or resets an item. A failure closes it. */
  #try(what: string, item: Item<T>, body: () => Promise<unknown>): void {
    this.busy++;
    const task = this.#start(what, body);
    this.#whenDone(task, () => {
      const now = this.#now();
      this.busy--;
      const isGood = task.state === "fulfilled" && task.value !== false;
      if (isGood && !this.#isOver(item, now)) this.#keep(item, now);
      else if (task.state !== "rejected") this.#close(item);
      else this.#close(item, { how: "failed", error: task.failure });
    });
  }

  /** An item can be used: by the first in line, or later. */
  #keep(item: Item<T>, now: number): void {
    if (!this.#isOver(item, now) && this.#hand(item, now)) return;
    item.idleSince = now;
    this.idle.push(item);
    const until = Math.min(item.until, now + this.options.idle);
    if (this.isClosed || until <= now) this.sweep();
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
  #isOver({ until }: Item<T>, now: number): boolean {
    return this.isClosed || now >= until || this.#kept >= this.options.max;
  }

  /** How many there are, but for those that are being closed. */
  get #kept(): number {
    return this.idle.length + this.lent.size + this.busy + this.opening.size;
  }

  // --- the pool's own tasks, and its timer

  /** Has a keeper from now on; false where the owner or the run has ended: all are told. */
  #begin(): boolean {
    try {
      this.keeper ??= this.#enterHome(() => new Keeper(this.call, this.#role, this.options.owner));
      return true;
    } catch (error) {
      this.waiters.failAll(() => error);
      return false;
    }
  }

  #start<R>(what: string, body: () => Promise<R>): Task<R> {
    const name = `${what}, ${this.description}`;
    return this.#enterHome(() => new Task(this.#home.loop, body, { name }));
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

  /** One for all: where it is set for an earlier moment, it is set again then. */
  #setTimer(when: number): void {
    if (when === Number.POSITIVE_INFINITY || (this.#timer?.when ?? when + 1) <= when) return;
    const { loop } = this.#home;
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
    return this.#home.loop.time();
  }

  #report(what: string, exception: unknown): void {
    const message = `${what} ${this.description} has failed`;
    this.#home.loop.callExceptionHandler({ message, exception });
  }

  describeHolders(): string {
    if (this.lent.size === 0) return "held by nobody";
    const all = Array.from(this.lent, ({ task }) => task?.describe() ?? "other code");
    const names = [...new Set(all)];
    return `held by ${names.slice(0, 5).join(", ")}${names.length > 5 ? ", ..." : ""}`;
  }
}
