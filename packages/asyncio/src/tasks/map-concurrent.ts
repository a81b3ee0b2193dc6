/**
 * A bounded map: `fn` over many items, so many at a time, results as an async iterable.
 *
 * `limit` workers share the source; each takes an item, runs `fn`, leaves the result in its slot,
 * and takes the next one. A worker is a task, an item is not: so an item costs about what its own
 * `await`s cost (bench: map).
 *
 *     source ──▶ worker: await fn(item) ──▶ slots, by index ──▶ next()
 *                   ▲                                             │
 *                   └──────────── room for another item ──────────┘
 *
 * Invariant: items that were read and whose results have not been taken are never more than
 * `limit`. A failure lies in the slot of its item: taking it means that everything before it was
 * taken.
 */

import {
  advice,
  argumentError,
  CancelledError,
  checkCount,
  checkOptions,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { stackAbove } from "../errors/render.ts";
import { currentContext } from "../kernel/context.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { completed, here, recognised } from "../kernel/operation.ts";
import { creationSites } from "../kernel/reports.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { Task } from "../kernel/task.ts";
import { type Wait, WaitList } from "../kernel/wait.ts";
import type { Context } from "../structures/context-values.ts";
import {
  type ConcurrentMap,
  Failure,
  type Kept,
  type MapConcurrentOptions,
  type Outcome,
  skip,
} from "./concurrent-map.ts";
import { ExceptionGroup } from "./exception-group.ts";
import { type Expectation, expectUse } from "./forgotten.ts";
import { Slots } from "./slots.ts";
import { isAsyncIterable, isIterable, Source } from "./source.ts";

const KNOWN: Names<MapConcurrentOptions> = { limit: 1, ordered: "boolean", onError: 1 };

/**
 * Calls `fn(item, index)` for each item, at most `limit` at a time, and gives the results as they
 * are asked for, in the order of the items (with `ordered: false` in the order in which they come).
 * Nothing is read before the first result is asked for, and never more than `limit` items ahead of
 * the results that were taken: a slow consumer slows the source down.
 *
 * A failure of `fn` or of the source comes out as it is, in the place of its item, after everything
 * before it. The items after it are cancelled, and have ended by then. Leaving the loop early, or
 * being cancelled in it, cancels all that is under way, waits until it has ended, and closes the
 * source. A source that gives nothing cannot hold the loop up: streams are destroyed, and what does
 * not answer within `cancelGrace` seconds is left and reported. A map that is never asked for a
 * result does nothing, and is reported with its line. Several tasks may take from one map: each
 * result goes to one of them. The calls of `fn` run in a few tasks that take turns at the items,
 * with a copy of the consumer's context variables each. Items for which `fn` gives `skip` are left
 * out. Source: Tokio's `buffered` and `buffer_unordered`.
 *
 * @example
 * const lengths: number[] = [];
 * const measure = async (word: string) => (await asyncio.sleep(0.001), word.length);
 * for await (const length of asyncio.mapConcurrent(["one", "three"], measure, { limit: 10 }))
 * lengths.push(length); assert.deepEqual(lengths, [3, 5]);
 */
export function mapConcurrent<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  fn: (item: T, index: number) => R | PromiseLike<R>,
  options: MapConcurrentOptions,
): ConcurrentMap<Kept<R>> {
  return makeMap("`mapConcurrent`", items, fn, options);
}

/** `mapConcurrent`, in the name of the call that was made. */
export function makeMap<T, R>(
  api: string,
  items: Iterable<T> | AsyncIterable<T>,
  fn: (item: T, index: number) => R | PromiseLike<R>,
  options: MapConcurrentOptions,
): ConcurrentMap<Kept<R>> {
  if (!isAsyncIterable(items) && !isIterable(items))
    throw argumentError(api, "an iterable or async iterable", items);
  if (typeof fn !== "function") throw argumentError(api, "a function for each item", fn);
  checkOptions(api, options ?? undefined, KNOWN);
  const { limit, ordered = true, onError = "throw" }: Partial<MapConcurrentOptions> = options ?? {};
  checkCount(api, "`limit`", limit);
  if (onError !== "throw" && onError !== "collect")
    throw argumentError(api, '`onError` to be "throw" or "collect"', onError);
  return new Mapping<T, Kept<R>>(
    items,
    fn as (item: T, index: number) => Kept<R> | PromiseLike<Kept<R>>, // it looks for the rest itself
    limit as number, // checked
    ordered,
    onError === "collect" ? [] : undefined,
  );
}

