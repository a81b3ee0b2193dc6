/**
 * Scopes: the regions that are cancelled as a whole. The body of a task, of `timeout`, of a task group and of a
 * CancelScope each runs in one. A scope knows the waits parked in it and the scopes nested in it, so cancelling is a
 * walk over plain objects: no promise races, no abort listeners.
 *
 * Where is a cancellation delivered? To every wait parked at or below the scope, at once. If there is none, it stays
 * `pending` and ends the next operation begun there, at its start, before it has changed anything.
 *
 * Life: open, then closed when its body has settled. A cancellation is delivered once, so that code can await while it
 * cleans up; `cancelGrace` seconds later the scope is `insisted` on: it is cancelled again, and every operation in it
 * rejects at once from then on. A closed scope has been `cut`: whatever still floats in it is treated the same way.
 *
 * Invariants: `pending`, `insisted` and `cut` are cancellations of this very scope. If one of them is set, or the scope
 * is closed, `attention` is true here and in every scope nested below that is not shielded, so operations look at one flag.
 *
 * Shared with the rest of the kernel (and nobody else): attention, takeInterruption, removeWait, pend, unwound.
 */

import { type Ends, LinkedList, link, unlink } from "../structures/linked-list.ts";
import { Context, type ContextValues } from "./context-var.ts";
import { reportFloating, reportInsisted } from "./debug.ts";
import { deliver } from "./delivery.ts";
import { CancelledError, type CancelSource } from "./errors.ts";
import type { EventLoop } from "./loop.ts";
import type { Task } from "./task.ts";
import { Timer } from "./timers.ts";
import { type CancelHook, type ScopeOptions, Trouble } from "./trouble.ts";
import { type Cancellation, newOrigin, type OnCancel, Wait, type WaitSubject } from "./wait.ts";

/** Rejections that code may swallow in a scope past its grace or end, before it is left suspended. */
const MAX_REFUSALS = 10_000;

export class Scope implements Ends<Wait> {
  readonly loop: EventLoop;
  readonly label: string;
  readonly shield: boolean;
  /** Only the values while nobody has asked for the context itself: few tasks use theirs (bench: memory). */
  #context: Context | ContextValues;
  /** The task whose body runs here, however deep; undefined in plain callbacks and outside every task. */
  task: Task<unknown> | undefined;
  parent: Scope | undefined = undefined;
  /** True if an operation begun here has to ask `takeInterruption`. May be true for nothing; never false wrongly. */
  attention = false;
  closed = false;
  /** Knows the deadline also when it has fired, or was never set because it came too late. */
  #deadlineTimer: Timer | undefined = undefined;
  trouble: Trouble | undefined = undefined; // undefined for most
  // The waits parked here.
  first: Wait | undefined = undefined;
  last: Wait | undefined = undefined;
  /** The open scopes nested directly in this one. */
  #nested: LinkedList<Scope> | undefined = undefined;
  // Links of the parent's list of nested scopes.
  previous: Scope | undefined = undefined;
  next: Scope | undefined = undefined;

  constructor(loop: EventLoop, options: ScopeOptions) {
    this.loop = loop;
    this.label = options.label;
    this.#context = options.context;
    this.task = options.task;
    this.shield = options.shield ?? false;
    if (options.cancelGrace !== undefined) this.inTrouble().cancelGrace = options.cancelGrace;
  }

