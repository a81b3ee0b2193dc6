/**
 * `select`: one of several operations takes effect, and the others have not happened. All cases are
 * tried in order; if none can complete, each stands in its line as a place of one wait. Whoever
 * serves one of the places decides the choice in that call: all places leave their lines, the wait
 * is resumed, and only then the lines that were left look whether others fit now. So a loser has
 * taken nothing, and nothing is handed to a place of a choice that is decided.
 */

import { advice, argumentError, checkOptions, rangeError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { Future, type FutureListener } from "../kernel/future.ts";
import { realHost } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park, type Scope } from "../kernel/scope.ts";
import {
  type Got,
  type Operation,
  operation,
  type Place,
  type Selectable,
} from "../kernel/selectable.ts";
import type { Task } from "../kernel/task.ts";
import type { Wait, WaitList, WaitSubject } from "../kernel/wait.ts";
import { formatSeconds, type Timer, type TimerTarget } from "../structures/timers.ts";
import { noticeFakeTimers } from "./fake-timers.ts";
import { type SignalOption, underSignal } from "./timeouts.ts";

/**
 * What stands for one operation of a `select`: a primitive for its main operation, a number for so
 * many seconds, undefined for a case that is switched off.
 */
export type Case = Selectable<unknown> | Future<unknown> | number | undefined;

type CaseValue<C> =
  C extends Future<infer T>
    ? T
    : C extends Selectable<infer T>
      ? T
      : C extends number
        ? undefined
        : never;

type Selection<K, C> = [NonNullable<C>] extends [never]
  ? never
  : [key: K, value: CaseValue<NonNullable<C>>];

/**
 * What `select` gives: a pair of key and value for each case, so that looking at the key tells the
 * type of the value.
 */
export type Selected<C> = C extends readonly unknown[]
  ? number extends C["length"]
    ? [index: number, value: CaseValue<NonNullable<C[number]>>]
    : {
        [I in keyof C]: I extends `${infer N extends number}` ? Selection<N, C[I]> : never;
      }[number]
  : { [K in keyof C & string]: Selection<K, C[K]> }[keyof C & string];

/** What `select` takes. */
export interface SelectOptions extends SignalOption {
  /**
   * Begins with another case in each call, so that none of several that can always take effect
   * starves the others. @default false
   */
  readonly fair?: boolean | undefined;
}

const KNOWN: Names<SelectOptions> = { fair: "boolean", signal: "AbortSignal" };

/** One case: what it is called, what it does, and its place in the line. */
class Choosable implements Place {
  readonly key: string | number;
  readonly operation: Operation<unknown>;
  #choice: Choice | undefined = undefined;
  offer: unknown = undefined;
  list: WaitList | undefined = undefined;
  listPrevious: Place | undefined = undefined;
  listNext: Place | undefined = undefined;

  constructor(key: string | number, operation: Operation<unknown>) {
    this.key = key;
    this.operation = operation;
  }

