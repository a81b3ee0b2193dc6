/** Which runs are under way in this process, on which loops, and who has called them. */

import { advice, InvalidStateError } from "../errors/errors.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { here } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { runInRoot } from "../ports/context-storage.ts";

/** Mains that are running. */
let mains = 0;
/**
 * Loops that a main runs on, or that are shutting down: two at once would cancel each other's tasks
 * when they end.
 */
const busyLoops: WeakSet<EventLoop> = new WeakSet();
/** Loops of sessions that have begun and have not ended. */
const liveLoops: WeakSet<EventLoop> = new WeakSet();
/** What was begun by code on a loop, and has not ended. */
const begunOn: WeakMap<EventLoop, Set<unknown>> = new WeakMap();

/**
 * The scope of the running code. Where its run has ended, nothing can wait in it any more: a new
 * root then.
 */
export function scopeAround(): Scope {
  const scope = here();
  return scope.loop.endedRun === undefined ? scope : runInRoot(here);
}

/** @throws InvalidStateError if the loop is closed, or has a run. */
export function checkFree(api: string, loop: EventLoop): void {
  loop.checkOpen(api);
  if (busyLoops.has(loop))
    throw new InvalidStateError(
      `${api} was called on a loop that is running already${advice("Use `createTask` on it, or another loop")}`,
    );
}

/**
 * Takes the loop for itself, until the function that it gives is called. Meanwhile the loops of the
 * `callers` have work outside: they are not dry.
 */
export function occupy(loop: EventLoop, callers: Iterable<EventLoop>): () => void {
  const waiting = new Set(callers);
  busyLoops.add(loop);
  for (const caller of waiting) caller.host.io?.(1);
  return () => {
    for (const caller of waiting) caller.host.io?.(-1);
    busyLoops.delete(loop);
  };
}

/** A main begins to run (1), or has ended (-1). */
export function countMain(change: 1 | -1): void {
  mains += change;
}

/** Whether a second main is running. */
export function hasOtherMains(): boolean {
  return mains > 1;
}

/** Whether the loop belongs to a session that has not ended. */
export function isLive(loop: EventLoop): boolean {
  return liveLoops.has(loop);
}

/** The sessions that code on the loop has begun, and that have not ended. */
export function begunBy<S>(loop: EventLoop): Set<S> {
  const known = begunOn.get(loop) ?? new Set();
  begunOn.set(loop, known);
  return known as Set<S>; // sessions have one class
}

/** `session`, which runs on `loop`, was begun by code on the loop `caller`. */
export function began(session: unknown, loop: EventLoop, caller: EventLoop): void {
  liveLoops.add(loop);
  begunBy(caller).add(session);
}

export function ended(session: unknown, loop: EventLoop, caller: EventLoop): void {
  liveLoops.delete(loop);
  begunBy(caller).delete(session);
}
