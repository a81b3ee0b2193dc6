/**
 * A job of a TaskQueue: a task that is launched when its turn comes. In line it has no scope of its
 * own, and no step; what it keeps is the async context of the code that added it, and the context
 * variables: so 100,000 jobs in line cost half of as many held tasks (bench: task-queue).
 *
 *     in line ──start()──▶ running ──its body has ended──▶ done
 *        └───────cancel──────────────────────────────────────▲
 *
 * The queue is told once, when the job is done.
 */

import { CancelledError, type CancelSource, TimeoutError } from "../errors/errors.ts";
import type { Cancellation } from "../kernel/cancellation.ts";
import { currentContext } from "../kernel/context.ts";
import type { FutureState } from "../kernel/future.ts";
import { here, recognised } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { type Coroutine, later, Task, type TaskOptions } from "../kernel/task.ts";
import { contextHooks } from "../ports/context-storage.ts";
import { Context, type ContextValues } from "../structures/context-values.ts";
import { formatSeconds } from "../structures/timers.ts";
import { setDeadline } from "../tasks/deadlines.ts";

const { AsyncResource } = contextHooks();
const byHand = { requireManualDestroy: true }; // nothing is to be told of its end

/** The queue, as its jobs see it. */
export interface JobOwner {
  /** Where all jobs are waited for: the deadlines around it count for each. */
  keeper(): Scope | undefined;
  /** That of all jobs in line: closed, and nothing waits in it. */
  readonly lineScope: Scope;
  /** What a job runs. */
  bodyOf<T>(job: Job<T>, body: Coroutine<T>): Coroutine<T>;
  /** A job leaves the line without a turn. */
  leave(job: Job<unknown>): void;
  jobDone(job: Job<unknown>): void;
}

/** What `queue.add` takes. */
export interface JobOptions extends Omit<TaskOptions, "eagerStart"> {
  /** The job with the least begins first, of equal ones the one added first. @default 0 */
  readonly priority?: number | undefined;
  /** Seconds that it has, from its first step. @default that of the queue */
  readonly timeout?: number | undefined;
}

/** Shared by jobs that say nothing else. */
export interface JobDetails extends Omit<JobOptions, "signal"> {
  readonly priority: number;
  readonly timeout: number;
}

/**
 * What `queue.add` gives, a task: await it for the result of the job, `cancel()` it. Awaiting it
 * and being cancelled meanwhile cancels it as well, and waits until it has ended. `TaskQueue` makes
 * them.
 *
 * @example
 * const queue = new patterns.TaskQueue({ limit: 1 });
 * const job: patterns.Job<string> = queue.add(() => asyncio.sleep(0.001, "sent"));
 * assert.equal(await job, "sent");
 */
export class Job<T> extends Task<T> {
  /** @internal */ readonly details: JobDetails;
  /** @internal True once it has a place. */
  hasPlace = false;
  readonly #queue: JobOwner;
  #body: Coroutine<T> | undefined;
  /** Both of who added it, while it stands in line. */
  #variables: ContextValues | undefined = undefined;
  #context: InstanceType<typeof AsyncResource> | undefined = undefined;

  static {
    // That of Future.prototype must be seen instead (kernel/future.ts).
    delete (Job.prototype as { constructor?: unknown }).constructor;
  }

  /** @internal Made by `queue.add`. */
  constructor(queue: JobOwner, body: Coroutine<T>, details: JobDetails) {
    super(here().loop, body, later);
    this.scope = queue.lineScope;
    this.#queue = queue;
    this.#body = body;
    this.details = details;
    if (details.name !== undefined) this.setName(details.name);
  }

  /** @internal It stands in line. */
  wait(): void {
    this.#variables = currentContext().values;
    this.#context = new AsyncResource("asyncio-ts", byHand);
  }

  /** @internal Its turn has come: of one that has not waited, in the call of `add`. */
  override start(): void {
    this.hasPlace = true;
    const context = this.#context;
    if (context === undefined) this.#launch();
    else context.runInAsyncScope(this.#launch, this);
  }

  #launch(): void {
    const body = this.#queue.bodyOf(this, this.#body as Coroutine<T>); // it is there until here
    this.launch(body, this.details, false, this.#variables);
    this.#body = this.#variables = this.#context = undefined;
    this.scope.heed(this.owner);
  }

  /** @internal Its time runs from now on. A deadline of its own scope: no second one is needed. */
  limitTime(): void {
    setDeadline(this.scope, this.getLoop().time() + this.details.timeout);
  }

  /** @internal Where its deadline alone has cancelled it, it fails with a TimeoutError. */
  override failed(thrown: unknown): void {
    const error = recognised(thrown, this.scope);
    const { expired, count } = this.scope.cancelState;
    if (!expired || count > 1 || !this.scope.owns(error)) return void super.failed(error);
    const message = `${this.describe()} was cancelled: its ${formatSeconds(this.details.timeout)} are over`;
    this.settle("rejected", new TimeoutError(message, { cause: error }));
  }

  /** What it waits for: its turn, or as any task. Empty while it runs, and when done. */
  override waitingFor(): string[] {
    return this.#isInLine ? ["its turn"] : super.waitingFor();
  }

  /** The context variables that it runs with. In line, those without `context` are a copy. */
  override getContext(): Context {
    if (!this.#isInLine) return super.getContext();
    return this.details.context ?? new Context(this.#variables);
  }

  /** @internal */
  override forwardCancel(cancellation: Cancellation): void {
    if (!this.#isInLine) return void super.forwardCancel(cancellation);
    const { reason, source, requestedBy } = cancellation;
    this.cancelFor(source === "closed" ? "group" : source, reason, requestedBy);
  }

  /** @internal In line it ends without having run. */
  override cancelFor(
    source: CancelSource,
    reason?: unknown,
    by?: string,
    from?: Cancellation,
  ): boolean {
    if (!this.#isInLine) return super.cancelFor(source, reason, by, from);
    const options = source === "abort" ? { cause: reason } : undefined;
    this.settle("cancelled", new CancelledError({ reason, source, requestedBy: by }, options));
    return true;
  }

  /** @internal */
  override settle(state: Exclude<FutureState, "pending">, outcome: unknown): void {
    if (this.done()) return;
    if (!this.hasPlace) this.#queue.leave(this as Job<unknown>);
    this.#body = this.#variables = this.#context = undefined;
    super.settle(state, outcome);
    this.#queue.jobDone(this as Job<unknown>);
  }

  get #isInLine(): boolean {
    return !this.hasPlace && !this.done();
  }

  /** @internal */
  override get owner(): Scope | undefined {
    return this.#queue.keeper();
  }

  /** @internal */
  override describe(): string {
    return `job ${JSON.stringify(this.getName())}`;
  }

  /** @internal */
  override waitsOn(): Iterable<Task<unknown>> {
    return this.#isInLine ? [] : [this];
  }
}
