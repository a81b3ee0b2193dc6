/**
 * Waiting for tasks without owning them: `wait`, `waitFor`, `asCompleted`, `shield`. Cancelling the
 * waiter of `wait`, `asCompleted` and `shield` leaves the tasks alone; cancelling `waitFor` cancels
 * the work.
 */

import {
  advice,
  argumentError,
  CancelledError,
  checkOptions,
  checkSeconds,
  rangeError,
  TimeoutError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { isThenable } from "../errors/render.ts";
import { Future, type FutureListener } from "../kernel/future.ts";
import { completed, here, recognised } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { type Coroutine, Task } from "../kernel/task.ts";
import { WaitList } from "../kernel/wait.ts";
import { RingBuffer } from "../structures/ring-buffer.ts";
import { formatSeconds } from "../structures/timers.ts";
import { waitForBell } from "./bell.ts";
import { createTask } from "./create-task.ts";
import type { Awaitable, ResultOf } from "./gather.ts";
import { checkIterable } from "./iterables.ts";
import { type SignalOption, timeout, underSignal } from "./timeouts.ts";

/**
 * When `wait` returns: with the first task that is done, with the first that has failed, or when
 * all are done.
 */
export type ReturnWhen = "FIRST_COMPLETED" | "FIRST_EXCEPTION" | "ALL_COMPLETED";

/** What `wait` takes. */
export interface WaitOptions extends SignalOption {
  /** Seconds to wait at most. @default Infinity */
  readonly delay?: number | undefined;
  /** What it waits for. @default "ALL_COMPLETED" */
  readonly returnWhen?: ReturnWhen | undefined;
}

const WAIT_OPTIONS: Names<WaitOptions> = { delay: 1, returnWhen: 1, signal: "AbortSignal" };
const RETURN_WHEN: readonly ReturnWhen[] = ["FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"];

/**
 * Waits for tasks and futures, and gives those that are done and those that are not. Cancels
 * nothing and throws none of their failures, also when `delay` is over, and also when it is
 * cancelled itself. A cancelled task is done, but not a failure. `wait` does not count as a look at
 * a failure: one that no code looks at is still reported.
 *
 * @example
 * const quick = asyncio.createTask(() => asyncio.sleep(0.001));
 * const slow = asyncio.createTask(() => asyncio.sleep(3600));
 * const { done, pending } = await asyncio.wait([quick, slow], { returnWhen: "FIRST_COMPLETED" });
 * assert.deepEqual([...done], [quick]);
 * assert.deepEqual([...pending], [slow]);
 * slow.cancel();
 */
export async function wait<F extends Future<unknown>>(
  futures: Iterable<F>,
  options: WaitOptions = {},
): Promise<{ done: Set<F>; pending: Set<F> }> {
  checkOptions("`wait`", options, WAIT_OPTIONS);
  const { delay = Number.POSITIVE_INFINITY, returnWhen = "ALL_COMPLETED" } = options;
  const all = checkFutures("`wait`", futures);
  if (all.size === 0) throw rangeError("`wait`", "at least one task or future", [...all]);
  checkSeconds("`wait`", "`delay` in seconds", delay);
  if (!RETURN_WHEN.includes(returnWhen))
    throw argumentError(
      "`wait`",
      `\`returnWhen\` to be one of ${RETURN_WHEN.join(", ")}`,
      returnWhen,
    );
  if (options.signal === undefined) await untilEnough(all, returnWhen, delay);
  else await underSignal("`wait`", options.signal, () => untilEnough(all, returnWhen, delay));
  const done = [...all].filter((future) => future.done()); // looked at now: more may be done by the time we run (S60)
  return { done: new Set(done), pending: new Set([...all].filter((future) => !future.done())) };
}

function checkFutures<F extends Future<unknown>>(api: string, futures: Iterable<F>): Set<F> {
  const all = new Set(checkIterable(api, "a list of tasks and futures", futures));
  for (const item of all) {
    if (!(item instanceof Future))
      throw argumentError(
        api,
        "tasks and futures",
        item,
        advice("Start it with `createTask(() => ...)` first"),
      );
  }
  return all;
}

function isEnough(futures: Iterable<Future<unknown>>, returnWhen: ReturnWhen): boolean {
  const all = [...futures];
  if (returnWhen !== "ALL_COMPLETED" && all.some((future) => isTrigger(future, returnWhen)))
    return true;
  return all.every((future) => future.done());
}

function isTrigger(future: Future<unknown>, returnWhen: ReturnWhen): boolean {
  if (returnWhen === "FIRST_EXCEPTION") return future.state === "rejected";
  return returnWhen === "FIRST_COMPLETED" && future.done();
}

/** Of each future the task that it is. */
function pendingTasks(futures: Iterable<Future<unknown>>): Task<unknown>[] {
  return [...futures].filter((future) => !future.done()).flatMap((future) => [...future.waitsOn()]);
}

async function untilEnough(
  futures: Set<Future<unknown>>,
  returnWhen: ReturnWhen,
  delay: number,
): Promise<void> {
  const scope = here();
  const stop = scope.interruption("wait");
  if (stop !== undefined) await stop;
  if (isEnough(futures, returnWhen)) return await completed(scope, "wait", undefined);
  let missing = [...futures].filter((future) => !future.done()).length;
  const bell = park<void>(scope, {
    describeWait: () => `wait, ${missing} of ${futures.size} not done`,
    waitsOn: () => pendingTasks(futures),
  });
  const listener: FutureListener = {
    futureDone(future) {
      if (--missing === 0 || isTrigger(future, returnWhen)) bell.resume();
    },
  };
  for (const future of futures) if (!future.done()) future.listen(listener);
  try {
    await waitForBell(bell, delay);
  } finally {
    for (const future of futures) future.unlisten(listener);
  }
}

/**
 * Awaits a task, a future or what a thunk does, for at most `seconds`. When the time is over the
 * work is cancelled, and when it has ended by that, the call rejects with a TimeoutError. If it
 * ends with a value or a failure all the same, the call ends with that. With 0 or less, work that
 * is not done is cancelled without being started. `null` means no limit. A bare promise is refused:
 * it could not be cancelled.
 *
 * @example
 * await assert.rejects(asyncio.waitFor(() => asyncio.sleep(3600), 0.01), asyncio.TimeoutError);
 * assert.equal(await asyncio.waitFor(asyncio.createTask(async () => 1), 3600), 1);
 */
export async function waitFor<T>(
  work: Future<T> | Coroutine<T>,
  seconds: number | null,
): Promise<T> {
  if (!(work instanceof Future) && typeof work !== "function") {
    const cure = isThenable(work)
      ? advice("A promise could not be cancelled: write waitFor(() => work(), seconds)")
      : "";
    throw argumentError(
      "`waitFor`",
      "a task, a future or a function that returns a promise",
      work,
      cure,
    );
  }
  if (seconds !== null) checkSeconds("`waitFor`", "a number of seconds, or null", seconds);
  if (work instanceof Future) {
    // Under a pending cancellation the await passes it on to the work (F21); `timeout` would not
    // get that far.
    const isPlain = work.done() || here().peekDue() !== undefined;
    return await (isPlain ? work : timeout(seconds, () => work));
  }
  if (seconds !== null && seconds <= 0)
    throw new TimeoutError("`waitFor` did not start the work: it got no time to run");
  return await timeout(seconds, work);
}

const DELAY: Names<{ delay?: number }> = { delay: 1 };

/**
 * Tasks in the order in which they end. Thunks are started as tasks at once, bare promises come out
 * as futures, tasks and futures come out themselves. The consumer may stop and iterate again later:
 * it goes on with what has not come out yet, and nothing is cancelled. When `delay` seconds have
 * passed since the call, `next` rejects with a TimeoutError.
 *
 * @example
 * const order: string[] = [];
 * const work = [() => asyncio.sleep(0.01, "slow"), async () => "quick"];
 * for await (const task of asyncio.asCompleted(work)) order.push(await task);
 * assert.deepEqual(order, ["quick", "slow"]);
 */
export function asCompleted<T>(
  work: Iterable<Awaitable<T>>,
  options?: { delay?: number },
): Completions<T>;
export function asCompleted<A extends Awaitable<unknown>>(
  work: Iterable<A>,
  options?: { delay?: number },
): Completions<ResultOf<A>>;
export function asCompleted(
  work: Iterable<Awaitable<unknown>>,
  options: { delay?: number } = {},
): Completions<unknown> {
  checkOptions("`asCompleted`", options, DELAY);
  const { delay = Number.POSITIVE_INFINITY } = options;
  checkSeconds("`asCompleted`", "`delay` in seconds", delay);
  const items = checkIterable(
    "`asCompleted`",
    "a list of functions, tasks, futures and promises",
    work,
  );
  for (const item of items) {
    if (typeof item !== "function" && !isThenable(item))
      throw argumentError("`asCompleted`", "functions, tasks, futures or promises", item);
  }
  return new CompletionIterator(items, delay);
}

/**
 * The tasks as they end. An async iterator; not declared as AsyncIterable, because TypeScript would
 * take its elements for their results.
 */
export interface Completions<T> {
  /** Waits for the next one that ends. Rejects with a TimeoutError when the delay is over. */
  next(): Promise<IteratorResult<Future<T>, undefined>>;
  /** Ends the iteration. Nothing is cancelled, and it can be iterated again. */
  return(): Promise<IteratorResult<Future<T>, undefined>>;
  [Symbol.asyncIterator](): Completions<T>;
}

class CompletionIterator<T> implements Completions<T> {
  readonly #delay: number;
  readonly #deadline: number;
  readonly #subject = {
    describeWait: () => `asCompleted, ${this.#pending.size} not ended`,
    waitsOn: () => pendingTasks(this.#pending.keys()),
  };
  /** Futures that have not ended as far as we know, with what listens to them. */
  readonly #pending: Map<Future<T>, FutureListener> = new Map();
  /**
   * Thunks that were given under a pending cancellation: it comes first (F3), and they start if the
   * caller goes on.
   */
  readonly #notStarted: Coroutine<T>[] = [];
  /**
   * Those of the pending ones that it listens to: none after the consumer has stopped, they may
   * live long.
   */
  readonly #heard: Set<Future<T>> = new Set();
  /** Futures that have ended and have not come out. */
  readonly #done: RingBuffer<Future<T>> = new RingBuffer();
  /** How many of the pending ones stand for bare promises. */
  #foreign = 0;
  /**
   * Calls of `next` that wait, in order: the nth call gets the nth future. Boxed, for a promise
   * would await the future.
   */
  readonly #waiters: WaitList = new WaitList();

  constructor(items: Awaitable<T>[], delay: number) {
    const scope = here();
    this.#delay = delay;
    this.#deadline = scope.loop.time() + delay;
    const isInterrupted = scope.peekDue() !== undefined;
    for (const item of items) {
      if (typeof item === "function" && isInterrupted) this.#notStarted.push(item);
      else this.#add(toFuture(item));
    }
    this.#listen();
  }

  #add(future: Future<T>): void {
    if (!this.#pending.has(future) && foreign.has(future)) this.#foreign++;
    this.#pending.set(future, { futureDone: () => this.#ended(future) });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  // By hand: an async generator would await the futures that it yields.
  async next(): Promise<IteratorResult<Future<T>, undefined>> {
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) {
      this.#stopListening();
      await stop;
    }
    for (const thunk of this.#notStarted.splice(0)) this.#add(toFuture(thunk));
    this.#listen();
    if (this.#done.length > 0) {
      const value = this.#done.shift();
      await completed(scope, this.#subject, undefined);
      return { done: false, value };
    }
    if (this.#pending.size <= this.#waiters.length)
      return await completed(scope, this.#subject, { done: true, value: undefined });
    const wait = park<{ future: Future<T> } | undefined>(scope, this.#subject);
    wait.isForeign = this.#foreign > 0;
    this.#waiters.add(wait);
    let isGiven = false;
    try {
      const boxed = await waitForBell(wait, this.#deadline - scope.loop.time());
      isGiven = boxed !== undefined;
      if (boxed !== undefined) return { done: false, value: boxed.future };
    } finally {
      if (!isGiven) this.#stopListening(); // `for await` does not call `return` then
    }
    throw new TimeoutError(
      `\`asCompleted\` has ${this.#pending.size} tasks that have not ended after ${formatSeconds(this.#delay)}`,
    );
  }

  async return(): Promise<IteratorResult<Future<T>, undefined>> {
    this.#stopListening();
    return { done: true, value: undefined };
  }

  /** The consumer has gone, and what it waited for may live long. Another consumer may wait on. */
  #stopListening(): void {
    if (this.#waiters.length > 0) return;
    this.#heard.clear();
    for (const [future, listener] of this.#pending) future.unlisten(listener);
  }

  /** Listens to what it does not listen to yet. */
  #listen(): void {
    if (this.#heard.size === this.#pending.size) return;
    // What has ended meanwhile comes out in the order in which it did.
    const inOrder = [...this.#pending].sort(([a], [b]) => a.doneSequence - b.doneSequence);
    for (const [future, listener] of inOrder) {
      if (this.#heard.has(future)) continue;
      this.#heard.add(future);
      future.listen(listener);
    }
  }

  #ended(future: Future<T>): void {
    this.#pending.delete(future);
    if (foreign.has(future)) this.#foreign--;
    this.#heard.delete(future);
    if (this.#waiters.resumeFirst({ future }) === undefined) this.#done.push(future);
  }
}

/** Futures that stand for bare promises. */
const foreign: WeakSet<Future<unknown>> = new WeakSet();

function toFuture<T>(item: Awaitable<T>): Future<T> {
  if (item instanceof Future) return item;
  if (typeof item === "function") return createTask(item);
  const future = new Future<T>();
  const scope = here();
  foreign.add(future);
  item.then(
    (value) => void (future.done() || future.settle("fulfilled", value)),
    (thrown) => {
      const error = recognised(thrown, scope);
      const state = error instanceof CancelledError ? "cancelled" : "rejected";
      if (!future.done()) future.settle(state, error);
    },
  );
  return future;
}

/**
 * Work whose shield was cancelled and that is still watched, once however often it was shielded.
 */
const orphans: WeakSet<Future<unknown>> = new WeakSet();

function watchOrphan(inner: Future<unknown>): void {
  if (orphans.has(inner)) return;
  orphans.add(inner);
  inner.listen({
    futureDone() {
      if (inner.state !== "rejected") return;
      inner.observe();
      inner.getLoop().callExceptionHandler({
        message: `${inner.describe()} has failed after the shield around it was cancelled`,
        exception: inner.failure,
        future: inner,
        task: inner instanceof Task ? inner : undefined,
      });
    },
  });
}

/**
 * Waits for work without passing cancellations on to it: cancelled, the call rejects at once and
 * the work goes on. If it fails after that, the failure is reported to the exception handler, once.
 * A thunk becomes a task of its own, also under a pending cancellation; it ends with the run at the
 * latest. Give a thunk for whatever uses this library: a promise of it waits in the caller's scope
 * already and is cancelled with that. Rejects with a TypeError for the promise of an operation.
 * Prefer a shielded CancelScope, or `cleanup`, which do not orphan anything.
 *
 * @example
 * const disk = new asyncio.Event();
 * const task = asyncio.createTask(async () => ((await disk.wait()) ? "saved" : "lost"));
 * await assert.rejects(asyncio.timeout(0.001, () => asyncio.shield(task)), asyncio.TimeoutError);
 * disk.set();
 * assert.equal(await task, "saved");
 */
export async function shield<T>(work: Awaitable<T>): Promise<T> {
  if (typeof work !== "function" && !isThenable(work))
    throw argumentError("`shield`", "a task, a future, a function or a promise", work);
  const scope = here();
  if (scope.parkedWaits().some(({ promise }) => promise === work)) {
    const cure = advice("It waits in this scope, and is cancelled with it: shield(() => work())");
    throw argumentError("`shield`", "a function, not an operation that has begun", work, cure);
  }
  const inner = toFuture(work); // in any case: what a `finally` shields must be done, as in CPython
  const stop = scope.interruption("shield");
  if (stop !== undefined) {
    watchOrphan(inner);
    await stop;
  }
  if (inner.done()) return await inner;
  const subject = {
    describeWait: () => `shield of ${inner.describe()}`,
    waitsOn: () => inner.waitsOn(),
  };
  const outer = park<T>(scope, subject, () => {
    inner.unlisten(listener);
    watchOrphan(inner);
    return true;
  });
  const listener: FutureListener = {
    futureDone() {
      if (inner.state === "fulfilled")
        outer.resume(inner.value as T); // then it has a value
      else if (outer.fail(inner.failure)) inner.observe();
    },
  };
  outer.isForeign = foreign.has(inner);
  inner.listen(listener);
  return await outer.promise;
}
