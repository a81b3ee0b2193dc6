/**
 * A wait: one suspension of one operation, the only way in which anything in the library waits.
 * `park` in scope.ts makes them.
 *
 *     parked ──resume(value)──▶ resumed ─┐
 *       │ ────fail(error)─────▶ failed  ─┼─ step(), on its turn ─▶ the promise settles
 *       └ ────cancel(c)───────▶ cancelled┘
 *
 * A wait leaves `parked` once, and its line in the same moment. What it waited for has happened by
 * then, so it wins: a later cancellation ends the next operation of the branch instead.
 *
 * A join waits for work that it owns, such as a task. Its onCancel passes a cancellation on and it
 * stays parked. Once the work has ended, `joined`, or `fail` with a CancelledError, rejects it with
 * that cancellation; `resume` gives it the value instead.
 */

import { CancelledError } from "../errors/errors.ts";
import { guardAbandonedBranches } from "../ports/uncaught.ts";
import { unlink } from "../structures/linked-list.ts";
import type { Cancellation } from "./cancellation.ts";
import { freshIn, owe, renew } from "./delivery.ts";
import { rejectCancelled } from "./rejection.ts";
import { describeCut, noteCreation } from "./reports.ts";
import type { Scope } from "./scope.ts";
import type { Place } from "./selectable.ts";
import { dropSettlers, ignore, keepSettlers, latest, type Settle, settled } from "./settlers.ts";
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
  /** Whether it still waits, or how it has ended. */
  state: WaitState = "parked";
  /** While parked: what it brings along, as the item of a `put`. Then its outcome. */
  offer: unknown;
  /** @internal One forwarded while it was parked, one that it ends with, or one that came after. */
  cancellation: Cancellation | undefined;
  // Absent where it is not set, or in no line (bench: memory).
  /** @internal Whether it gets what would be lost with it. */ declare handsOver: boolean;
  /** @internal Whether a bare promise may end it. */ declare isForeign: boolean;
  /** @internal Whether it waits for what is outside its loop. */ declare isOutside: boolean;
  readonly #resolve: Settle;
  /** @internal */ readonly reject: Settle;
  /** @internal */ previous: Wait | undefined;
  /** @internal */ next: Wait | undefined;
  /** @internal */ declare list: WaitList | undefined;
  /** @internal */ declare listPrevious: Place | undefined;
  /** @internal */ declare listNext: Place | undefined;
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
    this.promise = resolve === undefined ? new Promise<T>(keepSettlers) : settled; // nobody sees it
    this.#resolve = resolve ?? latest.resolve;
    this.reject = reject ?? latest.reject;
    dropSettlers();
    if (scope.loop.debug) noteCreation(this, Wait, resolve ? undefined : (this as Wait));
  }
  /** Ends the wait with `value`; false if it has ended already, and `value` was not handed over. */
  resume(value: T): boolean {
    return end(this as Wait, "resumed", value);
  }
  /**
   * Ends the wait with `error`; false if it has ended already. A CancelledError gives way: if the
   * wait itself is cancelled before its turn, that is delivered instead, with `error` as the cause.
   */
  fail(error: unknown): boolean {
    const { cancellation } = this;
    if (cancellation !== undefined && error instanceof CancelledError)
      return endCancelled(this as Wait, cancellation, error);
    return end(this as Wait, "failed", error);
  }
  /** Ends a join: with the cancellation that it holds, caused by `cause`, or else with `value`. */
  joined(value: T, cause?: unknown): boolean {
    const { cancellation } = this;
    if (cancellation === undefined) return this.resume(value);
    return endCancelled(this as Wait, cancellation, cause);
  }
  /** @internal Ends the wait, unless its onCancel forwards. False: its branch does not hear it. */
  cancel(cancellation: Cancellation): boolean {
    if (this.state === "parked") {
      if (cancellation.source === "closed") describeCut(this as Wait);
      if (this.onCancel !== undefined) hold(this as Wait, cancellation);
      if (withdraw(this as Wait, cancellation)) endCancelled(this as Wait, cancellation);
    } else if (this.state === "failed" && !this.isComplete) {
      this.state = "cancelled"; // its own takes the place of that of what it waited for, the cause
      deliver(this as Wait, cancellation);
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
      return "something whose `describeWait` throws";
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
        scope.loop.exhaustBudget(); // it rejects a turn later: the others come to an operation first
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
}

function end(wait: Wait, state: WaitState, outcome: unknown): boolean {
  if (wait.state !== "parked") return false;
  wait.state = state;
  wait.offer = outcome;
  if (wait.list !== undefined) wait.list.remove(wait);
  if (wait.isOutside) wait.scope.loop.host.io?.(-1);
  if (state !== "cancelled" && wait.cancellation !== undefined) {
    owe(wait.scope, wait.cancellation); // it was forwarded, and an answer came all the same
    wait.cancellation = undefined;
  }
  wait.scope.loop.enqueue(wait, !wait.isComplete); // a cancellation may still take its place
  return true;
}

function endCancelled(wait: Wait, cancellation: Cancellation, cause?: unknown): boolean {
  if (!end(wait, "cancelled", cause)) return false;
  deliver(wait, cancellation);
  return true;
}
function deliver(wait: Wait, cancellation: Cancellation): void {
  unlink(wait.scope, wait); // nothing if it was never parked
  wait.cancellation = cancellation;
  cancellation.scope.ownCancelState().undelivered++;
}
function withdraw(wait: Wait, cancellation: Cancellation): boolean {
  if (wait.onCancel === undefined) return true;
  try {
    return wait.onCancel(wait as Wait<never>, cancellation);
  } catch (exception) {
    const { loop, task } = wait.scope;
    loop.callExceptionHandler({ message: "a cancel hook has failed", exception, task });
    return true;
  }
}
// Two scopes may cancel one join: it delivers the outer one, and the other is due in its scope.
function hold(wait: Wait, cancellation: Cancellation): void {
  const held = wait.cancellation;
  if (held === undefined) wait.cancellation = cancellation;
  else if (held.scope === cancellation.scope) return;
  else if (held.scope.isInside(cancellation.scope)) {
    held.scope.makeDue(held);
    wait.cancellation = cancellation;
  } else cancellation.scope.makeDue(cancellation);
}

// One that may stand in a line, as `park` makes it. Others do without (bench: memory).
export class LineWait<T> extends Wait<T> {
  override handsOver = false;
  override list: WaitList | undefined = undefined;
  override listPrevious: Place | undefined = undefined;
  override listNext: Place | undefined = undefined;
}
/** Waits in line, first in, first out. Any of them leaves in constant time when it ends. */
export class WaitList<P extends Place = Place> {
  #first: P | undefined;
  #last: P | undefined;
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
