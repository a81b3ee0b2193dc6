/** What reads of lines give. There may be thousands of lines at hand, so each step counts. */

import { completed } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { subjectOf, type Take } from "./incoming.ts";
import { resultOf } from "./iteration.ts";
import { LINE } from "./separators.ts";

export const LINE_SUBJECT: string = /* @__PURE__ */ subjectOf(LINE);

/** What a read makes of a line of text; undefined is the end. */
export type MakeOfLine<T> = (line: string | undefined) => T;
export const itself: MakeOfLine<string | undefined> = (line) => line;

export const takeBytes: Take<Uint8Array> = (incoming, match) =>
  incoming.take(match?.end ?? incoming.buffered);
/** A line becomes a result when it is taken: a promise for that costs as much as the line. */
export const takeResult: Take<IteratorResult<Uint8Array, undefined>> = (incoming, match) =>
  resultOf(takeBytes(incoming, match));

/**
 * Of lines that are at hand so many count as one completion of the budget of a turn (R9): a turn
 * of the host for fewer than have come at once costs more than they do (bench: lines).
 */
const LINES_A_COMPLETION = 4;
let nLines = 0;

export function lineAtHand<T>(scope: Scope, made: T): Promise<T> {
  const isFree = !scope.loop.isExact && ++nLines % LINES_A_COMPLETION !== 0;
  return isFree ? Promise.resolve(made) : completed(scope, LINE_SUBJECT, made);
}

export type LineResult = IteratorResult<string, undefined>;

/** The same for a loop over lines. Not for an exact loop, where each line is a completion. */
export function resultAtHand(scope: Scope, value: string): Promise<LineResult> {
  return ++nLines % LINES_A_COMPLETION === 0
    ? completed(scope, LINE_SUBJECT, { value, done: false })
    : resolved({ value, done: false });
}

/**
 * `Promise.resolve` looks for a `then` in each object. Here the engine knows from the code of the
 * caller that there is none (bench: lines).
 */
const resolved = async <T>(value: T): Promise<T> => value;
