/**
 * Scopes: the regions that are cancelled as a whole. The body of a task, of `timeout`, of a task
 * group and of a CancelScope each runs in one. A scope knows the waits parked in it and the scopes
 * nested in it, so cancelling is a walk over plain objects: no promise races, no abort listeners.
 *
 * Life: open, then closed when its body has settled. A cancellation is delivered once, so that code
 * can await while it cleans up; `cancelGrace` seconds later the scope `insists`: it is cancelled
 * again, and every operation in it rejects at once from then on. So does a closed one: whatever
 * still floats in it is cut off.
 *
 * Invariant: what is `due` is a cancellation of this very scope. If there is one, or the scope is
 * closed, `mayBeDue` is true here and in every scope nested below that is not shielded, so
 * operations look at one flag.
 *
 * Shared with the rest of the kernel (and nobody else): mayBeDue, takeDue, removeWait, pend,
 * outermost.
 */

import { CancelledError, type CancelSource } from "../errors/errors.ts";
import { type Ends, LinkedList, link, unlink } from "../structures/linked-list.ts";
import { Timer } from "../structures/timers.ts";
import {
  type Cancellation,
  CancelState,
  hasPoint,
  newOrigin,
  type ScopeOptions,
  type ScopeWatcher,
} from "./cancellation.ts";
import { reportFloating, reportInsisted } from "./debug.ts";
import { deliver, findDue, markHeard, reach, renew } from "./delivery.ts";
import type { EventLoop } from "./loop.ts";
import type { Task } from "./task.ts";
import { Context, type ContextValues } from "./variables.ts";
import { type OnCancel, Wait, type WaitSubject } from "./wait.ts";

export class Scope implements Ends<Wait> {
  readonly loop: EventLoop;
  readonly label: string;
  readonly shield: boolean;
  /**
   * Only the values while nobody has asked for the context itself: few tasks use theirs (bench:
   * memory).
   */
  #context: Context | ContextValues;
  /**
   * The task whose body runs here, however deep; undefined in plain callbacks and outside every
   * task.
   */
  task: Task<unknown> | undefined;
  parent: Scope | undefined = undefined;
  /** What `loop.deadlinesSet` was when nothing was due here; -1 if something may be. */
  #clearAt: number;
  closed = false;
  /** Knows the deadline also when it has fired, or was never set because it came too late. */
  #deadlineTimer: Timer | undefined = undefined;
  cancelState: CancelState | undefined = undefined; // undefined for most
  // The waits parked here, and those that are complete and have not had their turn.
  first: Wait | undefined = undefined;
  last: Wait | undefined = undefined;
  /** @internal The open scopes nested directly in this one. */
  nested: LinkedList<Scope> | undefined = undefined;
  // Links of the parent's list of nested scopes.
  previous: Scope | undefined = undefined;
  next: Scope | undefined = undefined;

  constructor(loop: EventLoop, options: ScopeOptions) {
    this.loop = loop;
    this.#clearAt = loop.deadlinesSet;
    this.label = options.label;
    this.#context = options.context;
    this.task = options.task;
    this.shield = options.shield ?? false;
    if (options.cancelGrace !== undefined) this.ownCancelState().cancelGrace = options.cancelGrace;
  }

  /**
   * True if an operation begun here has to ask `takeDue`. False positives are allowed, false
   * negatives are not. A deadline that is set while things run may be around any of them, by way of
   * owners: so all look once.
   */
  get mayBeDue(): boolean {
    return this.#clearAt !== this.loop.deadlinesSet;
  }

  set mayBeDue(mayBe: boolean) {
    this.#clearAt = mayBe ? -1 : this.loop.deadlinesSet;
  }

