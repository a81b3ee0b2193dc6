/**
 * Task queues: jobs from anywhere, so many at a time, the most urgent first.
 *
 * A queue belongs to a task group, or to the run. While it has jobs, its owner has one child for
 * it, the keeper, which waits until they have ended: so a group drains its queues before it ends,
 * and a cancellation of the group reaches the keeper, which hands it on to every job. The keeper
 * ends with the last job, and the next one brings another: an idle queue holds nobody up.
 *
 * Invariants: a job stands in line only if no place is free, the queue is paused, or another one
 * waits for the rate. There is a keeper while there are jobs.
 */

import {
  advice,
  CancelledError,
  checkCoroutine,
  checkCount,
  checkSeconds,
  InvalidStateError,
} from "../errors/errors.ts";
import type { Cancellation } from "../kernel/cancellation.ts";
import { here } from "../kernel/operation.ts";
import type { Place } from "../kernel/selectable.ts";
import type { Coroutine } from "../kernel/task.ts";
import { describeSync } from "../sync/lock.ts";
import { bindTask } from "../tasks/abort.ts";
import type { TaskGroup } from "../tasks/task-group.ts";
import { Job, type JobDetails, type JobOptions, type JobOwner } from "./job.ts";
import { JobLine } from "./job-line.ts";
import { Keeper, type Kept, OWNER } from "./keeper.ts";
import type { Idling } from "./keyed.ts";
import { DONE, perform } from "./perform.ts";
import { RateLimiter } from "./rate-limiter.ts";
import { callback, countOr0, instanceOf, type Rule, seconds, settle } from "./settings.ts";

/** What `new TaskQueue` takes. */
export interface TaskQueueOptions {
  /** How many jobs run at a time. 0 starts none. @default Infinity */
  readonly limit?: number | undefined;
  /** How often jobs begin. A job that waits for the rate has its place already. */
  readonly rate?: RateLimiter | undefined;
  /** Seconds that each job has, from its first step. @default Infinity */
  readonly timeout?: number | undefined;
  /** Begins paused, until `resume`. @default false */
  readonly paused?: boolean | undefined;
  /** Called with each failure, which then counts as seen. @default whoever awaits the job */
  readonly onError?: ((error: unknown, job: Job<unknown>) => void) | undefined;
  /** The group that waits for the jobs, and cancels them with itself. @default the run */
  readonly owner?: Pick<TaskGroup, "createTask"> | undefined;
  /** What reports and errors call it. */
  readonly name?: string | undefined;
}

const OPTIONS = {
  limit: [countOr0, Number.POSITIVE_INFINITY],
  rate: instanceOf(() => RateLimiter, "a RateLimiter"),
  timeout: [seconds, Number.POSITIVE_INFINITY],
  paused: ["boolean", false],
  onError: callback,
  owner: OWNER,
  name: "string",
} as const;
const priority: Rule = {
  check: (api, what, value) => checkSeconds(api, `${what} as a number`, value),
};
const JOB = {
  priority: [priority, 0],
  timeout: seconds,
  name: "string",
  context: "Context",
  signal: "AbortSignal",
  cancelGrace: seconds,
} as const;

/**
 * Runs jobs, so many at a time, as long as its owner lives. A failure belongs to whoever awaits the
 * job, and cancels nobody else. When the owner's body has returned, the owner waits for the jobs;
 * when it fails or is cancelled, they are cancelled and awaited. Replaces p-limit and p-queue.
 *
 * @example
 * await asyncio.taskGroup(async (group) => {
 *   const queue = new patterns.TaskQueue({ limit: 2, owner: group, name: "mail" });
 *   const sent = queue.add(() => asyncio.sleep(0.001, "sent"), { priority: -1 });
 *   assert.equal(await sent, "sent");
 * });
 */
export class TaskQueue implements AsyncDisposable, Idling {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  readonly #options: TaskQueueOptions;
  /** Of jobs without options. */
  readonly #details: JobDetails;
  #limit: number;
  readonly #line = new JobLine();
  /** In no order: the last one takes the place of one that has ended. */
  readonly #running: Job<unknown>[] = [];
  readonly #counts = { done: 0, failed: 0, cancelled: 0 };
  /** Those that begin in the next turn, while others may join them. */
  #beginning: Job<unknown>[] | undefined = undefined;
  /** Pauses that are in force: nothing begins while there are any. */
  readonly #pauses: Set<object> = new Set();
  /** The job that waits for the rate: no other one begins meanwhile. */
  #pacing: Job<unknown> | undefined = undefined;
  #closed = false;
  #keeper: Keeper | undefined = undefined;
  /** Those who wait until fewer than `offer` are in line, or until it is idle: 0. */
  readonly #waits: Set<Place> = new Set();
  readonly #kept: Kept;

