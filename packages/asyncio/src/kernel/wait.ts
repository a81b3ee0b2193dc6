/**
 * A wait: one suspension of one operation, the only way in which anything in the library waits.
 * `park` in scope.ts makes them.
 *
 *     parked ──resume(value)──▶ resumed ─┐
 *       │ ────fail(error)─────▶ failed  ─┼─ step(), on its turn ─▶ the promise settles
 *       └ ────cancel(c)───────▶ cancelled┘
 *
 * A join is a wait whose onCancel forwards cancellations to what it waits for, and stays parked: it
 * holds them. When that has ended, `joined(value)`, or `fail(error)` with a CancelledError,
 * delivers the cancellation that it holds; `resume(value)` and `fail` with any other error are
 * stronger, and the cancellation meets the next operation instead.
 *
 * Invariants: a wait leaves `parked` once, and leaves its wait list in the same moment. The state
 * it belongs to (item taken, lock granted) has changed by then. So a completed wait wins: a
 * cancellation that comes later takes nothing away, and nothing that was handed over can be lost.
 * The wait stays with its scope until its turn, so that such a cancellation is noted: it ends the
 * next operation of the branch.
 */

import { CancelledError } from "../errors/errors.ts";
import { guardAbandonedBranches } from "../ports/uncaught.ts";
import { RingBuffer } from "../structures/ring-buffer.ts";
import {
  captureSettlers,
  forgetSettlers,
  ignore,
  latest,
  type Settle,
} from "../structures/settlers.ts";
import type { Cancellation } from "./cancellation.ts";
import { creationSites, describeCut, noteCut, watchForLostValues } from "./debug.ts";
import { freshIn, owe, renew } from "./delivery.ts";
import type { Scope } from "./scope.ts";
import type { Place } from "./selectable.ts";
import type { Task } from "./task.ts";

/** What a wait waits for: constant words, or an object that finds the words when somebody asks. */
export type WaitSubject =
  | string
  | {
      describeWait(now: number): string;
      /**
       * The tasks that have to act before the wait can end: the holder of a lock, the children of a
       * group.
       */
      waitsOn?(): Iterable<Task<unknown>>;
    };

/**
 * Called when a parked wait is to be cancelled, before it ends: withdraws what the operation has
 * registered. Returns false to stay parked instead (a join: it forwards the cancellation to what it
 * waits for). It runs inside the loop: it must not throw and must not call user code.
 */
export type OnCancel = (wait: Wait<never>, cancellation: Cancellation) => boolean;

export type WaitState = "parked" | "resumed" | "failed" | "cancelled";

const settled: Promise<void> = Promise.resolve();

/**
 * One suspension of one operation: `park` makes it, `resume` or `fail` ends it, and so does a
 * cancellation.
 */
export class Wait<T = unknown> implements Place<T> {
  /** What the operation returns. */
  readonly promise: Promise<T>;
  /** @internal */ readonly scope: Scope;
  /** @internal */ subject: WaitSubject;
  /** @internal */ readonly onCancel: OnCancel | undefined;
  /** Whether it waits still, and else how it has ended. */
  state: WaitState = "parked";
  /** @internal True iff it is handed something that would be lost with it: an item, a lock. */
  handsOver = false;
  /**
   * While parked: what the waiter brought along for whoever resumes it, the item of a waiting
   * `put`. Then its outcome.
   */
  offer: unknown = undefined;
  readonly #resolve: Settle;
  readonly #reject: Settle;
  /**
   * @internal While parked: a cancellation that was forwarded and is not yet delivered. Once
   * cancelled: the one to deliver. Once completed: one that came before its turn, and that its
   * branch has not heard of.
   */
  cancellation: Cancellation | undefined = undefined;
  /** @internal True iff a bare promise may end it: then nobody can tell that it waits in vain. */
  isForeign = false;
  /**
   * @internal True iff it waits for something outside its loop: virtual time holds still until it
   * ends.
   */
  isOutside = false;

