// For the tests: a server for each file, a database for each test, and an observer that asks the
// server by another way than the library does.

import { after, before, describe } from "node:test";
import * as asyncio from "asyncio-ts";
import pg from "pg";
import { type Database, sql } from "../src/index.ts";
import { connect, type PostgresOptions } from "../src/postgres.ts";
import {
  lacksPostgres,
  type PostgresServer,
  type PostgresServerOptions,
  startPostgres,
} from "../src/testing/postgres-server.ts";
import { makeCertificate } from "./certificate.ts";
import { lacksPgBouncer, type PgBouncer, startPgBouncer } from "./pgbouncer.ts";

export interface Bench {
  /** Options of a test that needs the same server for more than a transaction. */
  readonly needsSession: { readonly skip: string | false };
  readonly server: PostgresServer;
  /** What clients connect to; on another port, where a proxy is in between. */
  url(port?: number): string;
  /** Where a proxy leads to. */
  readonly port: number;
  /** What `connect` needs to get there. */
  readonly options: PostgresOptions;
  /**
   * Runs a query.
   * @returns what tells the connection on which it ran from others. That is the process that has
   * served it; a pooler lends any process to any connection, and so it is asked for its clients
   */
  connectionOf(db: Database): Promise<unknown>;
  /** Runs `body` in a run of its own, with a database that is closed after it. */
  run(
    body: (db: Database, observer: Observer) => Promise<void>,
    options?: PostgresOptions & { readonly url?: string },
  ): Promise<void>;
}

/** Rows as the server itself tells them. */
export type Observer = (text: string) => Promise<Record<string, unknown>[]>;

/** How the library gets to the server. */
export type Way = "directly" | "over TLS" | "through PgBouncer in transaction mode";

export interface BenchOptions extends PostgresServerOptions {
  readonly skip?: string | false;
  /** The tests are run once for each. @default ["directly"] */
  readonly ways?: readonly Way[] | undefined;
}

/** Every way there is. */
export const WAYS: readonly Way[] = [
  "directly",
  "over TLS",
  "through PgBouncer in transaction mode",
];

/** The same tests in every way. */
export function describeEveryWay(name: string, body: (bench: Bench) => void): void {
  describePostgres(name, body, { ways: WAYS });
}

/** Tests that need PostgreSQL; left out, by name, where it is not installed. */
export function describePostgres(
  name: string,
  body: (bench: Bench) => void,
  { ways = ["directly"], ...options }: BenchOptions = {},
): void {
  for (const way of ways)
    describeWay(ways.length === 1 ? name : `${name}, ${way}`, way, body, options);
}

function describeWay(
  name: string,
  way: Way,
  body: (bench: Bench) => void,
  { skip = false, settings, ...options }: BenchOptions,
): void {
  const certificate = way === "over TLS" ? makeCertificate() : undefined;
  const bounces = way.startsWith("through");
  const lacks = certificate?.lacks || (bounces && lacksPgBouncer);
  describe(name, { skip: lacksPostgres() || lacks || skip }, () => {
    let server: PostgresServer | undefined;
    let pooler: PgBouncer | undefined;
    before(async () => {
      server = await startPostgres({
        ...options,
        settings: { ...certificate?.settings, ...settings },
      });
      if (bounces) pooler = await startPgBouncer(server.port, 20);
    });
    after(async () => {
      await pooler?.stop();
      await server?.stop();
    });
    body({
      needsSession: { skip: bounces && "a server is lent for a transaction, not for a session" },
      get server() {
        return server as PostgresServer; // it runs while the tests do
      },
      url(port) {
        const url = new URL(pooler?.url ?? this.server.url());
        if (port !== undefined) url.port = String(port);
        return url.href;
      },
      get port() {
        return Number(new URL(this.url()).port);
      },
      get options() {
        const tls = certificate === undefined ? {} : { tls: certificate.tls() };
        return { ...tls, ...(bounces ? { prepare: false } : {}) };
      },
      async connectionOf(db) {
        const process = await db.one(sql`select pg_backend_pid() as pid`);
        return pooler === undefined ? process : pooler.clients();
      },
      async run(body, { url, ...options } = {}) {
        const { server } = this;
        await asyncio.run(async () => {
          await using db = await connect(url ?? this.url(), { ...this.options, ...options });
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

/** Deadlines about as long as a query takes at the moment, however busy the machine is. */
export class NearDeadlines {
  #usual = 0.003;
  #turn = 0;

  /** Half of that time to one and a half of it. */
  next(): number {
    return this.#usual * (0.5 + ((this.#turn++ * 0.618) % 1));
  }

  /** Makes the query, which tells how long it takes. */
  async take(query: () => Promise<unknown>): Promise<void> {
    const startedAt = performance.now();
    await query();
    this.#usual = (performance.now() - startedAt) / 1000;
  }
}

/** What the server runs now, except for what the observer does. */
export async function running(observer: Observer): Promise<unknown[]> {
  const rows = await observer(
    "select query from pg_stat_activity where state <> 'idle' and backend_type = 'client backend' and pid <> pg_backend_pid()",
  );
  return rows.map(({ query }) => query);
}
