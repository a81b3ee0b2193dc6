/**
 * Failures that have reached nobody yet. A task or future that fails unobserved leaves a record with its loop. The
 * record goes when somebody looks at the failure; else it is reported once: when the future is collected, or when
 * the run ends, whichever is first (design rule 20).
 */

import type { Context } from "./context-var.ts";
import type { EventLoop, ExceptionContext } from "./loop.ts";
import type { Task } from "./task.ts";

/** Holds what a report needs, and not the future: that must stay collectable. */
export interface FailureRecord {
  readonly loop: EventLoop;
  readonly message: string;
  readonly exception: unknown;
  readonly sourceTraceback: string | undefined;
  /** The context variables of what has failed. */
  readonly variables: Context;
}

// The host calls this after a collection; it may never do so, hence reportUnobserved at the end of a run.
const collected: FinalizationRegistry<FailureRecord> = new FinalizationRegistry((record) =>
  report(record),
);

export function recordFailure(future: object, record: FailureRecord): void {
  record.loop.unobserved.add(record);
  collected.register(future, record, record);
}

export function forgetFailure(record: FailureRecord): void {
  if (record.loop.unobserved.delete(record)) collected.unregister(record);
}

/** Reports every failure on `loop` that nobody has observed. */
export function reportUnobserved(loop: EventLoop): void {
  for (const record of loop.unobserved) report(record);
}

function report(record: FailureRecord): void {
  if (!record.loop.unobserved.has(record)) return;
  forgetFailure(record);
  const { message, exception, sourceTraceback } = record;
  record.loop.callExceptionHandler({ message, exception, sourceTraceback }, record.variables);
}

/** The text of a report: the message, the task, the error with its stack and what hangs on it. */
export function formatReport(context: ExceptionContext): string {
  const lines = [`asyncio: ${context.message}`];
  if (context.task !== undefined) lines.push(`  task: ${nameOf(context.task)}`);
  if (context.sourceTraceback !== undefined) lines.push(`  created\n${context.sourceTraceback}`);
  if ("exception" in context) lines.push(formatException(context.exception));
  return lines.join("\n");
}

function nameOf(task: Task<unknown>): string {
  return JSON.stringify(task.getName());
}

function formatException(exception: unknown, depth = 0): string {
  const pad = "  ".repeat(depth + 1);
  if (!(exception instanceof Error)) return `${pad}${String(exception)}`;
  const own = (exception.stack ?? String(exception)).replaceAll("\n", `\n${pad}`);
  const parts = exception instanceof AggregateError ? exception.errors : [];
  const inner = parts.map(
    (part, index) => `${pad}[${index + 1}]\n${formatException(part, depth + 1)}`,
  );
  if (exception.cause !== undefined && depth < 8)
    inner.push(`${pad}caused by\n${formatException(exception.cause, depth + 1)}`);
  return [pad + own, ...inner].join("\n");
}
