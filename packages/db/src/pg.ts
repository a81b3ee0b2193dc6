/**
 * The shape of `pg.Pool`, on a database of this package: for Drizzle, and for programs that were
 * written for `pg`. Promises only. Values are read and written as `pg` does, and what the server
 * refuses is the error that `pg` throws.
 * @module asyncio-ts-db/pg
 */

import { EventEmitter } from "node:events";
import pg from "pg";
import type { Borrowed } from "./borrowed.ts";
import { Database } from "./database.ts";
import type { Answer, Parsers, Request } from "./driver.ts";
import { DatabaseError } from "./errors.ts";
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

/**
 * What a query gives, as in `pg`. A text of several statements gives an array of these, which its
 * type does not say, as in `pg`.
 */
export interface PgQueryResult {
  readonly command: string;
  /** Null for a statement that counts none. */
  readonly rowCount: number | null;
  readonly oid: number;
  readonly rows: unknown[];
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
}

/** What can be asked of a pool and of a client of it. */
export interface PgQueryable {
  query(query: string | PgQueryConfig, values?: readonly unknown[]): Promise<PgQueryResult>;
}

/**
 * The shape of `pg.Pool`. `end` leaves the database open: it belongs to whoever has made it. Emits
 * "acquire" and "release". "error" it takes and never emits: an idle connection that dies is
 * replaced. Other events are refused.
 */
export class PgPool extends EventEmitter implements PgQueryable {
  readonly #database: Database;

  constructor(database: Database) {
    super();
    if (!(database instanceof Database))
      throw argumentError("`new PgPool`", "a database made by `connect`", database);
    if (database.engine === "sqlite")
      throw argumentError(
        "`new PgPool`",
        "a database of PostgreSQL",
        database.engine,
        "Drizzle takes `remote(db)` there, of asyncio-ts-db/drizzle",
      );
    this.#database = database;
    refuseOtherEvents(this, "`pool.on`", ["acquire", "release", "error"], { connect: SETTINGS });
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
    const borrowed = await this.#database.borrow();
    const client = new PgPoolClient(borrowed, (reason) => this.emit("release", reason, client));
    try {
      this.emit("acquire", client);
    } catch (error) {
      client.release();
      throw error;
    }
    return client;
  }

  /** Runs a query on some connection. */
  async query(
    query: string | PgQueryConfig,
    values?: readonly unknown[],
    ...rest: readonly never[]
  ): Promise<PgQueryResult> {
    refuseCallback("`pool.query`", [values, ...rest]);
    const text = typeof query === "string" ? query : query?.text;
    if (typeof text === "string")
      this.#database.refuseForOne(text, "Use a client of `pool.connect()`");
    const client = await this.connect();
    try {
      return await client.query(query, values);
    } finally {
      client.release();
    }
  }

  async end(): Promise<void> {}
}

/**
 * The shape of a client of `pg.Pool`. When its connection is lost it emits "error", if somebody
 * listens, and "end". Other events are refused.
 */
export class PgPoolClient extends EventEmitter implements PgQueryable {
  readonly #borrowed: Borrowed;
  readonly #released: (reason: Error | boolean | undefined) => void;

  /** @internal */
  constructor(borrowed: Borrowed, released: (reason: Error | boolean | undefined) => void) {
    super();
    this.#borrowed = borrowed;
    this.#released = released;
    refuseOtherEvents(this, "`client.on`", ["error", "end"], { notification: NOTIFICATIONS });
    borrowed.onLost = (reason) =>
      queueMicrotask(() => {
        if (this.listenerCount("error") > 0) this.emit("error", reason);
        this.emit("end");
      });
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
    if ("submit" in config)
      throw argumentError("`client.query`", "no cursor and no stream", query, STREAMS);
    const { text, name, types = pg.types, rowMode } = config;
    const given = values ?? config.values ?? [];
    if (!Array.isArray(given)) throw argumentError("`client.query`", "an array of values", given);
    checkText("`client.query`", "name", name ?? undefined);
    if (typeof types?.getTypeParser !== "function")
      throw argumentError("`client.query`", "`types` to have a `getTypeParser`", types);
    const sent = given.map(prepareValue);
    const parsers: Parsers = (type) => types.getTypeParser(type, "text");
    const arrays = rowMode === "array";
    const isSeveral = sent.length === 0 && /;\s*\S/.test(text);
    const prepare = this.#borrowed.prepares && name !== undefined;
    const request: Request = isSeveral
      ? { kind: "script", text, arrays, parsers }
      : { kind: "query", statement: { text, values: sent, prepare, arrays, parsers } };
    let answers: readonly Answer[];
    try {
      answers = await this.#borrowed.send(request, text, name ?? titleOf(text));
    } catch (error) {
      throw asInPg(error);
    }
    if (answers.length > 1) return answers.map(resultOf) as unknown as PgQueryResult; // see there
    return resultOf(answers[0]);
  }

  /** Gives it back; a second time does nothing. @param reason - closes the connection, as in `pg` */
  release(reason?: Error | boolean): void {
    if (this.#borrowed.isBack) return;
    if (reason) this.#borrowed.cutOff(reason === true ? undefined : reason);
    this.#borrowed.release();
    this.#released(reason);
  }
}

const NOTIFICATIONS = "`db.listen` gives them";
const STREAMS = "`db.stream` gives rows one after the other, `db.copyFrom` and `db.copyTo` bytes";
const SETTINGS =
  "What every connection is to begin with belongs into the URL, `?options=-c search_path=app`, or to the role, `alter role ... set`";

/** An event that never comes would be waited for in silence. */
function refuseOtherEvents(
  emitter: EventEmitter,
  api: string,
  events: readonly string[],
  cures: Readonly<Record<string, string>>,
): void {
  const taken = new Set([...events, "newListener", "removeListener"]);
  emitter.on("newListener", (event: string) => {
    if (taken.has(event)) return;
    const known = `one of the events ${events.map((name) => JSON.stringify(name)).join(", ")}`;
    throw argumentError(api, known, event, cures[event]);
  });
}

/** How `pg` writes values; undefined is null there. */
function prepareValue(value: unknown): unknown {
  const { utils } = pg as unknown as { utils: { prepareValue(value: unknown): unknown } }; // as in its own query.js
  return utils.prepareValue(value);
}

/** What the server has refused, in the words of `pg`: programs look whether its `code` is "23505". */
function asInPg(error: unknown): unknown {
  if (!(error instanceof DatabaseError) || !(error.cause instanceof pg.DatabaseError)) return error;
  Error.captureStackTrace(error.cause, asInPg); // it was made where the answer was read
  return error.cause;
}

/** Commands whose tag has a number. */
const COUNTS = /^(?:SELECT|INSERT|UPDATE|DELETE|MERGE|MOVE|FETCH|COPY)$/;

function resultOf(answer: Answer | undefined): PgQueryResult {
  const { rows = [], command = "", count = 0, fields = [] } = answer ?? {};
  return {
    command,
    rowCount: COUNTS.test(command) ? count : null,
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
