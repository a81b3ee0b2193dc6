/**
 * What all executors share: how jobs are asked for and waited for. Where they run is for those to
 * say who extend it: `accept` takes a job, `withdraw` asks it to end.
 */

import { advice, checkCount, checkOptions, InvalidStateError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { realHost } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { here } from "../kernel/operation.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { WaitList } from "../kernel/wait.ts";
import { QueueFull } from "../queues/errors.ts";
import type { ConcurrentMap } from "../tasks/concurrent-map.ts";
import { mapConcurrent } from "../tasks/map-concurrent.ts";
import { ExecutorJob, JobStream } from "./job.ts";
import { type AnyFunction, checkedFunction, type FunctionName, type Sendable } from "./sendable.ts";
import { Work, type WorkCancellation } from "./work.ts";

/** Options of `executor.map`. */
export interface ExecutorMapOptions {
  /** How many items are worked on, or wait to be taken. @default twice the workers */
  readonly limit?: number | undefined;
  /** Results in the order of the items; if false, as they come. @default true */
  readonly ordered?: boolean | undefined;
}
const MAP: Names<ExecutorMapOptions> = { limit: 1, ordered: "boolean" };

/** Options of `executor.shutdown`. */
export interface ExecutorShutdownOptions {
  /** Whether to wait until all jobs have ended, and the workers have gone. @default true */
  readonly wait?: boolean | undefined;
  /** Cancels the jobs that have not begun. @default false */
  readonly cancelFutures?: boolean | undefined;
}
const SHUTDOWN: Names<ExecutorShutdownOptions> = { wait: "boolean", cancelFutures: "boolean" };

/** What `executor.stats` tells. Times are in seconds. */
export interface ExecutorStats {
  /** Jobs that wait for a worker. */
  readonly queued: number;
  /** Jobs that were handed to one. */
  readonly running: number;
  /** Jobs that have ended, however they did. */
  readonly completed: number;
  /** Workers that were started in place of others, which were lost, stopped or worn out. */
  readonly replaced: number;
  /** Seconds that a job waits for a worker: the average of those of late. */
  readonly waitTime: number;
  /** Seconds that a job runs: the average of those of late. */
  readonly runTime: number;
  /** One for each worker. */
  readonly workers: readonly WorkerStats[];
}

/** One worker, in `executor.stats`. */
export interface WorkerStats {
  /** What reports call it. */
  readonly name: string;
  /** The number of its process; undefined for a thread. */
  readonly pid: number | undefined;
  /** What it does. */
  readonly state: "starting" | "idle" | "busy" | "ending";
  /** Jobs that it has ended. */
  readonly jobs: number;
  /** Of its life, the share in which a job ran: 0 to 1. */
  readonly busy: number;
  /** Megabytes that it has in use, as it was seen last. */
  readonly megabytes: number;
}

/** Items that a worker is ahead of the consumer of a `stream`. */
const STREAM_AHEAD = 16;

/** How many were made without a name, on each loop: runs that are repeated have the same names. */
const unnamed: WeakMap<EventLoop, number> = new WeakMap();

function nameFor(kind: string): string {
  const { loop } = here();
  const number = (unnamed.get(loop) ?? 0) + 1;
  unnamed.set(loop, number);
  return `${kind}-${number}`;
}

/**
 * Runs functions of modules somewhere else than in the running code. What takes an executor takes
 * any of them, and a test gives it an InlineExecutor.
 *
 * @example
 * import { type Executor, InlineExecutor, module } from "asyncio-ts/executors";
 * const path = module<typeof import("node:path")>("node:path");
 * const nameOf = (executor: Executor, file: string) => executor.run(path.basename, file);
 * await using inline = new InlineExecutor();
 * assert.equal(await nameOf(inline, "/tmp/report.txt"), "report.txt");
 */
export abstract class Executor implements AsyncDisposable {
  /** What reports call it. */
  readonly name: string;
  /** How many jobs run at a time, at most. */
  readonly maxWorkers: number;
  readonly #maxQueue: number;
  #jobs = 0;
  #isShutDown = false;
  readonly #ends: WaitList = new WaitList();
  /** How many jobs have not ended. */
  #live = 0;
  #released: Promise<void> | undefined = undefined;

  /** @internal */
  constructor(kind: string, name: string | undefined, maxWorkers: number, maxQueue: number) {
    this.name = name ?? nameFor(kind);
    this.maxWorkers = maxWorkers;
    this.#maxQueue = maxQueue;
  }

  /** @internal Takes a job, which it tells its outcome. */
  abstract accept(work: Work): void;
  /** @internal Asks a job to end; one that has not begun is over in the call. */
  abstract withdraw(work: Work, cancellation: WorkCancellation): void;
  /** @internal More items of a stream may be sent. */
  abstract grant(work: Work, count: number): void;
  /** @internal Ends the workers; nothing of them is left when it resolves. Never rejects. */
  abstract release(): Promise<void>;
  /** @internal All jobs that have not ended. */
  abstract works(): Work[];
  /** @internal */
  abstract get queued(): number;
  /** @internal Seconds on the clock of the host, now or a moment ago. */
  now(): number {
    return realHost.now();
  }
  /** @internal True if jobs run outside the loop of their callers. */
  abstract get isOutside(): boolean;

  /** How many jobs there are, how long they take, and what each worker does. */
  abstract stats(): ExecutorStats;

  /**
   * Runs `fn` with `args` in a worker and gives what it returns. It belongs to the scope that it is
   * called in. Cancelled while it waits for a worker, the job never begins. Cancelled while it
   * runs, the job is asked to end (its waits end with a CancelledError, `checkCancelled` throws);
   * if it does not within `stopDelay`, it is stopped as its options say. The call goes on when the
   * job has ended, and not before.
   *
   * Arguments and result are copied: leave the arguments as they are until the job has ended. What
   * the function throws is thrown here, with its class, cause, own properties, and both stacks. A
   * deadline around the call goes along, and so do the values of shared context variables. Rejects
   * with a NotSendableError, WorkerLostError, WorkerModuleError, BrokenExecutorError, or with an
   * InvalidStateError after `shutdown`. Source: Trio's to_thread.run_sync, and
   * concurrent.futures.Executor for the name of the class.
   */
  run<A extends unknown[], R>(fn: Sendable<(...args: A) => R>, ...args: A): Promise<Awaited<R>> {
    try {
      const name = checkedFunction("`executor.run`", fn);
      const scope = here();
      const stop = scope.interruption(name.name);
      if (stop !== undefined) return stop;
      const work = this.#make("`executor.run`", name, args, scope);
      this.accept(work);
      return work.join() as Promise<Awaited<R>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Hands a call of `fn` with `args` over, and gives a task that stands for it. The task belongs to
   * the executor: `shutdown` waits for it, and so does the end of the run. Does not wait.
   * @throws QueueFull when `maxQueue` jobs wait already; InvalidStateError after `shutdown`;
   * NotSendableError for a bare function among the arguments. Source:
   * concurrent.futures.Executor.submit.
   */
  submit<A extends unknown[], R>(
    fn: Sendable<(...args: A) => R>,
    ...args: A
  ): ExecutorJob<Awaited<R>> {
    const name = checkedFunction("`executor.submit`", fn);
    if (this.queued >= this.#maxQueue)
      throw new QueueFull(
        `\`executor.submit\` found ${this.queued} jobs waiting in ${this.name}: its \`maxQueue\` is ${this.#maxQueue}${advice("Use `run`, which waits")}`,
      );
    const { loop } = here();
    loop.checkOpen("`executor.submit`");
    const work = this.#make("`executor.submit`", name, args, here());
    const job = new ExecutorJob<Awaited<R>>(loop, work);
    this.accept(work);
    return job;
  }

  /**
   * Calls `fn` with each of `items`, some at a time, and gives the results as they are asked for,
   * in the order of the items. Leaving the loop cancels what is under way, and waits until it has
   * ended. A failure comes in the place of its item, an InvalidStateError after `shutdown`, too.
   * Source: concurrent.futures.Executor.map, with `limit` for its buffersize.
   */
  map<T, R>(
    fn: Sendable<(item: T) => R>,
    items: Iterable<T> | AsyncIterable<T>,
    options?: ExecutorMapOptions,
  ): ConcurrentMap<Awaited<R>> {
    const api = "`executor.map`";
    checkedFunction(api, fn);
    checkOptions(api, options, MAP);
    const { limit = 2 * this.maxWorkers, ordered = true } = options ?? {};
    checkCount(api, "`limit`", limit);
    return mapConcurrent(items, (item) => this.run(fn, item), { limit, ordered });
  }

  /**
   * The items of the generator that `fn` gives when it is called with `args` in a worker, as they
   * are asked for. The worker is at most 16 items ahead. Leaving the loop, or being cancelled in
   * it, cancels the job and waits until its `finally` blocks have run. A failure comes after the
   * items before it, and an InvalidStateError after `shutdown`.
   */
  stream<A extends unknown[], T>(
    fn: Sendable<(...args: A) => Iterable<T> | AsyncIterable<T>>,
    ...args: A
  ): AsyncIterableIterator<T> {
    const name = checkedFunction("`executor.stream`", fn);
    const begin = (): Work => {
      const scope = here();
      return this.#make("`executor.stream`", name, args, scope.task?.scope ?? scope);
    };
    return new JobStream(STREAM_AHEAD, begin, (work, count) => this.grant(work, count));
  }

  /**
   * Takes no more jobs, waits until those that were taken have ended, and ends the workers. If the
   * caller is cancelled meanwhile, all jobs are cancelled, and the wait goes on until they have
   * ended. Calling it again waits for the same end. Source: concurrent.futures.Executor.shutdown.
   */
  async shutdown(options?: ExecutorShutdownOptions): Promise<void> {
    const api = "`executor.shutdown`";
    checkOptions(api, options, SHUTDOWN);
    this.#isShutDown = true;
    if (options?.cancelFutures === true)
      for (const work of this.works()) if (work.state === "queued") this.#cancel(work);
    const ended = this.#released ?? this.#allEnded();
    if (options?.wait === false) return;
    await ended;
    const stop = here().interruption(api);
    if (stop !== undefined) await stop;
  }

  async #allEnded(): Promise<void> {
    const scope = here();
    if (scope.peekDue() !== undefined) this.cancelAll();
    if (this.#live > 0) {
      const subject = { describeWait: () => `the end of ${this.#live} jobs of ${this.name}` };
      const wait = park<void>(scope, subject, () => {
        this.cancelAll();
        return false;
      });
      if (this.isOutside) wait.waitsOutside();
      this.#ends.add(wait as never);
      await wait.promise.catch(() => {}); // the caller is told when the workers have gone
    }
    await this.end();
  }

  /** @internal Ends all jobs and workers by force, as the end of the run does. */
  end(): Promise<void> {
    this.#isShutDown = true;
    this.cancelAll();
    this.#released ??= this.release();
    return this.#released;
  }

  /** Shuts it down, as `shutdown` does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  /** @internal */
  cancelAll(): void {
    for (const work of this.works()) this.#cancel(work);
  }

  #cancel(work: Work): void {
    const { name } = this;
    const reason = `${name} is shutting down`;
    const cancellation: WorkCancellation = { source: "shutdown", reason, requestedBy: undefined };
    this.withdraw(work, cancellation);
  }

  #make(api: string, fn: FunctionName, args: readonly unknown[], scope: Scope): Work {
    if (this.#isShutDown)
      throw new InvalidStateError(`${api} was called on ${this.name}, which was shut down`);
    return new Work(this, fn, args, ++this.#jobs, scope, this.now());
  }

  /** @internal A job was taken. */
  entered(): void {
    this.#live++;
  }

  /** @internal A job has ended. */
  left(): void {
    if (--this.#live === 0) this.#ends.resumeAll(undefined);
  }

  /** @internal */
  get isShutDown(): boolean {
    return this.#isShutDown;
  }
}

export type { AnyFunction };
