/**
 * A pool: a line of jobs, and workers that take from it. Who is started, fed, asked to end, stopped
 * and replaced is decided here; what a worker is, thread or process, is its link's.
 *
 *     accept ──▶ queue ──dispatch──▶ a worker ──outcome──▶ settle
 *                  ▲                    │
 *                  └─ taken back, or its worker was lost before it began
 *
 * A worker gets as many jobs at a time as it does in two milliseconds, so small ones cost a part of
 * a message. One that turns out to be long holds nothing up: those behind it are taken back as soon
 * as another worker has nothing to do.
 */

import { headline } from "../errors/render.ts";
import { type Dependent, dependents } from "../interop/dependents.ts";
import { realHost } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { here } from "../kernel/operation.ts";
import { Balance } from "./balance.ts";
import { average, jobsAhead, roomiest } from "./choice.ts";
import { BrokenExecutorError, type WorkerEnd, WorkerLostError } from "./errors.ts";
import { Executor, type ExecutorStats } from "./executor.ts";
import { Functions } from "./functions.ts";
import { HardStop } from "./hard-stop.ts";
import { Line } from "./line.ts";
import type { Link, LinkListener, LinkOptions } from "./link.ts";
import { Losses } from "./losses.ts";
import { deadlockAmong } from "./pool-deadlock.ts";
import {
  type CheckedPoolOptions,
  checkedPoolOptions,
  type ExecutorOptions,
} from "./pool-options.ts";
import { PoolWorker } from "./pool-worker.ts";
import type { WorkerSetup } from "./protocol.ts";
import type { Outcome, Work, WorkCancellation } from "./work.ts";
import { hear } from "./worker-messages.ts";

/** Jobs that come in one turn of the program after which the workers are handed the first. */
const AT_ONCE = 64;

/** Seconds that a worker with nothing to do keeps the process alive. */
const REST = 0.001;

/** Makes a worker of the kind of the pool. */
export type MakeLink = (options: LinkOptions, listener: LinkListener) => Link;

export class Pool extends Executor {
  readonly #options: CheckedPoolOptions;
  readonly #makeLink: MakeLink;
  /** Jobs that a worker may have at a time. */
  readonly #mostAhead: number;
  readonly #loop: EventLoop;
  readonly #setup: WorkerSetup;
  readonly #queue: Line = new Line();
  readonly #workers: Set<PoolWorker> = new Set();
  readonly #functions: Functions = new Functions();
  readonly #balance: Balance = new Balance(this.#queue, this.#workers);
  readonly #hardStop: HardStop;
  #isDispatchDue = false;
  /** Since the last dispatch. */
  #accepted = 0;
  /** On the clock of the host: the time of this turn. */
  #now = 0;
  #isReleaseDue = false;
  #made = 0;
  #completed = 0;
  #replaced = 0;
  /** Averages, in seconds; NaN while nothing is known. */
  #runTime = Number.NaN;
  #waitTime = Number.NaN;
  readonly #losses: Losses = new Losses();
  #broken: BrokenExecutorError | undefined = undefined;
  readonly #dependent: Dependent;

