// Query builders on `pg` and on this library, each against itself: the same query, alone and in a
// transaction.

import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable } from "drizzle-orm/pg-core";
import { Kysely, PostgresDialect } from "kysely";
import type pg from "pg";
import { type Database, type Sql, sql } from "../src/index.ts";
import { dialect } from "../src/kysely.ts";
import { PgPool } from "../src/pg.ts";

/** What one builder does on one of the two. */
export interface Building {
  readonly builder: string;
  readonly on: "pg.Pool" | "ours";
  query(n: number): Promise<unknown>;
  transaction(n: number): Promise<unknown>;
}

/** The table that they read. */
export const TABLE: Sql = sql`create table numbers as select n from generate_series(0, 2999) as n`;

const numbers = pgTable("numbers", { n: integer("n").notNull() });

/** The builders on both: ends none of the two. */
export function buildings(pool: pg.Pool, db: Database): readonly Building[] {
  return [
    withKysely("pg.Pool", new Kysely({ dialect: new PostgresDialect({ pool }) })),
    withKysely("ours", new Kysely({ dialect: dialect(db) })),
    withDrizzle("pg.Pool", drizzle(pool)),
    withDrizzle("ours", drizzle(new PgPool(db) as never)), // it has the calls that Drizzle makes
  ];
}

function withKysely(on: Building["on"], client: Kysely<{ numbers: { n: number } }>): Building {
  type Client = Pick<typeof client, "selectFrom">;
  const query = (one: Client, n: number): Promise<unknown> =>
    one.selectFrom("numbers").select("n").where("n", "=", n).execute();
  return {
    builder: "Kysely",
    on,
    query: (n) => query(client, n),
    transaction: (n) => client.transaction().execute((tx) => query(tx, n)),
  };
}

function withDrizzle(on: Building["on"], client: ReturnType<typeof drizzle>): Building {
  type Client = Pick<typeof client, "select">;
  const query = async (one: Client, n: number): Promise<unknown> =>
    await one.select({ n: numbers.n }).from(numbers).where(eq(numbers.n, n));
  return {
    builder: "Drizzle",
    on,
    query: (n) => query(client, n),
    transaction: (n) => client.transaction((tx) => query(tx, n)),
  };
}
