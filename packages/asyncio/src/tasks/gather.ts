/**
 * Several awaitables at once, results in the order of the arguments.
 *
 * Thunks become tasks that the call owns; tasks and futures are awaited; bare promises run in the
 * caller's scope already and are merely listened to. One wait stands for the whole call: it ends
 * with the first failure or the last result. A cancellation is forwarded to the owned and awaited
 * ones, and the call goes on waiting until they have ended (F22).
 */

import type { Advice } from "../errors/advice.ts";
import { advice, argumentError, CancelledError, checkOptions } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { isThenable } from "../errors/render.ts";
import type { Cancellation } from "../kernel/cancellation.ts";
import { Future, letsGo } from "../kernel/future.ts";
import { completed, here, recognised } from "../kernel/operation.ts";
import { leftToHost } from "../kernel/reports.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { ignore } from "../kernel/settlers.ts";
import { Task } from "../kernel/task.ts";
import type { Wait } from "../kernel/wait.ts";
import { LinkedList } from "../structures/linked-list.ts";
import { Child } from "./owners.ts";
import { isIterable } from "./source.ts";
import { type SignalOption, underSignal } from "./timeouts.ts";

const api = "`gather`";

/** What combinators take: a thunk (which becomes a task), a task, a future, or a promise. */
export type Awaitable<T> = (() => T | PromiseLike<T>) | PromiseLike<T>;

/** What an awaitable gives. */
export type ResultOf<A> = A extends () => infer T
  ? Awaited<T>
  : A extends PromiseLike<infer T>
    ? Awaited<T>
    : never;

/** The results of a list or tuple of awaitables, in their order. */
export type Results<A extends readonly Awaitable<unknown>[]> = {
  -readonly [I in keyof A]: ResultOf<A[I]>;
};

/** Results where a failure stands in place of its value. */
export type Settled<A extends readonly Awaitable<unknown>[]> = {
  -readonly [I in keyof A]: ResultOf<A[I]> | Error;
};

/**
 * Runs all thunks as tasks of this call, awaits all tasks and promises, and gives the results in
 * the order of the arguments. Takes them one by one, or as an array with options.
 *
 * The first failure rejects the call at once. The others go on, and a failure that comes later is
 * reported to the exception handler (asyncio is silent about it). With `returnExceptions` failures
 * stand among the results instead. Cancelled, it cancels what it started or awaits and waits until
 * all of it has ended; bare promises it stops waiting for at once. Prefer `taskGroup` when a
 * failure has to stop the others. Source: asyncio.gather.
 *
 * @example
 * const slow = () => asyncio.sleep(0.002, "a");
 * const quick = () => asyncio.sleep(0.001, 1);
 * const [text, number] = await asyncio.gather(slow, quick);
 * assert.deepEqual([text, number], ["a", 1]);
 */
export function gather<A extends readonly Awaitable<unknown>[] | []>(
  awaitables: A,
  options: GatherOptions & { readonly returnExceptions: true },
): Promise<Settled<A>>;
export function gather<A extends readonly Awaitable<unknown>[] | []>(
  awaitables: A,
  options?: GatherOptions & { readonly returnExceptions?: false | undefined },
): Promise<Results<A>>;
export function gather<A extends readonly Awaitable<unknown>[]>(
  ...awaitables: A
): Promise<Results<A>>;
export function gather(...args: unknown[]): Promise<unknown> {
  const [first, options] = args;
  const asList = Array.isArray(first);
  const awaitables: unknown[] = asList ? first : args;
  const scope = here();
  const stop =
    checkAwaitables(awaitables, asList ? options : undefined) ?? scope.interruption("gather");
  if (stop !== undefined) {
    // No wait will follow for promises that run already: their failures must not end as unhandled
    // ones.
    for (const item of awaitables) if (isThenable(item)) item.then(undefined, ignore);
    return stop;
  }
  if (awaitables.length === 0) return completed(scope, "gather", []);
  const given = (asList && options !== undefined ? options : {}) as GatherOptions;
  const { returnExceptions = false, signal } = given;
  const begin = (): Promise<unknown> =>
    new Gathering(here(), awaitables as Awaitable<unknown>[], returnExceptions).wait.promise;
  if (signal === undefined) return begin();
  for (const item of awaitables) if (isThenable(item)) item.then(undefined, ignore); // it may have aborted
  return underSignal(api, signal, begin);
}

/** What `gather` takes behind an array. */
export interface GatherOptions extends SignalOption {
  /** Puts failures among the results, in place of throwing the first. @default false */
  readonly returnExceptions?: boolean | undefined;
}

const KNOWN: Names<GatherOptions> = { returnExceptions: "boolean", signal: "AbortSignal" };

function checkAwaitables(awaitables: unknown[], options: unknown): Promise<never> | undefined {
  try {
    checkOptions(api, options, KNOWN);
  } catch (error) {
    return Promise.reject(error);
  }
  const index = awaitables.findIndex((item) => typeof item !== "function" && !isThenable(item));
  if (index < 0) return undefined;
  const expected = "functions, tasks, futures or promises";
  return Promise.reject(
    argumentError(api, expected, awaitables[index], cureFor(awaitables[index])),
  );
}

/** Lists and options have one place. */
function cureFor(found: unknown): Advice {
  if (isIterable(found)) return advice("A list goes alone: `gather([...list])`");
  if (typeof found !== "object" || found === null) return "";
  return advice(
    "With options, put the others into an array: `gather([a, b], { returnExceptions: true })`",
  );
}

