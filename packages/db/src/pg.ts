/**
 * The shape of `pg.Pool`, on a database of this package: for Drizzle, and for programs that were
 * written for `pg`. Promises only. Values are read and written as `pg` does.
 * @module asyncio-ts-db/pg
 */

import { EventEmitter } from "node:events";
import pg from "pg";
import type { Borrowed } from "./borrowed.ts";
import { Database } from "./database.ts";
import type { Answer, Parsers, Request } from "./driver.ts";
import { argumentError, checkText } from "./options.ts";
import { titleOf } from "./sql.ts";

/** A query, as `pg` takes it. */
export interface PgQueryConfig {
  readonly text: string;
  readonly values?: readonly unknown[] | undefined;
  /** A prepared statement, by this name. Plans are kept by their text here: it is a title. */
  readonly name?: string | undefined;
  /** "array": rows as arrays. */
  readonly rowMode?: string | undefined;
  /** Reads columns by their type. */
  readonly types?: { getTypeParser(type: number, format?: string): (text: string) => unknown };
}

/** What a query gives, as in `pg`. */
export interface PgQueryResult {
  readonly command: string;
  readonly rowCount: number | null;
  readonly oid: number;
  readonly rows: unknown[];
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
}

/** What can be asked of a pool and of a client of it. */
export interface PgQueryable {
  query(query: string | PgQueryConfig, values?: readonly unknown[]): Promise<PgQueryResult>;
}

/** The shape of `pg.Pool`. `end` leaves the database open: it belongs to whoever has made it. */
export class PgPool extends EventEmitter implements PgQueryable {
  readonly #database: Database;

  constructor(database: Database) {
    super();
    if (!(database instanceof Database))
      throw argumentError("`new PgPool`", "a database made by `connect`", database);
    this.#database = database;
  }

  /** Connections that are open. */
  get totalCount(): number {
    return this.#database.stats().open;
  }

  /** Connections that nobody has. */
  get idleCount(): number {
    return this.#database.stats().idle;
  }

  /** Who waits for one. */
  get waitingCount(): number {
    return this.#database.stats().waiting;
  }

  /** Borrows a connection, until it is released. Cancelled, it has borrowed none. */
  async connect(...rest: readonly never[]): Promise<PgPoolClient> {
    refuseCallback("`pool.connect`", rest);
    return new PgPoolClient(await this.#database.borrow());
  }

  /** Runs a query on some connection. */
  async query(
    query: string | PgQueryConfig,
    values?: readonly unknown[],
    ...rest: readonly never[]
  ): Promise<PgQueryResult> {
    refuseCallback("`pool.query`", [values, ...rest]);
    const client = await this.connect();
    try {
      return await client.query(query, values);
    } finally {
      client.release();
    }
  }

  async end(): Promise<void> {}
}

/** The shape of a client of `pg.Pool`. */
export class PgPoolClient extends EventEmitter implements PgQueryable {
  readonly #borrowed: Borrowed;

  /** @internal */
  constructor(borrowed: Borrowed) {
    super();
    this.#borrowed = borrowed;
  }

  /** Runs a query on this connection. */
  async query(
    query: string | PgQueryConfig,
    values?: readonly unknown[],
    ...rest: readonly never[]
  ): Promise<PgQueryResult> {
    refuseCallback("`client.query`", [values, ...rest]);
    const config: PgQueryConfig = typeof query === "string" ? { text: query } : query;
    if (typeof config?.text !== "string")
      throw argumentError("`client.query`", "a text, or an object with a `text`", query);
    const { text, name, types = pg.types, rowMode } = config;
    const given = values ?? config.values ?? [];
    if (!Array.isArray(given)) throw argumentError("`client.query`", "an array of values", given);
    checkText("`client.query`", "name", name ?? undefined);
    if (typeof types?.getTypeParser !== "function")
      throw argumentError("`client.query`", "`types` to have a `getTypeParser`", types);
    const sent = given.map(prepareValue);
    const parsers: Parsers = (type) => types.getTypeParser(type, "text");
    const isSeveral = sent.length === 0 && /;\s*\S/.test(text);
    const request: Request = isSeveral
      ? { kind: "script", text, parsers }
      : {
          kind: "query",
          statement: {
            text,
            values: sent,
            prepare: this.#borrowed.prepares && name !== undefined,
            arrays: rowMode === "array",
            parsers,
          },
        };
    const answers = await this.#borrowed.send(request, text, name ?? titleOf(text));
    return resultOf(answers.at(-1));
  }

  /** Gives it back; a second time does nothing. */
  release(): void {
    this.#borrowed.release();
  }
}

/** How `pg` writes values; undefined is null there. */
function prepareValue(value: unknown): unknown {
  const { utils } = pg as unknown as { utils: { prepareValue(value: unknown): unknown } }; // as in its own query.js
  return utils.prepareValue(value);
}

function resultOf(answer: Answer | undefined): PgQueryResult {
  const { rows = [], command = "", count = 0, fields = [] } = answer ?? {};
  return {
    command,
    rowCount: count,
    oid: 0,
    rows: [...rows],
    fields: fields.map(({ name, type }) => ({ name, dataTypeID: type })),
  };
}

function refuseCallback(api: string, args: readonly unknown[]): void {
  const found = args.find((arg) => typeof arg === "function");
  if (found !== undefined)
    throw argumentError(api, "no callback", found, "It returns a promise: await it");
}
