/**
 * Values of the program in messages and reports. What a program throws may be anything: a proxy, or
 * an error whose `stack` is a getter that throws. Nothing in here throws, whatever is shown.
 */

const DEEPEST = 8; // how deep errors in errors are shown; they may contain themselves
const LONGEST_LINE = 200; // characters

/** What `read` gives; undefined if it throws. */
export function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** `instanceof` for proxies, which may throw at it, and for other realms: Node's, under Jest. */
export function isA<T>(value: unknown, type: abstract new (...args: never[]) => T): value is T {
  return attempt(() => value instanceof type || extendsNative(value, type.name)) === true;
}

function extendsNative(value: unknown, name: string): boolean {
  const above = Object.getPrototypeOf(Object(value));
  return above !== null && (isNative(above.constructor, name) || extendsNative(above, name));
}
const isNative = (fn: unknown, name: string): boolean =>
  typeof fn === "function" &&
  fn.name === name &&
  Function.prototype.toString.call(fn).includes("[native code]");

export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" && typeof (value as { then?: unknown } | null)?.then === "function";
/** Whether `fn` looks like a function of the engine that settles a promise: it has no source. */
export const isResolvingFunction = (fn: unknown): fn is (outcome: unknown) => unknown =>
  isNative(fn, "");

/** A value in a message: short, and its own text only where that cannot run code. */
export function render(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(cut(value, 80));
  if (typeof value === "function") {
    const name = attempt(() => value.name);
    return typeof name === "string" && name !== "" ? `function ${name}` : "a function";
  }
  if (typeof value !== "object" || value === null)
    return Object.is(value, -0) ? "-0" : `${String(value)}${typeof value === "bigint" ? "n" : ""}`;
  return attempt(() => renderObject(value)) ?? "an object that cannot be looked at";
}

const cut = (text: string, most: number): string =>
  text.length > most ? `${text.slice(0, most)}...` : text;

function renderObject(value: object): string {
  if (isThenable(value)) return "a promise";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  const name = Object.getPrototypeOf(value)?.constructor?.name || "Object"; // a class may have none
  return typeof name === "string" && name !== "Object" ? `an instance of ${name}` : "an object";
}

/** Why something was cancelled: its message if it has one, as errors have, or as it is rendered. */
export function renderReason(reason: unknown): string {
  const message = attempt(() => (reason as Error).message);
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
  return json === undefined ? render(thrown) : cut(json, LONGEST_LINE);
}

/** What was thrown, in one short line. */
export const headline = (thrown: unknown): string =>
  cut(summary(thrown).split("\n", 1).join(""), LONGEST_LINE);

/** What was thrown, for a report: with its stack, the errors in it, and its cause. */
export function formatThrown(thrown: unknown, depth = 0, shown: Set<unknown> = new Set()): string {
  const pad = "  ".repeat(depth + 1);
  if (shown.has(thrown)) return `${pad}${summary(thrown)} (shown above)`;
  if (typeof thrown === "object") shown.add(thrown);
  const lines = [pad + (stackOf(thrown) ?? summary(thrown)).replaceAll("\n", `\n${pad}`)];
  if (depth >= DEEPEST) return lines.join("\n");
  attempt(() =>
    (thrown as AggregateError).errors.flat().forEach((part, index) => {
      lines.push(`${pad}[${index + 1}]\n${formatThrown(part, depth + 1, shown)}`);
    }),
  );
  const cause = attempt(() => (thrown as Error).cause);
  if (cause !== undefined) lines.push(`${pad}caused by\n${formatThrown(cause, depth + 1, shown)}`);
  return lines.join("\n");
}
