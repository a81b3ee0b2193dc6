import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { type Database, DatabaseError, sql } from "../src/index.ts";
import { PgPool } from "../src/pg.ts";
import { connect } from "../src/sqlite.ts";
import { transactionPerTest } from "../src/testing.ts";
import { describePostgres } from "./postgres.ts";

const failureOf = (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => assert.fail("it has not failed"),
    (error: Error) => error,
  );

/** What a program does with a database; the numbers that are in it at the end. */
async function program(db: Database): Promise<number[]> {
  await db.execute(sql`insert into t values (1)`);
  await db.transaction((tx) => tx.execute(sql`insert into t values (2)`));
  const twice = await failureOf(db.execute(sql`insert into t values (1)`));
  assert.ok(twice instanceof DatabaseError);
  await failureOf(
    db.transaction(async (tx) => {
      await tx.execute(sql`insert into t values (3)`);
      await tx.execute(sql`insert into t values (1)`);
    }),
  );
  await db.transaction(async (tx) => {
    await failureOf(tx.savepoint((sp) => sp.execute(sql`insert into t values (2)`)));
    await tx.execute(sql`insert into t values (4)`);
  });
  await asyncio.gather([5, 6].map((n) => () => db.execute(sql`insert into t values (${n})`)));
  const seen: number[] = [];
  for await (const { n } of db.stream<{ n: number }>(sql`select n from t order by n`)) seen.push(n);
  return seen;
}

async function check(database: Database): Promise<void> {
  await database.execute(sql`create table t (n int primary key)`);
  const runs: number[][] = [];
  for (let run = 0; run < 2; run++) runs.push(await transactionPerTest(database, program));
  const error = await failureOf(
    transactionPerTest(database, async (db) => {
      await db.execute(sql`insert into t values (7)`);
      throw new Error("the test fails");
    }),
  );

  assert.deepEqual(runs, [
    [1, 2, 4, 5, 6],
    [1, 2, 4, 5, 6],
  ]);
  await transactionPerTest(database, async (db) => {
    const byHand: (() => Promise<unknown>)[] = [
      () => db.transaction((tx) => tx.batch([sql`insert into t values (9)`, sql`commit`])),
      () => db.transaction((tx) => tx.execute(sql`rollback`)),
      () => db.session((session) => session.execute(sql`begin`)),
    ];
    for (const send of byHand) assert.match((await failureOf(send())).message, /by hand/);
    await db.execute(sql`insert into t values (8)`);
  });
  assert.equal(error.message, "the test fails");
  assert.deepEqual(await database.query(sql`select * from t`), []);
  assert.deepEqual(database.stats().holders, []);
}

test("what a test does with SQLite is undone at its end", () =>
  asyncio.run(async () => {
    await using database = await connect(":memory:");
    await check(database);
  }));

describePostgres("a transaction for each test", (bench) => {
  test("what a test does with PostgreSQL is undone at its end", () => bench.run(check));

  test("code for `pg` has a transaction in it, and no COMMIT among other statements", () =>
    bench.run(async (database) => {
      await database.execute(sql`create table u (n int primary key)`);
      await transactionPerTest(database, async (db) => {
        const client = await new PgPool(db).connect();
        await client.query("START TRANSACTION -- traced");
        await client.query("insert into u values (1)");
        await client.query("commit;");
        const block = client.query("begin; insert into u values (2); commit");
        assert.match((await failureOf(block)).message, /by hand/);
        client.release();
        assert.deepEqual(await db.query(sql`select n from u`), [{ n: 1 }]);
      });
      assert.deepEqual(await database.query(sql`select n from u`), []);
    }));

  test("a deadline ends a query in it, and the test goes on", () =>
    bench.run((database) =>
      transactionPerTest(database, async (db) => {
        const moved = await asyncio.moveOnAfter(0.1, () => db.query(sql`select pg_sleep(20)`));
        assert.equal(moved.cancelled, true);
        assert.deepEqual(await db.query(sql`select 1 as one`), [{ one: 1 }]);
        assert.throws(() => db.listen("jobs"), /It would outlive the test/);
      }),
    ));
});
