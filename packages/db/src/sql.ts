/**
 * The `sql` tag. A query is a template: what is written in it is text, what is put into it is a
 * value, and a value never becomes text. Plain strings are no queries, for the types as well as at
 * run time.
 */

import { writeJson } from "./json.ts";
import { argumentError } from "./options.ts";

const brand: unique symbol = Symbol.for("asyncio-ts-db.Sql") as never;

type Part = string | Value | Sql;

class Value {
  readonly value: unknown;
  constructor(value: unknown) {
    this.value = value;
  }
}

/** A query, or a piece of one. Made by the `sql` tag and its functions. */
export class Sql {
  /** @internal */ readonly [brand] = true;
  /** @internal Text and values in turn. */
  readonly parts: readonly Part[];
  /**
   * @internal The template, if its text is that of one, with nothing but values put in: such a query
   * has one plan for all its values, and is worth preparing.
   */
  readonly template: readonly string[] | undefined;

  /** @internal */
  constructor(parts: readonly Part[], template?: readonly string[]) {
    this.parts = parts;
    this.template = template;
  }

  static [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && brand in value;
  }

  /** The text with placeholders, as PostgreSQL wants them. Values are not in it. */
  toString(): string {
    return compile(this, dollar).text;
  }
}

/** A query in an engine's notation. */
export interface Compiled {
  readonly text: string;
  /** What reports call it. */
  readonly title: string;
  readonly values: readonly unknown[];
}

/** How an engine writes the place of a value, by its number from 1. */
export type Placeholder = (index: number) => string;

/**
 * The texts of fixed templates, by the template, which the engine of JavaScript makes once, for each
 * way to write placeholders.
 */
const texts: Map<Placeholder, WeakMap<readonly string[], Omit<Compiled, "values">>> = new Map();

function textsFor(placeholder: Placeholder): WeakMap<readonly string[], Omit<Compiled, "values">> {
  let found = texts.get(placeholder);
  if (found === undefined) {
    found = new WeakMap();
    texts.set(placeholder, found);
  }
  return found;
}

/** @internal The text of `query` with placeholders, and the values for them. */
export function compile(query: Sql, placeholder: Placeholder): Compiled {
  const values: unknown[] = [];
  const { template } = query;
  const known = template === undefined ? undefined : textsFor(placeholder).get(template);
  if (known !== undefined) {
    for (const part of query.parts)
      if (typeof part !== "string") values.push((part as Value).value);
    return { text: known.text, title: known.title, values };
  }
  let text = "";
  // The next one last. Without recursion: conditions that are added one by one lie in each other.
  const rest: Part[] = [query];
  for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
    if (typeof part === "string") text += part;
    else if (part instanceof Sql) for (const inner of part.parts.toReversed()) rest.push(inner);
    else {
      values.push(part.value);
      text += placeholder(values.length);
    }
  }
  const title = titleOf(text);
  if (template !== undefined) textsFor(placeholder).set(template, { text, title });
  return { text, title, values };
}

function dollar(index: number): string {
  return `$${index}`;
}

/** What `sql` is: a tag, with functions for what is no value. */
export interface SqlTag {
  (strings: TemplateStringsArray, ...values: readonly unknown[]): Sql;
  /** An identifier, quoted: `sql.id("schema", "table")`. */
  id(...names: readonly [string, ...string[]]): Sql;
  /** Text that is trusted: it goes into the query as it is. Never pass what a user has written. */
  raw(text: string): Sql;
  /** Queries with `separator` between them, which is text: `sql.join(conditions, " and ")`. */
  join(parts: readonly unknown[], separator?: string): Sql;
  /** Rows for an INSERT: `(a, b), (c, d)`, each value apart. Columns are those of the first row. */
  values(rows: readonly (readonly unknown[] | Readonly<Record<string, unknown>>)[]): Sql;
  /** A value for a column of the type json, whatever it is in JavaScript. */
  json(value: unknown): Json;
}

/** A value that is sent as JSON. Made by `sql.json`. */
export class Json {
  /** What is sent. */
  readonly text: string;
  constructor(value: unknown) {
    this.text = writeJson(value, () => {
      throw argumentError("`sql.json`", "a value that JSON has", value);
    });
  }
}