  constructor(options?: TaskQueueOptions) {
    const api = "`new TaskQueue`";
    const settled = settle(api, options, OPTIONS);
    const { limit, timeout, paused, name } = settled;
    this.#options = settled;
    this.#limit = limit;
    this.name = name;
    this.#kept = {
      name: name ?? "a TaskQueue",
      describeWait: () => this.#describe(),
      waitsOn: () => this.#running,
      cancelled: (cancellation) => this.#cancelJobs(cancellation),
    };
    if (paused) this.pause();
    const queue: JobOwner = {
      keeper: () => this.#keeper?.task.scope,
      bodyOf: (job, body) => this.#bodyOf(job, body),
      leave: (job) => this.#line.remove(job),
      jobDone: (job) => this.#jobDone(job),
    };
    this.#details = { queue, priority: 0, timeout };
  }

  /** How many jobs may run at a time. Can be set; fewer stops none that runs. */
  get limit(): number {
    return this.#limit;
  }

  set limit(limit: number) {
    checkCount("`queue.limit`", "a limit", limit, 0);
    this.#limit = limit;
    this.#serve();
  }

  /** True if nothing runs and nothing stands in line. */
  get idle(): boolean {
    return this.#running.length === 0 && this.#line.size === 0;
  }

  /** True while a pause is in force. */
  get paused(): boolean {
    return this.#pauses.size > 0;
  }

  /** True once `close` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Adds a job, which begins when its turn has come, in the async context and with the context
   * variables of the caller. Never waits. A job that is cancelled before its turn leaves the line.
   * @throws InvalidStateError when the queue is closed, or its owner has ended or is being
   * cancelled; a CancelledError instead, if the caller has one due.
   */
  add<T>(job: Coroutine<T>, options?: JobOptions): Job<T> {
    const api = "`queue.add`";
    checkCoroutine(api, job);
    const details = options === undefined ? this.#details : this.#detailsOf(api, options);
    const signal = options?.signal;
    this.#checkOpen(api);
    if (this.#keeper === undefined) this.#startKeeper(api);
    const added = new Job<T>(job, details);
    const member = added as unknown as Job<unknown>; // what it gives is nothing to the queue
    if (this.#line.size === 0 && this.#hasRoom && signal?.aborted !== true)
      this.#start(member, false);
    else this.#line.add(member);
    bindTask(added, signal);
    return added;
  }

  /** Begins no job until the guard is disposed of; of several guards, the last one. */
  pause(): Disposable {
    const pause = { [Symbol.dispose]: (): void => this.#unpause(pause) };
    this.#pauses.add(pause);
    return pause;
  }

  /** Ends all pauses. */
  resume(): void {
    for (const pause of this.#pauses) this.#unpause(pause);
  }

  /** Cancels the jobs that have not begun, for `reason`: how many. */
  clear(reason?: unknown): number {
    const jobs = this.#line.toArray();
    for (const job of jobs) job.cancel(reason);
    return jobs.length;
  }

  /** Cancels all jobs, for `reason`, and waits until they have ended. The queue stays open. */
  async cancel(reason?: unknown): Promise<void> {
    this.clear(reason);
    for (const job of [...this.#running]) job.cancel(reason);
    await this.join();
  }

  /** Waits until nothing runs and nothing stands in line. Cancelled, it changes nothing. */
  async join(): Promise<void> {
    await this.#until(0);
  }

  /**
   * Waits until fewer than `size` jobs stand in line, so that whoever adds them does not run ahead.
   */
  async whenBelow(size: number): Promise<void> {
    checkCount("`queue.whenBelow`", "a number of jobs", size);
    await this.#until(size);
  }

  /** With 0, until it is idle. */
  async #until(size: number): Promise<void> {
    await perform<undefined>({
      subject: this.#kept,
      attempt: () => (this.#isBelow(size) ? DONE : undefined),
      enlist: (place) => {
        place.offer = size;
        this.#waits.add(place);
      },
      withdraw: (place) => this.#waits.delete(place),
    });
  }

  #isBelow(size: number): boolean {
    return size === 0 ? this.idle : this.#line.size < size;
  }

  /** Takes no more jobs, and waits for those that there are. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.join();
  }

  /** `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** `done`, `failed` and `cancelled` are how many jobs have ended so. */
  statistics(): Readonly<
    { paused: boolean } & Record<
      "limit" | "running" | "waiting" | "done" | "failed" | "cancelled",
      number
    >
  > {
    const [limit, running, waiting] = [this.#limit, this.#running.length, this.#line.size];
    return Object.freeze({ limit, running, waiting, paused: this.paused, ...this.#counts });
  }

  // --- jobs

  #detailsOf(api: string, options: JobOptions): JobDetails {
    const { signal: _, ...details } = settle(api, options, JOB);
    const { queue, timeout } = this.#details;
    return { ...details, queue, timeout: details.timeout ?? timeout };
  }

  /** Whether the next job may begin. */
  get #hasRoom(): boolean {
    return this.#running.length < this.#limit && !this.paused && this.#pacing === undefined;
  }

  #start(job: Job<unknown>, hasWaited: boolean): void {
    job.place = this.#running.push(job) - 1;
    const isPaced = this.#options.rate !== undefined;
    if (isPaced) this.#pacing = job;
    job.start();
    if (!isPaced) job.limitTime();
    const { loop } = job.scope;
    // Those that come from the line one right after the other begin in one microtask.
    const mayJoin = hasWaited && this.#beginning !== undefined && loop.spendNow();
    if (mayJoin) return void this.#beginning?.push(job);
    const jobs = [job];
    this.#beginning = jobs;
    loop.nextTurn(job.scope).then(() => {
      if (this.#beginning === jobs) this.#beginning = undefined;
      for (const one of jobs) one.begin();
    });
  }

  /** Begins those whose turn it is. Tells those who wait for the queue how it stands. */
  #serve(): void {
    while (this.#hasRoom) {
      const job = this.#line.first;
      if (job === undefined) break;
      this.#line.remove(job);
      this.#start(job, true);
    }
    for (const wait of this.#waits)
      if (this.#isBelow(wait.offer as number) && this.#waits.delete(wait)) wait.resume(undefined); // see #until
    if (!this.idle) return;
    this.#keeper?.end();
    this.#keeper = undefined;
  }

  #bodyOf<T>(job: Job<T>, body: Coroutine<T>): Coroutine<T> {
    const { rate } = this.#options;
    if (rate === undefined) return body;
    return async () => {
      try {
        await rate.take();
      } finally {
        if (this.#pacing === job) this.#pacing = undefined; // one that was given up has another behind it
        this.#serve();
      }
      job.limitTime();
      return await body();
    };
  }

  #jobDone(job: Job<unknown>): void {
    const { state } = job;
    this.#counts[state === "fulfilled" ? "done" : state === "rejected" ? "failed" : "cancelled"]++;
    if (job.place >= 0) {
      const last = this.#running.pop() as Job<unknown>; // there is at least this one
      if (last !== job) this.#running[job.place] = last;
      last.place = job.place;
    }
    if (this.#pacing === job) this.#pacing = undefined; // cancelled before its body ran
    const { onError } = this.#options;
    if (state === "rejected" && onError !== undefined) this.#tell(onError, job);
    this.#serve();
  }

  /** In a callback of the loop, as the code that a step runs must not be the user's. */
  #tell(onError: (error: unknown, job: Job<unknown>) => unknown, job: Job<unknown>): void {
    job.observe();
    const loop = job.getLoop();
    loop.callSoon(async () => {
      try {
        await onError(job.failure, job);
      } catch (exception) {
        const message = `\`onError\` of ${describeSync("TaskQueue", this.name)} has failed`;
        loop.callExceptionHandler({ message, exception });
      }
    });
  }

  #unpause(pause: object): void {
    if (this.#pauses.delete(pause)) this.#serve();
  }

  // --- the keeper

  #startKeeper(api: string): void {
    const keeper = new Keeper(api, this.#kept, this.#options.owner);
    this.#keeper = keeper;
    // One that never began, as a group with a limit had no place for it, has cancelled nobody.
    const ended = (): void => {
      if (this.#keeper === keeper) this.#cancelJobs(keeper.task.scope.newCancellation("group"));
    };
    keeper.task.listen({ futureDone: ended });
  }

  #cancelJobs(cancellation: Cancellation): void {
    for (const job of [...this.#line.toArray(), ...this.#running]) job.forwardCancel(cancellation);
  }

  #checkOpen(api: string): void {
    const isEnding = (this.#keeper?.task.cancelling() ?? 0) > 0;
    if (!this.#closed && !isEnding) return;
    const due = isEnding ? here().takeDue() : undefined;
    if (due !== undefined) throw new CancelledError(due);
    const found = isEnding ? "its owner is being cancelled" : "it is closed";
    const message = `${api} cannot add a job to ${describeSync("TaskQueue", this.name)}: ${found}${advice("Add it before that, or to a queue whose owner lives longer")}`;
    throw new InvalidStateError(message);
  }

  #describe(): string {
    const [running, waiting] = [this.#running.length, this.#line.size];
    const why = this.paused ? ", paused" : "";
    return `the jobs of ${describeSync("TaskQueue", this.name)}${why}, ${running} running, ${waiting} in line`;
  }
}
