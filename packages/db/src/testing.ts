/// <reference lib="esnext.disposable" preserve="true" />

/**
 * Databases under test.
 * @module asyncio-ts-db/testing
 */

export { FakeServer, type FakeServerOptions, type FakeStatement } from "./testing/fake-server.ts";
export type { FakeRow, FakeView, Isolation } from "./testing/fake-store.ts";
export {
  lacksPostgres,
  PostgresServer,
  type PostgresServerOptions,
  startPostgres,
} from "./testing/postgres-server.ts";
export { startProxy, TcpProxy } from "./testing/tcp-proxy.ts";
export { transactionPerTest } from "./testing/transaction-per-test.ts";
