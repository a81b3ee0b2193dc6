/**
 * One run of a stream: a task that produces, and the loop that takes.
 *
 *     pump: await emit(item) ──▶ next()      emit returns when another item is asked for
 *
 * The task belongs to the loop: cancelling the loop, leaving it, or closing the scope it is in
 * cancels the task, and both `next` and `return` wait until it has ended. So nothing of a stream
 * runs behind its loop.
 */

import { CancelledError } from "../errors/errors.ts";
import { completed, here } from "../kernel/operation.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { Task } from "../kernel/task.ts";
import { type Wait, WaitList } from "../kernel/wait.ts";
import { whenClosed } from "./scope-end.ts";

/** Gives an item to the loop, and waits until another one is asked for. */
export type Emit<T> = (item: T) => Promise<void>;

/** What produces the items of a stream: ends with them. */
export type Body<T> = (emit: Emit<T>) => Promise<void>;

type Step<T> = IteratorResult<T, undefined>;

export class Run<T> implements AsyncIterableIterator<T> {
  readonly #body: Body<T>;
  readonly #subject = {
    describeWait: () => "the next item of a stream",
    waitsOn: () => (this.#pump === undefined ? [] : [this.#pump]),
  };
  #pump: Task<void> | undefined = undefined;
  /** Calls of `next` that wait for an item. */
  readonly #takers: WaitList<Wait> = new WaitList();
  /** Calls of `emit` whose item was not taken yet: their `offer`. */
  readonly #emitters: WaitList = new WaitList();
  /** Calls of `emit` whose item was taken, until another one is asked for. */
  readonly #idle: WaitList = new WaitList();
  /** True once the pump has ended, and nothing more is to be told. */
  #isOver = false;

  constructor(body: Body<T>) {
    this.#body = body;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Step<T>> {
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return this.#closeFor(stop);
    const emitter = this.#emitters.first;
    if (emitter !== undefined) {
      const value = emitter.offer as T; // left there by `emit`
      emitter.resume(undefined);
      return completed(scope, this.#subject, { done: false, value });
    }
    if (this.#isOver || (this.#pump?.done() === true && this.#pump.state !== "rejected"))
      return completed(scope, this.#subject, { done: true, value: undefined });
    const wait = park<Step<T>>(scope, this.#subject, (_wait, cancellation) => {
      this.#pump?.forwardCancel(cancellation);
      return this.#pump?.done() !== false;
    });
    wait.handsOver = true;
    this.#takers.add(wait as Wait);
    if (this.#pump === undefined) this.#start(scope);
    else if (this.#pump.done()) this.#ended(this.#pump);
    else this.#idle.resumeAll(undefined);
    return wait.promise;
  }

  async return(): Promise<Step<T>> {
    const pump = this.#pump;
    const wasOver = this.#isOver || pump === undefined;
    this.#isOver = true;
    if (!wasOver) {
      await pump.cancelAndWait();
      if (pump.state === "rejected") throw pump.failure; // while it ended: nobody else is told
    }
    return { done: true, value: undefined };
  }

  async #closeFor(stop: Promise<never>): Promise<never> {
    stop.catch(() => {}); // it is awaited below, when the pump has ended
    await this.return(); // `for await` does not call it when `next` rejects
    return await stop;
  }

  #start(scope: Scope): void {
    const pump = new Task<void>(scope.loop, () => this.#body((item) => this.#emit(item)), {
      name: "a stream",
    });
    this.#pump = pump;
    const release = whenClosed(scope, () => void pump.cancelFor("group"));
    const futureDone = (): void => {
      release();
      this.#ended(pump);
    };
    pump.listen({ owner: scope, futureDone });
  }

  /** Tells those who wait how the pump has ended; a failure once. */
  #ended(pump: Task<void>): void {
    for (let taker = this.#takers.first; taker !== undefined; taker = this.#takers.first) {
      pump.observe();
      const isTold = this.#isOver;
      this.#isOver = true;
      if (pump.state === "rejected" && !isTold) taker.fail(pump.failure);
      else if (pump.state === "cancelled" && !isTold && taker.cancellation === undefined)
        taker.fail(pump.failure ?? new CancelledError());
      else taker.joined({ done: true, value: undefined });
    }
  }

  async #emit(item: T): Promise<void> {
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) await stop;
    const taker = this.#takers.first;
    if (taker !== undefined) taker.resume({ done: false, value: item });
    else {
      const given = park<void>(scope, "a stream's item to be taken");
      given.offer = item;
      this.#emitters.add(given);
      await given.promise;
    }
    if (this.#takers.first !== undefined) return;
    const subject = "another item of a stream to be asked for";
    const late = scope.interruption(subject); // <- it was taken, and cancelled in the same step
    if (late !== undefined) await late;
    const asked = park<void>(scope, subject);
    this.#idle.add(asked);
    await asked.promise;
  }
}
