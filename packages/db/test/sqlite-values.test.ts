import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { sql, ValueError } from "../src/index.ts";
import { encode } from "../src/sqlite/values.ts";
import { PreciseDate } from "../src/sqlite.ts";
import { withSqlite } from "./sqlite.ts";

const bytes = Uint8Array.from([0, 1, 254, 255]);
const date = new Date("2026-11-29T10:11:12.345Z");

/** The declared type of a column, what is written there, and what comes back. */
const table: readonly (readonly [type: string, sent: unknown, came?: unknown])[] = [
  ["integer", 1],
  ["integer", Number.MAX_SAFE_INTEGER],
  ["integer", Number.MIN_SAFE_INTEGER],
  ["real", 0.1],
  ["real", 1, 1],
  ["real", Number.POSITIVE_INFINITY],
  ["real", Number.MAX_VALUE],
  ["bigint", 9223372036854775807n],
  ["bigint", -9223372036854775808n],
  ["bigint", 7, 7n],
  ["int8", 7n],
  ["boolean", true],
  ["bool", false],
  ["boolean", 2, 2],
  ["text", "Ünï \\ \" ' 😀"],
  ["text", ""],
  ["text", "a\0b"],
  ["text", "123456789.1234567890123456789"],
  ["varchar(10)", "longer than ten"],
  ["blob", bytes],
  ["blob", new Uint8Array(0)],
  ["json", { a: [1, null, "x"] }],
  ["json", [1, 2]],
  ["jsonb", { "number in a string": "9007199254740993" }],
  ["timestamptz", date],
  ["timestamptz", new PreciseDate(date.getTime(), 678)],
  ["timestamptz", "2026-11-29 15:41:12.345+05:30", date],
  ["timestamptz", "yesterday", "yesterday"],
  ["timestamp", "2026-11-29 10:11:12"],
  ["date", "2026-11-29"],
  ["integer", null],
  ["boolean", null],
  ["any", 5],
];

test("values of another realm, as Node's are under Jest, are stored as those of this one", () =>
  withSqlite(async (db) => {
    const foreignBytes = runInNewContext("new Uint8Array([0, 1, 254, 255])");
    const foreignDate = runInNewContext(`new Date(${date.getTime()})`);
    await db.execute(sql`create table v (x blob, t timestamptz)`);
    await db.execute(sql`insert into v values (${foreignBytes}, ${foreignDate})`);

    assert.deepEqual(await db.one(sql`select x, t from v`), { x: bytes, t: date });
  }));

test("values of SQLite come as the column was declared, and go back unchanged", () =>
  withSqlite(async (db) => {
    for (const [type, sent, came = sent] of table) {
      await db.execute(sql`drop table if exists v`);
      await db.execute(sql`create table v (x ${sql.raw(type)})`);
      await db.execute(sql`insert into v values (${sent})`);
      const row = await db.one<{ x: unknown }>(sql`select x from v`);
      assert.deepEqual(row, { x: came }, `${type}: ${String(sent)}`);
      if (came instanceof PreciseDate)
        assert.equal((row.x as PreciseDate).microseconds, came.microseconds);
      await db.execute(sql`update v set x = ${row.x}`);
      assert.deepEqual(await db.one(sql`select x from v`), row, `${type}: back`);
    }
  }));

test("an expression has no declared type: it comes as SQLite computes it", () =>
  withSqlite(async (db) => {
    const row = await db.one(
      sql`select ${1} + 1 as n, ${5} / 2 as half, ${5.5} / 2 as real, 1 = 1 as yes, typeof(${1}) as t`,
    );
    assert.deepEqual(row, { n: 2, half: 2, real: 2.75, yes: 1, t: "integer" });
    const pair = await db.query(sql`select 1 as a, 2 as b union all select 3, 4`);
    assert.deepEqual(pair, [
      { a: 1, b: 2 },
      { a: 3, b: 4 },
    ]);
  }));

test("an integer that a number would round is refused, or comes as a bigint", async () => {
  const big = sql`select 9007199254740993 as n`;
  await withSqlite(async (db) => {
    await assert.rejects(
      db.query(big),
      (error) => error instanceof ValueError && /integers: "bigint"/.test(error.message),
    );
    await db.execute(sql`create table t (a bigint, b integer)`);
    await db.execute(sql`insert into t values (1, 9007199254740993)`);
    await assert.rejects(db.query(sql`select a, b from t`), ValueError);
    assert.deepEqual(await db.one(sql`select a, 2 as two from t`), { a: 1n, two: 2 });
  });
  await withSqlite(
    async (db) => {
      assert.deepEqual(await db.one(big), { n: 9007199254740993n });
      await db.execute(sql`create table t (a boolean)`);
      await db.execute(sql`insert into t values (true)`);
      assert.deepEqual(await db.one(sql`select a from t`), { a: true });
    },
    { integers: "bigint" },
  );
});

test("`types` says how columns are read", () =>
  withSqlite(
    async (db) => {
      await db.execute(sql`create table t (a boolean, m money(10, 2), j json)`);
      await db.execute(sql`insert into t values (true, 150, '{"id": 9007199254740993}')`);
      const row = await db.one(sql`select * from t`);
      assert.deepEqual(row, { a: 1, m: "1.50", j: '{"id": 9007199254740993}' });
    },
    {
      types: {
        boolean: "stored",
        json: "stored",
        money: (cell) => (Number(cell) / 100).toFixed(2),
      },
    },
  ));

test("JSON with a number that JavaScript would round is refused, by name", () =>
  withSqlite(async (db) => {
    await db.execute(sql`create table t (j json)`);
    await db.execute(sql`insert into t values ('{"id": 9007199254740993}')`);
    await assert.rejects(
      db.query(sql`select j from t`),
      (error) => error instanceof ValueError && /9007199254740993/.test(error.message),
    );
  }));

test("what SQLite cannot store is refused before it is sent", () => {
  const wrong = [
    ...[undefined, Symbol("s"), () => {}, new Date(Number.NaN), Number.NaN, 2n ** 63n, "a\ud800"],
    new Date(Date.UTC(10000, 0, 1)),
  ];
  for (const value of wrong) assert.throws(() => encode(value, 0), ValueError, String(value));
});
