/**
 * How values of JavaScript become parameters of PostgreSQL, and how columns become values.
 *
 *     int2 int4 oid float4 float8   number          int8           bigint
 *     numeric money                 string          bool           boolean
 *     timestamptz                   Date (PreciseDate, where there are microseconds)
 *     timestamp date time interval  string: they are no instants
 *     json jsonb                    what they say   bytea          Uint8Array
 *     arrays of all of these        arrays          anything else  string
 *
 * Nothing is lost on the way without an error: what a type of JavaScript cannot hold is refused, or
 * has a type that can.
 */

import { types } from "node:util";
import { ValueError } from "../errors.ts";
import { readJson, writeJson } from "../json.ts";
import { render } from "../options.ts";
import { PreciseDate } from "../precise-date.ts";
import { Json } from "../sql.ts";
import type { RowReader } from "./rows.ts";

/** Reads the text of a column. */
export type Parser = (text: string) => unknown;

/** How columns are read that are not read in the usual way, by the name of their type. */
export type TypeOptions = Readonly<Partial<Record<TypeName, "text" | "number" | Parser>>>;

/** The types whose reading can be changed. "text" gives them as the server writes them. */
export type TypeName = keyof typeof oids;

const oids = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  oid: 26,
  json: 114,
  float4: 700,
  float8: 701,
  money: 790,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  interval: 1186,
  numeric: 1700,
  uuid: 2950,
  jsonb: 3802,
} as const;

/** The type of an array, and that of its elements. */
const arrays: Readonly<Record<number, number>> = {
  1000: oids.bool,
  1001: oids.bytea,
  1005: oids.int2,
  1007: oids.int4,
  1016: oids.int8,
  1009: oids.text,
  1015: oids.text, // varchar
  1014: oids.text, // char(n)
  1002: oids.text, // "char"
  1003: oids.text, // name
  1028: oids.oid,
  199: oids.json,
  1021: oids.float4,
  1022: oids.float8,
  791: oids.money,
  1182: oids.date,
  1183: oids.time,
  1115: oids.timestamp,
  1185: oids.timestamptz,
  1187: oids.interval,
  1231: oids.numeric,
  2951: oids.uuid,
  3807: oids.jsonb,
};

const usual: Readonly<Record<number, Parser>> = {
  [oids.bool]: (text) => text === "t",
  [oids.bytea]: readBytes,
  [oids.int8]: BigInt,
  [oids.int2]: readInteger,
  [oids.int4]: readInteger,
  [oids.oid]: readInteger,
  [oids.float4]: Number,
  [oids.float8]: Number,
  [oids.json]: readJson,
  [oids.jsonb]: readJson,
  [oids.timestamptz]: readInstant,
};

/** How many readers are kept. */
const MOST_READERS = 1000;

/** Gives the parser of each type: the program's, or the usual one; undefined for text. */
export class TypeTable {
  readonly #parsers: Map<number, Parser | undefined> = new Map();
  /** The readers of rows that were made, by the columns as the server describes them. */
  readonly #readers: Map<string, RowReader> = new Map();

  constructor(options: TypeOptions = {}) {
    for (const [type, parser] of Object.entries(usual)) this.#parsers.set(Number(type), parser);
    for (const [name, how] of Object.entries(options)) this.#set(name, how);
    for (const [type, element] of Object.entries(arrays)) {
      const parser = this.#parsers.get(element);
      this.#parsers.set(Number(type), (text) => readArray(text, parser));
    }
  }

  parserOf(type: number): Parser | undefined {
    return this.#parsers.get(type);
  }

  /** How to read rows of the columns `key`: found out once for all who ask the same. */
  readerOf(key: string, arrays: boolean, make: () => RowReader): RowReader {
    const known = arrays ? `arrays${key}` : key;
    const found = this.#readers.get(known);
    if (found !== undefined) return found;
    if (this.#readers.size === MOST_READERS) this.#readers.clear();
    const made = make();
    this.#readers.set(known, made);
    return made;
  }

  #set(name: string, how: "text" | "number" | Parser | undefined): void {
    const type = (oids as Readonly<Record<string, number>>)[name];
    const isKnown = how === "text" || how === "number" || typeof how === "function";
    if (type === undefined || !isKnown)
      throw new ValueError(
        `\`types\` expects names of types with "text", "number" or a function, got ${name}: ${render(how)}. ` +
          `The names are ${Object.keys(oids).join(", ")}`,
      );
    const numbered = how === "number" ? (text: string) => readNumber(text, name) : how;
    this.#parsers.set(type, numbered === "text" ? undefined : numbered);
  }
}

/** A whole number that a number of JavaScript holds for certain. */
export function readInteger(text: string): number {
  return Number(text);
}

/** A number, if it can hold what the server has written. */
function readNumber(text: string, type: string): number {
  const value = Number(text);
  if (type === "int8" && !Number.isSafeInteger(value))
    throw new ValueError(
      `a value of the type int8, ${text}, is more than a number can hold. Read it as a bigint, which is the default`,
    );
  return value;
}

const HEX = /^\\x[0-9a-f]*$/i;

