/**
 * A schedule: every decision that one run of a test has met, and how each was taken. The decision
 * is always a number below the number of options, and 0 is what happens without a test: the oldest
 * step goes first, an operation that can complete does, nothing fails. So a schedule can be written
 * as its deviations from that. A schedule without deviations is first in, first out.
 *
 * Its string is `aio1:` and, in base64url: the mode (a byte), a hash of the test's body (two
 * bytes), and for each deviation how many decisions lie between it and the one before, the option,
 * the number of options (varints), and a hash of what the option was (two bytes). The hashes tell a
 * replay that the code has changed.
 */

import { ReplayError } from "./errors.ts";

/**
 * What is decided: which step is next, whether an operation lets others go first, where a chunk
 * ends, which number is drawn, whether a fault site fails, a task is cancelled, a deadline passes,
 * or one of the two as an operation completes.
 */
export type DecisionKind =
  | "step"
  | "yield"
  | "chunk"
  | "random"
  | "fault"
  | "cancel"
  | "expire"
  | "interrupt";

/** One decision, as strategies see it. The object is used again for the next one. */
export interface Decision {
  readonly kind: DecisionKind;
  /** Its place among the decisions of the run. */
  readonly position: number;
  /** How many options there are: at least two. */
  readonly count: number;
  /** Of a step: what is ready, oldest first. */
  readonly items: readonly object[];
  /** Of a step: whose step each would be. */
  readonly flows: readonly object[];
  /** What `option` stands for, in words that are the same in each run. */
  describe(option: number): string;
}

/** A decision that was not taken as first in, first out would have it. */
export interface Deviation {
  readonly position: number;
  readonly option: number;
  /**
   * How many options there were, and a hash of the chosen one: undefined in a schedule that is a
   * guess.
   */
  readonly count?: number | undefined;
  readonly check?: number | undefined;
}

/** Which decisions there are beside those of the scheduler. */
export interface Mode {
  readonly cancels: boolean;
  readonly faults: boolean;
  readonly deadlines: boolean;
}

export interface Schedule {
  readonly mode: Mode;
  /** Of the body's source text. */
  readonly bodyHash: number;
  readonly deviations: readonly Deviation[];
}

const PREFIX = "aio1:";
const MODES = ["cancels", "faults", "deadlines"] as const;

export function formatSchedule({ mode, bodyHash, deviations }: Schedule): string {
  const bytes: number[] = [
    MODES.reduce((sum, name, bit) => sum | (mode[name] ? 1 << bit : 0), 0),
    bodyHash >> 8,
    bodyHash & 0xff,
  ];
  let before = -1;
  for (const { position, option, count = 0, check = 0 } of deviations) {
    for (let number of [position - before - 1, option, count]) {
      for (; number > 0x7f; number = Math.floor(number / 0x80)) bytes.push((number & 0x7f) | 0x80);
      bytes.push(number);
    }
    bytes.push(check >> 8, check & 0xff);
    before = position;
  }
  const text = btoa(String.fromCharCode(...bytes));
  return PREFIX + text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @throws ReplayError for a text that `formatSchedule` has not made. */
export function parseSchedule(text: string): Schedule {
  const trimmed = text.trim();
  const bytes = trimmed.startsWith(PREFIX) ? decodeBase64(trimmed.slice(PREFIX.length)) : undefined;
  if (bytes === undefined || bytes.length < 3) throw damaged(text);
  let index = 3;
  const byte = (): number => {
    const value = bytes[index++];
    if (value === undefined) throw damaged(text);
    return value;
  };
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const next = byte();
      value += (next & 0x7f) * scale;
      if (next < 0x80) return value;
      if (scale > 2 ** 42) throw damaged(text);
    }
  };
  const deviations: Deviation[] = [];
  let before = -1;
  while (index < bytes.length) {
    const position = before + 1 + varint();
    const option = varint();
    const count = varint();
    const check = (byte() << 8) | byte();
    deviations.push({ position, option, count, check });
    before = position;
  }
  const [bits = 0, high = 0, low = 0] = bytes;
  const mode = {
    cancels: (bits & 1) !== 0,
    faults: (bits & 2) !== 0,
    deadlines: (bits & 4) !== 0,
  };
  return { mode, bodyHash: (high << 8) | low, deviations };
}

function decodeBase64(text: string): number[] | undefined {
  if (!/^[\w-]*$/.test(text)) return undefined;
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return [...binary].map((character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function damaged(text: string): ReplayError {
  return new ReplayError(
    `a replay string begins with "${PREFIX}" and is copied whole from a report, got ${JSON.stringify(text)}`,
  );
}

/** A 16-bit hash of a text: FNV-1a, folded. */
export function hash16(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return ((hash >>> 16) ^ hash) & 0xffff;
}

/** What tells a body from others: replay strings are for one. */
export function bodyHashOf(body: (...args: never[]) => unknown): number {
  return hash16(Function.prototype.toString.call(body));
}
