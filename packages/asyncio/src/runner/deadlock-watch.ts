/**
 * Finds out that a main will never end: the host has nothing left to do that could wake it. The
 * host says so by itself, when it runs dry. Whether something else may wake main all the same (a
 * listener of the program, another run) can only be guessed: then it is asked a second time.
 */

import { type HostTimer, realHost } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import type { Task } from "../kernel/task.ts";
import { deadlockOf } from "../tasks/deadlock.ts";
import { describeTask } from "./shutdown.ts";

/**
 * A host that runs dry twice, asks twice within microseconds; one that something has woken, after
 * that.
 */
const SECOND_LOOK_SECONDS = 0.01;

/** The other runs of the process. */
export interface OtherRuns {
  /** Whether code on the loop has called other runs, which may wake it. */
  readonly hasRunsInside: () => boolean;
  /** Whether other runs, on other loops, are under way. */
  readonly hasRunsBeside: () => boolean;
}

export class DeadlockWatch {
  /** Set once it is found that main will never end. */
  error: Error | undefined = undefined;
  readonly #loop: EventLoop;
  readonly #main: Task<unknown>;
  readonly #others: OtherRuns;
  readonly #stopListening: () => void;
  /**
   * Set if the host ran dry just now, and something else may wake main: if it is dry again at once,
   * nothing has.
   */
  #secondLook: HostTimer | undefined = undefined;

  constructor(loop: EventLoop, main: Task<unknown>, others: OtherRuns) {
    this.#loop = loop;
    this.#main = main;
    this.#others = others;
    this.#stopListening = loop.host.onDry((error) => this.#ranDry(error));
  }

  stop(): void {
    this.#stopListening();
    this.#secondLook?.clear();
  }

  /**
   * The host has nothing left to do, and main has not ended; or the loop says in its own words that
   * it never will.
   */
  #ranDry(error?: Error): void {
    if (this.#main.done() || (error === undefined && this.#others.hasRunsInside())) return;
    this.#loop.host.macrotask(() => {}); // a host tells it once, unless it has something to do again
    if (error === undefined && this.#mayBeWoken() && this.#secondLook === undefined) {
      this.#lookAgain();
      return;
    }
    const isSecondTime = this.error !== undefined;
    const tasks = this.#loop.tasks.toArray();
    this.error ??= error ?? deadlockOf(tasks, tasks.map(describeTask));
    this.#endMain(this.error, isSecondTime);
  }

  #lookAgain(): void {
    this.#secondLook = realHost.setTimer(realHost.now() + SECOND_LOOK_SECONDS, () => {
      this.#secondLook = undefined; // the host has gone on: it was not dry
    });
    this.#secondLook.unref();
  }

  /**
   * Whether something else may hear that the host ran dry, and then wake main: another run, or a
   * listener of the program.
   */
  #mayBeWoken(): boolean {
    // Another run is being ended now.
    if (this.#others.hasRunsBeside() && this.#main.waitingFor().length === 0) return true;
    const isReal = this.#loop.host === realHost && typeof process !== "undefined";
    return isReal && process.listenerCount("beforeExit") > 1; // one is ours
  }

  /**
   * Cancels main, so that its `finally` blocks run. A main in a foreign await that nothing will end
   * cannot be told, and none of them could run: it is abandoned.
   */
  #endMain({ name }: Error, isSecondTime: boolean): void {
    if (isSecondTime || this.#main.waitingFor().length === 0) this.#main.abandon();
    else this.#main.cancelFor("shutdown", name);
  }
}
