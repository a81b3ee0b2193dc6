/**
 * A wait: one suspension of one operation, the only way in which anything in the library waits.
 * `park` in scope.ts makes them.
 *
 *     parked ──resume(value)──▶ resumed ─┐
 *       │ ────fail(error)─────▶ failed  ─┼─ step(), on its turn ─▶ the promise settles
 *       └ ────cancel(c)───────▶ cancelled┘
 *
 * A wait leaves `parked` once, and its line in the same moment; what it stands for has changed by
 * then. So a completed wait wins: a later cancellation ends the branch's next operation instead.
 *
 * A join is a wait for a task, to which its onCancel forwards a cancellation. It stays parked and
 * holds it; `joined`, or `fail` with a CancelledError, delivers it. `resume` does not.
 */

import { CancelledError } from "../errors/errors.ts";
import { stackAbove } from "../errors/render.ts";
import { guardAbandonedBranches } from "../ports/uncaught.ts";
import { unlink } from "../structures/linked-list.ts";
import { dropSettlers, ignore, keepSettlers, latest, type Settle } from "../structures/settlers.ts";
import type { Cancellation } from "./cancellation.ts";
import { freshIn, owe, renew } from "./delivery.ts";
import { rejectCancelled, settled } from "./rejection.ts";
import { creationSites, describeCut, watchForLostValues } from "./reports.ts";
import type { Scope } from "./scope.ts";
import type { Place } from "./selectable.ts";
import type { Task } from "./task.ts";

/** What a wait waits for: constant words, or an object that finds the words for a report. */
export type WaitSubject =
  | string
  | {
      describeWait(now: number): string;
      /** The tasks that have to act before the wait can end, as the holder of a lock. */
      waitsOn?(): Iterable<Task<unknown>>;
    };

/**
 * Called when a parked wait is to be cancelled: withdraws what the operation has registered. False
 * keeps it parked: a join. Runs inside the loop: it must not throw or call user code.
 */
export type OnCancel = (wait: Wait<never>, cancellation: Cancellation) => boolean;
export type WaitState = "parked" | "resumed" | "failed" | "cancelled";

/** One suspension of one operation: `park` makes it; `resume`, `fail` or a cancellation ends it. */
export class Wait<T = unknown> implements Place<T> {
  /** What the operation returns. */
  readonly promise: Promise<T>;
  /** @internal */ readonly scope: Scope;
  /** @internal */ subject: WaitSubject;
  /** @internal */ readonly onCancel: OnCancel | undefined;
  /** Whether it waits still, and else how it has ended. */
  state: WaitState = "parked";
  /** @internal Whether it gets what would be lost with it: an item, a lock. */ handsOver = false;
  /** While parked: what it brings along, as the item of a `put`. Then its outcome. */
  offer: unknown = undefined;
  /** @internal One forwarded while it was parked, one that it ends with, or one that came after. */
  cancellation: Cancellation | undefined = undefined;
  /** @internal Whether a bare promise may end it, unknown to the loop. */ isForeign = false;
  /** @internal Whether it waits for what is outside: virtual time stops. */ isOutside = false;
  readonly #resolve: Settle;
  /** @internal */ readonly reject: Settle;
  /** @internal */ previous: Wait | undefined = undefined;
  /** @internal */ next: Wait | undefined = undefined;
  /** @internal */ list: WaitList | undefined = undefined;
  /** @internal */ listPrevious: Place | undefined = undefined;
  /** @internal */ listNext: Place | undefined = undefined;