  get context(): Context {
    if (this.#context instanceof Map) this.#context = new Context(this.#context);
    return this.#context;
  }

  /** @internal What this scope has of its own in its trouble: made if it is not there. */
  inTrouble(): Trouble {
    this.trouble ??= new Trouble();
    return this.trouble;
  }

  /** Cancels every wait at or below this scope; `from` is the cancellation that this one passes on. Does nothing once closed. */
  cancel(
    reason?: unknown,
    source: CancelSource = "cancel",
    requestedBy?: string,
    from?: Cancellation,
  ): void {
    if (this.closed) return;
    const grace = this.trouble?.cancelGrace ?? from?.grace ?? this.loop.cancelGrace;
    const origin = from?.origin ?? newOrigin();
    const cancellation: Cancellation = { scope: this, source, reason, requestedBy, grace, origin };
    const trouble = this.inTrouble();
    trouble.cancelCalled = true;
    if (trouble.count++ === 0) trouble.first = cancellation;
    if (grace === 0) {
      this.#insist();
      return;
    }
    if (trouble.graceTimer === undefined && grace !== Number.POSITIVE_INFINITY) {
      trouble.graceTimer = this.loop.addTimer(this.loop.time() + grace, this);
    }
    deliver(this, cancellation);
  }

  /** How many cancellations are in force. Source: asyncio's Task.cancelling (S38). */
  cancelling(): number {
    return this.trouble?.count ?? 0;
  }

  /** Takes one cancellation back; at 0 also what was not delivered yet, and the insistence. Returns what remains (S37, S39). */
  uncancel(): number {
    const trouble = this.trouble;
    if (trouble === undefined) return 0;
    if (trouble.count > 0 && --trouble.count === 0) {
      trouble.pending = trouble.insisted = trouble.first = undefined;
      this.#stopGrace();
    }
    return trouble.count;
  }

  /** The first cancellation in force. */
  get cancellation(): Cancellation | undefined {
    return this.trouble?.first;
  }

  /** The cancellation that would end the next operation begun here; it stays undelivered. */
  peekInterruption(): Cancellation | undefined {
    return this.attention ? this.#findInterruption() : undefined;
  }

  get deadline(): number {
    return this.#deadlineTimer?.when ?? Number.POSITIVE_INFINITY;
  }

  /** Moves the deadline: absolute, on the clock of the loop. One that has passed already is noticed by the next operation. */
  set deadline(when: number) {
    this.#stopDeadline();
    this.#deadlineTimer = undefined;
    if (when === Number.POSITIVE_INFINITY) return;
    if (this.closed || this.trouble?.expired === true)
      this.#deadlineTimer = new Timer(when, 0, undefined);
    else {
      if (this.first === undefined && when <= this.loop.time()) this.#reach();
      this.#deadlineTimer = this.loop.addTimer(when, this);
    }
  }

  /** @internal */
  timerDue(timer: Timer): void {
    if (timer === this.#deadlineTimer) this.#expire();
    else this.#insist();
  }

  #expire(): void {
    this.inTrouble().expired = true;
    this.#stopDeadline();
    this.cancel(undefined, "deadline");
  }

  #stopDeadline(): void {
    if (this.#deadlineTimer !== undefined) this.loop.cancelTimer(this.#deadlineTimer);
  }

  #insist(): void {
    const trouble = this.inTrouble();
    const cancellation = trouble.first;
    trouble.graceTimer = undefined;
    if (cancellation === undefined || this.closed) return;
    trouble.pending = undefined;
    trouble.insisted = cancellation;
    if (cancellation.grace > 0) reportInsisted(this, cancellation.grace);
    this.#reach();
    deliver(this, cancellation);
  }

