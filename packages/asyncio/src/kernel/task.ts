/**
 * Tasks: units of work that run side by side, each with a scope, a name, and context variables of
 * its own. A task is a Future that its body settles, and that its scope cancels.
 */

import type { CancelSource } from "../errors/errors.ts";
import { advice, argumentError, CancelledError, InvalidStateError } from "../errors/errors.ts";
import { Context, type ContextValues } from "../structures/context-values.ts";
import { CALM, type Cancellation } from "./cancellation.ts";
import { AsyncResource, currentContext, currentScope, runInScope } from "./context.ts";
import { cancelIfDue } from "./delivery.ts";
import { Future, type FutureListener, type FutureState, letsGo } from "./future.ts";
import type { Ready } from "./gate.ts";
import type { EventLoop } from "./loop.ts";
import { callBody, completed, here, recognised, refused, staysInContext } from "./operation.ts";
import { noteCreation } from "./reports.ts";
import { park, Scope } from "./scope.ts";
import { settled } from "./settlers.ts";
import { Wait } from "./wait.ts";

/** An `async` function, or any other: what it returns is awaited. */
export type Coroutine<T> = () => T | PromiseLike<T>;

/** What everything takes that makes a task. */
export interface TaskOptions {
  /** What reports call it. @default "Task-1", "Task-2", ... */
  readonly name?: string | undefined;
  /** The context variables of the task, used as they are. @default a copy of the creator's */
  readonly context?: Context | undefined;
  /** Runs the body until its first wait inside `createTask`, instead of in the next iteration. */
  readonly eagerStart?: boolean | undefined;
  /**
   * Cancels the task when it aborts; the CancelledError then has `signal.reason` as its cause. If
   * it has aborted already, the task ends so without having started.
   */
  readonly signal?: AbortSignal | undefined;
  /** Seconds to clean up in after a cancellation. @default that of the loop */
  readonly cancelGrace?: number | undefined;
}

/** @internal A body that `task` is to start with, in the async context of the task's creator. */
export class Start extends AsyncResource implements Ready {
  static readonly kept: Start = new Start({} as Task<unknown>, async () => {}); // for good, as in scope.ts
  task: Task<unknown>;
  body: Coroutine<unknown>;
  constructor(task: Task<unknown>, body: Coroutine<unknown>) {
    super("asyncio", 0); // no trigger is looked for
    this.task = task;
    this.body = body;
  }
  get scope(): Scope {
    return this.task.scope;
  }
  step(): void {
    settled.then(() => this.begin());
  }
  begin(): void {
    runInScope(this.scope, call, this.body, this);
  }
}
/** For a subclass, which calls `setUp`, and has a `Start` when the task is to begin. */
export const later: TaskOptions = {};
/**
 * A running piece of work: await it for its result, `cancel()` it. Made by `createTask`.
 * Awaiting it and being cancelled meanwhile cancels it as well, and waits until it has ended.
 * Source: asyncio.Task; the design page lists what differs.
 */
