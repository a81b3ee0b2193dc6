/**
 * Tasks: units of work that run side by side, each with a scope, a name, and a context of its own.
 * A task is a Future that is settled by its body; everything about waiting and cancelling is its
 * scope's.
 */

import {
  argumentError,
  CancelledError,
  type CancelSource,
  checkCoroutine,
  checkOptions,
  checkSeconds,
  InvalidStateError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { type AbortTarget, bindSignal, checkSignalType } from "../ports/abort.ts";
import type { Cancellation } from "./cancellation.ts";
import { currentScope, enterScope, runInScope } from "./context.ts";
import { creationSites, cycleError } from "./debug.ts";
import { Future, type FutureListener } from "./future.ts";
import { Gate } from "./gate.ts";
import type { EventLoop } from "./loop.ts";
import { completed, here, recognised, refused } from "./operation.ts";
import { park, Scope } from "./scope.ts";
import { type Context, currentContext } from "./variables.ts";
import { stackAbove, Wait } from "./wait.ts";

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
  /** Seconds. @default that of the loop */
  readonly cancelGrace?: number | undefined;
}
const KNOWN: Names<TaskOptions> = { name: 1, context: 1, eagerStart: 1, signal: 1, cancelGrace: 1 };

/**
 * A running piece of work: await it for its result, `cancel()` it. Made by `createTask`.
 * Awaiting it and being cancelled meanwhile cancels it as well, and waits until it has ended.
 * Source: asyncio.Task; the design page lists what differs.
 */
export class Task<T> extends Future<T> {
  /** @internal */ readonly scope: Scope;
  /** @internal Links of the loop's list of tasks. */
  previous: Task<unknown> | undefined = undefined;
  /** @internal */
  next: Task<unknown> | undefined = undefined;
  /** A number for a task without a name: the words are made when somebody asks (bench: spawn). */
  #name: string | number;
  /** Starts the body when it is opened; the task waits for a place in its group. */
  #gate: Gate | undefined = undefined;

  static {
    // A class has a `constructor` of its own; the one of Future.prototype must be seen instead.
    delete (Task.prototype as { constructor?: unknown }).constructor;
  }

