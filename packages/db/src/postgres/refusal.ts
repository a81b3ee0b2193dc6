/** What PostgreSQL refuses, as errors of this package. */

import { ConnectionLostError, DatabaseError, SerializationError } from "../errors.ts";
import type { ServerError } from "./shape.ts";

/** Codes for transactions that may be run again. */
const REPEATABLE: ReadonlySet<string> = new Set(["40001", "40P01"]);
/** Codes with which the server ends a session. */
const ENDED: ReadonlySet<string> = new Set(["57P01", "57P02", "57P03", "57P05", "25P03", "25P04"]);

/** The error of the server as one of ours, with its own as the cause. */
export function refusal(error: ServerError): Error {
  const sqlstate = error.code;
  const options = { cause: error };
  if (sqlstate !== undefined && ENDED.has(sqlstate))
    return new ConnectionLostError(`the server has ended the session: ${error.message}`, {
      ...options,
      sqlstate,
    });
  const details = {
    sqlstate,
    detail: error.detail,
    hint: error.hint,
    constraint: error.constraint,
    table: error.table,
    column: error.column,
  };
  const isRepeatable = sqlstate !== undefined && REPEATABLE.has(sqlstate);
  const Refusal = isRepeatable ? SerializationError : DatabaseError;
  return new Refusal(error.message, details, options);
}
