/** What SQLite refuses, as errors of this package. */

import { DatabaseError, SerializationError, ValueError } from "../errors.ts";

/** What went wrong in the worker: the parts of an error of `node:sqlite`. */
export interface Failure {
  readonly message: string;
  /** SQLite's number, extended where there is one; undefined if it is not from SQLite. */
  readonly number: number | undefined;
  /** The code of the host's error. */
  readonly code: string | undefined;
}

const BUSY = 5;
/** A reader of an old state wants to write: no waiting helps. */
const BUSY_SNAPSHOT = 517;
export const INTERRUPTED = 9;
/** What a host says that has no `node:sqlite`. */
export const NO_SQLITE = "ERR_UNKNOWN_BUILTIN_MODULE";

/** Codes of SQL's standard for SQLite's numbers: first those that are extended. */
const states: Readonly<Record<number, string>> = {
  275: "23514", // check
  787: "23503", // foreign key
  1299: "23502", // not null
  1555: "23505", // primary key
  1811: "23000", // trigger
  2067: "23505", // unique
  2579: "23505", // rowid
  3091: "42804", // datatype, of a strict table
  [BUSY_SNAPSHOT]: "40001",
  3: "42501", // permission
  [BUSY]: "55P03",
  6: "55P03",
  8: "25006", // read-only
  [INTERRUPTED]: "57014",
  10: "58030", // i/o
  11: "XX001", // corrupt
  13: "53100", // full
  18: "54000", // too big
  19: "23000",
  20: "42804",
  26: "XX001", // not a database
};

/** Whether another process has what is asked for, so that it can be asked for again. */
export function isBusy({ number = 0 }: Failure): boolean {
  return (number & 0xff) === BUSY && number !== BUSY_SNAPSHOT;
}

const CONSTRAINT = /constraint failed: (?:(\w+)\.)?(\w+)/;

/** The error of SQLite as one of ours. */
export function refusal(failure: Failure): Error {
  const { message, number, code } = failure;
  if (code === "ERR_OUT_OF_RANGE")
    return new ValueError(
      `${message}. Read such columns as bigints: declare them as \`bigint\`, or connect with \`integers: "bigint"\``,
    );
  const sqlstate = number === undefined ? undefined : (states[number] ?? states[number & 0xff]);
  const [, table, name] = CONSTRAINT.exec(message) ?? [];
  const Refusal = sqlstate === "40001" ? SerializationError : DatabaseError;
  return new Refusal(message, {
    sqlstate,
    ...(table === undefined ? { constraint: name } : { table, column: name }),
  });
}