  get context(): Context {
    if (this.#context instanceof Map) this.#context = new Context(this.#context);
    return this.#context;
  }

  /** @internal What this scope has of its own in its cancelState: made if it is not there. */
  ownCancelState(): CancelState {
    this.cancelState ??= new CancelState();
    return this.cancelState;
  }

  /**
   * Cancels every wait at or below this scope; `from` is the cancellation that this one passes on.
   * Does nothing once closed.
   */
  cancel(
    reason?: unknown,
    source: CancelSource = "cancel",
    requestedBy?: string,
    from?: Cancellation,
  ): void {
    if (this.closed) return;
    const cancellation = this.newCancellation(source, reason, requestedBy, from);
    const { grace } = cancellation;
    const cancelState = this.ownCancelState();
    cancelState.cancelCalled = true;
    if (cancelState.count++ === 0) cancelState.first = cancellation;
    if (grace === 0) {
      this.#insist();
      return;
    }
    if (cancelState.graceTimer === undefined && grace !== Number.POSITIVE_INFINITY) {
      cancelState.graceTimer = this.loop.addTimer(this.loop.time() + grace, this);
    }
    deliver(cancellation);
  }

  /** One of this scope, which nothing is told of; `from` is the one that it passes on. */
  newCancellation(
    source: CancelSource,
    reason?: unknown,
    requestedBy?: string,
    from?: Cancellation,
  ): Cancellation {
    const own = source === "closed" ? 0 : this.cancelState?.cancelGrace;
    const grace = own ?? from?.grace ?? this.loop.cancelGrace;
    return { scope: this, source, reason, requestedBy, grace, origin: from?.origin ?? newOrigin() };
  }

  /** How many cancellations are in force. Source: asyncio's Task.cancelling. */
  cancelling(): number {
    return this.cancelState?.count ?? 0;
  }

  /**
   * Takes one cancellation back; at 0 also what was not delivered yet, and the insistence. Returns
   * what remains.
   */
  uncancel(): number {
    const cancelState = this.cancelState;
    if (cancelState === undefined) return 0;
    if (cancelState.count > 0 && --cancelState.count === 0) {
      cancelState.due = cancelState.first = cancelState.fresh = undefined;
      cancelState.insists = false;
      this.#stopGrace();
    }
    return cancelState.count;
  }

  /** The first cancellation in force. */
  get cancellation(): Cancellation | undefined {
    return this.cancelState?.first;
  }

  /** The cancellation that would end the next operation begun here; it stays undelivered. */
  peekDue(): Cancellation | undefined {
    return this.mayBeDue ? findDue(this) : undefined;
  }

  get deadline(): number {
    return this.#deadlineTimer?.when ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Moves the deadline: absolute, on the clock of the loop. One that has passed already is noticed
   * by the next operation.
   */
  set deadline(when: number) {
    const hadOne = this.deadline !== Number.POSITIVE_INFINITY;
    this.#stopDeadline();
    this.#deadlineTimer = undefined;
    if (when === Number.POSITIVE_INFINITY) return;
    if (this.closed || this.isExpired) this.#deadlineTimer = new Timer(when, 0, undefined);
    else {
      this.#deadlineTimer = this.loop.addTimer(when, this);
      this.mayBeDue = true;
      if (!hadOne && (this.parent !== undefined || this.task?.scope === this))
        this.loop.deadlinesSet++;
    }
  }

  /** @internal */ timerDue(timer: Timer): void {
    if (timer === this.#deadlineTimer) this.expire();
    else this.#insist();
  }

  /** @internal */ expire(): void {
    this.ownCancelState().expired = true;
    this.#stopDeadline();
    this.cancel(undefined, "deadline");
  }

  #stopDeadline(): void {
    if (this.#deadlineTimer !== undefined) this.loop.cancelTimer(this.#deadlineTimer);
  }

  #insist(): void {
    const cancelState = this.ownCancelState();
    const cancellation = cancelState.first;
    cancelState.graceTimer = undefined;
    if (cancellation === undefined || this.closed) return;
    cancelState.due = cancellation;
    cancelState.insists = true;
    if (cancellation.grace > 0) reportInsisted(this, cancellation.grace);
    reach(this);
    deliver(cancellation);
  }

  #stopGrace(): void {
    if (this.cancelState?.graceTimer === undefined) return;
    this.loop.cancelTimer(this.cancelState.graceTimer);
    this.cancelState.graceTimer = undefined;
  }

  /**
   * Makes an undelivered cancellation of this scope wait for the next operation; nobody else has
   * heard of it iff it `isUnheard`.
   */
  makeDue(cancellation: Cancellation, isUnheard = false): void {
    const cancelState = this.cancelState;
    if (this.closed || cancelState === undefined || cancelState.count === 0) return;
    cancelState.due ??= isUnheard ? cancellation : { ...cancellation }; // `recognised` tells them apart
    reach(this);
  }

  /**
   * The cancellation that has to end an operation begun here, or undefined. The outermost one: the
   * scopes inside it are being left anyway. It is thereby delivered.
   */
  takeDue(): Cancellation | undefined {
    const found = findDue(this);
    if (found === undefined) return undefined;
    const { cancelState, closed } = found.scope;
    // An endless `catch` around operations of a scope like this must not starve the host.
    if (closed || cancelState?.insists === true) this.loop.exhaustBudget();
    else if (cancelState?.due === found) cancelState.due = undefined;
    markHeard(this, found.scope);
    return found;
  }

  /** For the start of an operation: its rejection, if this scope does not let it begin. */
  interruption(subject: WaitSubject): Promise<never> | undefined {
    if (!this.mayBeDue) return undefined;
    const cancellation = this.takeDue();
    if (cancellation === undefined) return undefined;
    const wait = new Wait<never>(this, subject);
    if (hasPoint(cancellation.scope)) wait.cancel(cancellation);
    return wait.promise;
  }

  /** Operations of this scope never settle any more. */
  suspendForEver(): void {
    this.ownCancelState().refusals = Number.POSITIVE_INFINITY;
  }

  /**
   * What leaves a body in place of `error`. If the error is this scope's own cancellation and a
   * scope around it was cancelled meanwhile, the outer one goes first: of nested timeouts that are
   * both due the outermost raises.
   */
  outermost(error: unknown): unknown {
    if (!this.owns(error) || this.shield || !this.parent?.mayBeDue) return error;
    const outer = this.parent.takeDue();
    return outer === undefined ? error : new CancelledError(outer, { cause: error });
  }

  /** Whether `error` is the CancelledError of this scope, which it may swallow or convert. */
  owns(error: unknown): error is CancelledError {
    return error instanceof CancelledError && error.scope === this;
  }

  isInside(other: Scope): boolean {
    for (let scope = this.parent; scope !== undefined; scope = scope.parent)
      if (scope === other) return true;
    return false;
  }

  /** Tells `watcher` what becomes of this scope, until it is closed. */
  watch(watcher: ScopeWatcher): void {
    this.ownCancelState().watchers.push(watcher);
  }

  /** Seconds, if it was given a period of its own. */
  get cancelGrace(): number | undefined {
    return this.cancelState?.cancelGrace;
  }

  /** True iff the deadline has cancelled it. */
  get isExpired(): boolean {
    return this.cancelState?.expired === true;
  }

  /** True once a cancellation was asked for. */
  get cancelCalled(): boolean {
    return this.cancelState?.cancelCalled === true;
  }

  /** True iff a cancellation of it has ended a wait, and that has not thrown yet. */
  get hasUndelivered(): boolean {
    return this.cancelState !== undefined && this.cancelState.undelivered > 0;
  }

  /** True iff a cancellation of it ends the next operation that begins in it. */
  get hasDue(): boolean {
    return this.cancelState?.due !== undefined;
  }

  /** How many operations it has rejected since its grace period was over; undefined before. */
  get swallowed(): number | undefined {
    return this.cancelState?.insists === true ? this.cancelState.refusals : undefined;
  }

  /** A cancellation of it has reached its branch in another way than by an operation. */
  wasDelivered(cancellation: Cancellation): void {
    if (this.cancelState?.due === cancellation && !this.cancelState.insists)
      this.cancelState.due = undefined;
  }

  /**
   * Whose deadlines count here: the scope that this one is nested in; for a task that of its owner.
   */
  get around(): Scope | undefined {
    if (this.shield || this.parent !== undefined) return this.shield ? undefined : this.parent;
    return this.task?.scope === this ? this.task.owner : undefined;
  }

  addWait(wait: Wait): void {
    if (this.first !== undefined || this.nested?.first !== undefined)
      this.ownCancelState().hasBranches = true;
    link(this, wait);
    if (this.loop.isExact) this.loop.host.parked?.(wait);
  }

  /** Does nothing for a wait that was never parked here. */
  removeWait(wait: Wait): void {
    unlink(this, wait);
  }

  /** True iff the scope was cancelled and its grace period is running or over. */
  get isEnding(): boolean {
    const cancelState = this.cancelState;
    return cancelState?.graceTimer !== undefined || cancelState?.insists === true;
  }

  /**
   * The waits parked here and in the scopes nested below, shielded ones included: at most `most`,
   * for reports.
   */
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
    if (!this.shield) this.mayBeDue ||= parent.mayBeDue;
    else this.loop.shielded.add(this);
    parent.nested ??= new LinkedList();
    if (parent.first !== undefined || parent.nested.size > 0)
      parent.ownCancelState().hasBranches = true;
    parent.nested.add(this);
  }