  /**
   * @internal With `held` the task waits for `start()`; it belongs to a group that limits how many
   * run.
   */
  constructor(loop: EventLoop, coroutine: Coroutine<T>, options: TaskOptions = {}, held = false) {
    if (typeof coroutine !== "function")
      throw argumentError(
        "`new Task`",
        "a loop and a function",
        loop,
        "Use `createTask(() => ...)`",
      );
    super({ loop });
    const { context, name, cancelGrace } = options;
    this.#name = name === undefined ? ++loop.unnamed : String(name);
    if (loop.debug) creationSites.set(this, stackAbove(Task));
    this.scope = new Scope(loop, {
      label: "task",
      context: context ?? currentContext().share(),
      task: this,
      cancelGrace,
    });
    if (options.signal !== undefined) {
      const target: AbortTarget = { cancel: (reason) => this.cancelFor("abort", reason) };
      const binding = bindSignal(target, options.signal);
      this.scope.watch({ closed: () => binding?.release() });
    }
    loop.tasks.add(this);
    const isAborted = options.signal?.aborted === true;
    if (options.eagerStart === true && !held && !isAborted) void this.#runEagerly(coroutine);
    else {
      if (held || isAborted) this.#gate = new Gate(this.scope);
      const turn = this.#gate?.promise ?? loop.turn(this.scope);
      // The reaction runs in the async context of whoever creates the task: its stores reach the
      // body (R2).
      turn.then(() => this.#begin(coroutine));
    }
    if (isAborted) this.cancelFor("abort", options.signal?.reason); // the gate stays closed: it does not start
  }

  /** @internal Makes the body run in the next iteration. */
  start(): void {
    if (this.#gate !== undefined) this.getLoop().enqueue(this.#gate);
    this.#gate = undefined;
  }

  /**
   * Asks the task to stop: its waits end with a CancelledError; if it has none right now, its next
   * one does. A task that has not started yet starts, and gets the CancelledError at its first
   * wait. Returns false if it is done.
   */
  override cancel(reason?: unknown): boolean {
    return this.cancelFor("cancel", reason, here().task?.getName());
  }

  /** @internal */
  override forwardCancel(cancellation: Cancellation): void {
    const { reason, source, requestedBy, origin } = cancellation;
    // It comes here more than once: by its group and by the body that awaits it, or round a circle
    // of tasks. Insisting comes again too, and gets through to a task that has taken the first one
    // back.
    const cancelState = this.scope.ownCancelState();
    if (origin === cancelState.origin && this.cancelling() > 0) return;
    cancelState.origin = origin;
    // "closed" is the end of the scope of whoever owns the task, not of its own: it may clean up.
    if (source === "closed") this.cancelFor("group", reason, requestedBy);
    else this.cancelFor(source, reason, requestedBy, cancellation);
  }

  /** @internal `cancel` with another source than code that called it. */
  cancelFor(
    source: CancelSource,
    reason?: unknown,
    requestedBy?: string,
    from?: Cancellation,
  ): boolean {
    if (this.done()) return false;
    if (this.#gate === undefined) this.scope.cancel(reason, source, requestedBy, from);
    else {
      // Not admitted to its group yet, or its signal had aborted before: it ends without having run
      // (F10).
      const details = { scope: this.scope, reason, source, requestedBy };
      const options = source === "abort" ? { cause: reason } : undefined;
      this.end("cancelled", new CancelledError(details, options));
    }
    return true;
  }

  /**
   * Cancels it and waits until it has ended. Throws nothing of the task's: its failure counts as
   * seen. Cancelled meanwhile, it rejects when the task has ended. Refused for a task that waits
   * for it.
   */
  cancelAndWait(reason?: unknown): Promise<void> {
    const scope = here();
    this.observe();
    if (this.done()) return scope.interruption(this) ?? completed(scope, this, undefined);
    const cycle = this.cycleThrough(scope);
    if (cycle !== undefined) return refused(scope, this, cycle);
    this.cancel(reason);
    const listener = { futureDone: () => void wait.joined(undefined) };
    const wait = park<void>(scope, this, (_wait, { source }) => {
      if (source === "closed") this.unlisten(listener);
      return source === "closed"; // a join: it ends with the task, which is cancelled already
    });
    this.listen(listener);
    const due = scope.mayBeDue ? scope.takeDue() : undefined;
    if (due !== undefined) wait.cancel(due);
    return wait.promise;
  }

  /**
   * @internal Ends the task as cancelled although its body has not ended. The body stays suspended
   * where it is for ever: the last resort against one that swallows every cancellation.
   */
  abandon(): void {
    if (this.done()) return;
    this.scope.suspendForEver();
    this.end("cancelled", new CancelledError(this.scope.cancellation ?? { scope: this.scope }));
  }

  /** How many cancellations are in force. */
  cancelling(): number {
    return this.scope.cancelling();
  }

  /**
   * Takes one cancellation back and gives how many remain; at 0 an undelivered one is forgotten
   * too.
   */
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
    throw new InvalidStateError(
      "`task.setResult` cannot be used: a task ends with what its body returns. Use a Future",
    );
  }

  /** Not for tasks. @throws InvalidStateError always: the body's outcome is the task's. */
  override setException(_error: unknown): never {
    throw new InvalidStateError(
      "`task.setException` cannot be used: a task ends with what its body throws. Use a Future",
    );
  }

  /**
   * What the task waits for right now, one line a branch; empty while it runs or sits in a foreign
   * await.
   */
  waitingFor(): string[] {
    if (this.done()) return [];
    if (this.#gate !== undefined) return ["a free place in its task group"];
    return this.scope.parkedWaits().map((wait) => wait.describe());
  }

  /** @internal */
  override describe(): string {
    return `task ${JSON.stringify(this.getName())}`;
  }

  /** @internal */
  override waitsOn(): Iterable<Task<unknown>> {
    return [this];
  }

  /** @internal */
  override listen(listener: Wait<T> | FutureListener): void {
    // A deadline around the owner counts here, too: an operation of the task may be the first to
    // notice it.
    if ((listener as Partial<FutureListener>).owner?.mayBeDue === true) this.scope.mayBeDue = true;
    super.listen(listener);
  }

  /** @internal The scope in which its owner waits for it: a group, a gather. */
  get owner(): Scope | undefined {
    for (const listener of this.allListeners())
      if (!(listener instanceof Wait) && listener.owner !== undefined) return listener.owner;
    return undefined;
  }

  /** @internal */ protected override get variables(): Context {
    return this.scope.context;
  }

  /** @internal */
  protected override get twin(): () => Task<unknown> {
    const [loop, failure] = [this.getLoop(), this.failure];
    const options = { name: this.getName(), context: this.scope.context };
    return () => {
      const twin = new Task<unknown>(loop, () => Promise.reject(failure), options, true); // held: it never starts
      twin.observe();
      twin.failed(failure);
      return twin;
    };
  }

  /** @internal */
  override get createdAt(): string | undefined {
    return creationSites.get(this);
  }

  /**
   * @internal Follows who waits for whom from this task. Only tasks with exactly one wait are
   * followed: with two, one branch may end the task however long the other one waits. A deadline
   * round one of the waits does not break the circle: the cancelled join goes on until the other
   * task has ended. A task that nobody awaits cannot close a circle, so building a chain of tasks
   * from its end costs nothing.
   */
  override cycleThrough(scope: Scope): Error | undefined {
    const awaiter = scope.task;
    if (awaiter === undefined) return undefined;
    if (awaiter !== this && !awaiter.isAwaited) return undefined;
    if (awaiter.scope.parkedWaits(1).length > 0) return undefined; // another branch of it may end it
    const path: string[] = [];
    for (
      let task: Future<unknown> | undefined = this;
      task instanceof Task;
      task = task.#soleAwaited()
    ) {
      path.push(JSON.stringify(task.getName()));
      if (task === awaiter) return cycleError(path);
    }
    return undefined;
  }

  #soleAwaited(): Future<unknown> | undefined {
    const [wait, second] = this.scope.parkedWaits(2);
    return second === undefined && wait?.subject instanceof Future ? wait.subject : undefined;
  }

  /**
   * By hand, and not as an async function: its frame would hold gate and coroutine as long as the
   * body runs (bench: spawn).
   */
  #begin(coroutine: Coroutine<T>): void {
    enterScope(this.scope);
    let result: T | PromiseLike<T>;
    try {
      result = coroutine();
    } catch (error) {
      this.failed(error);
      return;
    }
    try {
      if (staysInContext && Object.getPrototypeOf(result) === Promise.prototype) {
        nativeThen.call(result, bodyReturned, bodyThrew);
        return;
      }
    } catch {
      // It has the prototype of a promise and is none, as a proxy of one: whatever `await` makes of
      // it is the outcome.
    }
    // Inside the scope: a task that the coroutine merely returns, a thenable, or no promise at all.
    awaitBody(() => result).then(
      (value) => this.end("fulfilled", value),
      (error) => this.failed(error),
    );
  }

  async #runEagerly(coroutine: Coroutine<T>): Promise<void> {
    try {
      const { context } = this.scope;
      const result = context.run(() => runInScope(this.scope, awaitBody<T>, coroutine));
      this.end("fulfilled", await result);
    } catch (error) {
      this.failed(error);
    }
  }

