import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { Kysely, sql as kyselySql } from "kysely";
import { type Database, sql } from "../src/index.ts";
import { dialect } from "../src/kysely.ts";
import { connect } from "../src/sqlite.ts";
import { FakeServer } from "../src/testing.ts";
import { limitOnceWaiting } from "./limit-once-waiting.ts";

// Branches of one task share a connection: each gives it back by itself, so nobody waits in vain,
// however the steps of the others fall.

function server(): FakeServer {
  const fake = new FakeServer();
  fake.define("one", () => [{ n: 1 }]);
  return fake;
}

const inBranches: Readonly<Record<string, (db: Database) => Promise<unknown>>> = {
  queries: (db) => Promise.all([1, 2, 3, 4].map(() => db.query(sql`one`))),
  batches: (db) => Promise.all([1, 2, 3].map(() => db.batch([sql`one`, sql`one`]))),
  transactions: (db) =>
    Promise.all([1, 2, 3].map(() => db.transaction((tx) => tx.query(sql`one`)))),
  "a query behind each other one": (db) =>
    Promise.all(
      [1, 2, 3].map(async () => {
        await db.query(sql`one`);
        await db.query(sql`one`);
      }),
    ),
  "queries of Kysely": (db) => {
    const kysely = new Kysely<object>({ dialect: dialect(db) });
    return Promise.all([1, 2, 3].map(() => kyselySql`one`.execute(kysely)));
  },
};

for (const [what, ask] of Object.entries(inBranches))
  test(`${what} in branches of one task share a connection, in every order`, async () => {
    const program = async (): Promise<void> => {
      await using db = server().database({ max: 1 });
      await ask(db);
      assert.equal(db.stats().waiting, 0);
    };
    await testing.explore(program, { iterations: 50 });
  });

/** So many steps of the host, in which nothing of the loop waits. */
async function steps(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await undefined;
}

test("a branch that asks while a body of another branch is between two steps waits for it", () =>
  testing.runTest(async () => {
    await using db = server().database({ max: 1 });
    await db.query(sql`one`);
    for (let late = 0; late < 40; late++)
      for (const ask of [
        () => db.query(sql`one`),
        () => db.transaction((tx) => tx.query(sql`one`)),
        () => db.session((session) => session.query(sql`one`)),
      ])
        await Promise.all([
          db.transaction(() => steps(20)),
          steps(late).then(ask),
          db.session(() => steps(20)),
        ]);
    assert.deepEqual(db.stats().holders, []);
  }));

test("so does a branch of a task that had to wait for another task's body before", () =>
  testing.runTest(async () => {
    await using db = server().database({ max: 2 });
    const outer = asyncio.createTask(() =>
      Promise.all([
        db.transaction((tx) => tx.query(sql`one`).then(() => steps(20))),
        steps(30).then(() => db.transaction((tx) => tx.query(sql`one`))),
      ]),
    );
    const inner = asyncio.createTask(() => db.transaction(() => steps(25)));
    await asyncio.gather([outer, inner]);
    assert.deepEqual(db.stats().holders, []);
  }));

test("so do queries of SQLite in memory", () =>
  testing.runTest(async () => {
    await using db = await connect(":memory:", { thread: false });
    const rows = await Promise.all([1, 2, 3].map((n) => db.one(sql`select ${n} as n`)));
    assert.deepEqual(rows, [{ n: 1 }, { n: 2 }, { n: 3 }]);
  }));

test("a body that asks its database for one more is told so, in a transaction and in a session", () =>
  testing.runTest(async () => {
    await using db = server().database({ max: 1 });
    const inTransaction = db.transaction(() => db.query(sql`one`));
    await assert.rejects(inTransaction, asyncio.DeadlockError);
    const inSession = db.session(() => db.query(sql`one`));
    await assert.rejects(inSession, asyncio.DeadlockError);
    const inKysely = new Kysely<object>({ dialect: dialect(db) })
      .transaction()
      .execute(() => db.query(sql`one`));
    await assert.rejects(inKysely, asyncio.DeadlockError);
  }));

test("a query of Kysely that waits for the connection of SQLite ends with its deadline", () =>
  asyncio.run(async () => {
    await using db = await connect(":memory:", { thread: false });
    const kysely = new Kysely<object>({ dialect: dialect(db) });
    const ask = () => kyselySql`select 1`.execute(kysely);
    await kysely.transaction().execute(async (tx) => {
      await kyselySql`select 1`.execute(tx);
      const other = asyncio.createTask(() => limitOnceWaiting(ask));
      assert.deepEqual(await other, { cancelled: true });
      await assert.rejects(ask(), asyncio.DeadlockError); // of `kysely`, and not of `tx`
    });
    await ask();
  }));