  /** @internal With `resolve` and `reject` it settles a promise of the host: `await future`. */
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
      this.promise = new Promise<T>(keepSettlers);
      this.#resolve = latest.resolve;
      this.reject = latest.reject;
      dropSettlers();
    } else {
      this.promise = settled; // nobody sees it
      this.#resolve = resolve;
      this.reject = reject;
    }
    if (scope.loop.debug) {
      creationSites.set(this, stackAbove(Wait));
      if (resolve === undefined) watchForLostValues(this as Wait);
    }
  }

  /** Ends the wait with `value`; false if it has ended already, and `value` was not handed over. */
  resume(value: T): boolean {
    return this.#end("resumed", value);
  }

  /**
   * Ends the wait with `error`; false if it has ended already. A CancelledError gives way: if the
   * wait itself is cancelled before its turn, that is delivered instead, with `error` as the cause.
   */
  fail(error: unknown): boolean {
    const { cancellation } = this;
    if (cancellation !== undefined && error instanceof CancelledError)
      return this.#endCancelled(cancellation, error);
    return this.#end("failed", error);
  }

  /** Ends a join: with the cancellation that it holds, caused by `cause`, or else with `value`. */
  joined(value: T, cause?: unknown): boolean {
    const { cancellation } = this;
    if (cancellation === undefined) return this.resume(value);
    return this.#endCancelled(cancellation, cause);
  }

  /** @internal Ends the wait, unless its onCancel forwards. False: its branch does not hear it. */
  cancel(cancellation: Cancellation): boolean {
    if (this.state === "parked") {
      if (cancellation.source === "closed") describeCut(this as Wait);
      if (this.onCancel !== undefined) this.#hold(cancellation);
      if (this.#withdraw(cancellation)) this.#endCancelled(cancellation);
    } else if (this.state === "failed" && !this.isComplete) {
      this.state = "cancelled"; // its own takes the place of that of what it waited for, the cause
      this.#deliver(cancellation);
    }
    if (this.isComplete) this.cancellation ??= cancellation;
    return !this.isComplete;
  }

  /** @internal Whether it has an outcome that no cancellation takes away. */
  get isComplete(): boolean {
    if (this.state === "resumed") return true;
    return this.state === "failed" && !(this.offer instanceof CancelledError);
  }
  /** @internal What it waits for is outside its loop: foreign work, another loop. */
  waitsOutside(): void {
    if (this.state !== "parked" || this.isOutside) return;
    this.isOutside = true;
    this.scope.loop.host.io?.(1);
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
  /** @internal For waits that a timer ends, with `offer` as their value. */ timerDue(): void {
    this.resume(this.offer as T); // put there by the operation that set the timer
  }

  /** @internal Its turn has come: settles the promise. */ step(): void {
    if (this.state === "cancelled") {
      const { cancellation, scope } = this;
      if (cancellation !== undefined && freshIn(cancellation.scope) !== undefined) {
        scope.loop.exhaustBudget(); // branches that had their turn in this drain go on first
        return void scope.loop.enqueue(this, true);
      }
      guardAbandonedBranches();
      return void rejectCancelled(this as Wait, this.#resolve);
    }
    unlink(this.scope, this as Wait);
    if (this.cancellation !== undefined) renew(this.scope, this.cancellation);
    if (this.state === "resumed") this.#resolve(this.offer);
    else {
      this.promise.then(undefined, ignore); // an abandoned wait never crashes the process
      this.reject(this.offer);
    }
  }

  #end(state: WaitState, outcome: unknown): boolean {
    if (this.state !== "parked") return false;
    this.state = state;
    this.offer = outcome;
    if (this.list !== undefined) this.list.remove(this as Wait);
    if (this.isOutside) this.scope.loop.host.io?.(-1);
    if (state !== "cancelled" && this.cancellation !== undefined) {
      owe(this.scope, this.cancellation); // it was forwarded, and an answer came all the same
      this.cancellation = undefined;
    }
    this.scope.loop.enqueue(this, !this.isComplete); // a cancellation may still take its place
    return true;
  }

  #endCancelled(cancellation: Cancellation, cause?: unknown): boolean {
    if (!this.#end("cancelled", cause)) return false;
    this.#deliver(cancellation);
    return true;
  }
  #deliver(cancellation: Cancellation): void {
    unlink(this.scope, this as Wait); // nothing if it was never parked
    this.cancellation = cancellation;
    cancellation.scope.ownCancelState().undelivered++;
  }

  #withdraw(cancellation: Cancellation): boolean {
    if (this.onCancel === undefined) return true;
    try {
      return this.onCancel(this as unknown as Wait<never>, cancellation);
    } catch (exception) {
      const { loop, task } = this.scope;
      loop.callExceptionHandler({ message: "a cancel hook has failed", exception, task });
      return true;
    }
  }

  // Two scopes may cancel one join: it delivers the outer one, and the other is due in its scope.
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

/** Waits in line, first in, first out. Any of them leaves in constant time when it ends. */
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
    if (wait.listPrevious === undefined) this.#first = wait.listNext as P | undefined;
    else wait.listPrevious.listNext = wait.listNext;
    if (wait.listNext === undefined) this.#last = wait.listPrevious as P | undefined;
    else wait.listNext.listPrevious = wait.listPrevious;
    wait.list = wait.listPrevious = wait.listNext = undefined;
    this.#length--;
  }

  /** Ends the first wait with `value`, and gives it; undefined if the line is empty. */
  resumeFirst(value: unknown): P | undefined {
    const first = this.#first;
    first?.resume(value);
    return first;
  }

  /** Ends all waits with `value`, in the order of the line. */
  resumeAll(value: unknown): void {
    while (this.#first !== undefined) this.#first.resume(value);
  }
  /** Fails each wait with an error of its own, in the order of the line. */
  failAll(makeError: () => unknown): void {
    while (this.#first !== undefined) this.#first.fail(makeError());
  }
}