/**
 * Makes a query of a template: ``sql`select * from users where id = ${id}` ``. What is put in is a
 * value, sent apart from the text; another query that is put in becomes a part of this one.
 */
export const sql: SqlTag = Object.assign(tag, { id, raw, join, values, json });

function tag(strings: TemplateStringsArray, ...values: readonly unknown[]): Sql {
  if (!Array.isArray(strings) || !Array.isArray(strings.raw))
    throw argumentError(
      "`sql`",
      "to be written before a template",
      strings,
      "Write sql`...`; for text that is trusted there is `sql.raw`",
    );
  const parts: Part[] = [];
  let isFixed = true;
  for (let index = 0; index < strings.length; index++) {
    const text = strings[index] as string; // it is in range
    if (text !== "") parts.push(text);
    if (index === values.length) break;
    const part = partOf(values[index]);
    if (part instanceof Sql) isFixed = false;
    parts.push(part);
  }
  return new Sql(parts, isFixed ? strings : undefined);
}

function partOf(value: unknown): Sql | Value {
  return value instanceof Sql ? (value as Sql) : new Value(value);
}

function id(...names: readonly [string, ...string[]]): Sql {
  if (names.length === 0) throw argumentError("`sql.id`", "one name or more", names);
  const quoted = names.map((name: unknown) => {
    if (typeof name !== "string" || name === "" || name.includes("\0"))
      throw argumentError("`sql.id`", "a name, without NUL", name);
    return `"${name.replaceAll('"', '""')}"`;
  });
  return new Sql([quoted.join(".")]);
}

function raw(text: string): Sql {
  if (typeof text !== "string") throw argumentError("`sql.raw`", "a string", text);
  return new Sql([text]);
}

function join(parts: readonly unknown[], separator = ", "): Sql {
  if (!Array.isArray(parts)) throw argumentError("`sql.join`", "an array", parts);
  if (typeof separator !== "string")
    throw argumentError("`sql.join`", "a text between the parts", separator);
  if (parts.length === 0)
    throw argumentError("`sql.join`", "one part or more", parts, "An empty list has no SQL");
  const joined: Part[] = [];
  for (const part of parts) {
    if (joined.length > 0) joined.push(separator);
    joined.push(partOf(part));
  }
  return new Sql(joined);
}

function values(rows: readonly (readonly unknown[] | Readonly<Record<string, unknown>>)[]): Sql {
  const [first] = Array.isArray(rows) ? rows : [];
  if (typeof first !== "object" || first === null)
    throw argumentError("`sql.values`", "one row or more", rows);
  const names = Array.isArray(first) ? undefined : Object.keys(first);
  const lines = (rows as readonly object[]).map((row, index) => {
    const cells = namesFit(row, names)
      ? (names?.map((name) => (row as Record<string, unknown>)[name]) ?? (row as unknown[]))
      : undefined;
    if (cells === undefined || cells.length !== (names ?? (first as unknown[])).length)
      throw argumentError("`sql.values`", `row ${index} to have the columns of the first`, row);
    return new Sql(["(", join(cells), ")"]);
  });
  return join(lines);
}

function namesFit(row: unknown, names: readonly string[] | undefined): boolean {
  if (names === undefined) return Array.isArray(row);
  if (typeof row !== "object" || row === null || Array.isArray(row)) return false;
  return names.every((name) => Object.hasOwn(row, name));
}

function json(value: unknown): Json {
  return new Json(value);
}

/** @internal Throws, with advice, unless `query` was made by the tag. */
export function checkSql(api: string, query: unknown): asserts query is Sql {
  if (query instanceof Sql) return;
  const cure =
    typeof query === "string"
      ? "Write it as sql`...`, so that values stay apart from the text; for text that is trusted there is `sql.raw`"
      : undefined;
  throw argumentError(api, "a query made by the `sql` tag", query, cure);
}

/** @internal What reports call a query without a name. */
export function titleOf(text: string): string {
  const flat = text.trim().replaceAll(/\s+/g, " ");
  return flat.length > 60 ? `${flat.slice(0, 60)}...` : flat;
}
