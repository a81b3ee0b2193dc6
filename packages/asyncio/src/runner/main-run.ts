/**
 * One main task on a loop, and the caller who waits for it.
 *
 *     caller ── cancelled ──▶ main        main ── ended ──▶ caller
 *
 * A main that was cancelled from outside has `shutdownDelay` to end, and is left behind after that.
 * One that will never end is found by deadlock-watch.ts.
 */

import type { Cancellation } from "../kernel/cancellation.ts";
import type { FutureListener } from "../kernel/future.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { type Coroutine, Task } from "../kernel/task.ts";
import type { Wait } from "../kernel/wait.ts";
import type { Context } from "../structures/context-values.ts";
import type { Timer } from "../structures/timers.ts";
import { bindTask } from "../tasks/abort.ts";
import { DeadlockWatch, type OtherRuns } from "./deadlock-watch.ts";
import { abandonTasks } from "./shutdown.ts";

/** What a main needs to know of its surroundings. */
export interface MainOptions extends OtherRuns {
  /** The scope in which `run` was called. */
  readonly around: Scope;
  readonly context: Context;
  readonly shutdownDelay: number;
  readonly signal: AbortSignal | undefined;
}

export class MainRun<T> implements FutureListener {
  readonly main: Task<T>;
  readonly #loop: EventLoop;
  readonly #options: MainOptions;
  /** The caller, waiting for main to end. */
  readonly #join: Wait<void>;
  /** Set once main was cancelled: the run does not wait for it for ever. */
  #mainTimer: Timer | undefined = undefined;
  /** True once main has ended: virtual time holds still until the caller goes on. */
  #isHandedOver = false;
  /** Undefined until the caller waits. */
  #deadlocks: DeadlockWatch | undefined = undefined;

  constructor(loop: EventLoop, main: Coroutine<T>, options: MainOptions) {
    this.#loop = loop;
    this.#options = options;
    this.#join = park<void>(
      options.around,
      { describeWait: () => "a run to end", waitsOn: () => [this.main] },
      (_wait, cancellation) => {
        // The end of the caller's scope does not hurry a main that is cleaning up: the outer run
        // waits for it.
        const isKnown = cancellation.source === "closed" && this.main.cancelling() > 0;
        if (!isKnown) this.main.forwardCancel(cancellation);
        return false;
      },
    );
    const { context, signal } = options;
    this.main = new Task(loop, main, { name: "main", context, signal });
    bindTask(this.main, signal);
    this.main.listen(this);
    this.main.scope.watch({ cancelled: (cancellation) => this.#mainCancelled(cancellation) });
  }

  /**
   * Waits until main has ended, whatever came of it. Rejects only if the caller was cancelled, and
   * main has ended by that.
   */
  async ended(): Promise<void> {
    this.main.observe();
    this.#deadlocks = new DeadlockWatch(this.#loop, this.main, this.#options);
    try {
      await this.#join.promise;
    } finally {
      this.#deadlocks.stop();
      if (this.#isHandedOver) this.#loop.host.io?.(-1);
      if (this.#mainTimer !== undefined) this.#loop.cancelTimer(this.#mainTimer);
    }
  }

  /** What main gave, or what the run fails with. */
  outcome(): T {
    const { signal } = this.#options;
    if (this.main.cancelled()) {
      const deadlock = this.#deadlocks?.error;
      if (deadlock !== undefined) throw deadlock;
      if (signal?.aborted === true && this.main.scope.owns(this.main.failure)) throw signal.reason;
    }
    return this.main.result();
  }

  /** True if nothing was left that could have woken main. */
  get isDead(): boolean {
    return this.#deadlocks?.error !== undefined;
  }

  /** True if the caller was cancelled, or its scope has ended, while it waited. */
  get isCallerCancelled(): boolean {
    return this.#join.cancellation !== undefined;
  }

  /** @internal Main has ended. Its caller may take a turn to hear of it: no time passes here. */
  futureDone(): void {
    this.#isHandedOver = this.main.cancelled()
      ? this.#join.joined(undefined, this.main.failure)
      : this.#join.resume();
    if (this.#isHandedOver) this.#loop.host.io?.(1);
  }

  /** Main was cancelled, by a signal, an abort or its caller: it has `shutdownDelay` to end. */
  #mainCancelled({ source }: Cancellation): void {
    const isFromOutside = source === "shutdown" || source === "abort" || this.isCallerCancelled;
    if (!isFromOutside || this.isDead || this.#mainTimer !== undefined) return;
    const { shutdownDelay } = this.#options;
    this.#mainTimer = this.#loop.addTimer(this.#loop.time() + shutdownDelay, {
      timerDue: () => {
        this.#mainTimer = undefined;
        if (this.main.cancelling() === 0) return; // it has taken the cancellation back
        abandonTasks(this.#loop, [this.main], shutdownDelay);
      },
    });
  }
}
