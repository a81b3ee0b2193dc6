// For the tests: a server for each file, a database for each test, and an observer that asks the
// server by another way than the library does.

import { after, before, describe } from "node:test";
import * as asyncio from "asyncio-ts";
import pg from "pg";
import type { Database } from "../src/index.ts";
import { connect, type PostgresOptions } from "../src/postgres.ts";
import {
  lacksPostgres,
  type PostgresServer,
  type PostgresServerOptions,
  startPostgres,
} from "../src/testing/postgres-server.ts";

export interface Bench {
  readonly server: PostgresServer;
  /** Runs `body` in a run of its own, with a database that is closed after it. */
  run(
    body: (db: Database, observer: Observer) => Promise<void>,
    options?: PostgresOptions & { readonly url?: string },
  ): Promise<void>;
}

/** Rows as the server itself tells them. */
export type Observer = (text: string) => Promise<Record<string, unknown>[]>;

/** Tests that need PostgreSQL; left out, by name, where it is not installed. */
export function describePostgres(
  name: string,
  body: (bench: Bench) => void,
  { skip = false, ...options }: PostgresServerOptions & { readonly skip?: string | false } = {},
): void {
  describe(name, { skip: lacksPostgres() || skip }, () => {
    let server: PostgresServer | undefined;
    before(async () => {
      server = await startPostgres(options);
    });
    after(() => server?.stop());
    body({
      get server() {
        return server as PostgresServer; // it runs while the tests do
      },
      async run(body, { url, ...options } = {}) {
        const { server } = this;
        await asyncio.run(async () => {
          await using db = await connect(url ?? server.url(), options);
          const client = new pg.Client(server.url());
          await client.connect();
          client.on("error", () => {});
          try {
            await body(db, async (text) => (await client.query(text)).rows);
          } finally {
            await client.end();
          }
        });
      },
    });
  });
}

/** What the server runs now, except for what the observer does. */
export async function running(observer: Observer): Promise<unknown[]> {
  const rows = await observer(
    "select query from pg_stat_activity where state <> 'idle' and backend_type = 'client backend' and pid <> pg_backend_pid()",
  );
  return rows.map(({ query }) => query);
}