  /** @internal */
  failed(thrown: unknown): void {
    const error = recognised(thrown, this.scope);
    this.end(error instanceof CancelledError ? "cancelled" : "rejected", error);
  }

  /** @internal */
  end(state: "fulfilled" | "rejected" | "cancelled", outcome: unknown): void {
    if (this.done()) return; // abandoned, and the body has ended after all
    this.scope.close();
    this.getLoop().tasks.remove(this);
    this.settle(state, outcome);
  }
}

/** Of the promise itself, as `await` uses it: a `then` of its own may call back anywhere. */
const nativeThen = Promise.prototype.then;
/**
 * True iff that is the engine's, and nobody has replaced it (zone.js does): its reactions keep
 * their context.
 */
const staysInContext = /^function then\(\)\s*\{\s*\[native code\]\s*\}$/.test(
  Function.prototype.toString.call(nativeThen),
);

// The reactions to all bodies: they run in the context in which they were made, so they find their
// task there, and no task has functions of its own (bench: spawn, memory).
const bodyReturned = (value: unknown): void => taskOfBody().end("fulfilled", value);
const bodyThrew = (error: unknown): void => taskOfBody().failed(error);

function taskOfBody(): Task<unknown> {
  return currentScope()?.task as Task<unknown>; // `#begin` has entered its scope
}

async function awaitBody<T>(coroutine: Coroutine<T>): Promise<T> {
  return await coroutine();
}

/**
 * Starts `coroutine` as a task. Its first step runs in the next iteration of the loop, after what
 * is ready now. Nobody waits for it unless you do: prefer `taskGroup`. Not a wait itself.
 * @throws TypeError when `coroutine` is not a function; InvalidStateError on a closed loop.
 */
export function createTask<T>(coroutine: Coroutine<T>, options?: TaskOptions): Task<T> {
  checkCoroutine("`createTask`", coroutine);
  const { loop } = here();
  loop.checkOpen("`createTask`");
  checkTaskOptions("`createTask`", options);
  return new Task(loop, coroutine, options);
}

/** @throws TypeError or RangeError for wrong options, in the name of the call. */
export function checkTaskOptions(api: string, options: TaskOptions | undefined): void {
  if (options === undefined) return;
  checkOptions(api, options, KNOWN);
  const { cancelGrace = 0, signal } = options;
  checkSeconds(api, "`cancelGrace` in seconds", cancelGrace);
  checkSignalType(api, signal);
}

/**
 * The running task; undefined in callbacks of the loop (`callSoon`) and outside every task. In a
 * bare callback of the host (a listener, a timer, the handler of a web server) it is the task that
 * registered the callback, whose context variables the callback shares with all its other
 * callbacks: `requestScope` and `createTask` start one with its own.
 *
 * @example
 * const name = asyncio.createTask(async () => asyncio.currentTask()?.getName(), { name: "worker"
 * }); assert.equal(await name, "worker");
 */
export function currentTask(): Task<unknown> | undefined {
  return here().task;
}

/**
 * The tasks of the running loop that have not ended, in the order of their creation.
 *
 * @example
 * const worker = asyncio.createTask(() => asyncio.sleep(0.001));
 * assert.ok(asyncio.allTasks().has(worker));
 * await worker;
 * assert.ok(!asyncio.allTasks().has(worker));
 */
export function allTasks(): Set<Task<unknown>> {
  return new Set(here().loop.tasks.toArray());
}
