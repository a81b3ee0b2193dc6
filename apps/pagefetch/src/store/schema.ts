/**
 * The tables, as steps that are taken once each and never changed: another one follows. All of it
 * is SQL that SQLite and PostgreSQL read alike.
 */

import { type Database, sql } from "asyncio-ts-db";

const steps = [
  sql`create table keys (
    id text primary key,
    hash text not null unique,
    name text not null,
    scopes json not null,
    rate double precision not null,
    burst integer not null,
    concurrency integer not null,
    budget double precision,
    address text,
    created timestamptz not null,
    revoked timestamptz
  )`,
  sql`create unique index keys_by_address on keys (address)`,
  sql`create table ledger (
    id text primary key,
    key_id text not null,
    at timestamptz not null,
    host text not null,
    status integer,
    code text,
    attempts integer not null,
    sent bigint not null,
    received bigint not null,
    cost double precision not null,
    seconds double precision not null
  )`,
  sql`create index ledger_by_key on ledger (key_id, at)`,
  sql`create table claims (
    hash text primary key,
    address text not null,
    expires timestamptz not null
  )`,
];

/** Takes the steps that were not taken. One process at a time, all or nothing. */
export async function migrate(db: Database): Promise<void> {
  await db.lock("pagefetch migrate", async (tx) => {
    await tx.execute(sql`create table if not exists steps (n integer primary key)`);
    const { done } = await tx.one<{ done: number }>(
      sql`select cast(count(*) as integer) as done from steps`,
    );
    if (done > steps.length) {
      throw new Error(
        `the store was made by a newer pagefetch (step ${done}; this one knows ${steps.length})`,
      );
    }
    for (const [n, step] of steps.entries()) {
      if (n < done) continue;
      await tx.execute(step);
      await tx.execute(sql`insert into steps values (${n})`);
    }
  });
}
