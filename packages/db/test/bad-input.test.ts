import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { ConnectError, type Database, DatabaseError, sql } from "../src/index.ts";
import { connect } from "../src/postgres.ts";
import { connect as connectSqlite } from "../src/sqlite.ts";
import { describePostgres } from "./postgres.ts";
import { withSqlite } from "./sqlite.ts";

const failureOf = async (...args: Parameters<typeof connect>): Promise<Error & { code?: string }> =>
  await asyncio.run(async () => {
    try {
      await using db = await connect(...args);
      return assert.fail(`connected to ${db.name}`);
    } catch (error) {
      return error as Error;
    }
  });

test("arguments that cannot be right are refused at the call", async () => {
  const url = "postgres://u:secret@h/d";
  const wrong: readonly [Parameters<typeof connect>, RegExp][] = [
    [[undefined], /expects a URL, got undefined. Is the environment variable set/],
    [["mysql://u:secret@h/d"], /a URL of PostgreSQL, got 'mysql:\/\/u:\*\*\*@h\/d'/],
    [["postgres://h:99999/d"], /hosts such as `db1`/],
    [["postgres://h/d?sslmode=prefer"], /an sslmode of disable/],
    [["postgres://h/d?poolsize=3"], /parameters it knows, got 'poolsize'/],
    [["postgres://u:%zz@h/d"], /parts are encoded/],
    [["postgres://u:secret@1@h/d"], /one @, got 'another one'\. In a user or a password @ is %40/],
    [["postgres://u:secret/1@h/d"], /one @.*\/ is %2F/],
    [["mysql://u:secret/:1@h/d"], /got 'mysql:\/\/u:\*\*\*@h\/d'/],
    [[url, { max: 0 }], /`max` to be a whole number from 1, got 0/],
    [[url, { max: 1.5 }], /`max` to be a whole number/],
    [[url, { max: 2, min: 3 }], /`min` to be at most `max`, 2, got 3/],
    [[url, { idle: -1 }], /`idle` in seconds, 0 or more/],
    [[url, { grace: Number.NaN }], /`grace` in seconds/],
    [[url, { maxConnections: 3 } as never], /no option `maxConnections`/],
    [[url, { target: "primary" as never }], /`target` to be/],
    [[url, { hosts: [] }], /`hosts` to be a list/],
    [[url, { types: { bigint: "number" } as never }], /names of types/],
  ];
  for (const [args, message] of wrong) {
    const error = await failureOf(...args);
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /secret/);
  }
});

test("a server that is not there", async () => {
  const error = await failureOf("postgres://u:secret@127.0.0.1:1/d", { acquire: 5 });
  assert.ok(error instanceof ConnectError);
  assert.equal(error.code, "ERR_DATABASE_UNREACHABLE");
  assert.match(error.message, /127\.0\.0\.1:1 cannot be reached/);
});

/** The error of each: its code, that of SQL's standard, and what it says. */
const refusals = async (db: Database): Promise<readonly (readonly [string, string, string])[]> => {
  const failure = async (work: Promise<unknown>) => {
    const error = await work.then(
      () => assert.fail("it has not failed"),
      (error: Error & { code: string; sqlstate?: string }) => error,
    );
    return [error.code, error.sqlstate ?? "", error.message] as const;
  };
  return [
    await failure(db.one(sql`select 1 where 1 = 0`, { name: "nobody" })),
    await failure(db.one(sql`select 1 union all select 2`, { name: "both" })),
    await failure(db.execute(sql`insert into narrow values (${"no number"}, ${1})`)),
    await failure(db.execute(sql`insert into narrow values (${1}, ${-1})`)),
    await failure(db.execute(sql`insert into narrow values (${1}, ${undefined})`)),
    await failure(db.query(sql`select ${"half of \ud83d"}`)),
    await failure(db.query(sql`select 1`, { nmae: "x" } as never)),
    await failure(db.query("select 1" as never)),
  ];
};

const expected = (wrongType: string) =>
  [
    ["ERR_DATABASE_NO_ROW", "", /"nobody"/],
    ["ERR_DATABASE_TOO_MANY_ROWS", "", /"both"/],
    ["ERR_DATABASE", wrongType, /no number|TEXT/],
    ["ERR_DATABASE", "23514", /constraint/],
    ["ERR_DATABASE_VALUE", "", /value 2 is undefined\. Send null/],
    ["ERR_DATABASE_VALUE", "", /half of a surrogate pair/],
    ["ERR_ASYNCIO_INVALID_ARGUMENT", "", /no option `nmae`\. Did you mean|no option `nmae`/],
    ["ERR_ASYNCIO_INVALID_ARGUMENT", "", /Write it as sql`\.\.\.`/],
  ] as const;