  #stopGrace(): void {
    if (this.trouble?.graceTimer === undefined) return;
    this.loop.cancelTimer(this.trouble.graceTimer);
    this.trouble.graceTimer = undefined;
  }

  /** Makes an undelivered cancellation of this scope wait for the next operation. */
  pend(cancellation: Cancellation): void {
    const trouble = this.trouble;
    if (this.closed || trouble === undefined || trouble.count === 0) return;
    if (trouble.insisted !== undefined) return;
    trouble.pending ??= cancellation;
    this.#reach();
  }

  /**
   * The cancellation that has to end an operation begun here, or undefined. The outermost one: the scopes inside
   * it are being left anyway. A pending one is thereby delivered.
   */
  takeInterruption(): Cancellation | undefined {
    const found = this.#findInterruption();
    if (found === undefined) this.attention = false;
    else if (found.scope.trouble?.pending === found) found.scope.trouble.pending = undefined;
    // An endless `catch` around operations of a scope like this must not starve the host.
    else this.loop.exhaustBudget();
    return found;
  }

  /** For the start of an operation: its rejection, if this scope does not let it begin. */
  interruption(subject: WaitSubject): Promise<never> | undefined {
    if (!this.attention) return undefined;
    const cancellation = this.takeInterruption();
    if (cancellation === undefined) return undefined;
    const wait = new Wait<never>(this, subject);
    if (cancellation.scope.#refuse()) wait.endCancelled(cancellation);
    return wait.promise;
  }

  /** Operations of this scope never settle any more. */
  suspendForEver(): void {
    this.inTrouble().refusals = Number.POSITIVE_INFINITY;
  }

  /**
   * Whether a rejection still has a point. A loop that swallows every one of them would spin for ever:
   *
   *     for (;;) try { await sleep(1) } catch {}     // <- after the grace period it never sleeps again
   *
   * It is left suspended at its next operation, which never settles, and its task ends as cancelled.
   */
  #refuse(): boolean {
    if (!this.closed && this.trouble?.insisted === undefined) return true;
    if (++this.inTrouble().refusals <= MAX_REFUSALS) return true;
    const isWholeTask = this.task?.scope === this;
    if (isWholeTask && !this.closed) {
      const message = `${this.task?.describe()} has swallowed ${MAX_REFUSALS} cancellations after its grace period, and is left suspended`;
      this.loop.callExceptionHandler({ message, task: this.task });
      this.task?.abandon();
    }
    return !isWholeTask && !this.closed; // somebody waits for the body of a nested scope: it must be able to end
  }

  /**
   * What leaves a body in place of `error`. If the error is this scope's own cancellation and a scope around it
   * was cancelled meanwhile, the outer one goes first: of nested timeouts that are both due the outermost raises (S79).
   */
  unwound(error: unknown): unknown {
    if (!this.owns(error) || this.shield || !this.parent?.attention) return error;
    const outer = this.parent.takeInterruption();
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

  addCancelHook(hook: CancelHook): void {
    const trouble = this.inTrouble();
    trouble.hooks ??= new Set();
    trouble.hooks.add(hook);
  }

  #findInterruption(): Cancellation | undefined {
    let found: Cancellation | undefined;
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.parent) {
      // A timer is only as punctual as the host: no operation may slip past a deadline.
      const { deadline } = scope;
      const isDue = deadline !== Number.POSITIVE_INFINITY && deadline <= this.loop.time();
      if (isDue && scope.trouble?.expired !== true && !scope.closed) scope.#expire();
      const cut = scope.closed ? scope.#cutOff() : undefined;
      found = cut ?? scope.trouble?.insisted ?? scope.trouble?.pending ?? found;
      if (scope.shield) break;
    }
    return found;
  }

  /** Everything that a cancellation reaches, in order; marks the scopes on the way. */
  #reach(waits: Wait[] = [], hooks: CancelHook[] = []): void {
    const scopes: Scope[] = [this];
    for (const scope of scopes) {
      scope.attention = true;
      for (let wait = scope.first; wait !== undefined; wait = wait.next) waits.push(wait);
      for (const wait of scope.trouble?.cutBelow ?? []) waits.push(wait);
      for (const hook of scope.trouble?.hooks ?? []) hooks.push(hook);
      for (let nested = scope.#nested?.first; nested !== undefined; nested = nested.next) {
        if (!nested.shield) scopes.push(nested);
      }
    }
  }

  /** @internal For `deliver` alone. */
  deliverNow(cancellation: Cancellation): void {
    const { first } = this;
    const { hooks: ownHooks, cutBelow } = this.inTrouble();
    const isAlone = first === this.last && this.#nested === undefined;
    if (first !== undefined && isAlone && ownHooks === undefined && cutBelow === undefined) {
      this.attention = true; // the common case, without lists (bench: cancel)
      first.interrupt(cancellation);
      return;
    }
    const waits: Wait[] = [];
    const hooks: CancelHook[] = [];
    this.#reach(waits, hooks);
    // All of them are told before one passes it on: what they wait for together may end at once.
    for (const wait of waits) wait.keep(cancellation);
    for (const hook of hooks) hook(cancellation);
    for (const wait of waits) wait.cancel(cancellation);
    // Several cancels before the first is delivered are one CancelledError; the count keeps them all (8.21).
    if (waits.length === 0 && (this.trouble?.undelivered ?? 0) === 0) this.pend(cancellation);
  }

  /** Does nothing for a wait that was never parked here. */
  removeWait(wait: Wait): void {
    unlink(this, wait);
  }

  /** `wait` has ended with the CancelledError of what it waited for; until it throws, a cancellation can still take its place. */
  addCutBelow(wait: Wait): void {
    const trouble = this.inTrouble();
    trouble.cutBelow ??= new Set();
    trouble.cutBelow.add(wait);
  }

  removeCutBelow(wait: Wait): void {
    this.trouble?.cutBelow?.delete(wait);
  }

  /** True iff the scope was cancelled and its grace period is running or over. */
  get isEnding(): boolean {
    const trouble = this.trouble;
    return trouble?.graceTimer !== undefined || trouble?.insisted !== undefined;
  }

  /** The waits parked here and in the scopes nested below, shielded ones included: at most `most`, for reports. */
  parkedWaits(most = 100): Wait[] {
    const waits: Wait[] = [];
    const scopes: Scope[] = [this];
    for (const scope of scopes) {
      for (let wait = scope.first; wait !== undefined; wait = wait.next) {
        if (waits.length >= most) return waits;
        waits.push(wait);
      }
      for (let nested = scope.#nested?.first; nested !== undefined; nested = nested.next)
        scopes.push(nested);
    }
    return waits;
  }

  nestIn(parent: Scope): void {
    this.parent = parent;
    if (!this.shield) this.attention ||= parent.attention;
    else this.loop.shielded.add(this);
    parent.#nested ??= new LinkedList();
    parent.#nested.add(this);
  }

  /** Ends the scope: no deadline, no grace; waits that floating branches still have in it are cut off. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#stopDeadline();
    if (this.parent !== undefined) this.parent.#nested?.remove(this);
    if (this.shield) this.loop.shielded.delete(this);
    if (this.trouble !== undefined) this.#closeTrouble(this.trouble);
    this.attention = true;
    if (this.first === undefined && (this.#nested === undefined || this.#nested.size === 0)) return;
    this.loop.hasCutBranches = true;
    reportFloating(this);
    deliver(this, this.#cutOff());
  }

  #closeTrouble(trouble: Trouble): void {
    this.#stopGrace();
    trouble.onClose?.();
    trouble.hooks = undefined;
  }

  /** What ends the operations of a closed scope: made when somebody needs it, for few scopes do (bench: spawn). */
  #cutOff(): Cancellation {
    const trouble = this.inTrouble();
    trouble.cut ??= {
      scope: this,
      source: "closed",
      reason: undefined,
      requestedBy: undefined,
      grace: 0,
      origin: newOrigin(),
    };
    return trouble.cut;
  }
}

/**
 * Parks a new wait in `scope`. The caller has looked at `scope.attention` before it changed any state; `park`
 * itself never rejects.
 */
export function park<T>(scope: Scope, subject: WaitSubject, onCancel?: OnCancel): Wait<T> {
  const wait = new Wait<T>(scope, subject, onCancel);
  link(scope, wait as Wait);
  if (scope.loop.isExact) scope.loop.host.parked?.(wait as Wait);
  return wait;
}