export class Task<T> extends Future<T> {
  /** @internal Its variables while it has no scope. */ own!: Scope | Context | ContextValues;
  /** @internal */ previous: Task<unknown> | undefined;
  /** @internal */ next: Task<unknown> | undefined;
  #name: string | number; // a number if it has none: the words are made on demand (bench: spawn)
  // Where it waits for a place in its group, and until it ends without one. Others have none.
  /** @internal */ declare held: Start | undefined;
  static {
    delete (Task.prototype as { constructor?: unknown }).constructor; // to see that of Future.prototype
  }
  /** @internal With `held` it waits for `start()`: its group limits how many run. */
  constructor(loop: EventLoop, coroutine: Coroutine<T>, options: TaskOptions = {}, held = false) {
    const cure = advice("Use `createTask(() => ...)`");
    if (typeof coroutine !== "function")
      throw argumentError("`new Task`", "a loop and a function", loop, cure);
    super({ loop });
    this.#name = options.name === undefined ? ++loop.unnamed : String(options.name);
    if (loop.debug) noteCreation(this, Task);
    if (options === later) return;
    const { context, cancelGrace, signal, eagerStart } = options;
    this.setUp(context ?? currentContext().values, cancelGrace);
    const isAborted = signal?.aborted === true;
    const scope = held ? undefined : this.scope; // it begins soon
    if (scope !== undefined) scope.mayBeDue = false; // nobody waits for it so far
    if (scope === undefined || isAborted) this.held = new Start(this, coroutine);
    else if (eagerStart !== true) loop.enqueue(new Start(this, coroutine));
    else if (Context.entered === undefined) runInScope(scope, call, coroutine);
    else scope.context.run(() => runInScope(scope, call, coroutine));
    if (isAborted) this.cancelFor("abort", signal?.reason); // it does not start
  }
  /** @internal Gives it a place among the live tasks. */
  setUp(own: Scope | Context | ContextValues, cancelGrace?: number): void {
    this.own = own;
    if (cancelGrace !== undefined) this.scope.ownCancelState().cancelGrace = cancelGrace;
    this.getLoop().tasks.add(this);
  }
  /** @internal */ get scope(): Scope {
    if (this.own instanceof Scope) return this.own;
    this.own = new Scope(this.getLoop(), { label: "task", context: this.own, task: this });
    this.own.mayBeDue = true; // by a deadline around an owner that it has got before
    if (this.done()) this.own.close();
    return this.own;
  }
  /** @internal Makes the body run in the next iteration. */ start(): void {
    if (this.held !== undefined) this.getLoop().enqueue(this.held);
    this.held = undefined;
  }
  /**
   * Asks the task to stop: its waits end with a CancelledError; if it has none right now, its next
   * one does. A task that has not started yet gets it at its first wait. False if it is done.
   */
  override cancel(reason?: unknown): boolean {
    return this.cancelFor("cancel", reason, here().task?.getName());
  }
  /** @internal */ override forwardCancel(cancellation: Cancellation): void {
    const { reason, source, requestedBy, origin } = cancellation;
    // It comes more than once, by the group and by an awaiter. Once taken back, it counts again.
    const cancelState = this.scope.ownCancelState();
    if (origin === cancelState.origin && this.cancelling() > 0) return;
    cancelState.origin = origin;
    if (source === "closed")
      this.cancelFor("group", reason, requestedBy); // the end of its owner's scope: it may clean up
    else this.cancelFor(source, reason, requestedBy, cancellation);
  }
  /** @internal `cancel` with another source than code that called it. */
  cancelFor(source: CancelSource, reason?: unknown, by?: string, from?: Cancellation): boolean {
    if (this.done()) return false;
    if (this.held === undefined) this.scope.cancel(reason, source, by, from);
    else {
      // No place in its group yet, or its signal had aborted: it ends without a run (F10).
      const details = { ...from, scope: this.scope, reason, source, requestedBy: by };
      const options = source === "abort" ? { cause: reason } : undefined;
      this.settle("cancelled", new CancelledError(details, options));
    }
    return true;
  }
  /**
   * Cancels it and waits until it has ended; its failure counts as seen. Cancelled meanwhile, it
   * rejects when the task has ended. Refused if the task waits for the caller, as its owner does.
   */
  cancelAndWait(reason?: unknown): Promise<void> {
    const scope = here();
    this.observe();
    if (this.done()) return scope.interruption(this) ?? completed(scope, this, undefined);
    const cycle = this.cycleThrough(scope);
    if (cycle !== undefined) return refused(scope, this, cycle);
    this.cancel(reason);
    const listener = { futureDone: () => void wait.joined(undefined) };
    const wait = park<void>(scope, this, (join, cancellation) => {
      const isLetGo = letsGo(join, cancellation); // else it ends with the task, which is cancelled
      if (isLetGo) this.unlisten(listener);
      return isLetGo;
    });
    this.listen(listener);
    cancelIfDue(wait as Wait);
    return wait.promise;
  }
  /** @internal Ends it without its body, which stays suspended: it swallows every cancellation. */
  abandon(): void {
    if (this.done()) return;
    const state = this.scope.ownCancelState();
    state.refusals = Number.POSITIVE_INFINITY;
    this.settle("cancelled", new CancelledError(state.first ?? { scope: this.scope }));
  }
  /** How many cancellations are in force. */
  cancelling(): number {
    return this.scope.cancelling();
  }
  /** Takes one cancellation back and gives how many remain. At 0 an undelivered one is gone. */
  uncancel(): number {
    return this.scope.uncancel();
  }
  /** Its name, in reports and errors. */
  getName(): string {
    if (typeof this.#name === "number") this.#name = `Task-${this.#name}`;
    return this.#name;
  }
  /** Gives it another name. */
  setName(name: string): void {
    this.#name = String(name);
  }
  /** The context variables that it runs with. */
  getContext(): Context {
    return this.scope.context;
  }
  /** Not for tasks. @throws InvalidStateError always: the body's outcome is the task's. */
  override setResult(_value: T): never {
    throw notSettable("setResult", "returns");
  }
  /** Not for tasks. @throws InvalidStateError always: the body's outcome is the task's. */
  override setException(_error: unknown): never {
    throw notSettable("setException", "throws");
  }
  /** What it waits for, a line for each branch; empty while it runs or sits in a foreign await. */
  waitingFor(): string[] {
    if (this.done()) return [];
    if (this.held !== undefined) return ["a free place in its task group"];
    return this.scope.parkedWaits().map((wait) => wait.describe());
  }
  /** @internal */ override describe(): string {
    return `task ${JSON.stringify(this.getName())}`;
  }
  /** @internal */ override waitsOn(): Iterable<Task<unknown>> {
    return [this];
  }
  /** @internal */ override listen(listener: Wait<T> | FutureListener): void {
    // An operation of the task may be the first to notice a deadline around its owner.
    if (this.own instanceof Scope) this.own.heed((listener as Partial<FutureListener>).owner);
    super.listen(listener);
  }
  /** @internal The scope in which its owner waits for it: a group, a gather. */
  get owner(): Scope | undefined {
    for (const listener of this.allListeners())
      if (!(listener instanceof Wait) && listener.owner !== undefined) return listener.owner;
    return undefined;
  }
  /** @internal */ override get variables(): Context {
    return this.scope.context;
  }
  /** @internal */ override get twin(): () => Task<unknown> {
    const [loop, options] = [this.getLoop(), { name: this.getName(), context: this.scope.context }];
    return () => new Task<unknown>(loop, () => {}, options, true); // held: it never starts
  }
  /**
   * @internal Follows who waits for whom, through tasks with exactly one wait: of two, one may end
   * it. A task that nobody awaits closes no circle: so a chain built from its end costs nothing.
   * One that owns the awaiter, or owns its owner, cannot end before it in any case.
   */
  override cycleThrough(scope: Scope): Error | undefined {
    const awaiter = scope.task;
    if (awaiter === undefined || awaiter.scope.parkedWaits(1).length > 0) return undefined;
    if (isOwner(this, awaiter)) return cycleError([this, awaiter]);
    const listeners = [...awaiter.allListeners()];
    if (awaiter !== this && !listeners.some((one) => one instanceof Wait)) return undefined;
    const path: Task<unknown>[] = [];
    for (let next: unknown = this; next instanceof Task; ) {
      path.push(next);
      if (next === awaiter) return cycleError(path);
      const [wait, second]: Wait[] = next.scope.parkedWaits(2);
      next = second === undefined ? wait?.subject : undefined;
    }
    return undefined;
  }
  /** @internal */ failed(thrown: unknown): void {
    const error = recognised(thrown, this.scope, true);
    this.settle(error instanceof CancelledError ? "cancelled" : "rejected", error);
  }
  /** @internal */ override settle(state: Exclude<FutureState, "pending">, outcome: unknown): void {
    if (this.done()) return; // abandoned, and the body has ended after all
    if (this.held !== undefined) this.held = undefined; // whoever keeps the task does not keep it
    const { scope } = this;
    scope.close();
    if (state !== "cancelled" && scope.cancelState === CALM) this.own = scope.variables; // nor this (bench: memory)
    this.getLoop().tasks.remove(this);
    super.settle(state, outcome);
  }
}
/** Calls the body of the task whose scope was entered, and lets that settle it. */
function call(coroutine: Coroutine<unknown>): void {
  let body: Promise<unknown>;
  try {
    body = callBody(coroutine);
  } catch (error) {
    body = Promise.reject(error);
  }
  if (staysInContext) return void nativeThen.call(body, bodyReturned, bodyThrew);
  const task = taskOfBody();
  body.then(task.settle.bind(task, "fulfilled"), task.failed.bind(task));
}
const nativeThen = Promise.prototype.then;
// The same reactions to all bodies: they find their task by the context (bench: spawn, memory).
const taskOfBody = (): Task<unknown> => currentScope()?.task as Task<unknown>; // `call` runs in it
const bodyReturned = (value: unknown): void => taskOfBody().settle("fulfilled", value);
const bodyThrew = (error: unknown): void => taskOfBody().failed(error);

function isOwner({ own }: Task<unknown>, child: Task<unknown>): boolean {
  let owner = own instanceof Scope && (own.first ?? own.nested?.first) ? child.owner : undefined; // an owner waits
  for (let left = 10_000; left > 0 && owner !== undefined && owner.task?.own !== own; left--)
    owner = owner.task?.owner; // tasks that gather each other have owners in a circle
  return owner?.task?.own === own;
}
function cycleError(path: readonly Task<unknown>[]): InvalidStateError {
  const names = path.map((task) => JSON.stringify(task.getName()));
  const itself = `task ${names.join()} awaits itself`;
  const circle = `tasks await each other in a circle: ${[names.at(-1), ...names].join(" -> ")}`;
  return new InvalidStateError(path.length === 1 ? itself : circle);
}
function notSettable(call: string, does: string): InvalidStateError {
  const why = `a task ends with what its body ${does}${advice("Use a Future")}`;
  return new InvalidStateError(`\`task.${call}\` cannot be used: ${why}`);
}
