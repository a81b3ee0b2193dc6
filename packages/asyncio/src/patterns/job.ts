/**
 * A job of a TaskQueue. In line it is a future and a promise that keeps the async context of the
 * code that added it. A task, with its scope and its context, is made when its turn comes: so
 * 100,000 jobs in line cost about half of as many tasks (bench: map).
 *
 *     in line ──start()──▶ starting ──microtask──▶ running ──its task has ended──▶ done
 *        └────────cancel────────┴──────────────────────────────────────────────────▲
 *
 * The queue is told once, when the job is done.
 */

import { CancelledError } from "../errors/errors.ts";
import type { Cancellation } from "../kernel/cancellation.ts";
import { currentContext } from "../kernel/context.ts";
import { Future, type FutureListener } from "../kernel/future.ts";
import { here } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { type Coroutine, Task } from "../kernel/task.ts";
import { Context, type ContextValues } from "../structures/context-values.ts";
import { dropSettlers, keepSettlers, latest, type Settle } from "../structures/settlers.ts";

/** The queue, as its jobs see it. */
export interface JobOwner {
  /** Where all jobs are waited for. */
  readonly keeper: Scope | undefined;
  /** What the task of a job runs. */
  bodyOf<T>(job: Job<T>, body: Coroutine<T>): Coroutine<T>;
  jobDone(job: Job<unknown>): void;
}

/** Shared by jobs that say nothing else. */
export interface JobDetails {
  readonly priority: number;
  /** Seconds. */
  readonly timeout: number;
  readonly name: string | undefined;
  readonly context: Context | undefined;
  readonly cancelGrace: number | undefined;
}

/**
 * What `queue.add` gives: await it for the result of the job, `cancel()` it. Awaiting it and being
 * cancelled meanwhile cancels it as well, and waits until it has ended. `TaskQueue` makes them.
 *
 * @example
 * const queue = new patterns.TaskQueue({ limit: 1 });
 * const job: patterns.Job<string> = queue.add(() => asyncio.sleep(0.001, "sent"));
 * assert.equal(await job, "sent");
 */
export class Job<T> extends Future<T> {
  /** @internal */ readonly details: JobDetails;
  /** @internal Links of its line. */
  previous: Job<T> | undefined = undefined;
  /** @internal */
  next: Job<T> | undefined = undefined;
  /** @internal True once it has a place. */
  hasPlace = false;
  readonly #queue: JobOwner;
  readonly #body: Coroutine<T>;
  readonly #values: ContextValues | undefined;
  #task: Task<T> | undefined = undefined;
  /** Lets the reaction run that starts it, in the async context of `add`. */
  #open: Settle | undefined = undefined;

  static {
    // That of Future.prototype must be seen instead (kernel/future.ts).
    delete (Job.prototype as { constructor?: unknown }).constructor;
  }

  /** @internal Made by `queue.add`. */
  constructor(queue: JobOwner, body: Coroutine<T>, details: JobDetails) {
    super();
    this.#queue = queue;
    this.#body = body;
    this.details = details;
    this.#values = details.context === undefined ? currentContext().share() : undefined;
  }

  /**
   * What it waits for: its turn, or what its task waits for. Empty while it runs, and when done.
   */
  waitingFor(): string[] {
    if (this.done()) return [];
    return this.hasPlace ? (this.#task?.waitingFor() ?? []) : ["its turn"];
  }

  /**
   * Asks it to stop. One that has not begun ends without having run. Returns false if it is done.
   */
  override cancel(reason?: unknown): boolean {
    if (this.done()) return false;
    if (this.#task !== undefined) return this.#task.cancel(reason);
    this.#end("cancelled", new CancelledError({ reason, requestedBy: here().task?.getName() }));
    return true;
  }

  /** @internal */
  override forwardCancel(cancellation: Cancellation): void {
    if (this.#task !== undefined) this.#task.forwardCancel(cancellation);
    else if (!this.done()) {
      const { reason, source, requestedBy } = cancellation;
      const why = source === "closed" ? "group" : source;
      this.#end("cancelled", new CancelledError({ reason, source: why, requestedBy }));
    }
  }

  /** @internal Its signal has aborted. */
  aborted(reason: unknown): void {
    if (this.#task !== undefined) this.#task.cancelFor("abort", reason);
    else if (!this.done())
      this.#end("cancelled", new CancelledError({ reason, source: "abort" }, { cause: reason }));
  }

  /** @internal It stands in line: keeps the async context. */
  wait(): void {
    const turn = new Promise<{ readonly job: Job<unknown> }>(keepSettlers);
    this.#open = latest.resolve;
    dropSettlers();
    turn.then(beginJob);
  }

  /** @internal Its turn has come. */
  start(): void {
    this.hasPlace = true;
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) this.begin();
    else open({ job: this });
  }

  /** @internal */ begin(): void {
    if (this.done()) return; // cancelled meanwhile
    const { name, cancelGrace, context = new Context(this.#values) } = this.details;
    const body = this.#queue.bodyOf(this, this.#body);
    this.#task = new Task(this.getLoop(), body, { name, cancelGrace, context });
    this.#task.listen(this as FutureListener);
  }

  /** @internal Its task has ended. */
  futureDone(): void {
    const task = this.#task as Task<T>; // whose listener it is
    task.observe();
    if (task.state === "fulfilled") this.#end("fulfilled", task.value);
    else this.#end(task.state as "rejected" | "cancelled", task.failure); // it has ended
  }

  /** @internal The deadlines around its owner count for its task. */
  get owner(): Scope | undefined {
    return this.#queue.keeper;
  }

  #end(state: "fulfilled" | "rejected" | "cancelled", outcome: unknown): void {
    this.settle(state, outcome);
    this.#queue.jobDone(this as Job<unknown>);
  }

  /** @internal */
  override describe(): string {
    return this.details.name === undefined ? "a job" : `job ${JSON.stringify(this.details.name)}`;
  }

  /** @internal */
  override waitsOn(): Iterable<Task<unknown>> {
    return this.#task === undefined ? [] : [this.#task];
  }

  /** @internal */ override get variables(): Context {
    return this.#task?.getContext() ?? this.details.context ?? new Context(this.#values);
  }
}

/** One for all jobs, so that none in line has a function of its own (bench: map). */
const beginJob = ({ job }: { readonly job: Job<unknown> }): void => job.begin();