interface Worker {
  /** Set right after it is made. */
  task: Task<void> | undefined;
  /** The item it works on; -1 while it looks for one, or closes the source. */
  index: number;
}

class Mapping<T, R> implements ConcurrentMap<R> {
  readonly #items: Iterable<T> | AsyncIterable<T>;
  readonly #fn: (item: T, index: number) => R | PromiseLike<R>;
  readonly #limit: number;
  readonly #ordered: boolean;
  /** Set if they come out together, at the end. */
  readonly #failures: unknown[] | undefined;
  readonly #subject = {
    describeWait: () => `mapConcurrent, ${this.#read - this.#given} items under way`,
    waitsOn: () => [...this.#workers].flatMap(({ task }) => (task === undefined ? [] : [task])),
  };
  /** Made by the first `next`. */
  #source: Source<T> | undefined = undefined;
  /** Where it is iterated: the deadlines there count for the workers. */
  #owner: Scope | undefined = undefined;
  #context: Context | undefined = undefined;
  /** That a result is asked for. */
  #expectation: Expectation | undefined;
  readonly #workers: Set<Worker> = new Set();
  /**
   * Once an item has failed: the workers by their items, without those that were cancelled for
   * that.
   */
  #inOrder: Worker[] | undefined = undefined;
  /** Workers that wait until they may read another item. */
  readonly #idle: WaitList<Wait> = new WaitList();
  /** Calls of `next` and `return` that wait, in order. */
  readonly #takers: WaitList<Wait> = new WaitList();
  /** What became of items, by place: their index, or the order in which they came. */
  readonly #slots: Slots<Outcome<R>> = new Slots();
  /** Items read; results that came; results given away. */
  #read = 0;
  #came = 0;
  #given = 0;
  /** True while a worker waits for an item of an asynchronous source. */
  #isReading = false;
  /** True once no other item is to be read. */
  #isEnded = false;
  /** True once no more results are wanted. */
  #isLeft = false;
  /** True once all workers have ended, and the source is told so. */
  #isClosing = false;

