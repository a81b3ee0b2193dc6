/** Values that come when they come, and are taken one after the other: the end of a stream. */

import { completed, here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { WaitList } from "../kernel/wait.ts";
import { RingBuffer } from "../structures/ring-buffer.ts";

export class Feed implements AsyncIterableIterator<unknown> {
  readonly #subject: string;
  readonly #values: RingBuffer<unknown> = new RingBuffer();
  readonly #takers: WaitList = new WaitList();
  /** The oldest are dropped where there are more. */
  readonly #most: number;
  readonly #isOutside: boolean;
  #isOver = false;

  constructor(subject: string, isOutside: boolean, most: number) {
    this.#subject = subject;
    this.#isOutside = isOutside;
    this.#most = most;
  }

  push(value: unknown): void {
    if (this.#takers.resumeFirst({ value, done: false }) !== undefined) return;
    if (this.#values.length >= this.#most) this.#values.shift();
    this.#values.push(value);
  }

  end(): void {
    this.#isOver = true;
    this.#takers.resumeAll({ value: undefined, done: true });
  }

  /** The oldest value; undefined if none is there. */
  take(): IteratorYieldResult<unknown> | undefined {
    return this.#values.length === 0 ? undefined : { value: this.#values.shift(), done: false };
  }

  next(): Promise<IteratorResult<unknown>> {
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return stop;
    const present = this.take();
    if (present !== undefined) return completed(scope, this.#subject, present);
    const over = { value: undefined, done: true as const };
    if (this.#isOver) return completed<IteratorResult<unknown>>(scope, this.#subject, over);
    const wait = park<IteratorResult<unknown>>(scope, this.#subject);
    if (this.#isOutside) wait.waitsOutside();
    this.#takers.add(wait as never);
    return wait.promise;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
