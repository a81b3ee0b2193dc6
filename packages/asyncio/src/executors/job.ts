/** What `submit` gives, and what `stream` gives. */

import { CancelledError } from "../errors/errors.ts";
import { cancelIfDue } from "../kernel/delivery.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { completed, here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { Task } from "../kernel/task.ts";
import type { Wait } from "../kernel/wait.ts";
import { RingBuffer } from "../structures/ring-buffer.ts";
import { Feed } from "./feed.ts";
import { unwrap, type Work } from "./work.ts";

/** Values of `progress` that are kept for a reader who has not come yet. */
const MOST_PROGRESS = 1000;

/**
 * A job that an executor owns: a task, and so it can be awaited, cancelled, and looked at. Awaiting
 * it gives what the function returns, there. Cancelled, it ends when the job has ended there.
 * Source: concurrent.futures.Future.
 *
 * @example
 * import { type ExecutorJob, module, ThreadPoolExecutor } from "asyncio-ts/executors";
 * const util = module<typeof import("node:util")>("node:util");
 * await using pool = new ThreadPoolExecutor({ maxWorkers: 1 });
 * const job: ExecutorJob<string> = pool.submit(util.format, "%d%%", 12);
 * assert.equal(await job, "12%");
 */
export class ExecutorJob<T> extends Task<T> {
  /** Of its own among the jobs of its executor. */
  readonly id: string;
  /**
   * What the job tells with `progress`, in order; ends with the job. Of what nobody has read, the
   * last 1,000 values are kept.
   */
  readonly progress: AsyncIterable<unknown>;

  static {
    // A class has a `constructor` of its own; the one of Future.prototype must be seen instead.
    delete (ExecutorJob.prototype as { constructor?: unknown }).constructor;
  }

  /** @internal */
  constructor(loop: EventLoop, work: Work) {
    super(loop, () => work.join() as Promise<T>, { name: work.id });
    this.id = work.id;
    const feed = new Feed(
      `the progress of ${work.describe()}`,
      work.runner.isOutside,
      MOST_PROGRESS,
    );
    this.progress = feed;
    work.ownRare().onProgress = (value) => feed.push(value);
    this.listen({ futureDone: () => feed.end() });
  }
}

/**
 * The items of a generator in a worker, as they are asked for. The job begins with the first
 * `next`. The worker is at most `ahead` items ahead of the consumer.
 */
export class JobStream<T> implements AsyncIterableIterator<T> {
  readonly #ahead: number;
  readonly #begin: () => Work;
  readonly #grant: (work: Work, count: number) => void;
  readonly #items: RingBuffer<unknown> = new RingBuffer();
  #work: Work | undefined = undefined;
  /** Calls that wait for an item or the end: there may be several, and a `return` beside them. */
  readonly #waits: Set<Wait> = new Set();
  #taken = 0;
  /** True once the outcome was given, or the consumer has left. */
  #isOver = false;

  constructor(ahead: number, begin: () => Work, grant: (work: Work, count: number) => void) {
    this.#ahead = ahead;
    this.#begin = begin;
    this.#grant = grant;
  }

  /**
   * Waits for the next item. Cancelled, it cancels the job, and waits until that has ended. A
   * failure of the generator comes after the items before it.
   */
  async next(): Promise<IteratorResult<T>> {
    for (;;) {
      const isAtRest = this.#isOver || this.#work === undefined;
      const stop = isAtRest ? here().interruption("a stream") : undefined;
      if (stop !== undefined) await stop; // nothing has begun
      if (this.#isOver) return { value: undefined, done: true };
      const work = this.#begun();
      if (this.#items.length > 0) {
        const scope = here();
        const stop = scope.interruption(work);
        if (stop !== undefined) {
          await this.#leave(work);
          await stop;
        }
        const value = this.#items.shift() as T;
        this.#consumed(work);
        return await completed(scope, work, { value, done: false });
      }
      if (work.outcome !== undefined) return this.#ended(work);
      await this.#changed(work);
    }
  }

  /** Cancels the job, and waits until it has ended; its `finally` blocks run. */
  async return(): Promise<IteratorResult<T>> {
    const work = this.#work;
    const wasOver = this.#isOver;
    this.#isOver = true;
    if (work === undefined || wasOver) return { value: undefined, done: true };
    await this.#leave(work);
    const { outcome } = work;
    if (outcome?.state === "failed" || outcome?.state === "error") unwrap(work, outcome);
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #begun(): Work {
    if (this.#work !== undefined) return this.#work;
    const work = this.#begin();
    this.#work = work;
    const own = work.ownRare();
    own.credit = this.#ahead;
    own.onItem = (value) => {
      if (this.#isOver) return; // nobody takes it, and what waits now waits for the end
      this.#items.push(value);
      const [first] = this.#waits;
      if (first !== undefined && this.#waits.delete(first)) first.resume(undefined);
    };
    own.onOver = () => {
      for (const wait of this.#waits) wait.joined(undefined);
      this.#waits.clear();
    };
    work.runner.accept(work);
    return work;
  }

  #changed(work: Work): Promise<unknown> {
    const scope = here();
    const wait = park(scope, work, (_wait, cancellation) => {
      this.#isOver = true;
      work.runner.withdraw(work, cancellation);
      return false;
    });
    if (work.runner.isOutside) wait.waitsOutside();
    this.#waits.add(wait);
    cancelIfDue(wait);
    return wait.promise;
  }

  async #leave(work: Work): Promise<void> {
    this.#isOver = true;
    if (work.outcome !== undefined) return;
    const reason = "the consumer has left";
    work.runner.withdraw(work, { source: "cancel", reason, requestedBy: undefined });
    if (work.outcome !== undefined) return;
    const wait = park(here(), work, () => false);
    if (work.runner.isOutside) wait.waitsOutside();
    this.#waits.add(wait);
    await wait.promise;
  }

  #consumed(work: Work): void {
    // A grant for half of them at a time: each is a message.
    if (++this.#taken < Math.ceil(this.#ahead / 2)) return;
    if (work.outcome === undefined) this.#grant(work, this.#taken);
    this.#taken = 0;
  }

  #ended(work: Work): IteratorResult<T> {
    this.#isOver = true;
    const { outcome } = work;
    if (outcome === undefined || outcome.state === "value") return { value: undefined, done: true };
    unwrap(work, outcome);
    throw new CancelledError();
  }
}
