/**
 * Abort signals of the program. A signal cancels scopes, and has one listener of ours for all of
 * them: adding the 20,000th listener takes the host tens of microseconds. The signals that scopes
 * hand out are in interop/abort-signal.ts.
 */

import type { Task } from "../kernel/task.ts";

/** What a signal cancels: a scope, a task group. */
interface AbortTarget {
  cancel(reason: unknown, source: "abort"): void;
}

const targetsOf: WeakMap<AbortSignal, Set<AbortTarget>> = new WeakMap();

/** Cancels `target` when `signal` aborts. Gives what ends that: to be called on every path. */
export function bindSignal(target: AbortTarget, signal: AbortSignal | undefined): () => void {
  if (signal === undefined) return () => {};
  const targets = targetsOf.get(signal) ?? new Set();
  targetsOf.set(signal, targets);
  if (targets.size === 0) signal.addEventListener("abort", aborted);
  targets.add(target);
  return () => release(signal, target);
}

function release(signal: AbortSignal, target: AbortTarget): void {
  const targets = targetsOf.get(signal);
  if (targets?.delete(target) && targets.size === 0) signal.removeEventListener("abort", aborted);
}

function aborted(this: AbortSignal): void {
  for (const target of [...(targetsOf.get(this) ?? [])]) {
    release(this, target);
    target.cancel(this.reason, "abort");
  }
}

/** Cancels `task`, which was made with `signal`, when that aborts. */
export function bindTask(task: Task<unknown>, signal: AbortSignal | undefined): void {
  if (signal === undefined || task.done()) return; // one that had aborted has ended it
  const target = { cancel: (reason: unknown) => void task.cancelFor("abort", reason) };
  if (signal.aborted)
    target.cancel(signal.reason); // in the first step, which an eager one has had
  else task.listen({ futureDone: bindSignal(target, signal) });
}

/** @throws the reason of `signal`, if it has aborted already. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw signal.reason;
}
