/// <reference lib="esnext.disposable" preserve="true" />

/**
 * Drizzle on SQLite: what `drizzle-orm/sqlite-proxy` asks for. (On PostgreSQL Drizzle takes the
 * `PgPool` of `asyncio-ts-db/pg`.) Columns are read as the database reads them; what Drizzle's
 * schema says of them comes on top.
 * @module asyncio-ts-db/drizzle
 */

import { argumentError } from "./options.ts";
import { Queries } from "./queries.ts";

/** What Drizzle calls for each query. */
export type DrizzleRemote = (
  text: string,
  values: unknown[],
  method: "run" | "all" | "values" | "get",
) => Promise<{ rows: unknown[] }>;

/** A transaction of Drizzle's own would be several requests, each to some connection. */
const CONTROL = /^\s*(?:begin|commit|rollback|savepoint|release)\b/i;

/**
 * Gives the function for `drizzle(...)` of `drizzle-orm/sqlite-proxy`. Its queries are those of
 * `to`: a database, or a transaction or session of it. They belong to the scope that they are called
 * in, as all others. Transactions are those of the database:
 *
 *     db.transaction(async (tx) => drizzle(remote(tx)).insert(users).values({ name: "ann" }))
 *
 * @param to - a database made by `connect`, a transaction, a savepoint, a session
 */
export function remote(to: Queries): DrizzleRemote {
  if (!(to instanceof Queries))
    throw argumentError("`remote`", "a database made by `connect`, or a transaction of it", to);
  return async (text, values, method) => {
    if (typeof text !== "string") throw argumentError("`remote`", "the text of a query", text);
    if (!Array.isArray(values)) throw argumentError("`remote`", "an array of values", values);
    if (CONTROL.test(text))
      throw argumentError(
        "`remote`",
        "no transaction of Drizzle's own",
        text,
        "Say db.transaction((tx) => ... drizzle(remote(tx)) ...)",
      );
    const { rows } = await to.raw(text, values, { arrays: true });
    // Drizzle wants the one row itself, and nothing where there is none.
    return { rows: (method === "get" ? rows[0] : [...rows]) as unknown[] };
  };
}
