/**
 * The requests that run on a loop, and what becomes of them when its run ends: they may go on for a
 * while, and what they need goes on with them; then the rest of them are cancelled.
 *
 *     open ──drain()──▶ draining ──none is left, or time is over──▶ closed ──▶ the run has ended
 */

import { InvalidStateError } from "../errors/errors.ts";
import type { Cancellation } from "../kernel/cancellation.ts";
import type { EventLoop } from "../kernel/loop.ts";
import type { Scope } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";
import { LinkedList, type Links } from "../structures/linked-list.ts";
import type { Timer, TimerTarget } from "../structures/timers.ts";

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

export class RunningRequests {
  readonly #loop: EventLoop;
  readonly #running: LinkedList<RunningRequest> = new LinkedList();
  /** When draining began; undefined if it has not. */
  #since: number | undefined = undefined;
  /** How many are waited for. */
  #drained = 0;
  #closed = false;
  #allEnded: (() => void) | undefined = undefined;
  /** Those that tell us when they are cancelled, until they close. */
  readonly #callers: WeakSet<Scope> = new WeakSet();

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /**
   * @throws InvalidStateError when a request that may go on for `drain` seconds would be cancelled
   * at once.
   */
  checkOpen(api: string, drain: number): void {
    const isOver = this.#since !== undefined && this.#since + drain <= this.#loop.time();
    if (!isOver && !this.#closed) return;
    throw new InvalidStateError(
      `${api} was called when the run had drained its requests and was ending. Close the server in a \`finally\` of main, so that no more come`,
    );
  }

  add(request: RunningRequest): void {
    this.#running.add(request);
    if (!this.#callers.has(request.caller)) this.#watch(request.caller);
    if (this.#since !== undefined) this.#drain(request, this.#since);
  }

  /** Does nothing for one that has been removed. */
  remove(request: RunningRequest): void {
    this.#running.remove(request);
    if (request.drainTimer === undefined) return;
    this.#loop.cancelTimer(request.drainTimer);
    request.drainTimer = undefined;
    if (--this.#drained === 0) this.#allEnded?.();
  }

  /**
   * Lets those of `isOurs` go on for as long as they may, and cancels what is left then. Gives what
   * to wait for, if there is any; when that is over, no more requests are taken.
   */
  close(isOurs: (task: Task<unknown>) => boolean): Promise<void> | undefined {
    this.#since = this.#loop.time();
    for (const request of this.#running.toArray())
      if (isOurs(request.task)) this.#drain(request, this.#since);
    if (this.#drained > 0)
      return new Promise((resolve) => {
        this.#allEnded = () => {
          this.#closed = true;
          resolve();
        };
      });
    this.#closed = true;
    return undefined;
  }

  /** The run has ended: a later call for the requests of the loop gets new ones, which are open. */
  forget(): void {
    known.delete(this.#loop);
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

const known: WeakMap<EventLoop, RunningRequests> = new WeakMap();

export function requestsOn(loop: EventLoop): RunningRequests {
  let requests = known.get(loop);
  if (requests === undefined) {
    requests = new RunningRequests(loop);
    known.set(loop, requests);
  }
  return requests;
}
