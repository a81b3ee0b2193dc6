/**
 * Statements that begin and end transactions, as foreign code writes them: in text. Comments may
 * stand before and behind them, as tracing tools put them there. A text of several statements is none
 * of these: only its first one would be seen.
 */

import type { Request } from "./driver.ts";
import { wordsOf } from "./postgres/session-changes.ts";

/** What a statement does to the transaction. */
export type Control =
  | "begin"
  | "commit"
  | "commit and chain"
  | "rollback"
  | "rollback to"
  /** Begins a transaction on SQLite, where none is open. */
  | "savepoint"
  /** Ends it: PREPARE TRANSACTION. */
  | "prepare";

/** What may stand behind the word that ends a transaction, and what makes it begin the next one. */
const WORK = String.raw`(?:\s+(?:work|transaction))?`;
const AND_CHAIN = String.raw`\s+and\s+chain`;

/** What stands in front is passed over first: most statements are none, and are left at this word. */
const FIRST = /(?:begin|start|commit|end|rollback|abort|savepoint|prepare)\b/iy;
/** By a statement without comments, with one space where there was room. */
const CONTROLS: readonly (readonly [Control, RegExp])[] = [
  ["begin", /^(?:begin|start transaction)\b/i],
  ["commit", whole(`(?:commit|end)${WORK}(?: and no chain)?`)],
  ["commit and chain", whole(`(?:commit|end)${WORK}${AND_CHAIN}`)],
  ["rollback", whole(`(?:rollback|abort)${WORK}(?: and no chain)?`)],
  ["rollback to", new RegExp(`^rollback${WORK} to\\b`, "i")],
  ["savepoint", /^savepoint\b/i],
  ["prepare", /^prepare transaction\b(?! ?(?:as\b|\())/i],
];

function whole(pattern: string): RegExp {
  return new RegExp(`^${pattern}$`, "i");
}

/**
 * What a statement does to the transaction; undefined for all others, and for several in one text.
 * Takes as long as the comments in front of a statement, and for one of these as long as its text.
 */
export function controlOf(text: string): Control | undefined {
  const start = skipBlank(text, 0);
  FIRST.lastIndex = start;
  if (start === NO_END || !FIRST.test(text)) return undefined;
  const statement = onlyStatement(text, start);
  if (statement === undefined) return undefined;
  return CONTROLS.find(([, pattern]) => pattern.test(statement))?.[0];
}

/** A name in quotes, or what has neither room nor a semicolon in it and begins no comment. */
const PART = /"[^"]*"|'[^']*'|`[^`]*`|[^\s;"'`/-]+|[/-]/y;

/** The statement at `start`, as `CONTROLS` read it; undefined if another one follows. */
function onlyStatement(text: string, start: number): string | undefined {
  let statement = "";
  let index = start;
  for (PART.lastIndex = index; PART.test(text); PART.lastIndex = index) {
    const end = PART.lastIndex;
    statement += text.slice(index, end);
    index = skipBlank(text, end);
    if (index === NO_END) return undefined;
    if (index > end) statement += " ";
  }
  while (text[index] === ";") index = skipBlank(text, index + 1);
  return index === text.length ? statement.trimEnd() : undefined;
}

/** A comment without an end, or with another one in it: whether both have to end, engines differ. */
const NO_END = -1;
const ROOM = /\s+/y;
const LINE_END = /[\n\r]/g;
/** From here on there are letters, and neither room nor what begins a comment. */
const LETTERS = 0x40;

/** Where the whitespace and the comments at `index` end. */
function skipBlank(text: string, index: number): number {
  for (let next = index; ; ) {
    // Most statements begin with a letter: a look at it takes half as long as one for room.
    if (text.charCodeAt(next) >= LETTERS && text.charCodeAt(next) < 0x80) return next;
    ROOM.lastIndex = next;
    if (ROOM.test(text)) next = ROOM.lastIndex;
    if (text.startsWith("--", next)) {
      LINE_END.lastIndex = next;
      next = LINE_END.test(text) ? LINE_END.lastIndex : text.length;
    } else if (text.startsWith("/*", next)) {
      const end = text.indexOf("*/", next + 2);
      if (end === -1 || text.slice(next + 2, end + 1).includes("/*")) return NO_END;
      next = end + 2;
    } else return next;
  }
}

const ROLLBACK_AND_CHAIN = new RegExp(`\\b(?:rollback|abort)${WORK}${AND_CHAIN}\\b`, "i");

/** Whether a text undoes its transaction and begins the next one; the server calls that ROLLBACK. */
export function undoesAndBegins(text: string): boolean {
  return ROLLBACK_AND_CHAIN.test(wordsOf(text) ?? text);
}

/** Not END, with which the body of a trigger ends, too. */
const ANYWHERE = new RegExp(
  String.raw`(?:^|;)\s*(?:begin|start\s+transaction|commit|abort|prepare\s+transaction|rollback(?!${WORK}\s+to\b))\b`,
  "i",
);

/** Whether a statement ends the transaction that it stands in. */
export function endsTransaction(text: string): boolean {
  const control = controlOf(text);
  return control === "prepare" || control?.startsWith("commit") === true || control === "rollback";
}

/** Whether one of the statements of a text begins or ends a transaction, as far as that is clear. */
export function controlsTransaction(text: string): boolean {
  const control = controlOf(text);
  if (control !== undefined) return control !== "rollback to" && control !== "savepoint";
  const words = wordsOf(text);
  return words !== undefined && ANYWHERE.test(words);
}

/** What a request says. */
export function textsOf(request: Request): readonly string[] {
  switch (request.kind) {
    case "query":
      return [request.statement.text];
    case "batch":
      return request.statements.map(({ text }) => text);
    case "script":
      return [request.text];
    default:
      return [];
  }
}
