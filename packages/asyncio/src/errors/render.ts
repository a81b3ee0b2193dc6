/**
 * Values of the program in messages and reports. What a program throws may be anything: a proxy, or
 * an error whose `stack` is a getter that throws. Nothing in here throws, whatever is shown.
 */

const DEEPEST = 8; // how deep errors in errors are shown; they may contain themselves
const LONGEST_OBJECT = 200; // characters of a plain object that a report shows

/** What `read` gives; undefined if it throws. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** `instanceof` for values that may be proxies, which may throw at it. */
export function isA<T>(value: unknown, type: abstract new (...args: never[]) => T): value is T {
  return attempt(() => value instanceof type) === true;
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (typeof value !== "object" || value === null) return false;
  return typeof (value as { then?: unknown }).then === "function";
}

/** A value in a message: short, and its own text only where that cannot run code. */
export function render(value: unknown): string {
  if (typeof value === "string")
    return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}...` : value);
  if (typeof value === "function") {
    const name = attempt(() => value.name);
    return typeof name === "string" && name !== "" ? `function ${name}` : "a function";
  }
  if (typeof value !== "object" || value === null)
    return Object.is(value, -0) ? "-0" : String(value);
  return attempt(() => renderObject(value)) ?? "an object that cannot be looked at";
}

function renderObject(value: object): string {
  if (isThenable(value)) return "a promise";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  const name = Object.getPrototypeOf(value)?.constructor?.name;
  return typeof name === "string" && name !== "Object" ? `an instance of ${name}` : "an object";
}

/** Why something was cancelled: the message of an error, any other value as it is rendered. */
export function renderReason(reason: unknown): string {
  const message = isA(reason, Error) ? attempt(() => reason.message) : undefined;
  return typeof message === "string" ? message : render(reason);
}

/** The stack of what was thrown, if it has one. */
export function stackOf(thrown: unknown): string | undefined {
  const stack = attempt(() => (thrown as Partial<Error>).stack);
  return typeof stack === "string" && stack !== "" ? stack : undefined;
}

// V8's control of stacks; other engines lack it.
const V8 = Error as unknown as { captureStackTrace?(target: object, above: unknown): void };

/** The stack of the callers of `above`, without the line of the error itself. */
export function stackAbove(above: unknown): string {
  const holder: { stack?: string } = {};
  V8.captureStackTrace?.(holder, above);
  return (holder.stack ?? new Error().stack ?? "").replace(/^.*\n/, "");
}

/** What was thrown, in one line: an error's name and message, the text of anything else. */
export function summary(thrown: unknown): string {
  const text = attempt(() => String(thrown));
  if (typeof thrown !== "object" || thrown === null) return text ?? "something without a text";
  if (text !== undefined && text !== "[object Object]") return text;
  const json = attempt(() => JSON.stringify(thrown));
  if (json === undefined) return render(thrown);
  return json.length > LONGEST_OBJECT ? `${json.slice(0, LONGEST_OBJECT)}...` : json;
}

/** What was thrown, in one short line. */
export function headline(thrown: unknown): string {
  const [line = ""] = summary(thrown).split("\n", 1);
  return line.length > LONGEST_OBJECT ? `${line.slice(0, LONGEST_OBJECT)}...` : line;
}

/** What was thrown, for a report: with its stack, the errors in it, and its cause. */
export function formatThrown(thrown: unknown): string {
  return format(thrown, 0, new Set());
}

function format(thrown: unknown, depth: number, shown: Set<unknown>): string {
  const pad = "  ".repeat(depth + 1);
  if (shown.has(thrown)) return `${pad}${summary(thrown)} (shown above)`;
  if (typeof thrown === "object") shown.add(thrown);
  const lines = [pad + (stackOf(thrown) ?? summary(thrown)).replaceAll("\n", `\n${pad}`)];
  if (depth >= DEEPEST) return lines.join("\n");
  const parts = isA(thrown, AggregateError) ? (attempt(() => [...thrown.errors]) ?? []) : [];
  for (const [index, part] of parts.entries())
    lines.push(`${pad}[${index + 1}]\n${format(part, depth + 1, shown)}`);
  const cause = isA(thrown, Error) ? attempt(() => thrown.cause) : undefined;
  if (cause !== undefined) lines.push(`${pad}caused by\n${format(cause, depth + 1, shown)}`);
  return lines.join("\n");
}

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
