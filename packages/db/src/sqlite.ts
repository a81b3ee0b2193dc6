/// <reference lib="esnext.disposable" preserve="true" />

/**
 * SQLite, on `node:sqlite`, in threads.
 * @module asyncio-ts-db/sqlite
 */

import { cleanup } from "asyncio-ts";
import { checkDatabase, DATABASE, Database, type DatabaseOptions } from "./database.ts";
import { argumentError, checkOptions, checkTable, type Names } from "./options.ts";
import { SqliteDriver } from "./sqlite/driver.ts";
import { type SqliteTypes, TypeTable } from "./sqlite/values.ts";

export { PreciseDate } from "./precise-date.ts";
export type { Cell, CellReader, SqliteTypes } from "./sqlite/values.ts";

/** What `connect` takes. */
export interface SqliteOptions extends DatabaseOptions {
  /**
   * How columns are read, by the type that they were declared as: `{ money: (cell) => ... }`, or
   * "stored" for what SQLite has stored.
   */
  readonly types?: SqliteTypes | undefined;
  /**
   * What integers are of which the column says nothing. A number that would be rounded is a
   * ValueError. @default "number"
   */
  readonly integers?: "number" | "bigint" | undefined;
  /**
   * What COMMIT waits for: "full", until it is on the disk; "normal", and a loss of power may take
   * the last transactions back. @default "full"
   */
  readonly synchronous?: "full" | "normal" | "off" | undefined;
  /**
   * Whether SQLite runs in threads of its own. False: on the loop, which stands still while a
   * statement runs; for tests in virtual time. @default true
   */
  readonly thread?: boolean | undefined;
}

const KNOWN: Names<SqliteOptions> = {
  ...DATABASE,
  types: 1,
  integers: 1,
  synchronous: 1,
  thread: 1,
};

const POSTGRES = "`asyncio-ts-db/postgres` takes that";
const URLS: Readonly<Record<string, string>> = {
  postgres: POSTGRES,
  postgresql: POSTGRES,
  sqlite: "Write the path alone",
};

/**
 * Opens a database of SQLite, makes its file if there is none, and gives the database, with the
 * connection open that writes. One writes, up to `max` less one read beside it (WAL), each in a
 * thread of its own. `":memory:"` is a database without a file, with one connection. `acquire` also
 * says how long a writer of another process is waited for.
 *
 * @throws ConnectError, whose code and message say why there is no connection.
 */
export async function connect(path: string, options: SqliteOptions = {}): Promise<Database> {
  const api = "`connect`";
  if (typeof path !== "string" || path === "" || path.includes("\0"))
    throw argumentError(api, 'the path of a file, or ":memory:"', path);
  const scheme = /^([a-z][a-z\d+.-]+):\/\//i.exec(path)?.[1]; // of what may have a password in it
  if (scheme !== undefined && scheme !== "file")
    throw argumentError(api, "the path of a file", `${scheme}://...`, URLS[scheme]);
  checkOptions(api, options, KNOWN);
  checkDatabase(api, options);
  const { integers = "number", synchronous = "full", thread = true, max = 4 } = options;
  checkTable(api, "types", options.types);
  if (!["number", "bigint"].includes(integers))
    throw argumentError(api, '`integers` to be "number" or "bigint"', integers);
  if (!["full", "normal", "off"].includes(synchronous))
    throw argumentError(api, '`synchronous` to be "full", "normal" or "off"', synchronous);
  if (typeof thread !== "boolean") throw argumentError(api, "`thread` to be a boolean", thread);
  const isAlone = path === ":memory:" || max === 1;
  const driver = new SqliteDriver({
    path,
    types: new TypeTable(options.types, integers === "bigint"),
    bigints: integers === "bigint",
    synchronous,
    isAlone,
    thread,
    patience: options.acquire ?? 30,
  });
  const name = options.name ?? path;
  // What is in memory goes with its connection, and a file is not opened anew for nothing.
  const kept = isAlone ? { min: 1, lifetime: Number.POSITIVE_INFINITY } : {};
  const database = new Database(driver, { ...options, ...kept, name, max: isAlone ? 1 : max });
  try {
    await database.open();
  } catch (error) {
    await cleanup(5, () => database.close());
    throw error;
  }
  return database;
}
