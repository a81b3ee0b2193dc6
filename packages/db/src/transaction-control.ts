/**
 * Statements that begin and end transactions, as foreign code writes them: in text. Comments may
 * stand before and behind them, as tracing tools put them there. A text of several statements is none
 * of these: only its first one would be seen.
 */

import type { Request } from "./driver.ts";
import { wordsOf } from "./postgres/session-changes.ts";

/** What a statement does to the transaction. */
export type Control = "begin" | "commit" | "commit and chain" | "rollback" | "rollback to";

const BLANK = String.raw`(?:\s|--[^\n\r]*(?![^\n\r])|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/)`;
const WORK = `(?:${BLANK}+(?:work|transaction))?`;
const NO_CHAIN = `(?:${BLANK}+and${BLANK}+no${BLANK}+chain)?`;
const CHAIN = `${BLANK}+and${BLANK}+chain`;
const START = new RegExp(`^${BLANK}*(begin|start|commit|end|rollback|abort)\\b`, "i");

/** Comments included: the patterns take up to the square of the length. */
const LONGEST = 1000;
const only = (statement: string): RegExp =>
  new RegExp(`^${BLANK}*(?:${statement});?${BLANK}*$`, "i");
/** The rest: modes of a transaction and names have no semicolon. */
const REST = "\\b[^;]*";
const CONTROLS: readonly (readonly [Control, RegExp])[] = [
  ["begin", only(`(?:begin|start${BLANK}+transaction)${REST}`)],
  ["commit", only(`(?:commit|end)${WORK}${NO_CHAIN}${BLANK}*`)],
  ["commit and chain", only(`(?:commit|end)${WORK}${CHAIN}${BLANK}*`)],
  ["rollback", only(`(?:rollback|abort)${WORK}${NO_CHAIN}${BLANK}*`)],
  ["rollback to", only(`rollback${WORK}${BLANK}+to${REST}`)],
];

/** What a statement does to the transaction; undefined for all others, and for several in one text. */
export function controlOf(text: string): Control | undefined {
  if (text.length > LONGEST || !START.test(text)) return undefined;
  return CONTROLS.find(([, pattern]) => pattern.test(text))?.[0];
}

const ROLLBACK_AND_CHAIN = new RegExp(`\\b(?:rollback|abort)${WORK}${CHAIN}\\b`, "i");

/** Whether a text undoes its transaction and begins the next one; the server calls that ROLLBACK. */
export function undoesAndBegins(text: string): boolean {
  return ROLLBACK_AND_CHAIN.test(text);
}

/** Not END, with which the body of a trigger ends, too. */
const ANYWHERE =
  /(?:^|;)\s*(?:begin|start\s+transaction|commit|abort|prepare\s+transaction|rollback(?!(?:\s+(?:work|transaction))?\s+to\b))\b/i;

/** Whether one of the statements of a text begins or ends a transaction, as far as that is clear. */
export function controlsTransaction(text: string): boolean {
  const control = controlOf(text);
  if (control !== undefined) return control !== "rollback to";
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
