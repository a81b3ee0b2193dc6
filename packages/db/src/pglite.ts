/// <reference lib="esnext.disposable" preserve="true" />

/**
 * PostgreSQL without a server: PGlite, which is PostgreSQL compiled to WebAssembly.
 * @module asyncio-ts-db/pglite
 */

import { cleanup } from "asyncio-ts";
import { checkDatabase, DATABASE, Database, type DatabaseOptions } from "./database.ts";
import { argumentError, checkOptions, checkTable, type Names } from "./options.ts";
import { PgliteDriver } from "./pglite/driver.ts";
import type { Pglite } from "./pglite/wire.ts";
import { type TypeOptions, TypeTable } from "./postgres/values.ts";

export type { Pglite } from "./pglite/wire.ts";
export type { Parser, TypeName, TypeOptions } from "./postgres/values.ts";
export { PreciseDate } from "./precise-date.ts";

/** What `connect` takes. There is one session, so nothing is said of a pool's size. */
export interface PgliteOptions extends Omit<DatabaseOptions, "max" | "min"> {
  /** How columns of a type are read: `{ int8: "number", timestamptz: "text" }`. */
  readonly types?: TypeOptions | undefined;
}

const { max: _max, min: _min, ...COMMON } = DATABASE;
const KNOWN: Names<PgliteOptions> = { ...COMMON, types: 1 };

/**
 * Gives a database on a PGlite, which stays that of whoever has made it: closing the database leaves
 * it open. What is asked of the database is asked one after the other, on the thread of the caller,
 * which stands still while a statement runs: for tests, and for small programs. So a statement
 * that runs cannot be cancelled. It ends, and its answer is handed over.
 *
 * @param pglite - what `PGlite.create()` of `@electric-sql/pglite` gives
 * @throws ConnectError if another database is open on it.
 */
export async function connect(pglite: Pglite, options: PgliteOptions = {}): Promise<Database> {
  const api = "`connect`";
  if (typeof (pglite as Partial<Pglite> | undefined)?.execProtocolRaw !== "function")
    throw argumentError(api, "a PGlite", pglite, "An example: connect(await PGlite.create())");
  checkOptions(api, options, KNOWN);
  checkDatabase(api, options);
  checkTable(api, "types", options.types);
  const driver = new PgliteDriver(pglite, new TypeTable(options.types));
  const database = new Database(driver, { name: "pglite", ...options, max: 1 });
  try {
    await database.open();
  } catch (error) {
    await cleanup(5, () => database.close());
    throw error;
  }
  return database;
}
