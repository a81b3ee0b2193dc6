/** Waiting for time to pass, and for other tasks to have their turn. */

import { checkSeconds } from "../errors/errors.ts";
import { realHost } from "../kernel/host.ts";
import { here, turn } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { Wait } from "../kernel/wait.ts";
import type { Timer } from "../structures/timers.ts";
import { noticeFakeTimers } from "./fake-timers.ts";

/**
 * Waits `delay` seconds and gives `result`. `sleep(0)`, or less, waits one iteration of the loop:
 * everything that was ready before runs first. Await `sleep(0)` right away: if you store the
 * promise, the turn starts when you await it, and consecutive calls may return the same promise.
 * Infinity waits until it is cancelled. A cancelled sleep leaves no timer behind. Sleeps that end
 * at the same instant end in the order in which they began. Rejects with a RangeError for NaN and a
 * TypeError for what is not a number.
 *
 * @example
 * const started = asyncio.getRunningLoop().time();
 * const word = await asyncio.sleep(0.01, "done");
 * assert.equal(word, "done");
 * assert.ok(asyncio.getRunningLoop().time() - started >= 0.01);
 */
export function sleep(delay: number): Promise<void>;
export function sleep<T>(delay: number, result: T): Promise<T>;
export function sleep<T>(delay: number, result?: T): Promise<T | undefined> {
  try {
    checkSeconds("`sleep`", "a delay in seconds", delay);
  } catch (error) {
    return Promise.reject(error);
  }
  const scope = here();
  return (
    scope.interruption("sleep") ??
    (delay > 0 ? sleepIn(scope, scope.loop.time() + delay, result) : turn(scope, "sleep", result))
  );
}

/**
 * Waits until `when`, on the clock of the loop; one iteration if that has passed. Infinity waits
 * until it is cancelled. Rejects with a RangeError for NaN and a TypeError for what is not a
 * number. Source: trio.sleep_until.
 *
 * @example
 * const loop = asyncio.getRunningLoop();
 * const when = loop.time() + 0.01;
 * await asyncio.sleepUntil(when);
 * assert.ok(loop.time() >= when);
 */
export function sleepUntil(when: number): Promise<void> {
  try {
    checkSeconds("`sleepUntil`", "a time in seconds on the clock of `loop.time()`", when);
  } catch (error) {
    return Promise.reject(error);
  }
  const scope = here();
  const stop = scope.interruption("sleep");
  if (stop !== undefined) return stop;
  if (when > scope.loop.time()) return sleepIn(scope, when, undefined);
  return turn(scope, "sleep", undefined);
}

function sleepIn<T>(scope: Scope, when: number, result: T): Promise<T> {
  const { loop } = scope;
  if (loop.host === realHost) noticeFakeTimers();
  const wait = new Wait<T>(scope, "sleep", cancelSleep); // in no line
  scope.addWait(wait as Wait);
  wait.offer = result;
  wait.subject = loop.addTimer(when, wait);
  return wait.promise;
}

function cancelSleep(wait: Wait<never>): true {
  wait.scope.loop.cancelTimer(wait.subject as Timer); // set by sleepIn
  return true;
}