function readBytes(text: string): Uint8Array {
  if (!HEX.test(text))
    throw new ValueError(
      "a value of the type bytea came in the format `escape`. Set `bytea_output` to hex, its default",
    );
  return Uint8Array.from(Buffer.from(text.slice(2), "hex"));
}

const INSTANT =
  /^(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d+))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?( BC)?$/;

function readInstant(text: string): Date | number {
  if (text === "infinity") return Number.POSITIVE_INFINITY;
  if (text === "-infinity") return Number.NEGATIVE_INFINITY;
  const match = INSTANT.exec(text);
  if (match === null)
    throw new ValueError(
      `a value of the type timestamptz came as ${render(text)}. Leave \`DateStyle\` at ISO, its default`,
    );
  const [, year = "", month, day, hour, minute, second, fraction = "", sign, ...zone] = match;
  const [zoneHours = "0", zoneMinutes = "0", zoneSeconds = "0", bc] = zone;
  const digits = fraction.padEnd(6, "0");
  const date = new Date(0);
  date.setUTCFullYear(bc ? 1 - Number(year) : Number(year), Number(month) - 1, Number(day));
  date.setUTCHours(Number(hour), Number(minute), Number(second), Number(digits.slice(0, 3)));
  const offset = Number(zoneHours) * 3600 + Number(zoneMinutes) * 60 + Number(zoneSeconds);
  const time = date.getTime() - (sign === "-" ? -offset : offset) * 1000;
  if (Number.isNaN(new Date(time).getTime()))
    throw new ValueError(
      `a Date cannot hold ${text}. Ask for it as text: \`types: { timestamptz: "text" }\``,
    );
  const micros = Number(digits.slice(3));
  return micros === 0 ? new Date(time) : new PreciseDate(time, micros);
}

/** The elements of `{a,"b",{c,NULL}}`; with lower bounds (`[2:3]={...}`) too. */
function readArray(text: string, parser: Parser | undefined): unknown[] {
  let at = text.startsWith("[") ? text.indexOf("=") + 1 : 0;
  const read = (): unknown[] => {
    const items: unknown[] = [];
    at++; // the brace
    while (text[at] !== "}") {
      if (text[at] === ",") at++;
      if (text[at] === "{") items.push(read());
      else items.push(readItem());
    }
    at++;
    return items;
  };
  const readItem = (): unknown => {
    if (text[at] === '"') {
      let item = "";
      for (at++; text[at] !== '"'; at++) {
        if (text[at] === "\\") at++;
        item += text[at];
      }
      at++;
      return parser === undefined ? item : parser(item);
    }
    const start = at;
    while (text[at] !== "," && text[at] !== "}") at++;
    const item = text.slice(start, at);
    if (item === "NULL") return null;
    return parser === undefined ? item : parser(item);
  };
  return read();
}

// --- to the server

const LONE_SURROGATE = /\p{Surrogate}/u;

/** What is sent for a value: text, bytes, or null. Throws a ValueError for what has no meaning. */
export function encode(value: unknown, index: number): string | Buffer | null {
  switch (typeof value) {
    case "string":
      if (value.includes("\0"))
        throw new ValueError(
          `value ${index + 1} holds NUL, which a text of PostgreSQL cannot. Send bytes (a Uint8Array) to a column of the type bytea`,
        );
      if (LONE_SURROGATE.test(value))
        throw new ValueError(
          `value ${index + 1} holds half of a surrogate pair, which UTF-8 cannot. Cut texts between characters, or send bytes`,
        );
      return value;
    case "number":
    case "bigint":
      return String(value);
    case "boolean":
      return value ? "t" : "f";
    case "object":
      return encodeObject(value, index);
    case "undefined":
      throw new ValueError(
        `value ${index + 1} is undefined. Send null where the column shall be null, and look for a missing property else`,
      );
    default:
      throw new ValueError(`value ${index + 1} is ${render(value)}, which no column can hold`);
  }
}

function encodeObject(value: object | null, index: number): string | Buffer | null {
  if (value === null) return null;
  if (types.isDate(value)) return encodeDate(value, index);
  if (types.isUint8Array(value))
    return Buffer.isBuffer(value)
      ? value
      : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof Json) return encode(value.text, index);
  if (Array.isArray(value)) return encodeArray(value, index);
  const fail = (what: string): never => {
    throw new ValueError(`value ${index + 1} ${what}`);
  };
  return encode(writeJson(value, fail), index);
}

function encodeDate(value: Date, index: number): string {
  if (Number.isNaN(value.getTime()))
    throw new ValueError(`value ${index + 1} is a Date that is none: its time is NaN`);
  const year = value.getUTCFullYear();
  const text = value.toISOString();
  if (year >= 0 && year < 10_000 && year !== 0) return text;
  const rest = text.slice(text.indexOf("-", 1)); // after the year, which has a sign
  return year > 0 ? `${year}${rest}` : `${String(1 - year).padStart(4, "0")}${rest} BC`;
}

function encodeArray(items: readonly unknown[], index: number): string {
  const texts = items.map((item) => {
    if (item === null) return "NULL";
    if (Array.isArray(item)) return encodeArray(item, index);
    const encoded = encode(item, index);
    const text = Buffer.isBuffer(encoded) ? `\\x${encoded.toString("hex")}` : String(encoded);
    return `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
  });
  return `{${texts.join(",")}}`;
}
