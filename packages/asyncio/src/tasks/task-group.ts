/**
 * Task groups: a block that owns tasks and does not end before they have.
 *
 * What happens when a child fails while its parent sleeps?
 *
 *     await taskGroup(async (group) => {
 *       group.createTask(fails);
 *       await sleep(3600);          // <- a CancelledError of the group's scope is delivered here
 *     });              // <- children are cancelled and awaited; then the ExceptionGroup is thrown
 *
 * Two phases. While the body runs, a cancellation from outside meets the group's scope, whose hook
 * cancels the children with it. When the body has ended, its scope is closed, and the group waits
 * for the children with one wait in the scope around it; that wait is never rejected early, it
 * forwards the cancellation to the children (R15).
 *
 * Sources: asyncio.TaskGroup (S87 to S104); `limit` and `start` as in Trio and AnyIO.
 */

import {
  advice,
  argumentError,
  CancelledError,
  checkCoroutine,
  checkCount,
  checkOptions,
} from "../errors/errors.ts";
import { type Cancellation, inForce } from "../kernel/cancellation.ts";
import { currentContext } from "../kernel/context.ts";
import { cancelIfDue } from "../kernel/delivery.ts";
import { here, makeDueAgain, openScope } from "../kernel/operation.ts";
import { park, Scope } from "../kernel/scope.ts";
import { type Coroutine, Task, type TaskOptions } from "../kernel/task.ts";
import type { Wait } from "../kernel/wait.ts";
import { LinkedList } from "../structures/linked-list.ts";
import { bindSignal, bindTask } from "./abort.ts";
import { checkTaskOptions } from "./create-task.ts";
import { excuse } from "./excuse.ts";
import {
  type AnyStarting,
  cannotStart,
  describeChildren,
  GroupChild,
  Starting,
} from "./group-child.ts";
import {
  type BodyOutcome,
  checkGroupOptions,
  Failures,
  START_OPTIONS,
  type StartOptions,
  type TaskGroupOptions,
} from "./task-group-options.ts";

/**
 * Runs `body` with a group that it can start tasks in, waits until the body and all the tasks have
 * ended, and gives what the body returned. When the body or a task fails, the others are cancelled
 * and awaited, and the call rejects with an ExceptionGroup of all failures, also if there is one
 * only; `onError` says what else may become of a failure. Cancelled from outside, it cancels body
 * and tasks, awaits them, and rejects with the CancelledError.
 *
 * @example
 * const pages: string[] = [];
 * await asyncio.taskGroup(async (group) => {
 *   for (const url of ["/a", "/b", "/c"]) {
 *     group.createTask(async () => pages.push(await asyncio.sleep(0.001, url)));
 *   }
 * }, { limit: 2 });
 * assert.deepEqual(pages, ["/a", "/b", "/c"]);
 */
export function taskGroup(
  body: (group: TaskGroup<void>) => void | PromiseLike<void>,
  options?: TaskGroupOptions,
): Promise<void>;
// The type of `group` cannot wait for what the body returns. Where that is inferred,
// `group.cancel(value)` is refused (the second type parameter keeps this form from calls that name
// one); `taskGroup<number>(...)` allows it.
export function taskGroup<T, _Inferred extends true>(
  body: (group: TaskGroup<never>) => T | PromiseLike<T>,
  options?: TaskGroupOptions,
): Promise<T>;
export function taskGroup<T>(
  body: (group: TaskGroup<T>) => T | PromiseLike<T>,
  options?: TaskGroupOptions,
): Promise<T>;
export async function taskGroup(
  body: (group: never) => unknown,
  options?: TaskGroupOptions,
): Promise<unknown> {
  checkCoroutine("`taskGroup`", body);
  checkGroupOptions(options);
  return await new TaskGroup(options ?? {}).run(body as (group: TaskGroup) => unknown); // each form takes a group
}

/**
 * "closing": the body has ended and children run. "aborting": all is being cancelled. Both end in
 * "closed".
 */
type GroupState = "open" | "closing" | "aborting" | "closed";

/**
 * Starts tasks that a `taskGroup` call owns. `R` is what that call resolves to.
 *
 * @example
 * const fetchBoth = async (group: asyncio.TaskGroup) => {
 *   group.createTask(() => asyncio.sleep(0.001));
 *   group.createTask(() => asyncio.sleep(0.002));
 * };
 * await asyncio.taskGroup(fetchBoth); // ends when both have ended
 */