  // Links of the scope's list of waits, kept by Scope alone.
  /** @internal */ previous: Wait | undefined = undefined;
  /** @internal */ next: Wait | undefined = undefined;
  // Links of the WaitList it stands in line in, kept by WaitList alone.
  /** @internal */ list: WaitList | undefined = undefined;
  /** @internal */ listPrevious: Place | undefined = undefined;
  /** @internal */ listNext: Place | undefined = undefined;

  /**
   * @internal With `resolve` and `reject` the wait settles a promise of the host's: the one made by
   * `await future`.
   */
  constructor(
    scope: Scope,
    subject: WaitSubject,
    onCancel?: OnCancel,
    resolve?: Settle,
    reject?: Settle,
  ) {
    this.scope = scope;
    this.subject = subject;
    this.onCancel = onCancel;
    if (resolve === undefined || reject === undefined) {
      this.promise = new Promise<T>(captureSettlers);
      this.#resolve = latest.resolve;
      this.#reject = latest.reject;
      forgetSettlers();
    } else {
      this.promise = settled as Promise<never>; // nobody sees it: the host has its own promise
      this.#resolve = resolve;
      this.#reject = reject;
    }
    if (scope.loop.debug) {
      creationSites.set(this, stackAbove(Wait));
      if (resolve === undefined) watchForLostValues(this as Wait);
    }
  }

  /**
   * Ends the wait with `value`; false if it has ended already. Only a caller that got true has
   * handed the value over.
   */
  resume(value: T): boolean {
    return this.#end("resumed", value);
  }

  /**
   * Ends the wait with `error`; false if it has ended already. The CancelledError of what it waited
   * for gives way: a cancellation that the wait holds, or that comes before its turn, is delivered
   * instead, with `error` as the cause.
   */
  fail(error: unknown): boolean {
    const { cancellation } = this;
    if (cancellation !== undefined && error instanceof CancelledError)
      return this.#endCancelled(cancellation, error);
    return this.#end("failed", error);
  }

  /**
   * Ends a join: with the cancellation that it holds, whose cause is `cause`; with `value` if it
   * holds none.
   */
  joined(value: T, cause?: unknown): boolean {
    const { cancellation } = this;
    return cancellation === undefined
      ? this.resume(value)
      : this.#endCancelled(cancellation, cause);
  }

