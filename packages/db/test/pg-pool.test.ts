import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { sql as drizzleSql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { sql } from "../src/index.ts";
import { PgPool, type PgPoolClient, type PgQueryConfig, type PgQueryResult } from "../src/pg.ts";
import { connect as openSqlite } from "../src/sqlite.ts";
import { FakeServer } from "../src/testing.ts";
import { controlOf, controlsTransaction, undoesAndBegins } from "../src/transaction-control.ts";
import { limitOnceWaiting } from "./limit-once-waiting.ts";
import { describeEveryWay } from "./postgres.ts";

const failureOf = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
  work.then(
    () => assert.fail("it has not failed"),
    (error: Error) => error,
  );

describe("what a statement does to its transaction", () => {
  for (const [text, control] of [
    ["begin", "begin"],
    ["BEGIN ISOLATION LEVEL SERIALIZABLE;", "begin"],
    ["/* request 7 */ start transaction read only -- traced", "begin"],
    ["start", undefined],
    ["begin; insert into t values (1); commit", undefined],
    ["commit", "commit"],
    ["end work;", "commit"],
    ["-- why\ncommit transaction and no chain /* ; */", "commit"],
    ["commit and chain", "commit and chain"],
    ["commit prepared 'x'", undefined],
    ["commit; insert into t values (1)", undefined],
    ["committed", undefined],
    ["rollback", "rollback"],
    ["abort work;", "rollback"],
    ["rollback and chain", undefined],
    ["rollback to savepoint a", "rollback to"],
    ["rollback prepared 'x'", undefined],
    ["select 'commit'", undefined],
    ["savepoint a", "savepoint"],
    ["release savepoint a", undefined],
    ["prepare transaction 'x'", "prepare"],
    ["prepare transaction as select 1", undefined],
    ["prepare plan as select 1", undefined],
    ["commit;; -- twice", "commit"],
    ["begin /* ; */ read only", "begin"],
    ['rollback to savepoint "a; -- b"', "rollback to"],
    ["begin '", undefined],
    ["/* a /* b */ begin", undefined],
    ["/* no end begin", undefined],
  ] as const)
    test(`${JSON.stringify(text)}: ${control ?? "nothing by itself"}`, () =>
      assert.equal(controlOf(text), control));

  test("a rollback that begins the next one is known", () => {
    assert.ok(undoesAndBegins("rollback work and chain"));
    assert.ok(undoesAndBegins("select 1; abort /* why */ and -- how\n chain"));
    assert.ok(!undoesAndBegins("rollback to savepoint chain"));
  });

  test("one of several statements counts, what stands in a string or a block does not", () => {
    for (const text of [
      "insert into t values (1); commit",
      "commit prepared 'x'",
      "end",
      "abort;",
      "prepare transaction 'x'",
    ])
      assert.ok(controlsTransaction(text), text);
    for (const text of [
      "insert into t values ('; commit')",
      "create trigger t after insert on a begin delete from b; end",
      "rollback to savepoint a; release savepoint a",
      "savepoint a",
      "do $$ begin perform 1; end $$",
    ])
      assert.ok(!controlsTransaction(text), text);
  });

  test("one behind a long comment is known, and a long text costs no more than its length", () => {
    for (const [start, middle, end, control] of [
      ["/*", " traced", "*/ begin", "begin"],
      ["", "/* a */ ", "commit", "commit"],
      ["", "--\n", "rollback", "rollback"],
      ["begin", " ", "; x", undefined],
      ["commit", "-", "\n x", undefined],
      ["commit ", "/**/", "x", undefined],
      ["", "/*", "", undefined],
      ["end ", "- ", ";x", undefined],
    ] as const)
      for (const length of [200, 100_000])
        assert.equal(controlOf(`${start}${middle.repeat(length)}${end}`), control);
    assert.ok(!undoesAndBegins("rollback -- ".repeat(100_000)));
  });
});

describeEveryWay("the shape of pg.Pool", (bench) => {
  test("results are those of pg", () =>
    bench.run(async (db) => {
      const pool = new PgPool(db);
      const result = await pool.query("select $1::int8 as big, $2::text as t", [7, undefined]);
      const arrays = await pool.query({ text: "select 1, 2", rowMode: "array" });
      const several = (await pool.query("select 1 as a; select 2 as b")) as unknown;
      const created = await pool.query("create table counts_nothing (n int)");
      assert.deepEqual(result.rows, [{ big: "7", t: null }]);
      assert.deepEqual(
        [result.command, result.rowCount, result.fields.map(({ dataTypeID }) => dataTypeID)],
        ["SELECT", 1, [20, 25]],
      );
      assert.deepEqual(arrays.rows, [[1, 2]]);
      assert.deepEqual(
        (several as PgQueryResult[]).map(({ rows }) => rows),
        [[{ a: 1 }], [{ b: 2 }]],
      );
      assert.equal(created.rowCount, null);
    }));

  test(
    "a query with a name has its plan kept, and is read as each call says",
    bench.needsSession,
    () =>
      bench.run(
        async (db) => {
          const pool = new PgPool(db);
          const read = async (parse: (text: string) => unknown, rowMode?: string) => {
            const types = { getTypeParser: () => parse };
            const query = { name: "n", text: "select $1::int as n", values: [7], types, rowMode };
            return (await pool.query(query as PgQueryConfig)).rows;
          };
          const rows = [
            await read((text) => `${text}!`),
            await read((text) => Number(text) + 1),
            await read((text) => `${text}?`, "array"),
          ];
          assert.deepEqual(rows, [[{ n: "7!" }], [{ n: 8 }], [["7?"]]]);
          const kept = await db.query(sql`select text from (
          select statement as text from pg_prepared_statements) as s where text like 'select $1%'`);
          assert.equal(kept.length, 2); // objects, and arrays
          assert.deepEqual(await db.query(sql`select ${7}::int as n`), [{ n: 7 }]);
        },
        { max: 1 },
      ),
  );

  test("a client that is released in a transaction is rolled back, and not lent again", () =>
    bench.run(
      async (db) => {
        const pool = new PgPool(db);
        const client = await pool.connect();
        await client.query("begin");
        await client.query("create table forgotten (n int)");
        client.release();
        client.release();
        const error = await failureOf(client.query("select 1"));
        assert.match(error.message, /was given back/);
        assert.deepEqual((await pool.query("select to_regclass('forgotten')::text as t")).rows, [
          { t: null },
        ]);
      },
      { max: 1 },
    ));

  test("callbacks are refused", () =>
    bench.run(async (db) => {
      const error = await failureOf(new PgPool(db).query("select 1", (() => {}) as never));
      assert.match(error.message, /It returns a promise: await it/);
    }));

  test("a statement that follows COMMIT or BEGIN in one text is run", () =>
    bench.run(
      async (db) => {
        await db.execute(sql`create table several (n int)`);
        const client = await new PgPool(db).connect();
        await client.query("begin; insert into several values (1)");
        await client.query("commit; insert into several values (2)");
        const block = (await client.query(
          "begin; insert into several values (3); commit",
        )) as unknown as PgQueryResult[];
        const { rows } = await client.query("select n from several order by n");
        client.release();
        assert.deepEqual(
          block.map(({ command }) => command),
          ["BEGIN", "INSERT", "COMMIT"],
        );
        assert.deepEqual(rows, [{ n: 1 }, { n: 2 }, { n: 3 }]);
      },
      { max: 1 },
    ));

  test("BEGIN gives the answer to BEGIN, also where a deadline goes with it", () =>
    bench.run(async (db) => {
      const client = await new PgPool(db).connect();
      await asyncio.timeout(60, async () => {
        const { command } = await client.query("/* traced */ begin -- here");
        const { rows } = await client.query("show statement_timeout");
        assert.equal(command, "BEGIN");
        assert.notDeepEqual(rows, [{ statement_timeout: "0" }]);
        assert.equal((await client.query("rollback -- and here")).command, "ROLLBACK");
      });
      client.release();
    }));

  test("a COMMIT that begins the next transaction does so", () =>
    bench.run(
      async (db) => {
        await db.execute(sql`create table chained (n int)`);
        const client = await new PgPool(db).connect();
        await client.query("begin");
        await client.query("insert into chained values (1)");
        await client.query("commit and chain");
        await client.query("insert into chained values (2)");
        await client.query("rollback");
        client.release();
        assert.deepEqual(await db.query(sql`select n from chained`), [{ n: 1 }]);
      },
      { max: 1 },
    ));

  test("a prepared transaction is committed, and not the one that is not open", () =>
    bench.run(async (db) => {
      const client = await new PgPool(db).connect();
      const error = await failureOf(client.query("commit prepared 'nobody'"));
      client.release();
      assert.match(error.message, /does not exist/);
    }));

  test("a doomed transaction does not keep the next one of its client from queries", () =>
    bench.run(
      async (db) => {
        const client = await new PgPool(db).connect();
        await client.query("begin");
        const slow = () => client.query("select pg_sleep(20)");
        assert.equal((await limitOnceWaiting(slow)).cancelled, true);
        await client.query("rollback");
        await client.query("begin; select 1");
        const { rows } = await client.query("select 2 as n");
        await client.query("rollback");
        client.release();
        assert.deepEqual(rows, [{ n: 2 }]);
      },
      { max: 1 },
    ));

  test("a semicolon in a string makes no other rows of it", () =>
    bench.run(async (db) => {
      const pool = new PgPool(db);
      const text = "select 'a; b' as t, 7 as n";
      assert.deepEqual((await pool.query({ text, rowMode: "array" })).rows, [["a; b", 7]]);
      const rows = await drizzle(pool as never)
        .select({ t: drizzleSql<string>`'a; b'` })
        .from(drizzleSql`(select 1) as one`);
      assert.deepEqual(rows, [{ t: "a; b" }]);
    }));

  test("what the server refuses is the error of pg, with its code", () =>
    bench.run(async (db) => {
      const pool = new PgPool(db);
      await pool.query("create table keys (n int primary key)");
      const error = await failureOf(pool.query("insert into keys values (1), (1)"));
      const { code, constraint, severity } = error as pg.DatabaseError;
      assert.ok(error instanceof pg.DatabaseError);
      assert.deepEqual([code, constraint, severity], ["23505", "keys_pkey", "ERROR"]);
      assert.match(error.stack ?? "", /pg-pool\.test/);
    }));

  test("a client that is released with an error is not lent again", () =>
    bench.run(
      async (db) => {
        const pool = new PgPool(db);
        const pid = async (client: PgPoolClient): Promise<unknown> =>
          (await client.query("select pg_backend_pid() as pid")).rows;
        const seen: unknown[] = [];
        for (const reason of [undefined, new Error("broken"), true]) {
          const client = await pool.connect();
          seen.push(JSON.stringify(await pid(client)));
          client.release(reason);
        }
        const last = await pool.connect();
        seen.push(JSON.stringify(await pid(last)));
        last.release();
        assert.equal(seen[0], seen[1]);
        if (bench.needsSession.skip === false) assert.equal(new Set(seen).size, 3);
        assert.equal(db.stats().open, 1);
      },
      { max: 1 },
    ));

  test("a client whose connection is lost says so", () =>
    bench.run(
      async (db, observer) => {
        const client = await new PgPool(db).connect();
        const ended = new asyncio.Event();
        const seen: string[] = [];
        client.on("error", (error: Error) => seen.push(error.name));
        client.on("end", () => ended.set());
        await client.query("begin");
        await observer(
          "select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction'",
        );
        await ended.wait();
        client.release();
        assert.deepEqual(seen, ["ConnectionLostError"]);
      },
      { max: 1 },
    ));
});

describe("the events of a PgPool", () => {
  const withPool = (body: (pool: PgPool) => Promise<void>): Promise<void> =>
    asyncio.run(async () => {
      await using db = new FakeServer().database();
      await body(new PgPool(db));
    });

  test("tell of each client that is lent and comes back", () =>
    withPool(async (pool) => {
      const seen: unknown[] = [];
      pool.on("acquire", (client) => seen.push("acquire", client));
      pool.on("release", (reason, client) => seen.push("release", reason, client));
      pool.on("error", () => {});
      const client = await pool.connect();
      const reason = new Error("broken");
      client.release(reason);
      client.release();
      assert.deepEqual(seen, ["acquire", client, "release", reason, client]);
    }));

  test("that never come are refused, with what to do", () =>
    withPool(async (pool) => {
      assert.throws(() => pool.on("connect", () => {}), /`\?options=-c search_path=app`/);
      assert.throws(() => pool.once("remove", () => {}), { code: "ERR_ASYNCIO_INVALID_ARGUMENT" });
      const client = await pool.connect();
      assert.throws(() => client.on("notification", () => {}), /`db\.listen` gives them/);
      client.release();
    }));

  test("a listener that throws keeps no client", () =>
    withPool(async (pool) => {
      pool.on("acquire", () => {
        throw new Error("a bug");
      });
      assert.match((await failureOf(pool.connect())).message, /a bug/);
      assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1]);
    }));
});

test("a cursor of pg is refused, and SQLite has no PgPool", () =>
  asyncio.run(async () => {
    await using db = new FakeServer().database();
    const cursor = { text: "select 1", submit: () => {} };
    assert.match(
      (await failureOf(new PgPool(db).query(cursor))).message,
      /`db\.stream` gives rows/,
    );
    await using sqlite = await openSqlite(":memory:", { thread: false });
    assert.throws(() => new PgPool(sqlite), /Drizzle takes `remote\(db\)` there/);
  }));