class Gathering {
  readonly wait: Wait<unknown[]>;
  readonly scopeAround: Scope;
  readonly #returnExceptions: boolean;
  readonly #results: unknown[];
  /** Tasks and futures that have not ended and that the call waits for. */
  readonly #children: LinkedList<Gathered> = new LinkedList();
  /** Results that are missing. */
  #missing: number;
  /** The first CancelledError of a child after the call was cancelled. */
  #cancelledError: CancelledError | undefined = undefined;
  #failure: { readonly error: unknown } | undefined = undefined;

  constructor(scope: Scope, awaitables: Awaitable<unknown>[], returnExceptions: boolean) {
    this.scopeAround = scope;
    this.#returnExceptions = returnExceptions;
    this.#results = new Array(awaitables.length);
    this.#missing = awaitables.length;
    const subject = {
      describeWait: () => `gather, ${this.#missing} of ${this.#results.length} missing`,
      waitsOn: () => this.#children.toArray().flatMap(({ future }) => [...future.waitsOn()]),
    };
    this.wait = park(scope, subject, (_wait, cancellation) => this.#cancel(cancellation));
    awaitables.forEach((awaitable, index) => {
      if (typeof awaitable === "function")
        this.#adopt(new Gathered(this, new Task(scope.loop, awaitable), true, index));
      else if (!(awaitable instanceof Future)) this.#listenTo(awaitable, index);
    });
    // After all others have begun. One that is given twice is listened to twice.
    awaitables.forEach((awaitable, index) => {
      if (awaitable instanceof Future) this.#adopt(new Gathered(this, awaitable, false, index));
    });
    if (this.wait.state !== "parked") this.#letGo(); // one of them had failed already
  }

  #listenTo(promise: PromiseLike<unknown>, index: number): void {
    this.wait.isForeign = true;
    promise.then(
      (value) => this.#succeeded(index, value),
      (error) => this.#failed(index, recognised(error, this.scopeAround), undefined),
    );
  }

  #adopt(child: Gathered): void {
    this.#children.add(child);
    child.future.listen(child);
  }

  childDone(child: Gathered): void {
    const { future, index } = child;
    this.#children.remove(child);
    if (future.state === "fulfilled") this.#succeeded(index, future.value);
    else this.#failed(index, future.failure, child);
  }

  #succeeded(index: number, value: unknown): void {
    this.#store(index, value);
    this.#settle();
  }

  #failed(index: number, error: unknown, child: Gathered | undefined): void {
    const isCancellation = error instanceof CancelledError;
    if (this.wait.state !== "parked") {
      // Too late to reject the call. A future that the caller has too may still be looked at by
      // others.
      if (child?.isOwned === false) return;
      child?.future.observe();
      if (!isCancellation) this.#report(error, child?.future);
      return;
    }
    child?.future.observe();
    this.#store(index, error);
    if (this.wait.cancellation !== undefined && isCancellation) this.#cancelledError ??= error;
    else if (!this.#returnExceptions) this.#failure ??= { error };
    this.#settle();
  }

  #store(index: number, outcome: unknown): void {
    this.#results[index] = outcome;
    this.#missing--;
  }

  /** Ends the wait if its outcome is known. Cancelled, it stays until every child has ended. */
  #settle(): void {
    const { cancellation } = this.wait;
    if (cancellation === undefined) {
      if (this.#failure !== undefined) {
        this.wait.fail(this.#failure.error);
        this.#letGo();
      } else if (this.#missing === 0) this.wait.resume(this.#results);
    } else if (this.#children.size === 0) {
      if (this.#failure !== undefined) this.wait.fail(this.#failure.error);
      else if (this.#cancelledError === undefined && this.#missing === 0) {
        this.wait.resume(this.#results);
      } else this.wait.joined(this.#results, this.#cancelledError);
    }
  }

  /**
   * Passes a cancellation on; true if there is nothing left to wait for. Closing lets go of what
   * the call does not own, and so does the end of the grace period if that waits for the caller.
   */
  #cancel(cancellation: Cancellation): boolean {
    if (letsGo(this.wait as Wait<never>, cancellation)) this.#letGo();
    if (cancellation.source === "closed" && this.#children.size > 0)
      leftToHost.add(this.wait as Wait); // the host reports it if the call is not awaited
    for (const child of this.#children.toArray()) child.future.forwardCancel(cancellation);
    return this.#children.size === 0;
  }

  /** Stops listening to what the call does not own. */
  #letGo(): void {
    for (const child of this.#children.toArray()) {
      if (child.isOwned) continue;
      child.future.unlisten(child);
      this.#children.remove(child);
    }
  }

  #report(exception: unknown, task: Future<unknown> | undefined): void {
    this.scopeAround.loop.callExceptionHandler({
      message: "an awaitable of `gather` has failed after another one, whose failure was thrown",
      exception,
      task: task instanceof Task ? task : undefined,
    });
  }
}

/** A task or future in its gathering. */
class Gathered extends Child<Gathered> {
  readonly future: Future<unknown>;
  /** True if it was made from a thunk: no other code has it. */
  readonly isOwned: boolean;
  /** The place of its result. */
  readonly index: number;

  constructor(gathering: Gathering, future: Future<unknown>, isOwned: boolean, index: number) {
    super(gathering);
    this.future = future;
    this.isOwned = isOwned;
    this.index = index;
  }
}