  /**
   * @internal Ends the wait with the CancelledError of `cancellation`, or lets its onCancel forward
   * that. False for one that is complete: its branch has not heard of the cancellation yet, and
   * does when its turn has come.
   */
  cancel(cancellation: Cancellation): boolean {
    if (this.state === "parked") {
      if (cancellation.source === "closed") describeCut(this as Wait);
      if (this.onCancel !== undefined) this.#hold(cancellation);
      if (this.onCancel === undefined || this.#withdraw(cancellation))
        this.#endCancelled(cancellation);
    } else if (this.state === "failed" && !this.isComplete) {
      // Two tasks await one future and are cancelled one after the other. The first cancellation
      // ends the future, and with it the wait of the second task; the second must not come on top
      // of that, it takes its place.
      this.state = "cancelled";
      this.#deliver(cancellation); // the outcome stays: the inner error becomes the cause
    }
    if (this.isComplete) this.cancellation ??= cancellation;
    return !this.isComplete;
  }

  /**
   * @internal True once it has an outcome that no cancellation takes away: one that comes meets the
   * next operation of its branch.
   */
  get isComplete(): boolean {
    return (
      this.state === "resumed" ||
      (this.state === "failed" && !(this.offer instanceof CancelledError))
    );
  }

  /**
   * @internal Says that the wait is for something outside its loop, foreign work or another loop.
   */
  waitsOutside(): void {
    if (this.state !== "parked" || this.isOutside) return;
    this.isOutside = true;
    this.scope.loop.io(1);
  }

  /** Whose it is; undefined outside every task. */
  get task(): Task<unknown> | undefined {
    return this.scope.task;
  }

  /** What it waits for, in words. */
  describe(): string {
    const { subject } = this;
    if (typeof subject === "string") return subject;
    try {
      return subject.describeWait(this.scope.loop.time());
    } catch {
      return "something that cannot be described: its describeWait throws";
    }
  }

  /** The tasks that have to act before it can end, as far as its subject knows them. */
  waitsOn(): Iterable<Task<unknown>> {
    return typeof this.subject === "string" ? [] : (this.subject.waitsOn?.() ?? []);
  }

  /** @internal For waits that a timer ends, with `offer` as their value. */
  timerDue(): void {
    this.resume(this.offer as T); // put there by the operation that set the timer
  }

  /** @internal Called by the loop when its turn has come: settles the promise. */
  step(): void {
    if (this.state === "cancelled") {
      // Branches whose turn was in this very drain have not heard of it: they come to their next
      // operation first.
      if (this.cancellation !== undefined && freshIn(this.cancellation.scope) !== undefined) {
        this.scope.loop.exhaustBudget();
        this.scope.loop.enqueue(this, true);
        return;
      }
      guardAbandonedBranches();
      rejectCancelled(this as Wait, this.#resolve, this.#reject);
      return;
    }
    this.scope.removeWait(this);
    if (this.cancellation !== undefined) renew(this.scope, this.cancellation);
    if (this.state === "resumed") this.#resolve(this.offer);
    else {
      this.promise.then(undefined, ignore); // an abandoned wait never crashes the process
      this.#reject(this.offer);
    }
  }

  #end(state: WaitState, outcome: unknown): boolean {
    if (this.state !== "parked") return false;
    this.state = state;
    this.offer = outcome;
    if (this.list !== undefined) this.list.remove(this);
    if (this.isOutside) this.scope.loop.io(-1);
    if (state !== "cancelled" && this.cancellation !== undefined) {
      // It was forwarded, and what we waited for gave an answer all the same: deliver it at the
      // next wait.
      owe(this.scope, this.cancellation);
      this.cancellation = undefined;
    }
    if (this.isComplete) this.scope.loop.enqueue(this);
    else this.scope.loop.enqueue(this, true); // until its turn, a cancellation may take the place of this one
    return true;
  }

  #endCancelled(cancellation: Cancellation, cause?: unknown): boolean {
    if (!this.#end("cancelled", cause)) return false;
    this.#deliver(cancellation);
    return true;
  }

  #deliver(cancellation: Cancellation): void {
    this.scope.removeWait(this as Wait);
    this.cancellation = cancellation;
    cancellation.scope.ownCancelState().undelivered++;
  }

  #withdraw(cancellation: Cancellation): boolean {
    try {
      return this.onCancel?.(this as unknown as Wait<never>, cancellation) ?? true;
    } catch (exception) {
      this.scope.loop.callExceptionHandler({
        message: "a cancel hook has failed",
        exception,
        task: this.scope.task,
      });
      return true;
    }
  }

  /**
   * Two scopes may cancel one join: an inner deadline first, then the outer scope. The outermost
   * one is delivered when the join ends, the other stays pending in its own scope, in case the join
   * has a value.
   */
  #hold(cancellation: Cancellation): void {
    const held = this.cancellation;
    if (held === undefined) this.cancellation = cancellation;
    else if (held.scope === cancellation.scope) return;
    else if (held.scope.isInside(cancellation.scope)) {
      held.scope.makeDue(held);
      this.cancellation = cancellation;
    } else cancellation.scope.makeDue(cancellation);
  }
}

/**
 * The rejection of a cancelled wait. An error made where `cancel` was called would show the
 * canceller; this one is made in a reaction whose promise passes its outcome on to that of the
 * wait. From there the engine finds the awaiters, and the stack it records is that of the victim,
 * with all its callers (bench: cancel).
 */
