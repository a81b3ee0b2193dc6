/**
 * How values of JavaScript become values of SQLite, and how columns become values. SQLite stores
 * five types, whatever a column says. What a column was declared as says what it is here:
 *
 *     boolean               boolean         bigint int8       bigint
 *     json jsonb            what it says    timestamptz       Date
 *     anything else         as it is stored: number, string, Uint8Array, null
 *
 * A column of an expression has no declared type. Nothing is lost on the way without an error.
 */

import { types } from "node:util";
import { ValueError } from "../errors.ts";
import { readJson, writeJson } from "../json.ts";
import { render } from "../options.ts";
import { PreciseDate } from "../precise-date.ts";
import { Json } from "../sql.ts";

/** What SQLite stores. */
export type Cell = null | number | bigint | string | Uint8Array;

/** Reads a cell that is not null. */
export type CellReader = (cell: Exclude<Cell, null>) => unknown;

/**
 * How columns are read that are not read in the usual way, by the type that they were declared as,
 * in small letters and without its length. "stored" gives them as they are stored.
 */
export type SqliteTypes = Readonly<Record<string, "stored" | CellReader>>;

/** A column of an answer, as the worker tells it. */
export interface Column {
  readonly name: string;
  /** What it was declared as; null for an expression. */
  readonly type: string | null;
}

const asBoolean: CellReader = (cell) => {
  const number = typeof cell === "bigint" ? Number(cell) : cell;
  return number === 0 || number === 1 ? number === 1 : number;
};
const asBigInt: CellReader = (cell) => (typeof cell === "number" ? toBigInt(cell) : cell);
const asJson: CellReader = (cell) => (typeof cell === "string" ? readJson(cell) : cell);
const asInstant: CellReader = (cell) => (typeof cell === "string" ? readInstant(cell) : cell);

const usual: Readonly<Record<string, CellReader>> = {
  bool: asBoolean,
  boolean: asBoolean,
  bigint: asBigInt,
  int8: asBigInt,
  json: asJson,
  jsonb: asJson,
  timestamptz: asInstant,
  "timestamp with time zone": asInstant,
};

/** Says how each column is read. */
export class TypeTable {
  readonly #readers: Map<string, CellReader> = new Map(Object.entries(usual));
  readonly #bigints: boolean;

  constructor(options: SqliteTypes = {}, bigints = false) {
    this.#bigints = bigints;
    for (const [name, how] of Object.entries(options)) {
      if (how === "stored") this.#readers.delete(name.toLowerCase());
      else if (typeof how === "function") this.#readers.set(name.toLowerCase(), how);
      else
        throw new ValueError(
          `\`types\` expects declared types with "stored" or a function, got ${name}: ${render(how)}`,
        );
    }
  }

  /** Makes rows of what the worker gives. */
  rows(columns: readonly Column[], cells: readonly Cell[][], arrays: boolean): unknown[] {
    const readers = columns.map(({ type }) => this.#readerOf(type));
    const value = (cell: Cell, index: number): unknown => {
      const reader = readers[index];
      if (cell === null || reader === undefined) return cell;
      return reader(cell);
    };
    if (arrays) return cells.map((row) => row.map(value));
    const empty = Object.fromEntries(columns.map(({ name }) => [name, null]));
    return cells.map((row) => {
      const made: Record<string, unknown> = { ...empty };
      for (let index = 0; index < row.length; index++)
        made[(columns[index] as Column).name] = value(row[index] as Cell, index); // in range
      return made;
    });
  }

  #readerOf(type: string | null): CellReader | undefined {
    if (type === null) return this.#bigints ? undefined : asStored;
    const name = type.toLowerCase().replace(/\s*\(.*$/, "");
    return this.#readers.get(name) ?? (this.#bigints ? undefined : asStored);
  }
}

/** A bigint comes in an answer that has a column which is to be one. */
const asStored: CellReader = (cell) => {
  if (typeof cell !== "bigint") return cell;
  if (cell >= Number.MIN_SAFE_INTEGER && cell <= Number.MAX_SAFE_INTEGER) return Number(cell);
  throw new ValueError(
    `an integer from the database, ${cell}, is more than a number can hold. ` +
      'Declare its column as `bigint`, or connect with `integers: "bigint"`',
  );
};

function toBigInt(cell: number): bigint | number {
  return Number.isInteger(cell) ? BigInt(cell) : cell;
}

/** Whether the integers of an answer have to be asked for as bigints. */
export function needsBigInts(columns: readonly Column[]): boolean {
  return columns.some(({ type }) => type !== null && /^(?:bigint|int8)\b/i.test(type));
}

const INSTANT = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:Z|([+-]\d\d):?(\d\d)?)$/;

/** A text that names an instant becomes a Date, any other stays what it is. */
function readInstant(text: string): Date | string {
  const match = INSTANT.exec(text);
  if (match === null) return text;
  const [, year, month, day, time, fraction = "", hours = "+00", minutes = "00"] = match;
  const digits = fraction.padEnd(6, "0");
  const milliseconds = Date.parse(
    `${year}-${month}-${day}T${time}.${digits.slice(0, 3)}${hours}:${minutes}`,
  );
  if (Number.isNaN(milliseconds) || digits.length > 6) return text;
  const micros = Number(digits.slice(3));
  return micros === 0 ? new Date(milliseconds) : new PreciseDate(milliseconds, micros);
}

// --- to the database

const LONE_SURROGATE = /\p{Surrogate}/u;

/** What is stored for a value. Throws a ValueError for what has no meaning. */
export function encode(value: unknown, index: number): Cell {
  const fail = (text: string): never => {
    throw new ValueError(`value ${index + 1} ${text}`);
  };
  switch (typeof value) {
    case "string":
      if (LONE_SURROGATE.test(value))
        fail("holds half of a surrogate pair, which UTF-8 cannot. Cut texts between characters");
      if (value.includes("\0") && cutsAtNul())
        fail("holds NUL, and this host cuts texts there when they are read. Send bytes");
      return value;
    case "number":
      if (Number.isNaN(value)) fail("is NaN, which SQLite would store as null. Send null");
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? BigInt(value) : value;
    case "bigint":
      if (BigInt.asIntN(64, value) !== value) fail(`is ${value}, and an integer here has 64 bits`);
      return value;
    case "boolean":
      return value ? 1n : 0n;
    case "object":
      return encodeObject(value, fail);
    case "undefined":
      return fail(
        "is undefined. Send null where the column shall be null, and look for a missing property else",
      );
    default:
      return fail(`is ${render(value)}, which no column can hold`);
  }
}

let cuts: boolean | undefined;

/** Whether the host's `node:sqlite` reads a text only up to its first NUL: Node 22 and Deno do. */
function cutsAtNul(): boolean {
  if (cuts !== undefined) return cuts;
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
  const database = new DatabaseSync(":memory:");
  cuts = database.prepare("select cast(x'610062' as text) as t").get()?.t !== "a\0b";
  database.close();
  return cuts;
}

function encodeObject(value: object | null, fail: (text: string) => never): Cell {
  if (value === null) return null;
  if (types.isDate(value)) {
    if (Number.isNaN(value.getTime())) fail("is a Date that is none: its time is NaN");
    const text = value.toISOString();
    if (!/^\d{4}-/.test(text))
      fail(`is ${text}; the texts of years before 0 and after 9999 do not sort`);
    return text;
  }
  if (types.isUint8Array(value)) return value;
  if (value instanceof Json) return value.text;
  return writeJson(value, fail);
}
