/**
 * Scopes: the regions that are cancelled as a whole, as the body of a task, a timeout, a group. One
 * knows its parked waits and its nested scopes, so cancelling is a walk over plain objects.
 *
 * A cancellation is delivered once, so that code can await while it cleans up; `cancelGrace`
 * seconds later the scope insists. It closes when its body has settled: what still waits in it is
 * cut off, and what begins in it later rejects.
 *
 * Invariant: if an operation may have to reject, `mayBeDue` is true in its scope. So operations
 * look at one flag, and under a deadline at the clock. Whatever makes a cancellation due marks all
 * scopes below, up to shields.
 */

import { CancelledError, type CancelSource } from "../errors/errors.ts";
import { Context, type ContextValues } from "../structures/context-values.ts";
import { type Ends, LinkedList, link } from "../structures/linked-list.ts";
import type { Timer } from "../structures/timers.ts";
import type { Cancellation, ScopeOptions, ScopeWatcher } from "./cancellation.ts";
import { CALM, CancelState, countRefusal, inForce } from "./cancellation.ts";
import { deliver, findDue, forgetMissed, makeFresh, markHeard, reach, renew } from "./delivery.ts";
import type { EventLoop } from "./loop.ts";
import { reportFloating, reportInsisted } from "./reports.ts";
import type { Task } from "./task.ts";
import { LineWait, type OnCancel, Wait, type WaitSubject } from "./wait.ts";

