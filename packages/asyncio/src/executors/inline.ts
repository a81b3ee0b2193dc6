/**
 * Jobs on the running loop, for tests: what they are given and give is copied as it would be, they
 * run so many at a time, and a test decides their order, as that of all tasks.
 */

import { argumentError, CancelledError, checkCount, checkOptions } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { realHost } from "../kernel/host.ts";
import { completed, here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { Task } from "../kernel/task.ts";
import { runInRoot } from "../ports/context-storage.ts";
import { Context } from "../structures/context-values.ts";
import { setSharedValues } from "./carried-variables.ts";
import { errorOf, tableOf } from "./error-table.ts";
import { NotSendableError } from "./errors.ts";
import { Executor, type ExecutorStats } from "./executor.ts";
import { inJob } from "./job-context.ts";
import { Line } from "./line.ts";
import { loadedFunction, loadFunction, loadModule } from "./modules.ts";
import { addressOf } from "./sendable.ts";
import { type Callbacks, clone, refusal, unpack } from "./sending.ts";
import type { Outcome, Work, WorkCancellation } from "./work.ts";

/** What `new InlineExecutor` takes. */
export interface InlineOptions {
  /** What reports call it. */
  readonly name?: string | undefined;
  /** How many jobs run at a time, at most. @default 1 */
  readonly maxWorkers?: number | undefined;
}
const KNOWN: Names<InlineOptions> = { name: "string", maxWorkers: 1 };

type AnyCall = (...args: readonly unknown[]) => unknown;

/** A job that runs, and how far its consumer lets it go. */
interface Inside {
  task: Task<unknown> | undefined;
  credit: number;
  room: (() => unknown) | undefined;
}

/**
 * An executor that runs its jobs on the running loop, for tests: with `runTest` and `explore` time
 * is virtual, and the order in which jobs take turns is searched. Arguments and results are copied,
 * and what cannot be sent is refused, as a worker would. A job that never awaits cannot be stopped
 * here. Load the modules first (`load`), so that each run of a test goes the same way.
 *
 * @example
 * import { InlineExecutor, module } from "asyncio-ts/executors";
 * const path = module<typeof import("node:path")>("node:path");
 * await InlineExecutor.load(path);
 * await testing.runTest(async () => {
 *   await using executor = new InlineExecutor();
 *   assert.equal(await executor.run(path.basename, "/tmp/report.txt"), "report.txt");
 * });
 */
export class InlineExecutor extends Executor {
  readonly #line: Line = new Line();
  readonly #running: Map<Work, Inside> = new Map();
  #completed = 0;
  #runTime = 0;
  #waitTime = 0;

  constructor(options?: InlineOptions) {
    const api = "`new InlineExecutor`";
    checkOptions(api, options, KNOWN);
    const { maxWorkers = 1 } = options ?? {};
    checkCount(api, "`maxWorkers`", maxWorkers);
    super("inline", options?.name, maxWorkers, Number.POSITIVE_INFINITY);
  }

  /**
   * Loads modules, so that jobs of theirs begin without a wait for the host. Rejects with a
   * WorkerModuleError.
   */
  static async load(...modules: readonly object[]): Promise<void> {
    for (const functions of modules) {
      const url = addressOf(functions);
      if (url === undefined)
        throw argumentError("`InlineExecutor.load`", "what `module` gives", functions);
      await runInRoot(() => loadModule(url));
    }
  }

  /** @internal */
  get isOutside(): boolean {
    return false;
  }

  /** @internal */
  get queued(): number {
    return this.#line.size;
  }

  /** @internal */
  works(): Work[] {
    return [...this.#line.toArray(), ...this.#running.keys()];
  }

  /** @internal */
  accept(work: Work): void {
    this.entered();
    work.state = "queued";
    this.#line.add(work);
    this.#startNext();
  }

  /** @internal */
  withdraw(work: Work, { source, reason, requestedBy }: WorkCancellation): void {
    if (work.state === "over") return;
    if (work.state === "queued") {
      this.#line.remove(work);
      work.settle({ state: "cancelled", source });
      return;
    }
    const inside = this.#running.get(work);
    work.isAsked = true;
    inside?.task?.cancelFor(source, reason, requestedBy);
    if (inside?.task === undefined) this.#over(work, { state: "cancelled", source });
  }

  /** @internal */
  grant(work: Work, count: number): void {
    const inside = this.#running.get(work);
    if (inside === undefined) return;
    inside.credit += count;
    inside.room?.();
  }

  /** @internal */
  release(): Promise<void> {
    return Promise.resolve();
  }

  stats(): ExecutorStats {
    return Object.freeze({
      queued: this.#line.size,
      running: this.#running.size,
      completed: this.#completed,
      replaced: 0,
      waitTime: this.#waitTime,
      runTime: this.#runTime,
      workers: [],
    });
  }

  /** @internal */
  describe(): string {
    return `the loop of ${this.name}`;
  }

  #startNext(): void {
    for (let work = this.#line.first; work !== undefined; work = this.#line.first) {
      if (this.#running.size >= this.maxWorkers) return;
      this.#line.remove(work);
      work.state = "sent";
      work.place = this;
      work.startedAt = realHost.now();
      this.#waitTime = work.startedAt - work.madeAt;
      this.#start(work);
    }
  }

  #start(work: Work): void {
    const inside: Inside = { task: undefined, credit: work.rare.credit ?? 0, room: undefined };
    this.#running.set(work, inside);
    const { url, name } = work.fn;
    const present = loadedFunction(url, name);
    if (typeof present === "function") return void this.#run(work, inside, present as AnyCall);
    const { loop } = work.scope;
    loop.host.io?.(1); // virtual time holds still
    const loading = runInRoot(() => loadFunction(url, name));
    loading
      .then(
        (fn) => this.#run(work, inside, fn),
        (error) => this.#over(work, { state: "error", error }),
      )
      .then(() => loop.host.io?.(-1));
  }

  #run(work: Work, inside: Inside, fn: AnyCall): void {
    if (work.outcome !== undefined) return;
    let args: readonly unknown[];
    try {
      args = this.#argumentsOf(work);
    } catch (error) {
      return void this.#over(work, { state: "error", error });
    }
    const context = new Context();
    const { id, rare } = work;
    if (rare.variables !== undefined) setSharedValues(context, rare.variables);
    const { attempt, credit } = rare;
    const progress = (value: unknown): void => rare.onProgress?.(copied("progress", value));
    const call = (): unknown => inJob({ id, attempt, progress }, () => fn(...args));
    const body = credit === undefined ? call : () => this.#sendItems(work, inside, call);
    const { loop } = work.scope;
    // In the root: neither the scope nor the job of the caller is that of this one.
    const task = runInRoot(() => new Task<unknown>(loop, body, { context, name: id }));
    inside.task = task;
    task.listen({
      futureDone: () => {
        task.observe();
        this.#over(work, outcomeOf(task));
      },
    });
  }

  /** As a worker would get them. */
  #argumentsOf(work: Work): readonly unknown[] {
    if (work.rare.callbacks === undefined) {
      try {
        return clone(work.args, work.fn.settings.transfer);
      } catch (cause) {
        if (!work.searchCallbacks()) throw refusal("args", work.args, cause);
      }
    }
    const { places, functions } = work.rare.callbacks as Callbacks;
    const copies = copied("args", work.args) as readonly unknown[];
    let calls = 0;
    return unpack(copies, places, (index, isSync) => (...given: readonly unknown[]) => {
      if (isSync) {
        const callback = functions[index];
        return copied("result", callback?.fn(...(copied("args", given) as never[])));
      }
      return new Promise((resolve, reject) => {
        work.called(calls++, index, copied("args", given) as readonly unknown[], (outcome) => {
          if (outcome[0] === "value") resolve(outcome[1]);
          else if (outcome[0] === "failed") reject(errorOf(outcome[1]));
          else reject(new CancelledError({ reason: outcome[1] }));
        });
      });
    });
  }

  async #sendItems(work: Work, inside: Inside, call: () => unknown): Promise<void> {
    const items = (await call()) as AsyncIterable<unknown>;
    const subject = { describeWait: () => `room for another item of ${work.describe()}` };
    for await (const item of items) {
      work.rare.onItem?.(copied("item", item));
      inside.credit--;
      const scope = here();
      // <- the consumer has made room, and left in the same step
      const stop = scope.interruption(subject);
      if (stop !== undefined) await stop;
      else if (inside.credit > 0) await completed(scope, subject, undefined);
      while (inside.credit <= 0) {
        const wait = park<void>(scope, subject);
        inside.room = () => wait.resume();
        await wait.promise;
      }
    }
  }

  #over(work: Work, outcome: Outcome): void {
    if (!this.#running.delete(work)) return;
    this.#completed++;
    this.#runTime = realHost.now() - work.startedAt;
    work.settle(outcome);
    this.#startNext();
  }
}

function outcomeOf(task: Task<unknown>): Outcome {
  if (task.state === "cancelled") return { state: "cancelled", source: "cancel" };
  if (task.state !== "fulfilled") return { state: "failed", table: tableOf(task.failure) };
  try {
    return { state: "value", value: copied("result", task.value) };
  } catch (error) {
    return { state: "error", error };
  }
}

function copied(name: string, value: unknown): unknown {
  try {
    return clone(value);
  } catch (cause) {
    if (cause instanceof NotSendableError) throw cause;
    throw refusal(name, value, cause);
  }
}
