/** One main task on a loop: who ends it, and when it will never end. */

import type { Cancellation } from "../kernel/cancellation.ts";
import type { FutureListener } from "../kernel/future.ts";
import { type HostTimer, realHost } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { type Coroutine, Task } from "../kernel/task.ts";
import type { Wait } from "../kernel/wait.ts";
import type { Context } from "../structures/context-values.ts";
import type { Timer } from "../structures/timers.ts";
import { deadlockOf } from "../tasks/deadlock.ts";
import { abandonTasks, describeTask } from "./shutdown.ts";

/**
 * A host that runs dry twice, asks twice within microseconds; one that something has woken, after
 * that.
 */
const SECOND_LOOK_SECONDS = 0.01;

/** What a main needs to know of its surroundings. */
export interface MainOptions {
  /** The scope in which `run` was called. */
  readonly around: Scope;
  readonly context: Context;
  readonly shutdownDelay: number;
  readonly signal: AbortSignal | undefined;
  /** Whether code on the loop has called other runs, which may wake it. */
  readonly hasRunsInside: () => boolean;
  /** Whether other runs, on other loops, are under way. */
  readonly hasRunsBeside: () => boolean;
}

export class MainRun<T> implements FutureListener {
  readonly main: Task<T>;
  readonly #loop: EventLoop;
  readonly #options: MainOptions;
  /** The caller, waiting for main to end. */
  readonly #join: Wait<void>;
  /** Set once main was cancelled: the run does not wait for it for ever. */
  #mainTimer: Timer | undefined = undefined;
  /**
   * Set if the host ran dry just now, and something else may wake main: if it is dry again at once,
   * nothing has.
   */
  #secondLook: HostTimer | undefined = undefined;
  /** Set if the loop found that main would never end. */
  #dead: Error | undefined = undefined;

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
    this.main.listen(this);
    this.main.scope.watch({ cancelled: (cancellation) => this.#mainCancelled(cancellation) });
  }

  /**
   * Waits until main has ended, whatever came of it. Rejects only if the caller was cancelled, and
   * main has ended by that.
   */
  async ended(): Promise<void> {
    this.main.observe();
    const stopWatching = this.#loop.host.onDry((error) => this.#ranDry(error));
    try {
      await this.#join.promise;
    } finally {
      stopWatching();
      this.#secondLook?.clear();
      if (this.#mainTimer !== undefined) this.#loop.cancelTimer(this.#mainTimer);
    }
  }

  /** What main gave, or what the run fails with. */
  outcome(): T {
    const { signal } = this.#options;
    if (this.main.cancelled()) {
      if (this.#dead !== undefined) throw this.#dead;
      if (signal?.aborted === true && this.main.scope.owns(this.main.failure)) throw signal.reason;
    }
    return this.main.result();
  }

  /** True if nothing was left that could have woken main. */
  get isDead(): boolean {
    return this.#dead !== undefined;
  }

  /** True if the caller was cancelled, or its scope has ended, while it waited. */
  get isCallerCancelled(): boolean {
    return this.#join.cancellation !== undefined;
  }

  /** @internal Main has ended. */
  futureDone(): void {
    if (this.main.cancelled()) this.#join.joined(undefined, this.main.failure);
    else this.#join.resume();
  }

  /**
   * The host has nothing left to do, and main has not ended; or the loop says in its own words that
   * it never will.
   */
  #ranDry(error?: Error): void {
    if (this.main.done() || (error === undefined && this.#options.hasRunsInside())) return;
    const isSecondTime = this.#dead !== undefined;
    this.#loop.host.macrotask(() => {}); // else the host would not tell us a second time
    if (error === undefined && this.#mayBeWoken() && this.#secondLook === undefined) {
      this.#secondLook = realHost.setTimer(realHost.now() + SECOND_LOOK_SECONDS, () => {
        this.#secondLook = undefined; // the host has gone on: it was not dry
      });
      this.#secondLook.unref();
      return;
    }
    const tasks = this.#loop.tasks.toArray();
    this.#dead ??= error ?? deadlockOf(tasks, tasks.map(describeTask));
    // What sits in a foreign await that nothing will end any more cannot be told; nor has it a
    // `finally` that could run.
    if (isSecondTime || this.main.waitingFor().length === 0) this.main.abandon();
    else this.main.cancelFor("shutdown", this.#dead.name);
  }

  /**
   * Whether something else may hear that the host ran dry, and then wake main: another run, or a
   * listener of the program.
   */
  #mayBeWoken(): boolean {
    // Another run is being ended now.
    if (this.#options.hasRunsBeside() && this.main.waitingFor().length === 0) return true;
    const isReal = this.#loop.host === realHost && typeof process !== "undefined";
    return isReal && process.listenerCount("beforeExit") > 1; // one is ours
  }

  /** Main was cancelled, by a signal, an abort or its caller: it has `shutdownDelay` to end. */
  #mainCancelled({ source }: Cancellation): void {
    const isFromOutside =
      source === "shutdown" || source === "abort" || this.#join.cancellation !== undefined;
    if (!isFromOutside || this.#dead !== undefined || this.#mainTimer !== undefined) return;
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
