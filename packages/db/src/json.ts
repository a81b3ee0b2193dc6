/** JSON of a database, in which no number is rounded. */

import { ValueError } from "./errors.ts";

const LONG_NUMBER = /\d{16}/;
const NUMBERS_AND_STRINGS = /"(?:[^"\\]|\\.)*"|-?\d+(?![\d.eE])/g;

/** Reads JSON; refuses what JavaScript would round. */
export function readJson(text: string): unknown {
  if (LONG_NUMBER.test(text)) refuseUnsafe(text);
  return JSON.parse(text);
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
