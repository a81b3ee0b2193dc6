/** What is printed where the program has no exception handler of its own. */

import { formatThrown } from "./render.ts";

/** A part of what an exception handler is told. */
interface Report {
  readonly message: string;
  readonly exception?: unknown;
  readonly task?: { getName(): string } | undefined;
  readonly sourceTraceback?: string | undefined;
}

/** The text of a report: the message, the task, the error with its stack and what hangs on it. */
export function formatReport(report: Report): string {
  const { message, task, sourceTraceback } = report;
  const lines = [`asyncio: ${message}`];
  const name = task === undefined ? "" : JSON.stringify(task.getName());
  if (!message.includes(name)) lines.push(`  task: ${name}`);
  if (sourceTraceback !== undefined) lines.push(`  created\n${sourceTraceback}`);
  if ("exception" in report) lines.push(formatThrown(report.exception));
  return lines.join("\n");
}
