/**
 * Reports: what the exception handler of a loop is told. Failures that nobody has looked at are
 * reported once: when the future is collected, or when the run ends, whichever is first (R20).
 */

import { advice, type CancelledError } from "../errors/errors.ts";
import { formatThrown, stackAbove, stackOf } from "../errors/render.ts";
import type { Context } from "../structures/context-values.ts";
import { formatSeconds } from "../structures/timers.ts";
import type { Future } from "./future.ts";
import type { Ready } from "./gate.ts";
import { realHost } from "./host.ts";
import type { EventLoop } from "./loop.ts";
import type { Scope } from "./scope.ts";
import type { Task } from "./task.ts";
import type { Wait } from "./wait.ts";

/** What the exception handler is told. Source: asyncio's call_exception_handler. */
export interface ExceptionContext {
  /** What happened, in words. */
  readonly message: string;
  /** What was thrown. */
  readonly exception?: unknown;
  /** The task that failed. */
  readonly task?: Task<unknown> | undefined;
  /** The future that failed. */
  readonly future?: object | undefined;
  /** The handle whose callback failed. */
  readonly handle?: object | undefined;
  /** In debug mode: where the task or the wait was created. */
  readonly sourceTraceback?: string | undefined;
}

/** The text of a report: the message, the task, the error with its stack and what hangs on it. */
export function formatReport(context: ExceptionContext): string {
  const { message, task, sourceTraceback } = context;
  const lines = [`asyncio: ${message}`];
  const name = task === undefined ? "" : JSON.stringify(task.getName());
  if (!message.includes(name)) lines.push(`  task: ${name}`);
  if (sourceTraceback !== undefined) lines.push(`  created\n${sourceTraceback}`);
  if ("exception" in context) lines.push(formatThrown(context.exception));
  return lines.join("\n");
}
/** Gets what nobody else can be told. */
export type ExceptionHandler = (loop: EventLoop, context: ExceptionContext) => void;
/** What a report needs. It does not hold the future, which must stay collectable. */
export interface FailureRecord {
  readonly future: WeakRef<Future<unknown>>;
  readonly twin: () => Future<unknown>; // makes one of its kind, to report when it was collected
  readonly loop: EventLoop;
  readonly message: string;
  readonly exception: unknown;
  readonly sourceTraceback: string | undefined;
  readonly variables: Context;
}
// The host may never call it, hence reportUnobserved at the end of a run.
const collected: FinalizationRegistry<FailureRecord> = new FinalizationRegistry(reportFailure);

export function recordFailure(future: Future<unknown>): FailureRecord {
  const { failure: exception, variables, twin } = future;
  void stackOf(exception); // formats it: until then V8 keeps the receivers of its frames, the future too
  const message = `${future.describe()} has failed, and nobody has looked at its failure`;
  const [loop, sourceTraceback] = [future.getLoop(), creationSites.get(future)];
  const details = { loop, message, exception, sourceTraceback, variables, twin };
  const record: FailureRecord = { ...details, future: new WeakRef(future) };
  loop.unobserved.add(record);
  collected.register(future, record, record);
  return record;
}
export function forgetFailure(record: FailureRecord): void {
  if (record.loop.unobserved.delete(record)) collected.unregister(record);
}
/** Reports every failure on `loop` that nobody has observed. */
export function reportUnobserved(loop: EventLoop): void {
  for (const record of loop.unobserved) reportFailure(record);
}

export function reportFailure(record: FailureRecord): void {
  if (!record.loop.unobserved.has(record)) return;
  forgetFailure(record);
  const { message, exception, sourceTraceback } = record;
  let future = record.future.deref();
  if (future === undefined) {
    future = record.twin();
    future.observe();
    future.settle("rejected", exception);
  }
  const task = "getName" in future ? (future as Task<unknown>) : undefined;
  const context = { message, exception, future, task, sourceTraceback };
  record.loop.callExceptionHandler(context, record.variables);
}

/** In debug mode: where tasks and waits were made. A field would cost always. */
export const creationSites: WeakMap<object, string> = new WeakMap();
/** In debug mode: told of each new wait with a promise of its own. */
export const waitHooks: Set<(wait: Wait) => void> = new Set();
const steps: WeakMap<EventLoop, { step: Ready; since: number }> = new WeakMap(); // that run
/** `made` is made in the call of `by`, and is perhaps a `wait` with a promise of its own. */
export function noteCreation(made: object, by: unknown, wait?: Wait): void {
  creationSites.set(made, stackAbove(by));
  if (wait !== undefined) for (const watch of waitHooks) watch(wait);
}
export function describeScope({ label, task }: Scope): string {
  if (task === undefined) return label;
  return label === "task" ? task.describe() : `${label} in ${task.describe()}`;
}
function report(message: string, { loop, task }: Scope, at?: object): void {
  const sourceTraceback = at && creationSites.get(at);
  loop.callExceptionHandler({ message, task, sourceTraceback });
}
/** Reports a scope that has outlived its grace period. */
export function reportInsisted(scope: Scope, grace: number): void {
  if (!scope.loop.debug) return;
  const [wait] = scope.parkedWaits(1);
  const where = wait
    ? `it swallowed the cancellation and is waiting for ${wait.describe()}. Every operation in it rejects from now on`
    : `it sits in a foreign await, which cannot be cancelled${advice("Wrap foreign work in `cancellable`")}`;
  const message = `${describeScope(scope)} has not ended ${formatSeconds(grace)} after it was cancelled: ${where}`;
  report(message, scope, wait ?? scope.task);
}
/** A step begins. Without `step`: the last is over, and reported if it has taken too long. */
export function noteStep(loop: EventLoop, step?: Ready): void {
  const last = steps.get(loop);
  steps.delete(loop);
  if (step !== undefined) return void steps.set(loop, { step, since: realHost.now() });
  const duration = realHost.now() - (last?.since ?? Number.POSITIVE_INFINITY);
  if (duration <= loop.slowCallbackDuration) return;
  const { task, label } = (last?.step.scope ?? {}) as Partial<Scope>;
  const message = `a step of ${task?.describe() ?? String(label ?? "a callback")} held the loop for ${formatSeconds(duration)}`;
  loop.callExceptionHandler({ message, task });
}
/** What was cut off by the end of its scope, by wait and by error. "": it was reported. */
export const cutOperations: WeakMap<Wait | CancelledError, string> = new WeakMap();
/** Waits that own work: not marked as handled, so the host tells which of them were forgotten. */
export const leftToHost: WeakSet<Wait> = new WeakSet();

/** In debug mode, and in tests: reports the branches that wait in a scope that has ended. */
export function reportFloating(scope: Scope): void {
  if (!scope.loop.reportsFloating) return;
  for (const wait of scope.parkedWaits()) {
    cutOperations.set(wait, "");
    const message = `${describeScope(scope)} has ended, and a branch that nobody awaited was cut off while waiting for ${wait.describe()}`;
    report(message, scope, wait);
  }
}
/** A wait is about to be cut off: what it waits for may go away. */
export function describeCut(wait: Wait): void {
  if (!cutOperations.has(wait)) cutOperations.set(wait, wait.describe());
}
/** `error` ends a wait that was cut off. True if its promise is left to the host. */
export function noteCut(error: CancelledError, wait: Wait): boolean {
  cutOperations.set(error, cutOperations.get(wait) ?? "");
  return leftToHost.has(wait);
}