  constructor(
    api: string,
    kind: string,
    options: ExecutorOptions | undefined,
    mostAhead: number,
    makeLink: MakeLink,
  ) {
    const checked = checkedPoolOptions(api, options);
    super(kind, checked.name, checked.maxWorkers, checked.maxQueue);
    this.#options = checked;
    this.#setup = { ...checked.setup, pool: this.name };
    this.#makeLink = makeLink;
    this.#mostAhead = mostAhead;
    this.#loop = here().loop;
    this.#hardStop = new HardStop(this.#loop, this.name);
    this.#dependent = {
      loop: this.#loop,
      describe: () => `${this.name}, with ${this.#workers.size} workers`,
      end: () => this.end(),
      kill: () => {
        for (const worker of this.#workers) worker.link.kill();
      },
    };
    dependents.add(this.#dependent);
    this.#grow();
  }

  /** @internal */
  get isOutside(): boolean {
    return true;
  }

  /** @internal */
  get queued(): number {
    return this.#queue.size;
  }

  /** @internal */
  works(): Work[] {
    return [
      ...this.#queue.toArray(),
      ...[...this.#workers].flatMap(({ works }) => works.toArray()),
    ];
  }

  /** @internal */
  accept(work: Work): void {
    this.entered();
    if (this.#broken !== undefined)
      return void work.settle({ state: "error", error: this.#broken });
    work.state = "queued";
    this.#queue.add(work);
    const deadlock = deadlockAmong(work, this.maxWorkers, this.#workers);
    if (deadlock !== undefined) {
      this.#queue.remove(work);
      return void work.settle({ state: "error", error: deadlock });
    }
    // Workers begin while the program is still busy with asking for more.
    if (++this.#accepted >= AT_ONCE) this.#dispatch();
    else this.#dispatchSoon();
  }

  /** @internal */
  withdraw(work: Work, { source, reason, requestedBy }: WorkCancellation): void {
    if (work.state === "over" || work.isAsked) return;
    work.isAsked = true;
    if (work.state !== "sent") {
      this.#queue.remove(work);
      work.settle({ state: "cancelled", source });
      return;
    }
    const worker = this.#workerOf(work);
    if (worker === undefined) return;
    const { seq } = work;
    worker.link.cancel(seq, source, reason, requestedBy);
    if (work.outcome === undefined) this.#hardStop.arm(worker, work, seq, this);
  }

  /** @internal */
  grant(work: Work, count: number): void {
    this.#workerOf(work)?.link.grant(work.seq, count);
  }

  stats(): ExecutorStats {
    const workers = [...this.#workers];
    const now = realHost.now();
    return Object.freeze({
      queued: this.#queue.size,
      running: workers.reduce((sum, worker) => sum + worker.works.size, 0),
      completed: this.#completed,
      replaced: this.#replaced,
      waitTime: Number.isNaN(this.#waitTime) ? 0 : this.#waitTime,
      runTime: Number.isNaN(this.#runTime) ? 0 : this.#runTime,
      workers: workers.map((worker) => worker.stats(now)),
    });
  }

  /** @internal */
  async release(): Promise<void> {
    const workers = [...this.#workers];
    await Promise.all(
      workers.map(async (worker) => {
        worker.state = "ending";
        worker.link.hold(true); // the process must not end before it
        await this.#hardStop.end(worker);
        this.#gone(worker, { exitCode: undefined, signal: undefined, cause: undefined });
      }),
    );
    dependents.delete(this.#dependent);
  }

  // --- dispatching

  /** @internal One look at the clock does for the jobs of a turn. */
  override now(): number {
    if (!this.#isDispatchDue) this.#now = realHost.now();
    return this.#now;
  }

  #dispatchSoon(): void {
    if (this.#isDispatchDue) return;
    this.#isDispatchDue = true;
    realHost.microtask(this.#dispatchDue);
  }

  readonly #dispatchDue = (): void => {
    this.#isDispatchDue = false;
    this.#dispatch();
  };

  #dispatch(): void {
    const now = realHost.now();
    this.#now = now;
    this.#accepted = 0;
    for (const worker of this.#workers) worker.look(now);
    const ahead = jobsAhead(this.#runTime, this.#mostAhead);
    for (let work = this.#queue.first; work !== undefined; work = this.#queue.first) {
      const worker = roomiest(work, this.#workers, ahead, this.maxWorkers);
      if (worker === undefined) break;
      this.#queue.remove(work);
      this.#assign(work, worker, now);
    }
    for (const worker of this.#workers) worker.sendBatch(this.#functions, this.#refused);
    this.#grow();
    this.#balance.look(now);
  }

  /** What cannot be sent costs its own job. */
  readonly #refused = (worker: PoolWorker, work: Work, error: unknown): void => {
    worker.remove(work);
    work.settle({ state: "error", error });
    this.#idle(worker);
  };

  #assign(work: Work, worker: PoolWorker, now: number): void {
    work.state = "sent";
    work.place = worker;
    work.startedAt = now;
    this.#waitTime = average(this.#waitTime, now - work.madeAt);
    worker.add(work);
    if (worker.quota > 0) return;
    worker.state = "retiring"; // another one is started before it goes
  }

  /** As many workers as there are jobs that wait, as far as the options go. */
  #grow(): void {
    if (this.#broken !== undefined) return;
    const minWorkers = this.isShutDown ? 0 : this.#options.minWorkers;
    let alive = 0;
    let starting = 0;
    for (const { state } of this.#workers) {
      if (state === "starting") starting++;
      if (state === "starting" || state === "ready" || state === "stopping") alive++;
    }
    while (alive < this.maxWorkers && (alive < minWorkers || starting < this.#queue.size)) {
      if (!this.#start()) return;
      alive++;
      starting++;
    }
  }

  #start(): boolean {
    const { env, execArgv } = this.#options;
    const name = `${this.name} worker ${++this.#made}`;
    const worker = new PoolWorker(name, this.#options.maxTasksPerWorker);
    const listener: LinkListener = {
      received: (message) => hear(worker, message, this),
      done: (seq, seconds, value) => this.ended(worker, seq, seconds, { state: "value", value }),
      exited: (end) => this.#exited(worker, end),
    };
    try {
      worker.link = this.#makeLink({ name, setup: this.#setup, env, execArgv }, listener);
    } catch (cause) {
      this.#breakDown(`a worker of ${this.name} cannot be started: ${headline(cause)}`, cause);
      return false;
    }
    this.#workers.add(worker);
    worker.hold();
    return true;
  }

  // --- what workers say

  /** @internal A job has its outcome. */
  ended(worker: PoolWorker, seq: number, seconds: number, outcome: Outcome): void {
    const work = worker.takeOut(seq);
    if (work === undefined) return; // it was given up
    this.#completed++;
    this.#losses.clear();
    worker.ended(seconds);
    this.#runTime = average(this.#runTime, seconds);
    work.settle(outcome);
    const { maxMemoryMb } = this.#options;
    if (worker.state === "ready" && worker.link.megabytes > maxMemoryMb) worker.state = "retiring";
    this.#idle(worker);
  }

  /** @internal A worker has loaded what it is set up with. */
  ready(worker: PoolWorker): void {
    worker.ready();
    this.#idle(worker);
  }

  /** @internal No worker can be set up. */
  broken(cause: unknown): void {
    this.#breakDown(`no worker of ${this.name} gets ready: ${headline(cause)}`, cause);
  }

  /** @internal A job was taken back before it has begun. */
  revoked(worker: PoolWorker, work: Work): void {
    if (work.isAsked) work.settle({ state: "cancelled", source: "cancel" });
    else this.#again(work);
    this.#idle(worker);
  }

  /** A worker has room, or nothing to do. */
  #idle(worker: PoolWorker): void {
    if (worker.works.size === 0) {
      worker.idleSince = realHost.now();
      if (worker.state === "retiring") void this.#retire(worker);
      if (!this.#isReleaseDue) {
        this.#isReleaseDue = true;
        // Not in each turn: jobs that come one after the other would pay for it.
        realHost.setTimer(realHost.now() + REST, this.#letGo);
      }
    }
    this.#dispatchSoon();
  }

  /** Workers that have nothing to do do not keep the process alive; after `idle` they end. */
  readonly #letGo = (): void => {
    this.#isReleaseDue = false;
    const { idle } = this.#options;
    for (const worker of this.#workers) {
      if (worker.works.size > 0 || worker.state === "starting" || worker.state === "ending")
        continue;
      worker.letGo();
      if (idle === Number.POSITIVE_INFINITY || worker.idleTimer !== undefined) continue;
      worker.watchIdle(idle, () => {
        if (worker.state !== "ready" || this.#workers.size <= this.#options.minWorkers)
          return false;
        void this.#retire(worker);
        return true;
      });
    }
  };

  async #retire(worker: PoolWorker): Promise<void> {
    if (worker.state === "ending") return;
    if (worker.state === "retiring") this.#replaced++;
    worker.state = "ending";
    this.#grow();
    await this.#hardStop.end(worker);
    this.#gone(worker, { exitCode: 0, signal: undefined, cause: undefined });
  }

  // --- ends of workers

  #exited(worker: PoolWorker, end: WorkerEnd): void {
    const wasWanted = worker.state === "ending";
    if (!this.#workers.has(worker)) return;
    const works = worker.works.toArray();
    if (!wasWanted) {
      this.#replaced++;
      const message = this.#losses.add(end);
      if (message !== undefined) this.#breakDown(`${this.name} ${message}`, end.cause);
      // Where no job has the failure, nobody else would be told.
      if (works.length === 0 && end.cause !== undefined && worker.readyAt !== undefined) {
        const message = `${worker.describe()} of ${this.name} has crashed between two jobs`;
        this.#loop.callExceptionHandler({ message, exception: end.cause });
      }
    }
    this.#gone(worker, end);
  }

  /** Settles what the worker still had. */
  #gone(worker: PoolWorker, end: WorkerEnd): void {
    if (!this.#workers.delete(worker)) return;
    worker.over();
    for (const work of worker.works.toArray()) {
      const mayHaveRun = worker.mayHaveStarted(work);
      worker.remove(work);
      if (work.isAsked) work.settle({ state: "cancelled", source: "cancel" });
      else if (this.isShutDown && end.exitCode === undefined && end.signal === undefined)
        work.settle({ state: "cancelled", source: "shutdown" });
      else if (!mayHaveRun && work.fn.settings.transfer.length === 0) this.#again(work);
      else if (mayHaveRun && work.rare.attempt < work.fn.settings.attempts) {
        work.ownRare().attempt++;
        this.#again(work);
      } else {
        const error = new WorkerLostError(work.describe(), end, mayHaveRun);
        work.settle({ state: "error", error });
      }
    }
    this.#dispatchSoon();
  }

  /** Back to the beginning of the line. */
  #again(work: Work): void {
    if (this.#broken !== undefined)
      return void work.settle({ state: "error", error: this.#broken });
    work.state = "queued";
    work.place = undefined;
    this.#queue.addAgain(work);
  }

  #breakDown(message: string, cause: unknown): void {
    this.#broken ??= new BrokenExecutorError(message, cause === undefined ? undefined : { cause });
    const error = this.#broken;
    for (const work of this.#queue.toArray()) {
      this.#queue.remove(work);
      work.settle({ state: "error", error });
    }
    for (const worker of [...this.#workers]) if (worker.works.size === 0) void this.#retire(worker);
  }

  #workerOf(work: Work): PoolWorker | undefined {
    return [...this.#workers].find((worker) => worker.has(work));
  }

  /** @internal The rest is for HardStop. */
  isUsed(worker: PoolWorker): boolean {
    return worker.state !== "ending";
  }

  /** @internal Jobs that it was given and has not begun are given to others. */
  stopping(worker: PoolWorker): void {
    worker.stopping();
  }

  /** @internal The job was cut off, and the worker can go on. */
  kept(worker: PoolWorker, seq: number): void {
    this.ended(worker, seq, 0, { state: "cancelled", source: "cancel" });
    this.resume(worker);
  }

  /** @internal */
  resume(worker: PoolWorker): void {
    if (worker.state === "stopping") worker.state = "ready";
    this.#dispatchSoon();
  }

  /** @internal The worker is to be ended; another one is started. */
  doomed(worker: PoolWorker): void {
    worker.state = "ending";
    this.#replaced++;
    this.#grow();
  }

  /** @internal It has gone, or will not in the time that it was given. */
  stopped(worker: PoolWorker): void {
    this.#gone(worker, { exitCode: undefined, signal: undefined, cause: undefined });
  }
}
