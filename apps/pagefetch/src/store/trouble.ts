/** Failures of the database, which are nobody's fault who asks for a page. */

import { ConnectionLostError, DatabaseError, PoolTimeoutError } from "asyncio-ts-db";
import { PageError } from "../contract/errors.ts";

/** What a caller is told while the store cannot be asked; undefined for any other error. */
export function storeIsAway(error: unknown): PageError | undefined {
  const isAway =
    error instanceof ConnectionLostError ||
    error instanceof PoolTimeoutError ||
    error instanceof DatabaseError;
  if (!isAway) return undefined;
  const message = "the store of keys and costs cannot be asked at the moment";
  return new PageError("overloaded", message, { retryAfter: 5 }, { cause: error });
}
