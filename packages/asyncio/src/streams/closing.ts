/**
 * Waiting for the end of what belongs to others. Their code is asked to end, and may never answer:
 * a generator that sits in a promise which never settles, a stream whose `destroy` does not call
 * back. So the wait for an answer is bounded, also by the grace period of the task that waits. What
 * does not answer is left behind, and reported.
 */

import { park, type Scope } from "../kernel/scope.ts";
import { type Wait, WaitList, type WaitSubject } from "../kernel/wait.ts";
import { formatSeconds, type Timer } from "../structures/timers.ts";

/** Seconds in which what was asked to end has to answer, if a task waits for that. */
const CLOSE_DELAY = 5;

export class Closing {
  readonly #waiters: WaitList = new WaitList();
  readonly #home: Scope;
  readonly #name: string;
  /** Why it may not have answered: the end of the report, or "". */
  readonly #cause: string;
  #timer: Timer | undefined = undefined;
  /** When all was left to others; undefined before. */
  #askedAt: number | undefined = undefined;
  /** True once it was given up. */
  isLeftBehind = false;

  /** Told when it is given up. */
  readonly #onLeft: () => void;

  /** Of what is called `name`; `home` gives the loop. */
  constructor(home: Scope, name: string, onLeft: () => void = () => {}, cause = "") {
    this.#home = home;
    this.#name = name;
    this.#cause = cause;
    this.#onLeft = onLeft;
  }

  /** Waits until `ended` is called, or the time is over in which an answer has to come. */
  wait(scope: Scope, subject: WaitSubject): Wait<void> {
    const wait = park<void>(scope, subject, (_wait, cancellation) => {
      this.#waiters.remove(wait as Wait);
      if (this.#waiters.length > 0) return true;
      // Past its grace period a scope waits for nothing any more: nothing else will tell.
      if (cancellation.scope.cancelState.insists) this.#leave();
      else this.#stop();
      return true;
    });
    wait.isForeign = true;
    this.#waiters.add(wait as Wait);
    this.#start();
    return wait;
  }

  /** All that is left is that the code of others answers. */
  asked(): void {
    this.#askedAt ??= this.#home.loop.time();
    this.#start();
  }

  ended(): void {
    this.#stop();
    this.#waiters.resumeAll(undefined);
  }

  /** @internal */
  timerDue(): void {
    this.#leave(CLOSE_DELAY);
  }

  #leave(seconds?: number): void {
    this.#stop();
    if (this.#askedAt === undefined || this.isLeftBehind) return;
    this.isLeftBehind = true;
    const { loop } = this.#home;
    const time = formatSeconds(seconds ?? Math.round((loop.time() - this.#askedAt) * 10) / 10);
    const message = `${this.#name} was closed, and has not answered for ${time}. It is left behind: what it holds may stay open${this.#cause}`;
    loop.callExceptionHandler({ message });
    this.#onLeft();
    this.#waiters.resumeAll(undefined);
  }

  #start(): void {
    if (this.#askedAt === undefined || this.#timer !== undefined || this.#waiters.length === 0)
      return;
    const { loop } = this.#home;
    this.#timer = loop.addTimer(loop.time() + CLOSE_DELAY, this);
  }

  #stop(): void {
    if (this.#timer !== undefined) this.#home.loop.cancelTimer(this.#timer);
    this.#timer = undefined;
  }
}
