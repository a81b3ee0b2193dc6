import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { SerializationError, sql } from "../src/index.ts";
import { describePostgres } from "./postgres.ts";

// The order in which `explore` finds the double spend on the FakeServer, forced on PostgreSQL: both
// read, then both write. A session that holds advisory locks lets them go on one by one.
describePostgres("the double spend that explore finds", (bench) => {
  for (const isolation of ["read committed", "repeatable read"] as const)
    test(`on PostgreSQL with ${isolation}`, () =>
      bench.run(async (db) => {
        await db.execute(
          sql`create table if not exists accounts (id int primary key, balance int)`,
        );
        await db.execute(
          sql`insert into accounts values (1, 100) on conflict (id) do update set balance = 100`,
        );
        let paid = 0;
        const outcomes = await db.session(async (conductor) => {
          await conductor.execute(sql`select pg_advisory_lock(1)`);
          const withdraw = (name: string) =>
            asyncio.createTask(
              () =>
                db.transaction(
                  async (tx) => {
                    const { balance } = await tx.one<{ balance: number }>(
                      sql`select balance from accounts where id = 1`,
                    );
                    await tx.execute(sql`select pg_advisory_lock_shared(1)`); // until both have read
                    await tx.execute(sql`select pg_advisory_unlock_shared(1)`);
                    if (balance < 80) return;
                    await tx.execute(
                      sql`update accounts set balance = ${balance - 80} where id = 1`,
                    );
                    paid += 80;
                  },
                  { isolation, name },
                ),
              { name },
            );
          const tasks = [withdraw("ann"), withdraw("bob")];
          for (let blocked = 0; blocked < 2; await asyncio.sleep(0.01)) {
            const row = await conductor.one<{ n: number }>(
              sql`select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted`,
            );
            blocked = row.n;
          }
          await conductor.execute(sql`select pg_advisory_unlock(1)`);
          return await asyncio.gather(tasks, { returnExceptions: true });
        });
        const failed = outcomes.filter((outcome) => outcome instanceof SerializationError);
        const isSpentTwice = isolation === "read committed";
        assert.deepEqual([paid, failed.length], isSpentTwice ? [160, 0] : [80, 1]);
      }));
});
