/**
 * Futures: results that are set once and awaited by many (R19).
 *
 * `await future` reads `future.constructor`. A pending future answers with a class other than
 * Promise, so the engine calls our `then` with its own resolving functions, in the scope of the
 * awaiter, and the await becomes a wait like any other. Calls of the program, which has no such
 * functions, observe only. One that is done answers `Promise`: awaiting it is as fast as natively.
 * No instance has a `constructor` or `then` of its own: it would slow `Promise.all` everywhere.
 */

import {
  advice,
  argumentError,
  CancelledError,
  checkOptions,
  InvalidStateError,
} from "../errors/errors.ts";
import { isResolvingFunction, isThenable } from "../errors/render.ts";
import type { Context } from "../structures/context-values.ts";
import { Handle } from "./callback.ts";
import type { Cancellation } from "./cancellation.ts";
import { currentContext } from "./context.ts";
import type { EventLoop } from "./loop.ts";
import { here, turn } from "./operation.ts";
import { thrower } from "./rejection.ts";
import { type FailureRecord, forgetFailure, recordFailure, reportFailure } from "./reports.ts";
import type { Scope } from "./scope.ts";
import { dropSettlers, ignore, keepSettlers, latest, type Settle } from "./settlers.ts";
import type { Task } from "./task.ts";
import { type OnCancel, Wait } from "./wait.ts";

export type FutureState = "pending" | "fulfilled" | "rejected" | "cancelled";

/** Told when a future is done, inside the loop: must not throw or call user code. */
export interface FutureListener {
  futureDone(future: Future<unknown>): void;
  /** The scope that waits for the future and owns it: its cancellation cancels the future. */
  readonly owner?: Scope | undefined;
}
type Listener<T> = Wait<T> | FutureListener;
type Listeners<T> = Listener<T> | Set<Listener<T>> | undefined;
let doneCount = 0;
const SHOWN = Symbol(); // the outcome of a pending one whose promise native code may see
const inspectCustom: unique symbol = Symbol.for("nodejs.util.inspect.custom");

/**
 * A result that is set once, by hand, and awaited by any number of tasks. Cancelling a task that
 * awaits it cancels it. Source: asyncio.Future.
 */
