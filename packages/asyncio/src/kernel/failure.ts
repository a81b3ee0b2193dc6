/**
 * Failures that nobody has looked at. A task or future that fails unobserved leaves a record with
 * its loop. A look at the failure removes the record. Else it is reported once: when the future is
 * collected, or when the run ends, whichever is first (R20).
 */

import { stackOf } from "../errors/render.ts";
import { creationSites } from "./debug.ts";
import type { Future } from "./future.ts";
import type { EventLoop } from "./loop.ts";
import type { Task } from "./task.ts";
import type { Context } from "./variables.ts";

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

/** Gets what nobody else can be told. */
export type ExceptionHandler = (loop: EventLoop, context: ExceptionContext) => void;

/** What a report needs. It does not hold the future, which must stay collectable. */
export interface FailureRecord {
  readonly future: WeakRef<Future<unknown>>;
  /** Makes a pending future like that one, for when it has been collected. */
  readonly twin: () => Future<unknown>;
  readonly loop: EventLoop;
  readonly message: string;
  readonly exception: unknown;
  readonly sourceTraceback: string | undefined;
  readonly variables: Context;
}

// The host may never call it, hence reportUnobserved at the end of a run.
const collected: FinalizationRegistry<FailureRecord> = new FinalizationRegistry((record) =>
  report(record),
);

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
  for (const record of loop.unobserved) report(record);
}

/** Reports the failure of `future` if nobody has observed it. */
export function reportIfUnobserved(future: Future<unknown>): void {
  for (const record of future.getLoop().unobserved)
    if (record.future.deref() === future) report(record);
}

function report(record: FailureRecord): void {
  if (!record.loop.unobserved.has(record)) return;
  forgetFailure(record);
  const { message, exception, sourceTraceback } = record;
  const future = record.future.deref() ?? failedTwin(record);
  const task = "getName" in future ? (future as Task<unknown>) : undefined;
  const context = { message, exception, future, task, sourceTraceback };
  record.loop.callExceptionHandler(context, record.variables);
}

function failedTwin({ twin, exception }: FailureRecord): Future<unknown> {
  const future = twin();
  future.observe();
  future.settle("rejected", exception);
  return future;
}