export class TaskGroup<R = unknown> {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  #limit: number;
  readonly #signal: AbortSignal | undefined;
  /** The scope around the group, where the caller waits. */
  readonly #outer: Scope;
  /** The scope of the body. */
  readonly #scope: Scope;
  #state: GroupState = "open";
  /** Children that have not ended, in the order of creation. */
  readonly #children: LinkedList<GroupChild> = new LinkedList();
  /** How many of them have a place; the others are held. */
  #running = 0;
  /** The first of those that are held. They come last, since places are given in order. */
  #firstHeld: GroupChild | undefined;
  #created = 0;
  readonly #failures: Failures;
  /** Set if `cancel` was called: what the call resolves to. */
  #ended: { readonly value: R } | undefined;
  /** The latest cancellation from outside that reached the body, and that which cut a child off. */
  #outside: Cancellation | undefined;
  #cut: Cancellation | undefined;
  /** Set if the signal aborted. */
  #aborted: { readonly reason: unknown; readonly cutsChildren: boolean } | undefined;
  /** True once a listener was told that the group is ending. */
  #hasExcused = false;
  /** The caller, waiting for the children. */
  #join: Wait<void> | undefined;

  /** @internal Groups are made by `taskGroup`. */
  constructor(options: TaskGroupOptions) {
    const cure = advice("Use `taskGroup(async (group) => ...)`");
    if (options === undefined) throw argumentError("`new TaskGroup`", "options", options, cure);
    const { limit = Number.POSITIVE_INFINITY, name, signal, onError = "cancel" } = options;
    this.name = name;
    this.#failures = new Failures(this, onError);
    this.#limit = limit;
    this.#signal = signal;
    this.#outer = here();
    const { loop, task } = this.#outer;
    const { cancelGrace } = this.#outer.cancelState;
    const [label, context] = [this.describeWait(), currentContext()];
    this.#scope = new Scope(loop, { label, task, context, cancelGrace });
    this.#scope.watch({
      cancelled: (cancellation) => {
        if (cancellation.scope !== this.#scope) this.#outside = cancellation;
        this.#cancelChildren(cancellation);
      },
    });
  }

  /**
   * Starts a child. Allowed while the body or any child runs, for children too. Its first step runs
   * in the next iteration, or when a place is free. A child that is cancelled while it waits for a
   * place ends without running.
   * @throws InvalidStateError when the group has ended or is being cancelled; TypeError when
   * `coroutine` is not a function.
   */
  createTask<T>(coroutine: Coroutine<T>, options?: TaskOptions): Task<T> {
    return this.createTaskFor("`group.createTask`", coroutine, options);
  }

  /** @internal The same for `api`, the call of the program that the child is started for. */
  createTaskFor<T>(api: string, coroutine: Coroutine<T>, options?: TaskOptions): Task<T> {
    checkCoroutine(api, coroutine);
    this.#checkOpen(api, coroutine, options);
    checkTaskOptions(api, options);
    return this.#add(coroutine, options, undefined);
  }

  /**
   * Starts a child and waits until it says that it is ready: gives the value it passes to
   * `started`. From then on it is a child as any other. A failure before that surfaces here and
   * does not touch the group; ending without having called `started` is an InvalidStateError.
   * Cancelling the call cancels the child and waits for it. With `handle: true` it gives the task
   * as well, as `{ value, task }`. Source: Trio's nursery.start.
   *
   * @example
   * await asyncio.taskGroup(async (group) => {
   *   const port = await group.start<number>(async (started) => {
   *     started(8080);
   *     await asyncio.sleep(0.001);
   *   });
   *   assert.equal(port, 8080);
   * });
   */
  start<V>(
    body: (started: (value: V) => void) => unknown,
    options: StartOptions & { readonly handle: true },
  ): Promise<{ readonly value: V; readonly task: Task<unknown> }>;
  start<V>(
    body: (started: (value: V) => void) => unknown,
    options?: StartOptions & { readonly handle?: false | undefined },
  ): Promise<V>;
  async start<V>(
    body: (started: (value: V) => void) => unknown,
    options?: StartOptions,
  ): Promise<unknown> {
    checkCoroutine("`group.start`", body);
    this.#checkOpen("`group.start`", body, options);
    checkOptions("`group.start`", options, START_OPTIONS);
    const { handle = false, ...taskOptions } = options ?? {};
    checkTaskOptions("`group.start`", taskOptions);
    const scope = here();
    const stop = scope.interruption("group.start");
    if (stop !== undefined) await stop;
    const starting = new Starting<V>(scope);
    const task = this.#add(() => body((value) => starting.started(value)), taskOptions, starting);
    const value = await starting.wait.promise;
    return handle ? { value, task } : value;
  }

  /**
   * How many children run at the same time. Can be set while they do: of fewer, those that run go
   * on; of more, the next ones start. @throws TypeError or RangeError unless it is a number, 1 or
   * more.
   */
  get limit(): number {
    return this.#limit;
  }

  set limit(limit: number) {
    checkCount("`group.limit`", "a limit", limit);
    this.#limit = limit;
    this.#admit();
  }

  /** The children that have not ended, in the order in which they were created. */
  children(): Task<unknown>[] {
    return this.#children.toArray().map(({ task }) => task);
  }

  /** How many children run, wait for a place, have ended, and have failed. */
  statistics(): Readonly<Record<"running" | "waiting" | "ended" | "failed", number>> {
    const { size } = this.#children;
    const [running, failed, ended] = [this.#running, this.#failures.count, this.#created - size];
    return Object.freeze({ running, waiting: size - running, ended, failed });
  }

  /**
   * Ends the group early, without an error: cancels body and children, waits for them, and the
   * `taskGroup` call resolves to `value`. Failures while they end are still thrown, and a
   * cancellation from outside still propagates.
   */
  cancel(...value: undefined extends R ? [value?: R] : [value: R]): void {
    if (this.#state === "closed") return;
    this.#ended ??= { value: value[0] as R }; // the type of `cancel` asks for it wherever undefined is not an R
    this.abort();
  }

  /** @internal */
  describeWait(): string {
    return this.name === undefined ? "a task group" : `task group ${JSON.stringify(this.name)}`;
  }

  /** @internal */
  async run(body: (group: TaskGroup<R>) => R | PromiseLike<R>): Promise<R> {
    const release = bindSignal({ cancel: (reason) => this.#signalAborted(reason) }, this.#signal);
    try {
      const outcome = await this.#runBody(body);
      if (this.#state === "open") this.#state = "closing";
      // Again: other code may have started another child between the end of the last one and our
      // turn.
      while (this.#isBusy) await this.#joinChildren(outcome);
      return this.#conclude(outcome);
    } finally {
      this.#state = "closed";
      release();
    }
  }

  async #runBody(body: (group: TaskGroup<R>) => R | PromiseLike<R>): Promise<BodyOutcome<R>> {
    try {
      return { value: await openScope(this.#scope, this.#outer, () => body(this)) };
    } catch (error) {
      if (this.#scope.owns(error)) return {};
      if (error instanceof CancelledError) {
        this.abort();
        return { cancelledError: error };
      }
      this.#failures.add(-1, error);
      return {};
    }
  }

  async #joinChildren(outcome: BodyOutcome<R>): Promise<void> {
    const forwardCancel = (_wait: Wait<never>, cancellation: Cancellation): boolean => {
      this.#state = "aborting"; // nothing would cancel a child that is started from now on
      this.#cancelChildren(cancellation);
      return false;
    };
    const join = park<void>(
      this.#outer,
      {
        describeWait: () => describeChildren(this.children(), this.describeWait()),
        waitsOn: () => this.children(),
      },
      forwardCancel,
    );
    this.#join = join;
    cancelIfDue(join as Wait);
    try {
      await join.promise;
    } catch (error) {
      outcome.cancelledError ??= error as CancelledError; // this wait ends with nothing else
    }
  }

  #conclude(outcome: BodyOutcome<R>): R {
    // The body did not meet it, or has swallowed it: its value would tell that all is done.
    const cut = inForce(this.#cut);
    if (cut) outcome.cancelledError ??= new CancelledError(this.#outer.takeDue() ?? cut);
    const { value, cancelledError } = outcome;
    if (this.#failures.any) {
      if (cancelledError !== undefined) makeDueAgain(cancelledError);
      else this.#outside?.scope.makeDue(this.#outside); // the body has answered to it with a failure
      throw this.#failures.outcome();
    }
    if (cancelledError !== undefined) throw cancelledError;
    // Not if it came too late to cut anything off: a body that has returned is finished (F21).
    if (this.#aborted !== undefined && (this.#aborted.cutsChildren || !("value" in outcome))) {
      throw this.#aborted.reason;
    }
    return this.#ended === undefined ? (value as R) : this.#ended.value; // no value: it has failed, ended or aborted
  }

  // --- children

  /** @internal Where the children are waited for. */
  get scopeAround(): Scope {
    return this.#outer;
  }

  /** @internal A child has ended. */
  childDone(child: GroupChild): void {
    const { task, starting, place } = child;
    if (child.state !== "held") this.#running--;
    if (child === this.#firstHeld) this.#firstHeld = child.next;
    this.#children.remove(child);
    if (starting !== undefined && !starting.isStarted) starting.ended(task);
    else if (task.state === "rejected") this.#failures.childFailed(place, task);
    else if (task.cancelled() && child.state !== "running") this.#cut = this.#outside;
    this.#admit();
    this.endJoin();
  }

  get #isBusy(): boolean {
    return this.#children.size > 0 || this.#failures.telling > 0;
  }

  /** @internal Ends the wait for the children, if there is nothing to wait for. */
  endJoin(): void {
    const join = this.#join;
    if (this.#isBusy || join === undefined) return;
    // Failures go first; the cancellation that they hide comes back at the next wait (S90).
    if (!this.#failures.any) join.joined();
    else join.resume();
  }

  #add<T>(
    coroutine: Coroutine<T>,
    options: TaskOptions | undefined,
    starting: AnyStarting | undefined,
  ): Task<T> {
    const place = this.#created++;
    const isHeld = this.#running >= this.#limit;
    if (!isHeld) this.#running++;
    const task = new Task(this.#scope.loop, coroutine, options, isHeld);
    const child = new GroupChild(this, task, place, isHeld, starting);
    this.#children.add(child);
    if (isHeld) this.#firstHeld ??= child;
    task.listen(child);
    starting?.hasBegun(task);
    bindTask(task, options?.signal);
    // An eager child may have ended its own group in its first step.
    if (this.#state === "aborting") this.#cancelChildren(this.#scope.newCancellation("group"));
    return task;
  }

  #admit(): void {
    if (this.#state === "aborting") return;
    for (let child = this.#firstHeld; child !== undefined; child = this.#firstHeld) {
      if (this.#running >= this.#limit) return;
      this.#firstHeld = child.next;
      if (child.state !== "held") continue; // started in the call, and has made those before it
      child.state = "running";
      this.#running++;
      child.task.start();
    }
  }

  /** @internal Cancels body and children. Once: a hundred thousand children may all fail. */
  abort(source: "group" | "abort" = "group", reason?: unknown): void {
    if (this.#state === "aborting") return;
    // A body that ends by a cancellation from outside is not disturbed in its cleanup (S100).
    const isUnwinding = this.#outside !== undefined && this.#outside.scope.cancelling() > 0;
    if (!isUnwinding) this.#scope.cancel(reason, source);
    this.#state = "aborting";
    this.#cancelChildren(this.#scope.newCancellation(source, reason));
  }

  #signalAborted(reason: unknown): void {
    this.#aborted = { reason, cutsChildren: this.#children.size > 0 };
    this.abort("abort", reason);
  }

  /** Cancels the children. Those that it has cancelled before may take their time (F6). */
  #cancelChildren(cancellation: Cancellation): void {
    this.#children.toArray().forEach((child) => {
      if (child.state === "cancelled" && child.task.cancelling() > 0) return;
      if (child.state === "running") child.state = "cancelled";
      child.task.forwardCancel(cancellation);
    });
  }

  #checkOpen(api: string, child: { readonly name: string }, options?: TaskOptions): void {
    if (this.#state === "open" || this.#state === "closing") return;
    // A child that was cancelled with its group and does not know yet: tell it that, rather than
    // that it came too late.
    const interruption = this.#state === "aborting" ? here().takeDue() : undefined;
    if (interruption !== undefined) throw this.#excused(api, new CancelledError(interruption));
    const [what, hasEnded] = [options?.name ?? child.name, this.#state === "closed"];
    throw this.#excused(api, cannotStart(api, what, this.describeWait(), hasEnded));
  }

  /**
   * The caller may be a listener: what it throws goes into the emitter, and would end the process
   * while it cleans up. So it is reported instead, once for the group, if it is not caught.
   */
  #excused<E extends Error>(api: string, exception: E): E {
    const { loop, task } = this.#outer;
    return excuse(exception, () => {
      if (exception instanceof CancelledError) makeDueAgain(exception); // it was not the listener's to take
      if (this.#hasExcused) return;
      this.#hasExcused = true;
      const message = `a callback has called ${api} when ${this.describeWait()} was ending${advice("Nobody has caught the error")}`;
      loop.callExceptionHandler({ message, exception, task });
    });
  }
}
