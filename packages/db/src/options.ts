/** Wrong arguments: what was expected, what came, and how to write it. */

import { inspect } from "node:util";

/** The names of the options `O`. A list that lacks one of them, or has one more, does not compile. */
export type Names<O> = Readonly<Record<keyof O, 1>>;

/** A wrong argument, as the library that this one stands on words it. */
export function argumentError(
  api: string,
  expected: string,
  found: unknown,
  cure?: string,
): TypeError {
  return withCode(new TypeError(message(api, expected, found, cure)));
}

/** An argument of the right type and an impossible value. */
export function rangeError(api: string, expected: string, found: unknown): RangeError {
  return withCode(new RangeError(message(api, expected, found)));
}

/** Throws unless `options` is an object, or undefined, that has no other options than `names`. */
export function checkOptions(
  api: string,
  options: unknown,
  names: Readonly<Record<string, 1>>,
): void {
  if (options === undefined) return;
  if (!isTable(options)) throw argumentError(api, "an object of options", options);
  for (const name of Object.keys(options)) {
    if (names[name] === 1) continue;
    const nearest = nearestTo(name, Object.keys(names));
    const advice =
      nearest === undefined
        ? `It has ${Object.keys(names)
            .map((known) => `\`${known}\``)
            .join(", ")}`
        : `Did you mean \`${nearest}\`?`;
    throw withCode(new TypeError(`${api} has no option \`${name}\`. ${advice}`));
  }
}

/** @internal Whether it is an object of names and values. A promise is none: somebody forgot an `await`. */
export function isTable(value: unknown): value is object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return !("then" in value && typeof value.then === "function");
}

/** Throws unless `table` is undefined or an object of names and values. */
export function checkTable(api: string, name: string, table: unknown): void {
  if (table === undefined || isTable(table)) return;
  throw argumentError(api, `\`${name}\` to be an object`, table);
}

/** Throws unless `seconds` is undefined or a number of seconds, 0 or more. */
export function checkSeconds(api: string, name: string, seconds: unknown): void {
  if (seconds === undefined) return;
  if (typeof seconds !== "number") throw argumentError(api, `\`${name}\` in seconds`, seconds);
  if (Number.isNaN(seconds) || seconds < 0)
    throw rangeError(api, `\`${name}\` in seconds, 0 or more`, seconds);
}

/** Throws unless `count` is undefined or a whole number from `least` up. */
export function checkCount(api: string, name: string, count: unknown, least = 1): void {
  if (count === undefined) return;
  if (typeof count !== "number") throw argumentError(api, `\`${name}\` to be a number`, count);
  if (!Number.isInteger(count) || count < least)
    throw rangeError(api, `\`${name}\` to be a whole number from ${least}`, count);
}

/** Throws unless `text` is undefined or a text. */
export function checkText(api: string, name: string, text: unknown): void {
  if (text === undefined || typeof text === "string") return;
  throw argumentError(api, `\`${name}\` to be a text`, text);
}

/** Throws unless `flag` is undefined, true or false. */
export function checkFlag(api: string, name: string, flag: unknown): void {
  if (flag === undefined || typeof flag === "boolean") return;
  throw argumentError(api, `\`${name}\` to be true or false`, flag);
}

/** Throws unless `callback` is undefined or can be called. */
export function checkCallback(api: string, name: string, callback: unknown): void {
  if (callback === undefined || typeof callback === "function") return;
  throw argumentError(api, `\`${name}\` to be a function`, callback);
}

/** Throws unless `body` can be called. */
export function checkBody(api: string, body: unknown): void {
  if (typeof body === "function") return;
  throw argumentError(api, "a function that returns a promise", body);
}

/** A value as messages show it: on one line, and cut. */
export function render(value: unknown): string {
  const text = inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY });
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

function message(api: string, expected: string, found: unknown, cure?: string): string {
  return `${api} expects ${expected}, got ${render(found)}${cure === undefined ? "" : `. ${cure}`}`;
}

function withCode<E extends Error>(error: E): E {
  return Object.assign(error, { code: "ERR_ASYNCIO_INVALID_ARGUMENT" });
}

/** The known name that begins as `name` does, or is the same but for case and dashes. */
function nearestTo(name: string, known: readonly string[]): string | undefined {
  const wanted = flat(name);
  return (
    known.find((other) => flat(other) === wanted) ??
    known.find((other) => wanted.length > 2 && sharedStart(flat(other), wanted) >= 4)
  );
}

function flat(name: string): string {
  return name.replaceAll(/[_-]/g, "").toLowerCase();
}

function sharedStart(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