function rejectCancelled(wait: Wait, resolve: Settle, reject: Settle): void {
  cancelled.push(wait);
  settled.then(makeCancelled).then(resolve, reject);
}

/**
 * The waits whose error is still to be made: one for each reaction that will make one, in the same
 * order.
 */
const cancelled: RingBuffer<Wait> = new RingBuffer();

/** Only throws: the engine never compiles a function that does not return. */
function makeCancelled(): never {
  throw nextCancelled();
}

/**
 * Makes the error by naming the function that throws it as the class that is constructed: so the
 * engine leaves out of the stack everything down to that. To capture the stack a second time would
 * cost twice, and turn the error into a dictionary of half a kilobyte (bench: cancel).
 */
function nextCancelled(): CancelledError {
  const wait = cancelled.shift();
  const { cancellation, promise, offer } = wait;
  const details = cancellation as Cancellation; // it was cancelled
  const cause = details.source === "abort" ? details.reason : offer;
  const options = cause === undefined ? undefined : { cause };
  const error: CancelledError = Reflect.construct(
    CancelledError,
    [details, options],
    makeCancelled,
  );
  const isLeft = details.source === "closed" && noteCut(error, wait, details.scope);
  // Handled, should nobody await it. Not earlier: the engine follows promises with one reaction
  // only.
  if (!isLeft) promise.then(undefined, ignore);
  details.scope.ownCancelState().undelivered--;
  return error;
}
makeCancelled.prototype = CancelledError.prototype;

/** V8's control of stacks; other engines lack it. */
const stackErrors = Error as unknown as {
  captureStackTrace?(target: object, above: unknown): void;
};

/** The stack of the callers of `above`, without the line of the error itself. */
export function stackAbove(above: unknown): string {
  const holder: { stack?: string } = {};
  stackErrors.captureStackTrace?.(holder, above);
  return (holder.stack ?? new Error().stack ?? "").replace(/^.*\n/, "");
}

/**
 * Waits in line, first in, first out; any of them can leave in constant time. Every queue and lock
 * has one.
 */
export class WaitList<P extends Place = Place> {
  #first: P | undefined = undefined;
  #last: P | undefined = undefined;
  #length = 0;

  /** How many waits stand in line. Those that ended have left. */
  get length(): number {
    return this.#length;
  }

  /** The one that has waited longest; undefined if nobody waits. */
  get first(): P | undefined {
    return this.#first;
  }

  /** Puts a wait at the end of the line; it leaves when it ends. */
  add(wait: P): void {
    wait.list = this;
    wait.listPrevious = this.#last;
    if (this.#last === undefined) this.#first = wait;
    else this.#last.listNext = wait;
    this.#last = wait;
    this.#length++;
  }

  /** Takes a wait out of the line without ending it. */
  remove(wait: P): void {
    if (wait.list !== this) return;
    if (wait.listPrevious === undefined)
      this.#first = wait.listNext as P | undefined; // a line holds what was added to it
    else wait.listPrevious.listNext = wait.listNext;
    if (wait.listNext === undefined) this.#last = wait.listPrevious as P | undefined;
    else wait.listNext.listPrevious = wait.listPrevious;
    wait.list = wait.listPrevious = wait.listNext = undefined;
    this.#length--;
  }

  /**
   * Ends the wait that has stood in line longest with `value`, and gives it; undefined if the line
   * is empty.
   */
  resumeFirst(value: unknown): P | undefined {
    const first = this.#first;
    first?.resume(value);
    return first;
  }

  /** Completes all waits with `value`, in the order of the line. */
  resumeAll(value: unknown): void {
    while (this.#first !== undefined) this.#first.resume(value);
  }

  /** Fails each wait with an error of its own, in the order of the line. */
  failAll(makeError: () => unknown): void {
    while (this.#first !== undefined) this.#first.fail(makeError());
  }
}
