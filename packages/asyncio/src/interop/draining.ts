/**
 * What the end of a run has to do with its requests, which may go on for a while. The runner asks
 * here, and not the requests themselves: a program that has none does not need their code.
 */

import type { EventLoop } from "../kernel/loop.ts";
import type { Task } from "../kernel/task.ts";

/** The requests of a loop. */
export interface Drainable {
  /**
   * Lets those of `isOurs` go on for as long as they may, counted from `since`, and cancels what is
   * left then. Gives what to wait for, if there is any; when that is over, it sets `isClosed`.
   */
  drain(since: number, isOurs: (task: Task<unknown>) => boolean): Promise<void> | undefined;
}

export interface Draining {
  /** When it began; undefined if it has not. */
  since: number | undefined;
  /** True when it is over: no more requests are taken. */
  isClosed: boolean;
  /** Undefined if there has been none. */
  requests: Drainable | undefined;
}

const known: WeakMap<EventLoop, Draining> = new WeakMap();

export function drainingOf(loop: EventLoop): Draining {
  let draining = known.get(loop);
  if (draining === undefined) {
    draining = { since: undefined, isClosed: false, requests: undefined };
    known.set(loop, draining);
  }
  return draining;
}

/**
 * The run ends: gives what to wait for, if requests go on. When that is over, no more are taken.
 */
export function drainRequests(
  loop: EventLoop,
  isOurs: (task: Task<unknown>) => boolean,
): Promise<void> | undefined {
  const draining = drainingOf(loop);
  draining.since = loop.time();
  const drained = draining.requests?.drain(draining.since, isOurs);
  if (drained === undefined) draining.isClosed = true;
  return drained;
}

/** The run has ended: a later request on the loop is not its own. */
export function forgetRequests(loop: EventLoop): void {
  known.delete(loop);
}
