/** How PostgreSQL is told to begin, and how it says that it was told to stop. */

import type { Dialect } from "../driver.ts";
import { DatabaseError } from "../errors.ts";
import { sql } from "../sql.ts";

const LEVELS: ReadonlySet<string> = new Set(["read committed", "repeatable read", "serializable"]);

export const dialect: Dialect = {
  begin({ isolation, readOnly, deferrable, seconds }) {
    let text = "begin";
    if (isolation !== undefined && LEVELS.has(isolation)) text += ` isolation level ${isolation}`;
    if (readOnly !== undefined) text += readOnly ? " read only" : " read write";
    if (deferrable === true) text += " deferrable";
    if (seconds === Number.POSITIVE_INFINITY) return [text];
    const milliseconds = Math.min(Math.max(Math.ceil(seconds * 1000), 1), 2_147_483_647);
    return [
      text,
      `set local statement_timeout = ${milliseconds}`,
      `set local idle_in_transaction_session_timeout = ${milliseconds}`,
    ];
  },
  isCancelled: (error) => error instanceof DatabaseError && error.sqlstate === "57014",
  placeholder: (index) => `$${index}`,
  fate: {
    id: "select txid_current_if_assigned()::text as id",
    of: (id) => sql`select txid_status(${id}::bigint) as fate`,
  },
  lock: (name) => sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`,
};