async function testRefusals(db: Database, wrongType: string): Promise<void> {
  const found = await refusals(db);
  for (const [index, [code, sqlstate, text]] of expected(wrongType).entries()) {
    assert.deepEqual(found[index]?.slice(0, 2), [code, sqlstate], String(found[index]));
    assert.match(found[index]?.[2] ?? "", text);
  }
}

test("what is asked wrong of SQLite has its own error each", () =>
  withSqlite(async (db) => {
    await db.execute(sql`create table narrow (n integer, m integer check (m > 0)) strict`);
    await testRefusals(db, "42804");
    for (const url of ["postgres://u:secret@h/d", "sqlite:///x.db"]) {
      const error = String(await connectSqlite(url).catch(String));
      assert.match(error, /the path of a file, got '(?:postgres|sqlite):\/\/\.\.\.'/);
    }
    const option = await connectSqlite("x.db", { maxConnections: 3 } as never).catch(String);
    assert.match(String(option), /no option `maxConnections`/);
  }));

describePostgres(
  "a server that does not let one in",
  (bench) => {
    const code = async (url: string, options = {}) => (await failureOf(url, options)).code;

    test("says why: password, database", async () => {
      const { url } = { url: bench.server.url() };
      assert.equal(await code(url.replace("secret", "wrong")), "ERR_DATABASE_PASSWORD");
      assert.equal(await code(url.replace(":secret", "")), "ERR_DATABASE_PASSWORD");
      assert.equal(await code(bench.server.url("nothing")), "ERR_DATABASE_UNKNOWN");
      assert.equal(await code(`${url}?sslmode=require`), "ERR_DATABASE_TLS");
    });

    test("has no connection left", async () => {
      await asyncio.run(async () => {
        await using db = await connect(bench.server.url(), { max: 30, acquire: 10 });
        const outcomes = await asyncio.gather(
          Array.from({ length: 20 }, () => () => db.query(sql`select pg_sleep(0.3)`)),
          { returnExceptions: true },
        );
        const errors = outcomes.filter((outcome) => outcome instanceof ConnectError);
        assert.ok(errors.length > 0);
        assert.equal(errors[0]?.code, "ERR_DATABASE_TOO_MANY_CONNECTIONS");
        assert.match(errors[0]?.message ?? "", /Lower `max`/);
        assert.deepEqual(await db.query(sql`select 1 as one`), [{ one: 1 }]); // the others go on
      });
    });

    test("what is asked wrong has its own error each", () =>
      bench.run(async (db) => {
        await db.execute(sql`create table narrow (n int, m int check (m > 0))`);
        await testRefusals(db, "22P02");
      }));

    test("a value that the column cannot take, or NUL in a text", () =>
      bench.run(async (db) => {
        await db.execute(sql`create table small (n int2 check (n > 0))`);
        const big = await db
          .execute(sql`insert into small values (${70_000})`)
          .catch((error) => error);
        const negative = await db
          .execute(sql`insert into small values (${-1})`, { name: "store" })
          .catch((error) => error);
        const nul = await db.query(sql`select ${"a\0b"}`).catch((error) => error);
        assert.ok(big instanceof DatabaseError && big.sqlstate === "22003");
        assert.ok(negative instanceof DatabaseError);
        assert.deepEqual(
          [negative.sqlstate, negative.constraint, negative.table, negative.query],
          ["23514", "small_n_check", "small", "store"],
        );
        assert.match(nul.message, /value 1 holds NUL/);
      }));

    test("what the protocol cannot carry is refused, and the connection goes on", () =>
      bench.run(
        async (db) => {
          const many = sql`select ${0}::int in (${sql.join(Array.from({ length: 65_535 }, (_, n) => n))})`;
          const tooMany = await db.query(many).catch((error) => error);
          const text = await db.query(sql.raw("select 1\0; drop table t")).catch((error) => error);
          const script = await db
            .copyFrom(sql.raw("copy t\0 from stdin"), [])
            .catch((error) => error);
          assert.match(tooMany.message, /at most 65535 values, got 65536\. Send an array/);
          for (const error of [text, script]) {
            assert.equal(error.code, "ERR_DATABASE_VALUE");
            assert.match(error.message, /the text of a statement holds NUL/);
          }
          assert.deepEqual(await db.query(sql`select 1 as one`), [{ one: 1 }]);
        },
        { max: 1 },
      ));
  },
  { auth: "scram-sha-256", settings: { max_connections: 12, superuser_reserved_connections: 0 } },
);
