/// <reference lib="esnext.disposable" preserve="true" />

/**
 * Databases under test.
 * @module asyncio-ts-db/testing
 */

export {
  lacksPostgres,
  PostgresServer,
  type PostgresServerOptions,
  startPostgres,
} from "./testing/postgres-server.ts";