  /**
   * Ends the scope: no deadline, no grace; waits that floating branches still have in it are cut
   * off.
   */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#stopDeadline();
    if (this.parent !== undefined) this.parent.nested?.remove(this);
    if (this.shield) this.loop.shielded.delete(this);
    if (this.cancelState !== undefined) this.#closeState(this.cancelState);
    this.mayBeDue = true;
    if (this.first === undefined && (this.nested === undefined || this.nested.size === 0)) return;
    this.loop.hasCutBranches = true;
    reportFloating(this);
    deliver(this.cutOff());
  }

  #closeState(cancelState: CancelState): void {
    this.#stopGrace();
    for (const watcher of cancelState.watchers.splice(0)) watcher.closed?.();
    const { missed } = cancelState;
    if (missed !== undefined && this.parent !== undefined) renew(this.parent, missed); // its branch goes on there
  }

  /**
   * What ends the operations of a closed scope: made when somebody needs it, for few scopes do
   * (bench: spawn).
   */
  cutOff(): Cancellation {
    const cancelState = this.ownCancelState();
    if (cancelState.due?.source !== "closed") cancelState.due = this.newCancellation("closed");
    return cancelState.due;
  }
}

/**
 * Parks a new wait in `scope`. The caller has looked at `scope.mayBeDue` before it changed any
 * state; `park` itself never rejects.
 */
export function park<T>(scope: Scope, subject: WaitSubject, onCancel?: OnCancel): Wait<T> {
  const wait = new Wait<T>(scope, subject, onCancel);
  scope.addWait(wait as Wait);
  return wait;
}
