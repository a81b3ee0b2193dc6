/// <reference lib="esnext.disposable" preserve="true" />

/**
 * Databases: the `sql` tag, the errors, and what all engines have in common. An engine has a door of
 * its own: `asyncio-ts-db/postgres`.
 * @module asyncio-ts-db
 */

export type { CopySource } from "./copy.ts";
export type { Database, DatabaseOptions, DatabaseStats } from "./database.ts";
export {
  CommitUnknownError,
  ConnectError,
  ConnectionLostError,
  DatabaseError,
  NoRowError,
  PoolTimeoutError,
  type QueryDetails,
  RowError,
  SerializationError,
  TooManyRowsError,
  TransactionDoomedError,
  ValueError,
} from "./errors.ts";
export type { Gap, ListenOptions, Notification } from "./listen.ts";
export type { QueryOptions, RowSchema, SchemaResult } from "./queries.ts";
export type { QueryReport, QuerySpan } from "./reports.ts";
export type { SessionHandle } from "./session-handle.ts";
export { type Json, type Sql, type SqlTag, sql } from "./sql.ts";
export type { StreamOptions } from "./stream.ts";
export type { SavepointOptions, Transaction, TransactionOptions } from "./transaction.ts";