  get scope(): Scope {
    return (this.#choice as Choice).wait.scope; // it is in a line
  }

  get task(): Task<unknown> | undefined {
    return this.scope.task;
  }

  enlist(choice: Choice): void {
    this.#choice = choice;
    this.operation.enlist(this);
  }

  leave(): void {
    if (this.#choice === undefined) return; // it is in no line yet
    if (this.operation.withdraw !== undefined) this.operation.withdraw(this);
    else this.list?.remove(this);
  }

  resume(value: unknown): boolean {
    const choice = this.#choice as Choice;
    if (!choice.leave()) return false;
    const { convert } = this.operation;
    choice.wait.resume([this.key, convert === undefined ? value : convert(value)]);
    choice.tellLeft(this);
    return true;
  }

  fail(error: unknown): boolean {
    const choice = this.#choice as Choice;
    if (!choice.leave()) return false;
    const instead = this.operation.recover?.(error);
    if (instead === undefined) choice.wait.fail(error);
    else choice.wait.resume([this.key, instead.value]);
    choice.tellLeft(this);
    return true;
  }
}

/** The cases of one call that waits. */
class Choice {
  readonly wait: Wait<[key: string | number, value: unknown]>;
  readonly #cases: readonly Choosable[];

  constructor(scope: Scope, cases: readonly Choosable[]) {
    this.#cases = cases;
    this.wait = park(scope, this, cancelChoice);
    this.wait.handsOver = true;
    this.wait.offer = this;
    for (const one of cases) {
      if (this.wait.state !== "parked") return; // the line of the last one has served it at once
      one.enlist(this);
    }
  }

  describeWait(now: number): string {
    return describeCases(this.#cases, now);
  }

  /** With several cases nobody in particular has to act. */
  waitsOn(): Iterable<Task<unknown>> {
    const [only, second] = this.#cases;
    const subject = second === undefined ? only?.operation.subject : undefined;
    return typeof subject === "object" ? (subject.waitsOn?.() ?? []) : [];
  }

  /** Takes all places out of their lines; false if the choice was made before. */
  leave(): boolean {
    if (this.wait.state !== "parked") return false;
    for (const one of this.#cases) one.leave();
    return true;
  }

  /** Tells the lines that places have left, all but that of `served`. */
  tellLeft(served: Choosable | undefined): void {
    for (const one of this.#cases) if (one !== served) one.operation.left?.();
  }
}

function cancelChoice(wait: Wait<never>): true {
  const choice = wait.offer as Choice; // put there by its constructor
  choice.leave();
  choice.tellLeft(undefined);
  return true;
}

function describeCases(cases: readonly Choosable[], now: number): string {
  const words = cases.map(({ key, operation: { subject } }) => {
    return `${key} (${typeof subject === "string" ? subject : subject.describeWait(now)})`;
  });
  return `select: ${words.join(", ")}`;
}

/** The case that a number of seconds stands for. */
class Delay implements Operation<undefined>, TimerTarget {
  readonly #seconds: number;
  #timer: Timer | undefined = undefined;
  #place: Place<undefined> | undefined = undefined;

  constructor(seconds: number) {
    this.#seconds = seconds;
  }

  get subject(): WaitSubject {
    return this.#timer ?? formatSeconds(this.#seconds);
  }

  attempt(): { value: undefined } | undefined {
    return this.#seconds > 0 ? undefined : { value: undefined };
  }

  enlist(place: Place<undefined>): void {
    const { loop } = place.scope;
    if (loop.host === realHost) noticeFakeTimers();
    this.#place = place;
    this.#timer = loop.addTimer(loop.time() + this.#seconds, this);
  }

  withdraw(place: Place<undefined>): void {
    place.scope.loop.cancelTimer(this.#timer as Timer); // set by `enlist`
  }

  timerDue(): void {
    this.#place?.resume(undefined);
  }
}

/** The case of a task or future, which is looked on: whoever loses or leaves leaves it alone. */
class Look implements Operation<unknown>, FutureListener {
  readonly subject: Future<unknown>;
  #place: Place | undefined = undefined;

  constructor(future: Future<unknown>) {
    this.subject = future;
  }

  attempt(): Got<unknown> | undefined {
    return this.subject.done() ? { value: this.subject.result() } : undefined;
  }

  enlist(place: Place): void {
    this.#place = place;
    this.subject.listen(this);
  }

  withdraw(): void {
    this.subject.unlisten(this);
  }

  futureDone(future: Future<unknown>): void {
    if (future.state === "fulfilled") this.#place?.resume(future.value);
    else if (this.#place?.fail(future.failure)) future.observe();
  }
}

/**
 * Waits until one of the cases can take effect, lets exactly that one happen, and gives its name
 * and what it gave. The others have not happened: no item, permit or lock of theirs was taken. A
 * case is a primitive, which stands for its main operation (`get` of a queue, `acquire` of a lock
 * or semaphore, `wait` of an event, the outcome of a task or future); a number of seconds; or
 * undefined, which is never chosen. `putting`, `acquiring` and `next` make others.
 *
 * Of several that can take effect at once the first listed does; seconds come last, so `0` is the
 * case for "none of them". A case that fails is the outcome: the call rejects with its failure, as
 * it is. Cancelled while it waits, it has left all lines; tasks and futures among the cases are
 * left alone. Rejects with a RangeError when there is no case. Sources: `select` of Go and of
 * Kotlin.
 *
 * @example
 * const jobs = new asyncio.Queue<string>();
 * const stop = new asyncio.Event();
 * jobs.putNowait("build");
 * const [which, value] = await asyncio.select({ job: jobs, stopped: stop, late: 5 });
 * assert.deepEqual([which, value], ["job", "build"]);
 */
export function select<const C extends Readonly<Record<string, Case>> | readonly Case[]>(
  cases: C,
  options?: SelectOptions,
): Promise<Selected<C>> {
  try {
    checkOptions("`select`", options, KNOWN);
  } catch (error) {
    return Promise.reject(error);
  }
  if (options?.signal === undefined) return choose(cases, options?.fair === true);
  return underSignal("`select`", options.signal, () => choose(cases, options.fair === true));
}

function choose<C>(given: C, isFair: boolean): Promise<Selected<C>> {
  const scope = here();
  let cases: Choosable[];
  try {
    cases = readCases(given);
  } catch (error) {
    return Promise.reject(error);
  }
  const stop = scope.interruption("select");
  if (stop !== undefined) return stop;
  if (isFair) rotate(cases, scope.loop);
  try {
    for (const { key, operation } of cases) {
      const got = operation.attempt(scope);
      if (got !== undefined) return completed(scope, "select", [key, got.value] as Selected<C>);
    }
  } catch (error) {
    return refused(scope, { describeWait: (now) => describeCases(cases, now) }, error);
  }
  return new Choice(scope, cases).wait.promise as Promise<Selected<C>>; // of the keys and operations of `given`
}

/** The cases that are not switched off, seconds last. @throws TypeError or RangeError. */
function readCases(given: unknown): Choosable[] {
  if (typeof given !== "object" || given === null || operation in given)
    throw argumentError("`select`", "a record or an array of cases", given);
  const isList = Array.isArray(given);
  const cases: Choosable[] = [];
  const delays: Choosable[] = [];
  for (const name of Object.keys(given)) {
    if (!isList && /^(0|[1-9]\d*)$/.test(name)) {
      const cure = advice(
        `Objects have such keys in another order than they are written: pass an array, or call it "_${name}"`,
      );
      throw argumentError("`select`", "names of cases that are no numbers", name, cure);
    }
    const one = (given as Record<string, unknown>)[name];
    const key = isList ? Number(name) : name;
    if (typeof one === "number") {
      if (Number.isNaN(one)) throw rangeError("`select`", "a number of seconds", one);
      delays.push(new Choosable(key, new Delay(one)));
    } else if (one !== undefined) cases.push(new Choosable(key, operationOf(one)));
  }
  cases.push(...delays);
  if (cases.length === 0)
    throw rangeError("`select`", "at least one case that is not switched off", given);
  return cases;
}

function operationOf(one: unknown): Operation<unknown> {
  if (one instanceof Future) return new Look(one);
  const make = (one as Partial<Selectable<unknown>> | null)?.[operation];
  if (typeof make === "function") return make.call(one as Selectable<unknown>);
  const isRunning = typeof (one as { then?: unknown } | null)?.then === "function";
  const isFunction = typeof one === "function";
  const cure = isRunning
    ? advice("A promise is running already: pass the queue or the lock itself, or a task")
    : isFunction
      ? advice("Make a task of it: `createTask(() => work())`")
      : "";
  const expected = "each case to be a queue, a lock or the like, a task, a number of seconds";
  throw argumentError("`select`", expected, one, cure);
}

/** Where the next fair select of a loop begins: drawn by the loop, so that a test repeats it. */
const draws: WeakMap<EventLoop, number> = new WeakMap();

/** Begins at another case; seconds stay last. */
function rotate(cases: Choosable[], loop: EventLoop): void {
  let drawn = draws.get(loop) ?? 0x9e3779b9;
  drawn ^= drawn << 13;
  drawn ^= drawn >>> 17;
  drawn ^= drawn << 5;
  draws.set(loop, drawn);
  const delays = cases.filter((one) => one.operation instanceof Delay).length;
  const waiting = cases.splice(0, cases.length - delays);
  const start = (drawn >>> 0) % Math.max(waiting.length, 1);
  cases.unshift(...waiting.slice(start), ...waiting.slice(0, start));
}

// --- cases with words of their own

/** @internal The keys of further operations that a primitive has. */
export interface Wordy {
  putOperation?(item: unknown): Operation<undefined>;
  acquireOperation?(count: number): Operation<Disposable>;
  nextOperation?(): Operation<IteratorResult<unknown, undefined>>;
}

/** `T`, and no place to infer it from: NoInfer, which came with TypeScript 5.4. */
type Given<T> = [T][T extends unknown ? 0 : never];

/**
 * The case that puts `item` into `target`: a Queue, a Rendezvous, the Sender of a channel, or a
 * Broadcast.
 *
 * @example
 * const full = new asyncio.Queue<number>(1);
 * full.putNowait(1);
 * const sent = await asyncio.select({ sent: asyncio.putting(full, 2), full: 0 });
 * assert.deepEqual(sent, ["full", undefined]);
 */
export function putting<T>(
  target: { put(item: T): Promise<void> } | { send(item: T): Promise<void> },
  item: Given<T>,
): Selectable<undefined> {
  const { putOperation } = Object(target) as Wordy;
  if (putOperation === undefined)
    throw argumentError("`putting`", "a Queue, a Rendezvous, a Sender or a Broadcast", target);
  return { [operation]: () => putOperation.call(target, item) };
}

/**
 * The case that takes `count` permits of `target` at once.
 *
 * @example
 * const semaphore = new asyncio.Semaphore(2);
 * const [which] = await asyncio.select({ some: asyncio.acquiring(semaphore, 3), none: 0 });
 * assert.equal(which, "none");
 */
export function acquiring(
  target: { acquire(count: number): Promise<Disposable>; tryAcquire(count: number): unknown },
  count: number,
): Selectable<Disposable> {
  const { acquireOperation } = Object(target) as Wordy;
  if (acquireOperation === undefined) throw argumentError("`acquiring`", "a Semaphore", target);
  return { [operation]: () => acquireOperation.call(target, count) };
}

/**
 * The case that gets the next item of `source` as `for await` does: its end is a value, and not a
 * failure.
 *
 * @example
 * const jobs = new asyncio.Queue<string>();
 * jobs.shutdown();
 * const [, step] = await asyncio.select({ job: asyncio.next(jobs), late: 5 });
 * assert.deepEqual(step, { done: true, value: undefined });
 */
export function next<T>(
  source: Selectable<T> & AsyncIterable<unknown>,
): Selectable<IteratorResult<T, undefined>> {
  const { nextOperation } = Object(source) as Wordy;
  if (nextOperation === undefined)
    throw argumentError("`next`", "a Queue, a Rendezvous or a Receiver", source);
  return {
    [operation]: () => nextOperation.call(source) as Operation<IteratorResult<T, undefined>>,
  };
}
