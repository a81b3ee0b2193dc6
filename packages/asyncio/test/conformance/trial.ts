// One run of one check: starts operations, lets them complete, cancels them, and looks at what has
// come of it.

import assert from "node:assert/strict";
import * as asyncio from "../../src/index.ts";
import type { Case, TimedCase, Traits } from "./case.ts";
import { type Environment, hostHops } from "./environments.ts";

type Order = "cancel, complete" | "complete, cancel";

export class Trial {
  readonly case: Case | TimedCase;
  readonly traits: Traits;
  readonly loop: asyncio.EventLoop;
  readonly #environment: Environment;
  readonly #tasks: asyncio.Task<unknown>[] = [];
  /** Those that they ran in: a task that has ended well does not keep its own. */
  readonly #scopes: Map<asyncio.Task<unknown>, asyncio.Task<unknown>["scope"]> = new Map();
  #offered = 0;

  constructor(environment: Environment, traits: Traits, kase: Case | TimedCase) {
    this.#environment = environment;
    this.traits = traits;
    this.case = kase;
    this.loop = environment.loop;
  }

  /** Waits until everything else waits. */
  quiet(): Promise<unknown> {
    return this.traits.holdsTime === true ? hostHops() : this.#environment.quiet();
  }

  hop(): Promise<void> {
    return this.#environment.hop();
  }

  /** A task that begins the operation, among other things. */
  task<T>(body: () => Promise<T>, options?: asyncio.TaskOptions): asyncio.Task<T> {
    const task: asyncio.Task<T> = asyncio.createTask(async () => {
      this.#scopes.set(task, task.scope);
      await this.hop();
      return await body();
    }, options);
    this.#tasks.push(task);
    return task;
  }

  /** A task that performs the operation. */
  performer(): asyncio.Task<unknown> {
    return this.task(async () => {
      try {
        return await this.case.begin();
      } finally {
        await this.hop();
      }
    });
  }

  /** Lets the operation complete; gives the value that is due. */
  complete(): unknown {
    this.#offered++;
    return isTimed(this.case) ? this.case.value : this.case.complete();
  }

  /**
   * Starts a task and cancels it in the very step in which its operation completes; gives the value
   * that was due.
   */
  async race(order: Order, task: () => asyncio.Task<unknown>, reason?: unknown): Promise<unknown> {
    const isFirst = order === "cancel, complete";
    let victim: asyncio.Task<unknown> | undefined;
    const cancel = (): boolean | undefined => victim?.cancel(reason);
    if (isTimed(this.case)) {
      // Timers of one instant fire in the order in which they were set.
      const due = this.loop.time() + this.case.delay;
      if (isFirst) this.loop.addTimer(due, { timerDue: cancel });
      victim = task();
      await this.quiet();
      if (!isFirst) this.loop.addTimer(due, { timerDue: cancel });
      await outcomeOf(victim);
      return this.complete();
    }
    victim = task();
    await this.quiet();
    if (isFirst) cancel();
    const value = this.complete();
    if (!isFirst) cancel();
    return value;
  }

  /** Asserts that `completed` operations have taken effect, and the others have not. */
  async check(completed: number): Promise<void> {
    await this.quiet();
    this.case.check?.({ offered: this.#offered, completed });
  }

  /** Asserts that no operation has begun. */
  async untouched(): Promise<void> {
    await this.check(0);
    this.case.untouched?.();
  }

  /** Asserts that `error` is the cancellation of `task`. */
  assertCancelled(outcome: Outcome, task: asyncio.Task<unknown>, reason?: unknown): void {
    const error = "error" in outcome ? outcome.error : undefined;
    assert.ok(error instanceof asyncio.CancelledError, `not cancelled: ${show(outcome)}`);
    assert.equal(error.scope, this.#scopes.get(task));
    assert.equal(error.reason, reason);
  }

  /** Ends what a cut-off branch did not own, and asserts that nothing is left. */
  async end(): Promise<void> {
    if (asyncio.allTasks().size > 1) this.complete();
    await this.quiet();
    for (const task of this.#tasks) assert.ok(task.done(), "a task is left");
    for (const scope of this.#scopes.values()) assert.deepEqual(scope.parkedWaits(), []);
  }
}

export type Outcome = { readonly value: unknown } | { readonly error: unknown };

/** Looks at a promise without waiting for it in a scope. */
export function outcomeOf(promise: PromiseLike<unknown>): Promise<Outcome> {
  return Promise.resolve(
    promise.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    ),
  );
}

function show(outcome: Outcome): string {
  return "value" in outcome ? `the value ${String(outcome.value)}` : String(outcome.error);
}

export function isTimed(kase: Case | TimedCase): kase is TimedCase {
  return "delay" in kase;
}
