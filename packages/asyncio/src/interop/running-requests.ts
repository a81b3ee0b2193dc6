/**
 * The requests that run on a loop, and what becomes of them when its run ends: they may go on for a
 * while, and what they need goes on with them; then the rest of them are cancelled.
 *
 *     open ──drain()──▶ draining ──none is left, or time is over──▶ closed ──▶ the run has ended
 */

import { advice, InvalidStateError } from "../errors/errors.ts";
import type { Cancellation } from "../kernel/cancellation.ts";
import type { EventLoop } from "../kernel/loop.ts";
import type { Scope } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";
import { LinkedList, type Links } from "../structures/linked-list.ts";
import type { Timer, TimerTarget } from "../structures/timers.ts";
import { type Drainable, type Draining, drainingOf } from "./draining.ts";

/** A request whose body has not ended. */
export interface RunningRequest extends Links<RunningRequest>, TimerTarget {
  readonly task: Task<unknown>;
  /** Where it was called. */
  readonly caller: Scope;
  /** Seconds that it may go on for when the run ends. */
  readonly drain: number;
  /** Set if it is being drained: then it is cancelled. */
  drainTimer: Timer | undefined;
  /** Told of each cancellation that reaches the caller. */
  callerCancelled(cancellation: Cancellation): void;
}

export class RunningRequests implements Drainable {
  readonly #loop: EventLoop;
  readonly #draining: Draining;
  readonly #running: LinkedList<RunningRequest> = new LinkedList();
  /** How many are waited for. */
  #drained = 0;
  #allEnded: (() => void) | undefined = undefined;
  /** Those that tell us when they are cancelled, until they close. */
  readonly #callers: WeakSet<Scope> = new WeakSet();

  constructor(loop: EventLoop, draining: Draining) {
    this.#loop = loop;
    this.#draining = draining;
  }

  /**
   * @throws InvalidStateError when a request that may go on for `drain` seconds would be cancelled
   * at once.
   */
  checkOpen(api: string, drain: number): void {
    const { since, isClosed } = this.#draining;
    const isOver = since !== undefined && since + drain <= this.#loop.time();
    if (!isOver && !isClosed) return;
    throw new InvalidStateError(
      `${api} was called when the run had drained its requests and was ending${advice("Close the server in a `finally` of main, so that no more come")}`,
    );
  }

  add(request: RunningRequest): void {
    this.#running.add(request);
    if (!this.#callers.has(request.caller)) this.#watch(request.caller);
    const { since } = this.#draining;
    if (since !== undefined) this.#drain(request, since);
  }

  /** Does nothing for one that has been removed. */
  remove(request: RunningRequest): void {
    this.#running.remove(request);
    if (request.drainTimer === undefined) return;
    this.#loop.cancelTimer(request.drainTimer);
    request.drainTimer = undefined;
    if (--this.#drained === 0) this.#allEnded?.();
  }

  drain(since: number, isOurs: (task: Task<unknown>) => boolean): Promise<void> | undefined {
    for (const request of this.#running.toArray())
      if (isOurs(request.task)) this.#drain(request, since);
    if (this.#drained === 0) return undefined;
    return new Promise((resolve) => {
      this.#allEnded = () => {
        this.#draining.isClosed = true;
        resolve();
      };
    });
  }

  /**
   * One hook for all the requests of a caller: most have one, main, and it is called for nothing as
   * long as the run goes on.
   */
  #watch(caller: Scope): void {
    if (caller.closed) return;
    this.#callers.add(caller);
    caller.watch({
      cancelled: (cancellation) => {
        for (const request of this.#running.toArray())
          if (request.caller === caller) request.callerCancelled(cancellation);
      },
    });
  }

  #drain(request: RunningRequest, since: number): void {
    this.#drained++;
    request.drainTimer = this.#loop.addTimer(since + request.drain, request);
  }
}

export function requestsOn(loop: EventLoop): RunningRequests {
  const draining = drainingOf(loop);
  draining.requests ??= new RunningRequests(loop, draining);
  return draining.requests as RunningRequests; // nobody else makes any
}
