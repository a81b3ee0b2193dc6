/**
 * Foreign work that must have ended before its caller goes on: `cancellable` with a masked join.
 *
 *     cancelled ──▶ signal aborts ──grace──▶ destroy() ──grace──▶ a report; the caller goes on
 *                        └───── the work settles ─────┴──▶ the caller goes on
 */

import {
  argumentError,
  CancelledError,
  checkCoroutine,
  checkOptions,
  checkSeconds,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import type { Cancellation } from "../kernel/cancellation.ts";
import { cancelIfDue } from "../kernel/delivery.ts";
import { Gate } from "../kernel/gate.ts";
import { type HostTimer, realHost } from "../kernel/host.ts";
import { here } from "../kernel/operation.ts";
import { park, type Scope } from "../kernel/scope.ts";
import type { Wait } from "../kernel/wait.ts";
import { formatSeconds, type Timer } from "../structures/timers.ts";
import { Aborting } from "./abort-signal.ts";
import { begin } from "./cancellable.ts";
import {
  checkCallback,
  type DiscardOption,
  failureCameLate,
  nameOfWork,
  valueCameLate,
} from "./late.ts";

/** Options of `joined`. */
export interface JoinedOptions<T> extends DiscardOption<T> {
  /**
   * Seconds that the work has to settle after its signal has aborted; the same again after
   * `destroy`. Infinity: for ever.
   */
  readonly grace: number;
  /**
   * Takes away what the work stands on, so that it has to fail: closes the socket, kills the
   * process.
   */
  readonly destroy?: (() => unknown) | undefined;
}

const KNOWN: Names<JoinedOptions<unknown>> = { grace: 1, destroy: 1, discard: 1 };

/**
 * `cancellable` for work that must have ended before the caller goes on, because it uses something
 * that comes next: a connection, a file. When the current scope is cancelled, the signal aborts,
 * with the CancelledError as its reason, and the call waits until the work has settled. If that
 * takes more than `grace` seconds, it calls `destroy`, and waits for at most as long again. Work
 * that has not settled by then is reported to the exception handler, and the caller goes on without
 * it (without `destroy` after `grace`).
 *
 * A failure after the abort is the answer to it: the call rejects with the CancelledError of its
 * scope, which has that failure as its cause. A value that comes all the same is handed over, and
 * the cancellation stays pending; one that comes when the call has given up goes to `discard`.
 * `destroy` runs in the scope of the caller, and a failure of it is reported. On a virtual loop
 * time holds still as long as the work is waited for, and `grace` passes in real time.
 *
 * @example
 * const log: string[] = [];
 * const query = (signal: AbortSignal) =>
 *   new Promise<never>((_resolve, reject) => {
 *     signal.addEventListener("abort", () => {
 *       setTimeout(() => {
 *         log.push("the server has stopped");
 *         reject(new Error("canceled on user request"));
 *       }, 5);
 *     });
 *   });
 * await assert.rejects(
 *   asyncio.timeout(0.05, () => asyncio.joined(query, { grace: 2 })),
 *   asyncio.TimeoutError,
 * );
 * assert.deepEqual(log, ["the server has stopped"]);
 */
export async function joined<T>(
  start: (signal: AbortSignal) => PromiseLike<T>,
  options: JoinedOptions<T>,
): Promise<T> {
  const api = "`joined`";
  checkCoroutine(api, start);
  if (options === undefined || options === null)
    throw argumentError(api, "options with a `grace` in seconds", options);
  checkOptions(api, options, KNOWN);
  checkSeconds(api, "`grace` in seconds", options.grace);
  checkCallback(api, "destroy", options.destroy);
  checkCallback(api, "discard", options.discard);
  const scope = here();
  const stop = scope.interruption("joined");
  if (stop !== undefined) await stop;
  return await new Joining(scope, start, options).wait.promise;
}

class Joining<T> {
  readonly wait: Wait<T>;
  readonly #scope: Scope;
  readonly #name: string;
  readonly #options: JoinedOptions<T>;
  readonly #aborting: Aborting;
  /**
   * The turn in which `destroy` is called, in the async context of the caller; undefined where
   * there is nothing to call.
   */
  readonly #destruction: Gate | undefined;
  /** When patience ends: with the abort, then with the destruction. */
  #timer: Timer | undefined = undefined;
  /** The same in real time, where the loop's own time holds still for the work. */
  #hostTimer: HostTimer | undefined = undefined;
  #state: "working" | "aborted" | "destroyed" = "working";

  constructor(
    scope: Scope,
    start: (signal: AbortSignal) => PromiseLike<T>,
    options: JoinedOptions<T>,
  ) {
    this.#scope = scope;
    this.#name = nameOfWork(start);
    this.#options = options;
    this.#aborting = new Aborting(scope);
    const work = begin("`joined`", start, this.#aborting);
    if (options.destroy !== undefined) {
      this.#destruction = new Gate(scope);
      this.#destruction.promise.then(() => this.#destroy());
    }
    this.wait = park<T>(scope, this, (_wait, cancellation) => this.#cancel(cancellation));
    this.wait.waitsOutside();
    cancelIfDue(this.wait as Wait);
    work.then(
      (value) => this.#succeeded(value),
      (error) => this.#failed(error),
    );
  }

  describeWait(): string {
    if (this.#state === "working") return this.#name;
    return `${this.#name} to end, which was ${this.#state === "aborted" ? "told to abort" : this.#state}`;
  }

  /** @internal Patience is at an end. */
  timerDue(): void {
    this.#stopTimers();
    const { cancellation } = this.wait;
    if (this.wait.state !== "parked" || cancellation === undefined) return;
    if (this.#state === "aborted" && this.#destruction !== undefined) {
      this.#state = "destroyed";
      this.#scope.loop.enqueue(this.#destruction);
    } else this.#giveUp();
  }

  #cancel(cancellation: Cancellation): false {
    this.#aborting.abort(cancellation);
    if (this.#state === "working") {
      this.#state = "aborted";
      this.#startTimers();
    }
    return false;
  }

  #destroy(): void {
    const report = (exception: unknown): void => {
      const message = `\`destroy\` of ${this.#name} has failed`;
      this.#scope.loop.callExceptionHandler({ message, exception, task: this.#scope.task });
    };
    try {
      if (this.wait.state !== "parked") return; // it has settled in the last moment
      const ended: unknown = this.#options.destroy?.();
      Promise.resolve(ended).then(undefined, report);
    } catch (exception) {
      report(exception);
    }
    if (this.wait.state === "parked") this.#startTimers();
  }

  #giveUp(): void {
    const { loop, task } = this.#scope;
    const seconds = formatSeconds(Math.max(this.#options.grace, 0));
    const what = this.#state === "aborted" ? "it was told to abort" : "`destroy` was called";
    const message = `${this.#name} has not ended ${seconds} after ${what}, and is left behind`;
    this.wait.joined(undefined as T); // it holds one
    loop.callExceptionHandler({ message, task });
  }

  #startTimers(): void {
    const { grace } = this.#options;
    if (grace === Number.POSITIVE_INFINITY) return;
    const { loop } = this.#scope;
    const seconds = Math.max(grace, 0);
    this.#timer = loop.addTimer(loop.time() + seconds, this);
    if (loop.host === realHost) return;
    this.#hostTimer = realHost.setTimer(realHost.now() + seconds, () => this.timerDue());
    this.#hostTimer.unref(); // nothing that a virtual host would see as work outside
  }

  #stopTimers(): void {
    if (this.#timer !== undefined) this.#scope.loop.cancelTimer(this.#timer);
    this.#hostTimer?.clear();
    this.#timer = this.#hostTimer = undefined;
  }

  #succeeded(value: T): void {
    this.#stopTimers();
    if (!this.wait.resume(value))
      valueCameLate(this.#scope, this.#name, value, this.#options.discard);
  }

  #failed(error: unknown): void {
    this.#stopTimers();
    const { cancellation } = this.wait;
    const isReason = error instanceof CancelledError && error.scope === cancellation?.scope;
    const isTold =
      cancellation === undefined
        ? this.wait.fail(error)
        : this.wait.joined(undefined as T, isReason ? undefined : error);
    if (!isTold) failureCameLate(this.#scope, "`joined`", error);
  }
}