  constructor(
    items: Iterable<T> | AsyncIterable<T>,
    fn: (item: T, index: number) => R | PromiseLike<R>,
    limit: number,
    ordered: boolean,
    failures: unknown[] | undefined,
  ) {
    this.#items = items;
    this.#fn = fn;
    this.#limit = limit;
    this.#ordered = ordered;
    this.#failures = failures;
    const what = "`mapConcurrent` has done nothing: nobody had asked for a result";
    const cure = advice("Use `for await`, or await its `toArray()` or `forEach(...)`");
    this.#expectation = expectUse(this, mapConcurrent, what, cure);
    if (here().loop.debug) creationSites.set(this, stackAbove(mapConcurrent));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<R, undefined>> {
    const scope = here();
    this.#isAskedFor();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return this.#closeFor(stop);
    const slot = this.#takers.length === 0 ? this.#firstSlot() : undefined;
    if (slot !== undefined && !(slot instanceof Failure)) {
      this.#give();
      return completed(scope, this.#subject, slot);
    }
    if (this.#source === undefined && !this.#isEnded) {
      try {
        this.#start(scope);
      } catch (error) {
        this.#isEnded = true;
        return Promise.reject(error);
      }
    }
    if (this.#workers.size === 0 && this.#slots.size === 0)
      return completed(scope, this.#subject, { done: true, value: undefined });
    return this.#wait(scope);
  }

  async return(): Promise<IteratorResult<R, undefined>> {
    this.#isAskedFor();
    this.#isEnded = this.#isLeft = true;
    if (!this.#isClosing) for (const worker of this.#workers) cancelWorker(worker);
    this.#dropSlots();
    if (this.#workers.size > 0) await this.#wait(here());
    return { done: true, value: undefined };
  }

  async toArray(): Promise<R[]> {
    const results: R[] = [];
    for await (const result of this) results.push(result);
    return results;
  }

  async forEach(use: (result: R) => unknown): Promise<void> {
    this.#isAskedFor(); // a wrong argument is told once
    if (typeof use !== "function")
      throw argumentError("`mapConcurrent.forEach`", "a function for each result", use);
    for await (const result of this) await use(result);
  }

  #isAskedFor(): void {
    this.#expectation?.meet();
    this.#expectation = undefined;
  }

  async #closeFor(stop: Promise<never>): Promise<never> {
    await this.return(); // `for await` does not call it when `next` rejects
    return await stop;
  }

  #wait(scope: Scope): Promise<IteratorResult<R, undefined>> {
    const wait = park<IteratorResult<R, undefined>>(scope, this.#subject, (_wait, cancellation) => {
      this.#isEnded = true;
      for (const { task } of this.#workers) task?.forwardCancel(cancellation);
      return false; // until all of them have ended
    });
    this.#takers.add(wait);
    this.#deliver();
    return wait.promise;
  }

  // --- workers

  #start(scope: Scope): void {
    this.#source = new Source(this.#items, creationSites.get(this));
    this.#context = currentContext().copy();
    this.#owner = scope;
    this.#hire(scope.loop);
  }

  #hire(loop: EventLoop): void {
    this.#employ(loop, "mapConcurrent", (worker, scope) => this.#work(worker, scope));
  }

  #employ(
    loop: EventLoop,
    name: string,
    work: (worker: Worker, scope: Scope) => Promise<void>,
  ): void {
    const worker: Worker = { task: undefined, index: -1 };
    const options = { name, context: this.#context?.copy() };
    const task: Task<void> = new Task<void>(loop, () => work(worker, task.scope), options);
    worker.task = task;
    this.#workers.add(worker);
    task.listen({ owner: this.#owner, futureDone: () => this.#workerEnded(worker, loop) });
  }

  async #work(worker: Worker, scope: Scope): Promise<void> {
    const source = this.#source as Source<T>; // there is one before there are workers
    try {
      for (;;) {
        worker.index = -1;
        while (!this.#mayRead && !this.#isEnded) await this.#waitForTurn(scope);
        if (this.#isEnded) return;
        const step = source.isAsync ? await this.#reading(source, scope) : source.nextNow();
        if (step.done === true) {
          this.#isEnded = true;
          this.#idle.resumeAll(undefined);
          return;
        }
        if (this.#isEnded) return; // it came too late
        worker.index = this.#read++;
        this.#share(scope);
        const value =
          this.#failures === undefined
            ? await this.#fn(step.value, worker.index)
            : await this.#collect(this.#failures, step.value, worker.index);
        this.#put(worker.index, value === skip ? skip : { done: false, value });
      }
    } catch (error) {
      this.#failed(worker, scope, error);
    }
  }

  async #collect(failures: unknown[], item: T, index: number): Promise<R | typeof skip> {
    try {
      return await this.#fn(item, index);
    } catch (error) {
      if (recognised(error, here()) instanceof CancelledError) throw error;
      failures.push(error);
      return skip;
    }
  }

  get #mayRead(): boolean {
    return !this.#isReading && this.#read - this.#given < this.#limit;
  }

  #waitForTurn(scope: Scope): Promise<void> {
    const wait = park<void>(scope, "mapConcurrent: room for another item");
    this.#idle.add(wait);
    return wait.promise;
  }

  /** One worker at a time reads from an asynchronous source, so that its items come in order. */
  async #reading(source: Source<T>, scope: Scope): Promise<IteratorResult<T>> {
    this.#isReading = true;
    try {
      return await source.next(scope);
    } finally {
      this.#isReading = false;
    }
  }

  /** A worker is busy now: if there is room, another one reads on. */
  #share(scope: Scope): void {
    if (!this.#mayRead) return;
    if (this.#idle.length > 0) this.#idle.resumeFirst(undefined);
    else if (this.#workers.size < this.#limit) this.#hire(scope.loop);
  }

  #failed(worker: Worker, scope: Scope, thrown: unknown): void {
    const error = recognised(thrown, scope, true);
    if (this.#isEnded && scope.owns(error)) return; // cancelled because the map ends
    const index = worker.index < 0 ? this.#read++ : worker.index; // else it was the source
    this.#isEnded = true;
    this.#idle.resumeAll(undefined);
    if (this.#failures !== undefined && worker.index < 0) {
      this.#failures.push(error); // of the source: all that was read has its turn
      this.#put(index, skip);
      return;
    }
    // With an order, what comes before the failure is still wanted.
    this.#cancelAfter(this.#ordered ? index : -1);
    this.#put(index, new Failure(error));
  }

  /** Cancels those on later items, or looking for one; each once, for thousands may fail. */
  #cancelAfter(index: number): void {
    const placeOf = (worker: Worker): number =>
      worker.index < 0 ? Number.POSITIVE_INFINITY : worker.index;
    this.#inOrder ??= [...this.#workers].sort((a, b) => placeOf(a) - placeOf(b));
    const workers = this.#inOrder;
    for (let last = workers.at(-1); last !== undefined; last = workers.at(-1)) {
      if (placeOf(last) <= index) return;
      workers.pop();
      cancelWorker(last);
    }
  }

  /**
   * When the last one has ended, the source is closed: not by one of them, for several may end in
   * one step.
   */
  #workerEnded(worker: Worker, loop: EventLoop): void {
    this.#workers.delete(worker);
    if (this.#workers.size > 0) return;
    this.#isEnded = true;
    const failures = this.#failures?.splice(0) ?? [];
    const title = "items of a map have failed";
    if (failures.length > 0)
      this.#put(this.#read++, new Failure(new ExceptionGroup(title, failures)));
    if (this.#source?.isOpen !== true) this.#deliver();
    else {
      this.#isClosing = true;
      this.#employ(loop, "mapConcurrent, closing its source", (_worker, scope) =>
        this.#closeSource(scope),
      );
    }
  }

  async #closeSource(scope: Scope): Promise<void> {
    try {
      await this.#source?.close(scope);
    } catch (error) {
      if (!scope.owns(error)) this.#put(this.#read++, new Failure(error));
    }
  }

  // --- results

  #put(index: number, outcome: Outcome<R>): void {
    if (this.#isLeft) return void this.#drop(outcome);
    this.#slots.put(this.#ordered ? index : this.#came++, outcome);
    if (this.#takers.length > 0) this.#deliver();
  }

  /** The next result is given away: there is room for another item. */
  #give(): void {
    this.#slots.take(this.#given++);
    if (this.#mayRead) this.#idle.resumeFirst(undefined);
  }

  /** What became of the next item that was not left out; undefined while that is not known. */
  #firstSlot(): Exclude<Outcome<R>, typeof skip> | undefined {
    for (;;) {
      const slot = this.#slots.get(this.#given);
      if (slot !== skip) return slot;
      this.#give();
    }
  }

  /** Gives those who wait what is there for them. */
  #deliver(): void {
    for (let taker = this.#takers.first; taker !== undefined; taker = this.#takers.first) {
      const slot = this.#firstSlot();
      if (slot !== undefined && !(slot instanceof Failure)) {
        this.#give();
        taker.resume(slot);
        continue;
      }
      if (this.#workers.size > 0) return; // a failure comes out when nothing is under way any more
      if (slot === undefined || taker.cancellation !== undefined)
        taker.joined({ done: true, value: undefined });
      else {
        this.#slots.take(this.#given);
        taker.fail(slot.error);
      }
      this.#dropSlots();
    }
  }

  #dropSlots(): void {
    for (const outcome of this.#slots.takeAll()) this.#drop(outcome);
  }

  /** It will not be taken. Failures are reported all the same. */
  #drop(outcome: Outcome<R>): void {
    if (!(outcome instanceof Failure) || outcome.error instanceof CancelledError) return;
    const message =
      "an item of `mapConcurrent` has failed after another one, or after its consumer had left";
    here().loop.callExceptionHandler({ message, exception: outcome.error });
  }
}

/** One that is cancelled already may clean up in peace, and one that has failed is about to end. */
function cancelWorker({ task }: Worker): void {
  if (task?.cancelling() === 0) task.cancelFor("group");
}