export class Scope implements Ends<Wait> {
  static kept: readonly unknown[];
  readonly loop: EventLoop;
  readonly label: string;
  declare readonly shield: true | undefined; // of a shield (bench: memory)
  /** @internal Until its context is asked for, the values. */ variables: Context | ContextValues;
  task: Task<unknown> | undefined; // whose body runs here, however deep; undefined in callbacks
  parent: Scope | undefined;
  closed = false;
  cancelState: Readonly<CancelState> = CALM;
  #clearAt: number; // `loop.deadlinesSet` when nothing was due here; -1 if something may be
  nearest: Timer | undefined; // the first of the deadlines around it, then (bench: deadline)
  deadlineTimer: Timer | undefined; // also one that has fired, or came too late
  // The waits parked here, and those that are complete and have not had their turn.
  first: Wait | undefined;
  last: Wait | undefined;
  nested: LinkedList<Scope> | undefined; // the open ones, directly in this one
  previous: Scope | undefined;
  next: Scope | undefined;
  constructor(loop: EventLoop, options: ScopeOptions) {
    this.loop = loop;
    this.#clearAt = loop.deadlinesSet;
    this.label = options.label;
    this.variables = options.context;
    this.task = options.task;
    if (options.shield === true) this.shield = true;
    if (options.cancelGrace !== undefined) this.ownCancelState().cancelGrace = options.cancelGrace;
  }
  /** Whether operations have to ask `takeDue`. A new deadline may be around: true once after it. */
  get mayBeDue(): boolean {
    if (this.#clearAt !== this.loop.deadlinesSet) return true;
    return this.nearest !== undefined && this.nearest.when <= this.loop.time();
  }
  set mayBeDue(mayBe: boolean) {
    this.#clearAt = mayBe ? -1 : this.loop.deadlinesSet;
  }
  get context(): Context {
    if (!(this.variables instanceof Context)) this.variables = new Context(this.variables);
    return this.variables;
  }
  /** The state to write to; the kernel and the owner of the scope may. */
  ownCancelState(): CancelState {
    if (this.cancelState === CALM) this.cancelState = new CancelState();
    return this.cancelState;
  }
  /** Cancels every wait at or below this scope. `by` is a task; `of` is what is forwarded. */
  cancel(reason?: unknown, source: CancelSource = "cancel", by?: string, of?: Cancellation): void {
    if (this.closed) return;
    const cancellation = this.newCancellation(source, reason, by, of);
    const { grace } = cancellation;
    const state = this.ownCancelState();
    state.cancelCalled = true;
    if (state.count++ === 0) state.first = cancellation;
    if (grace === 0) return void insist(this);
    if (state.graceTimer === undefined && grace !== Number.POSITIVE_INFINITY)
      state.graceTimer = this.loop.addTimer(this.loop.time() + grace, this);
    deliver(cancellation);
  }
  /** A cancellation of this scope that nothing is told of. */
  newCancellation(
    source: CancelSource,
    reason?: unknown,
    requestedBy?: string,
    from?: Cancellation,
  ): Cancellation {
    const grace = this.cancelState.cancelGrace ?? from?.grace ?? this.loop.cancelGrace;
    const origin = from?.origin ?? { root: this.ownCancelState().root };
    return { scope: this, source, reason, requestedBy, grace, origin };
  }
  /** How many cancellations are in force. */
  cancelling(): number {
    return this.cancelState.count;
  }
  /** Takes one cancellation back. At 0 what was not delivered is forgotten, and the insistence. */
  uncancel(): number {
    if (this.cancelState.count === 0) return 0;
    const state = this.ownCancelState();
    if (--state.count === 0) {
      state.due = state.first = state.fresh = undefined;
      for (const below of reach(this)) forgetMissed(below, this);
      state.insists = false;
      this.loop.cancelTimer(state.graceTimer);
      state.graceTimer = undefined;
    }
    return state.count;
  }
  /** Tells `watcher` what becomes of this scope, until it is closed. */
  watch(watcher: ScopeWatcher): void {
    const state = this.ownCancelState();
    state.watchers = [...(state.watchers ?? []), watcher];
  }
  /** When it is cancelled, on the clock of the loop. `setDeadline` of the tasks moves it. */
  get deadline(): number {
    return this.deadlineTimer?.when ?? Number.POSITIVE_INFINITY;
  }
  /** The deadline has passed. */
  expire(): void {
    this.ownCancelState().expired = true;
    this.loop.cancelTimer(this.deadlineTimer);
    this.cancel(undefined, "deadline");
  }
  /** Called by the loop for both timers of a scope. */
  timerDue(timer: Timer): void {
    if (timer === this.deadlineTimer) this.expire();
    else insist(this);
  }
  /** Makes a cancellation of this scope end the next operation; `isUnheard` if no wait got it. */
  makeDue(cancellation: Cancellation, isUnheard = false): void {
    if (this.closed || this.cancelState.count === 0) return;
    this.ownCancelState().due ??= isUnheard ? cancellation : { ...cancellation }; // a copy outlasts the delivery of the other
    reach(this);
  }
  /** A cancellation that was due has reached its branch. */
  noteDelivered(cancellation: Cancellation): void {
    const { due, insists } = this.cancelState;
    if (due === cancellation && !insists) this.ownCancelState().due = undefined;
  }
  /** What ends an operation that begins here, thereby delivered: the outermost that is due. */
  takeDue(): Cancellation | undefined {
    const found = findDue(this);
    if (found === undefined) return undefined;
    const { scope } = found;
    if (scope.closed || scope.cancelState.insists)
      this.loop.exhaustBudget(); // an endless `catch` must not starve the host
    else scope.noteDelivered(found);
    markHeard(this, scope);
    return found;
  }
  /** The same for an operation, which may not be awaited: so others of this turn get it, too. */
  meetDue(): Cancellation | undefined {
    const found = this.mayBeDue ? this.takeDue() : undefined;
    if (found !== undefined) makeFresh(found, this);
    return found;
  }
  /** The same, which stays undelivered. */
  peekDue(): Cancellation | undefined {
    return this.mayBeDue ? findDue(this) : undefined;
  }
  /** For the start of an operation: its rejection, if this scope does not let it begin. */
  interruption(subject: WaitSubject): Promise<never> | undefined {
    const cancellation = this.meetDue();
    if (cancellation === undefined) return undefined;
    const wait = new Wait<never>(this, subject);
    if (countRefusal(cancellation.scope)) wait.cancel(cancellation); // else it never settles
    return wait.promise;
  }
  /** What leaves a body for `error`: a cancellation around this scope, heard or not, goes first. */
  outermost(error: unknown): unknown {
    if (!this.owns(error) || this.shield) return error;
    const outer = this.parent?.takeDue() ?? inForce(this.cancelState.around);
    return outer === undefined ? error : new CancelledError(outer, { cause: error });
  }
  /** Whether `error` is the CancelledError of this scope, which it may swallow or convert. */
  owns(error: unknown): error is CancelledError {
    return error instanceof CancelledError && error.scope === this;
  }
  /** `other` is around this scope from now on: what may become due there may do so here. */
  heed(other: Scope | undefined): void {
    if (other?.nearest === undefined && !other?.mayBeDue) return;
    this.mayBeDue = true;
    if ((this.first ?? this.nested?.first) !== undefined) this.loop.deadlinesSet++; // and below
  }
  isInside(other: Scope): boolean {
    for (let scope = this.parent; scope !== undefined; scope = scope.parent)
      if (scope === other) return true;
    return false;
  }
  addWait(wait: Wait): void {
    if (this.first ?? this.nested?.first) this.ownCancelState().hasBranches = true;
    link(this, wait);
    if (this.loop.isExact) this.loop.host.parked?.(wait);
  }
  /** The waits parked here and in all scopes nested below: at most `most`, for reports. */
  parkedWaits(most = 100): Wait[] {
    const waits: Wait[] = [];
    const scopes: Scope[] = [this];
    for (const scope of scopes) {
      for (let wait = scope.first; wait !== undefined; wait = wait.next) {
        if (waits.length >= most) return waits;
        waits.push(wait);
      }
      for (let nested = scope.nested?.first; nested !== undefined; nested = nested.next)
        scopes.push(nested);
    }
    return waits;
  }
  openIn(parent: Scope): void {
    this.parent = parent;
    if (!this.shield) this.heed(parent);
    else this.loop.shielded.add(this);
    parent.nested ??= new LinkedList();
    if (parent.first ?? parent.nested.first) parent.ownCancelState().hasBranches = true;
    parent.nested.add(this);
  }
  /** Ends the scope. No deadline, no grace; waits of branches that nobody awaits are cut off. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.loop.cancelTimer(this.deadlineTimer);
    if (this.parent !== undefined) this.parent.nested?.remove(this);
    if (this.shield) this.loop.shielded.delete(this);
    if (this.cancelState !== CALM) {
      const { missed, watchers, graceTimer } = this.ownCancelState();
      this.loop.cancelTimer(graceTimer);
      this.ownCancelState().watchers = undefined;
      watchers?.forEach((watcher) => void watcher.closed?.());
      if (missed !== undefined && this.parent !== undefined) renew(this.parent, missed); // its branch goes on
    }
    this.mayBeDue = true;
    if (this.first === undefined && (this.nested === undefined || this.nested.size === 0)) return;
    this.loop.hasCutBranches = true;
    reportFloating(this);
    deliver(this.cutOff());
  }
  /** What ends the operations of a closed scope: made on demand, for few need it (bench: spawn). */
  cutOff(): Cancellation {
    const state = this.ownCancelState();
    if (state.due?.source !== "closed") state.due = this.newCancellation("closed");
    return state.due;
  }
}
/** The grace period of `scope` is over. */
function insist(scope: Scope): void {
  const state = scope.ownCancelState();
  const first = state.first as Cancellation; // it is open, and cancelled: else it has no such timer
  state.due = first;
  state.insists = true;
  if (first.grace > 0) reportInsisted(scope, first.grace);
  deliver(first);
}
// One of each, for good: when no object of a class is left, the engine throws away the code that it
// has compiled for them, and starts anew (bench: condition-ping-pong, lock, queue).
const kept = new Scope({ deadlinesSet: 0 } as EventLoop, { label: "kept", context: new Context() });
Scope.kept = [park(kept, "kept"), new Wait(kept, "kept")];
/** Parks a new wait. The caller has asked `scope.interruption` before it changed any state. */
export function park<T>(scope: Scope, subject: WaitSubject, onCancel?: OnCancel): Wait<T> {
  const wait = new LineWait<T>(scope, subject, onCancel);
  scope.addWait(wait as Wait);
  return wait;
}