export class Future<T> extends Promise<T> {
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }
  #state: FutureState = "pending";
  #outcome: unknown; // its value, or what it failed with; before that, SHOWN if it is
  #observed: boolean | FailureRecord = false; // seen by somebody, now or later; or its record
  // Told in the order in which they came. Mostly one; of many, any may leave. Then `doneSequence`.
  #listeners: Listeners<T> | number;
  readonly #loop: EventLoop;
  #resolve: Settle | undefined; // of the host's promise, until that is settled
  static {
    Object.defineProperty(Future.prototype, "constructor", {
      configurable: true,
      get(this: object): unknown {
        const future = this as Future<unknown>; // or its prototype
        if (!(#state in future)) return Future;
        future.show();
        if (future.#state === "pending") return Future;
        // All that we see of an await of one that is done: so it counts here, and as a look at its
        // failure. Where the budget has room, the engine awaits it by itself.
        future.observe();
        return future.#loop.spend() ? Promise : Future;
      },
    });
  }

  constructor(options?: { loop?: EventLoop }) {
    super(keepSettlers);
    if (new.target === Future && options !== undefined) {
      const cure = advice("`setResult` settles it, and an executor is for `new Promise`");
      checkOptions("`new Future`", options, { loop: "EventLoop" }, cure);
    }
    this.#resolve = latest.resolve;
    dropSettlers();
    this.#loop = options?.loop ?? here().loop;
  }
  /** The loop on which it was made. */
  getLoop(): EventLoop {
    return this.#loop;
  }
  /** True once it has a result, a failure or a cancellation. */
  done(): boolean {
    return this.#state !== "pending";
  }
  /** Whether it ended cancelled. One that was asked to cancel and is still busy has not. */
  cancelled(): boolean {
    return this.#state === "cancelled";
  }
  /** Its value; throws what it ended with, then observed. @throws InvalidStateError if pending. */
  result(): T {
    const error = this.exception();
    if (this.#state === "rejected") throw error;
    return this.#outcome as T; // it is fulfilled
  }
  /**
   * What it failed with, or undefined if it has a value; the failure counts as observed.
   * @throws InvalidStateError when it is pending; CancelledError when it was cancelled.
   */
  exception(): unknown {
    if (this.#state === "pending")
      throw new InvalidStateError(`${this.describe()} is not done yet${advice("Await it first")}`);
    this.observe();
    if (this.#state === "cancelled") throw this.#outcome;
    return this.failure;
  }
  /** Ends it with a value. @throws InvalidStateError when it is done; TypeError for a promise. */
  setResult(value: T): void {
    checkPending(this as Future<unknown>, "setResult");
    const cure = advice("Await it first, or box it: `{ task }`");
    if (isThenable(value)) throw argumentError("`future.setResult`", "a value", value, cure);
    this.settle("fulfilled", value);
  }
  /** Ends it with a failure. @throws InvalidStateError when it is done. */
  setException(error: unknown): void {
    checkPending(this as Future<unknown>, "setException");
    this.settle(error instanceof CancelledError ? "cancelled" : "rejected", error);
  }
  /** Ends it with a CancelledError; false if it was done. Waits on it end with it. */
  cancel(reason?: unknown): boolean {
    if (this.done()) return false;
    this.settle("cancelled", new CancelledError({ reason, requestedBy: here().task?.getName() }));
    return true;
  }
  /** Calls `callback(this)` in a later iteration once it is done, in the order of registration. */
  addDoneCallback(callback: (future: this) => void, options?: { context?: Context }): void {
    checkOptions("`addDoneCallback`", options, { context: "Context" });
    const call = callback as (future: never) => void;
    const handle = new Handle("`addDoneCallback`", this.#loop, call, [this], options?.context);
    this.listen({ callback, futureDone: () => handle.timerDue() } as FutureListener);
  }
  /** Removes every registration of `callback` and gives how many there were. */
  removeDoneCallback(callback: (future: this) => void): number {
    const entries = [...this.allListeners()] as (Listener<T> & { callback?: unknown })[];
    const mine = entries.filter((entry) => entry.callback === callback);
    for (const entry of mine) this.unlisten(entry);
    return mine.length;
  }
  /** As every promise has it: `onFulfilled` gets the result, `onRejected` the failure. */
  // biome-ignore lint/suspicious/noThenProperty: it is a promise, and this is its one door for awaiters
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    const isPending = this.#state === "pending";
    const isWait = isPending || (this.cancelled() && here().peekDue() !== undefined); // one of both (D28)
    if (isWait && isResolvingFunction(onFulfilled) && isResolvingFunction(onRejected)) {
      awaitIn(this, here(), onFulfilled, onRejected);
      return super.then(ignore, ignore) as Promise<never>; // the engine ignores it; a program may not
    }
    this.observe();
    this.show();
    if (isPending || this.#loop.spend()) return super.then(onFulfilled, onRejected);
    const later = turn<void>(here(), this, undefined); // the host has its turn first (R9)
    return later.then(() => super.then(onFulfilled, onRejected));
  }
  override finally(onFinally?: (() => void) | null): Promise<T> {
    return this.then().finally(onFinally);
  }
  /** @internal What reports call it. */ describe(): string {
    return "a future";
  }
  /** @internal */ describeWait(): string {
    return this.describe();
  }
  /** @internal */ waitsOn(): Iterable<Task<unknown>> {
    return [];
  }
  /** @internal Somebody has seen its failure, or will. */ observe(): void {
    if (typeof this.#observed === "object") forgetFailure(this.#observed);
    this.#observed = true;
  }
  /** @internal Tells `listener` when it is done, at once if it is. Does not observe. */
  listen(listener: Listener<T>): void {
    const present = this.#listeners;
    if (this.done()) tell(this, listener);
    else if (present === undefined) this.#listeners = listener;
    else if (present instanceof Set) present.add(listener);
    else this.#listeners = new Set<Listener<T>>().add(present as Listener<T>).add(listener);
  }
  /** @internal */ unlisten(listener: Wait<never> | FutureListener | Wait<T>): void {
    if (this.#listeners === listener) this.#listeners = undefined;
    else if (this.#listeners instanceof Set) this.#listeners.delete(listener as Listener<T>);
  }
  /** @internal No copy: a task asks for its owner in each operation under a deadline. */
  allListeners(): Iterable<Listener<T>> {
    const present = this.#listeners;
    if (present instanceof Set) return present;
    return typeof present === "object" ? [present] : [];
  }
  /** @internal Passes the cancellation of a waiter on. */
  forwardCancel(cancellation: Cancellation): void {
    this.cancel(cancellation.reason);
  }
  /** @internal */ settle(state: Exclude<FutureState, "pending">, outcome: unknown): void {
    const isShown = this.#outcome === SHOWN;
    const listeners = this.#listeners as Listeners<T>; // it was pending
    this.#state = state;
    this.#listeners = ++doneCount;
    this.#outcome = outcome;
    if (isShown) this.show();
    if (listeners instanceof Set) for (const listener of listeners) tell(this, listener);
    else if (listeners !== undefined) tell(this, listeners);
    if (state === "rejected" && this.#observed === false)
      this.#observed = recordFailure(this as Future<unknown>);
  }
  /** @internal Native code may see the host's promise: only then it is settled (bench: cancel). */
  private show(): void {
    const resolve = this.#resolve;
    if (!this.done()) this.#outcome = SHOWN;
    else if (resolve !== undefined) {
      this.#resolve = undefined;
      if (this.#state === "fulfilled") return void resolve(this.#outcome);
      super.then(undefined, ignore); // the report is ours to make, not the host's (R20)
      thrower.outcome = this.#outcome;
      resolve(thrower);
      thrower.outcome = undefined;
    }
  }
  /** @internal Reports its failure now, if nobody has looked at it. */ reportIfUnobserved(): void {
    if (typeof this.#observed === "object") reportFailure(this.#observed);
  }
  /** @internal */ get state(): FutureState {
    return this.#state;
  }
  /** @internal That of a failed or cancelled one. Does not observe. */ get failure(): unknown {
    return this.#state === "fulfilled" ? undefined : this.#outcome;
  }
  /** @internal Undefined unless it has a value. */ get value(): T | undefined {
    return this.#state === "fulfilled" ? (this.#outcome as T) : undefined;
  }
  /** @internal Its place in the order in which futures ended; 0 if it is pending. */
  get doneSequence(): number {
    return this.done() ? (this.#listeners as number) : 0;
  }
  /** @internal In which the failure is reported. */ get variables(): Context {
    return currentContext();
  }
  /** @internal The error for an await that could never end. */
  cycleThrough(_scope: Scope): Error | undefined {
    return undefined;
  }
  /** @internal Makes a pending future like this one, which it does not hold. */
  get twin(): () => Future<unknown> {
    const options = { loop: this.#loop };
    return () => new Future(options);
  }
  /** What loggers write: a task hangs together with all the others. */
  toJSON(): string {
    return this[inspectCustom]();
  }
  /** @internal How Node, Deno and Bun print it. */ [inspectCustom](): string {
    return `<${this.describe()}: ${this.#state}>`;
  }
}

/** The wait of one awaiter: a join, which passes a cancellation on to the future (F1). */
function awaitIn<T>(future: Future<T>, scope: Scope, resolve: Settle, reject: Settle): void {
  const due = scope.meetDue();
  const onCancel = due === undefined ? cancelAwaited : cancelJoin;
  const wait = new Wait<T>(scope, future, onCancel, resolve, reject);
  const cycle = future.cycleThrough(scope);
  if (cycle !== undefined) return void wait.fail(cycle);
  scope.addWait(wait as Wait);
  if (scope.loop !== future.getLoop()) wait.waitsOutside();
  future.listen(wait);
  if (due !== undefined) wait.cancel(due);
}
function tell<T>(future: Future<T>, listener: Listener<T>): void {
  if (!(listener instanceof Wait)) listener.futureDone(future as Future<unknown>);
  else if (future.state !== "fulfilled") {
    if (listener.fail(future.failure)) future.observe();
  } else if (listener.onCancel === cancelJoin) listener.joined(future.value as T);
  else listener.resume(future.value as T);
}
function checkPending(future: Future<unknown>, call: string): void {
  if (!future.done()) return;
  const why = `was called on ${future.describe()}, which is done already`;
  throw new InvalidStateError(`\`future.${call}\` ${why}`);
}
function cancelAwaited(wait: Wait<never>, cancellation: Cancellation): boolean {
  const future = wait.subject as unknown as Future<unknown>; // awaitIn made the wait with it
  const isLetGo = letsGo(wait, cancellation);
  if (isLetGo) future.unlisten(wait);
  else future.forwardCancel(cancellation);
  return isLetGo;
}
// Whether a cancelled join leaves what it waits for: at the end of its scope (R16), and in a circle
// past the grace period (F29). Looks at some 100 tasks: a long chain must not cost its square.
export function letsGo(join: Wait<never>, { source, scope }: Cancellation): boolean {
  const reached = new Set(scope.cancelState.insists ? join.waitsOn() : []);
  for (const task of reached)
    for (const wait of reached.size < 100 ? task.scope.parkedWaits() : [])
      for (const on of wait.waitsOn()) reached.add(on);
  return source === "closed" || (join.task !== undefined && reached.has(join.task));
}
// That of an await that has begun under a cancellation. It rejects also if the future gives a
// value, or `while (busy) await createTask(async () => 1)` would never hear of anything.
const cancelJoin: OnCancel = (wait, cancellation) => cancelAwaited(wait, cancellation);
