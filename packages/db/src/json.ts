/** JSON to and from a database: nothing of a value is lost on the way, and no number is rounded. */

import { ValueError } from "./errors.ts";
import { render } from "./options.ts";

const LONG_NUMBER = /\d{16}/;
const NUMBERS_AND_STRINGS = /"(?:[^"\\]|\\.)*"|-?\d+(?![\d.eE])/g;

/** Reads JSON; refuses what JavaScript would round. */
export function readJson(text: string): unknown {
  if (LONG_NUMBER.test(text)) refuseUnsafe(text);
  return JSON.parse(text);
}

/**
 * Writes JSON. `fail` is told what is wrong with a value that has none, or of which it would keep
 * nothing: a promise that was not awaited would be stored as `{}`, and so would a Map.
 */
export function writeJson(value: unknown, fail: (what: string) => never): string {
  let text: unknown;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    return fail(`has no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof text !== "string") return fail(`is ${render(value)}, which has no JSON`);
  const isLost = (text === "{}" && !isPlain(value)) || (text === "null" && value !== null);
  if (isLost) return fail(`is ${render(value)}, of which JSON keeps nothing but ${text}`);
  return text;
}

/** An object that is no instance of a class; also one of another realm. */
function isPlain(value: unknown): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  const hasToJson = typeof (value as { toJSON?: unknown }).toJSON === "function";
  return hasToJson || prototype === null || Object.getPrototypeOf(prototype) === null;
}

function refuseUnsafe(text: string): void {
  for (const [found] of text.matchAll(NUMBERS_AND_STRINGS)) {
    if (found.startsWith('"') || found.length < 16 || Number.isSafeInteger(Number(found))) continue;
    throw new ValueError(
      `JSON from the server has the number ${found}, which JavaScript would round. Ask for it as text: ` +
        "`types: { json: (text) => ... }`, or a cast in the query",
    );
  }
}
