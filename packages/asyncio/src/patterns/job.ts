/**
 * A job of a TaskQueue: a task that is launched when its turn comes. In line it has no scope of its
 * own, and no step; what it keeps is the async context of the code that added it, and the context
 * variables: so a job in line is 354 bytes, where a held task is 433 (bench: task-queue).
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
import { type Coroutine, later, Start, Task, type TaskOptions } from "../kernel/task.ts";
import { formatSeconds } from "../structures/timers.ts";
import { setDeadline } from "../tasks/deadlines.ts";

/** The queue, as its jobs see it. */
export interface JobOwner {
  /** Where all jobs are waited for: the deadlines around it count for each. */
  keeper(): Scope | undefined;
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
  readonly queue: JobOwner;
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
  // No private methods: each class with one costs a field in every object (bench: task-queue).
  /** @internal */ readonly details: JobDetails;
  /** @internal Among those that run; -1 before that. */ place = -1;
  /** Its body, until it has begun, or has ended in line. */
  #start: Start | undefined;

  static {
    // That of Future.prototype must be seen instead (kernel/future.ts).
    delete (Job.prototype as { constructor?: unknown }).constructor;
  }

  /** @internal Made by `queue.add`. */
  constructor(body: Coroutine<T>, details: JobDetails) {
    super(here().loop, body, later);
    this.own = details.context ?? currentContext().values;
    this.#start = new Start(this, body);
    this.details = details;
    if (details.name !== undefined) this.setName(details.name);
  }

  /** @internal Its turn has come: its body is to be called by `begin`. */
  override start(): void {
    this.setUp(this.own, this.details.cancelGrace);
    this.scope.heed(this.owner);
  }

  /** @internal Calls its body, in the async context of who added it. */
  begin(): void {
    const start = this.#start;
    if (start === undefined) return; // it was given up before that
    this.#start = undefined;
    start.body = this.details.queue.bodyOf(this, start.body as Coroutine<T>);
    start.begin();
  }

  /** @internal Its time runs from now on. A deadline of its own scope: no second one is needed. */
  limitTime(): void {
    const { timeout } = this.details;
    if (timeout < Number.POSITIVE_INFINITY)
      setDeadline(this.scope, this.getLoop().time() + timeout, this.#start === undefined);
  }

  /** @internal Where its deadline alone has cancelled it, it fails with a TimeoutError. */
  override failed(thrown: unknown): void {
    const error = recognised(thrown, this.scope, true);
    const { expired, count } = this.scope.cancelState;
    if (!expired || count > 1 || !this.scope.owns(error)) return void super.failed(error);
    const message = `${this.describe()} was cancelled: its ${formatSeconds(this.details.timeout)} are over`;
    this.settle("rejected", new TimeoutError(message, { cause: error }));
  }

  /** What it waits for: its turn, or as any task. Empty while it runs, and when done. */
  override waitingFor(): string[] {
    return this.isInLine ? ["its turn"] : super.waitingFor();
  }

  /** @internal */
  override forwardCancel(cancellation: Cancellation): void {
    if (!this.isInLine) return void super.forwardCancel(cancellation);
    const { reason, source, requestedBy } = cancellation;
    this.cancelFor(source === "closed" ? "group" : source, reason, requestedBy, cancellation);
  }

  /** @internal In line it ends without having run. */
  override cancelFor(
    source: CancelSource,
    reason?: unknown,
    by?: string,
    from?: Cancellation,
  ): boolean {
    if (!this.isInLine) return super.cancelFor(source, reason, by, from);
    const details = { ...from, scope: this.scope, reason, source, requestedBy: by };
    const options = source === "abort" ? { cause: reason } : undefined;
    this.settle("cancelled", new CancelledError(details, options));
    return true;
  }

  /** @internal */
  override settle(state: Exclude<FutureState, "pending">, outcome: unknown): void {
    if (this.done()) return;
    const { queue } = this.details;
    if (this.isInLine) queue.leave(this as Job<unknown>);
    this.#start = undefined;
    super.settle(state, outcome);
    queue.jobDone(this as Job<unknown>);
  }

  /** @internal */
  get isInLine(): boolean {
    return this.place < 0 && !this.done();
  }

  /** @internal */
  override get owner(): Scope | undefined {
    return this.details.queue.keeper();
  }

  /** @internal */
  override describe(): string {
    return `job ${JSON.stringify(this.getName())}`;
  }

  /** @internal */
  override waitsOn(): Iterable<Task<unknown>> {
    return this.isInLine ? [] : [this];
  }
}
