import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { Kysely, sql as kyselySql } from "kysely";
import { Database } from "../src/database.ts";
import type { DriverConnection } from "../src/driver.ts";
import { type QueryReport, type Sql, sql } from "../src/index.ts";
import { dialect } from "../src/kysely.ts";
import { PgPool } from "../src/pg.ts";
import { changesSession, setsByFunction } from "../src/postgres/session-changes.ts";
import { FakeServer } from "../src/testing.ts";
import { describePglite } from "./pglite.ts";
import { describeEveryWay } from "./postgres.ts";

const SCHEDULES = Number(process.env.ASYNCIO_DB_SCHEDULES ?? 100);

describe("what changes a session", () => {
  const cases: readonly [command: string, text: string, changes: boolean, hasRows?: boolean][] = [
    ["SET", "set search_path to x", true],
    ["SET", "SET SESSION timezone = 'UTC'", true],
    ["SET", "/* a */ set role 'set local'", true],
    ["SET", "set session characteristics as transaction read only", true],
    ["SET", "set local x = 'a; set y to z'", false],
    ["SET", "-- why\n set  local x to 1", false],
    ["SET", "set transaction isolation level serializable", false],
    ["SET", "set constraints all deferred", false],
    ["SET", "begin; set local x = 1; set local y = 2", false],
    ["SET", "begin; set local x = 1; set y = 2", true],
    ["SET", "select E'\\''; set y = 2; select ''", true],
    ["SET", "/* /* */ */ set y = 2", true],
    ["SET", "set local x = 1; /* /* */ ' */ set y = 'a'", true],
    ["SET", "set local x = 1; /* it's */ set y = 'a'", true],
    ["SET", "set local x = 1; -- why\rset y = 2", true],
    ["RESET", "reset all", true],
    ["DISCARD", "discard all", true],
    ["LISTEN", "listen jobs", true],
    ["PREPARE", "prepare p as select 1", true],
    ["DECLARE", "declare c cursor for select 1", false],
    ["DECLARE", "declare c cursor WITH HOLD for select 1", true],
    ["DECLARE", "declare c cursor with /* on */ hold for select 1", true],
    ["DECLARE", "declare c cursor without hold for select 1", false],
    ["CREATE", "create table t (n int)", false],
    ["CREATE", "create table temp_t (n int)", false],
    ["CREATE", "create temp table t (n int)", true],
    ["CREATE", "create TEMPORARY view t as select 1", true],
    ["CREATE", "create table pg_temp.t (n int)", true],
    ["CREATE", "create temp table t (n int) on commit drop", false],
    ["CREATE", "create temp table a (n int); create temp table b (n int) on commit drop", true],
    ["CREATE", "create temp table a (n int) -- on commit drop", true],
    ["CREATE", "create temp table a (t text default 'on commit drop')", true],
    ["CREATE", "create temp table a (t text default $$on commit drop$$)", true],
    ["SELECT", "create temp table t on commit drop as select $1", false],
    ["SELECT", "create table t as select 1", false],
    ["SELECT", "create temp table t as select 1", true],
    ["SELECT", "select 1 as n into temporary t", true],
    ["SELECT", "select temp from weather", false, true],
    ["EXPLAIN", "explain analyze create temp table t as select 1", true, true],
    ["EXPLAIN", "explain (analyse, costs off) create temp table t as select 1", true, true],
    ["EXPLAIN", "explain analyze create temp table t on commit drop as select 1", false, true],
    ["EXPLAIN", "explain create temp table t as select 1", false, true],
    ["EXPLAIN", "explain analyze select 1", false, true],
    ["DO", "do $$ begin perform 1; end $$", false],
    ["DO", "do $$ begin set search_path to x; end $$", true],
    ["DO", "do $$ begin perform set_config('a.b', 'x', false); end $$", true],
    ["UPDATE", "update t set n = 1", false],
    ["INSERT", "insert into t values ('set x')", false],
    ["UNLISTEN", "unlisten *", false],
  ];
  for (const [command, text, changes, hasRows = false] of cases)
    test(`${text}: ${changes ? "yes" : "no"}`, () =>
      assert.equal(changesSession(command, text, hasRows), changes));

  for (const [text, sets] of [
    ["select set_config('a.b', $1, false)", true],
    ["select SET_CONFIG('a.b', $1, $2)", true],
    ["select set_config('a.b', $1, true)", false],
    ["select set_config('a.b', $1, true), set_config('a.c', 'x', false)", true],
    ["select set_config('a.b', current_setting('x'), true)", true], // not understood: yes
    ["select set_config('a.b', 'f(x)', true)", false],
    ["select set_config('a.b', 'x, true)', false)", true],
    ["select set_config('a.b', 'x', false /* , true) */)", true],
    ["select my_set_config_x, 1", false],
  ] as const)
    test(`${text}: ${sets ? "yes" : "no"}`, () => assert.equal(setsByFunction(text), sets));

  test("a text may have strings of any length", () => {
    const long = "a".repeat(2 ** 25);
    assert.equal(changesSession("SET", `set local x = 1; select '${long}'`, false), false);
    assert.equal(changesSession("SET", `set x = 1; select '${long}'`, false), true);
  });
});

/** Each leaves something behind, in the session that it runs in. */
const CHANGES: readonly Sql[] = [
  sql`set search_path to elsewhere`,
  sql`select set_config('search_path', ${"elsewhere"}, ${false})`,
  sql`set timezone to 'Asia/Tokyo'`,
  sql`do $$ begin set search_path to elsewhere; end $$`,
  sql`prepare left_behind as select 1`,
  sql`declare left_behind cursor with hold for select 1`,
  sql`create temporary table left_behind (n int)`,
  sql`create temp table left_behind as select 1 as n`,
  sql`explain analyze create temp table left_behind as select 1 as n`,
];
/** Not seen by its words; but a server, and not PGlite, tells of the time zone. */
const TOLD: Sql = sql`select change_zone()`;
/** These do not. */
const NO_CHANGES: readonly Sql[] = [
  sql`select 1 as n`,
  sql`insert into marks values (1)`,
  sql`update marks set n = 2`,
  sql`set local search_path to elsewhere`,
  sql`set local timezone to 'Asia/Tokyo'`,
  sql`select set_config('search_path', ${"elsewhere"}, true)`,
  sql`create temporary table gone (n int) on commit drop`,
];
const STATE: Sql = sql`
  select current_setting('search_path') as path, current_setting('timezone') as zone,
    (select count(*)::int from pg_cursors where name <> '') as cursors,
    (select count(*)::int from pg_prepared_statements where name = 'left_behind') as plans,
    (select count(*)::int from pg_listening_channels()) as channels, to_regclass('left_behind') as tables`;

async function prepareFor(db: Database): Promise<void> {
  await db.execute(sql`create table if not exists marks (n int)`);
  await db.execute(sql`create or replace function change_zone() returns void language sql as $$
    select pg_catalog.set_config('TimeZone', 'Asia/Tokyo', false) $$`);
  await db.query(sql`select 1`); // behind the reset that this may have made
}

/** Tests of both engines. `withDb` gives a database of one connection, and what it reports. */
function testResets(
  changes: readonly Sql[],
  withDb: (body: (db: Database, names: string[]) => Promise<void>) => Promise<void>,
): void {
  test("who has the connection next finds nothing of it, whatever the call was", () =>
    withDb(async (db) => {
      await prepareFor(db);
      const opened = await db.one(STATE);
      const calls: Record<string, (change: Sql) => Promise<unknown>> = {
        execute: (change) => db.execute(change),
        transaction: (change) => db.transaction((tx) => tx.execute(change)),
        batch: (change) => db.batch([sql`select 1`, change]),
        session: (change) => db.session((session) => session.execute(change)),
      };
      const found: Record<string, unknown> = {};
      for (const [name, call] of Object.entries(calls))
        for (const [index, change] of changes.entries()) {
          await call(change);
          const state = await db.one(STATE);
          if (JSON.stringify(state) !== JSON.stringify(opened)) found[`${name} ${index}`] = state;
        }
      assert.deepEqual(found, {});
    }));

  test("it costs one message, and nothing where nothing was changed", () =>
    withDb(async (db, names) => {
      await prepareFor(db);
      const resets = async (query: Sql): Promise<number> => {
        names.length = 0;
        await db.transaction((tx) => tx.execute(query));
        await db.query(sql`select 1`);
        return names.filter((name) => name === "reset").length;
      };
      for (const query of changes) assert.equal(await resets(query), 1, JSON.stringify(query));
      for (const query of NO_CHANGES) assert.equal(await resets(query), 0, JSON.stringify(query));
      names.length = 0;
      const kysely = new Kysely<Record<string, never>>({ dialect: dialect(db) });
      await asyncio.timeout(60, () =>
        kysely.transaction().execute((tx) => kyselySql`set local timezone to 'UTC'`.execute(tx)),
      );
      await db.query(sql`select 1`);
      assert.ok(!names.includes("reset"), names.join());
    }));

  test("plans that went with the reset are made again", () =>
    withDb(async (db) => {
      const ask = () => db.one(sql`select ${1}::int as n`);
      for (let n = 0; n < 3; n++) {
        assert.deepEqual(await ask(), { n: 1 });
        await db.execute(sql`set search_path to elsewhere`);
      }
      assert.deepEqual(await db.transaction((tx) => tx.one(sql`select ${1}::int as n`)), { n: 1 });
    }));

  test("Kysely and code for `pg` keep what they set until they give the connection back", () =>
    withDb(async (db) => {
      const path = () =>
        db.one<{ path: string }>(sql`select current_setting('search_path') as path`);
      const opened = await path();
      const kysely = new Kysely<Record<string, never>>({ dialect: dialect(db) });
      await kysely.connection().execute(async (connection) => {
        await kyselySql`set search_path to elsewhere`.execute(connection);
        const { rows } = await kyselySql`show search_path`.execute(connection);
        assert.deepEqual(rows, [{ search_path: "elsewhere" }]);
      });
      assert.deepEqual(await path(), opened);
      const client = await new PgPool(db).connect();
      await client.query("set search_path to elsewhere; select 1");
      const { rows } = await client.query("show search_path");
      client.release();
      assert.deepEqual(rows, [{ search_path: "elsewhere" }]);
      assert.deepEqual(await path(), opened);
    }));
}

describeEveryWay("a session that a bare query has changed", (bench) => {
  test("goes on: behind a pooler, too, where nobody knows whose session it was", () =>
    bench.run(
      async (db) => {
        const first = await bench.connectionOf(db);
        await db.execute(sql`set datestyle to german`);
        await db.execute(sql`set statement_timeout to 0`);
        assert.deepEqual(await bench.connectionOf(db), first);
      },
      { max: 1 },
    ));

  describe("", bench.needsSession, () => {
    testResets([...CHANGES, TOLD], (body) => {
      const names: string[] = [];
      const onQuery = ({ name }: QueryReport): void => void names.push(name);
      return bench.run((db) => body(db, names), { max: 1, onQuery });
    });

    test("a LISTEN is not that of the next borrower", () =>
      bench.run(
        async (db) => {
          await db.execute(sql`listen jobs`);
          const { channels } = await db.one<{ channels: number }>(STATE);
          assert.equal(channels, 0);
        },
        { max: 1 },
      ));

    test("one that is not reset in time is cut off, and the next borrower has another one", () =>
      bench.run(
        async (db, observer) => {
          const pid = sql`select pg_backend_pid() as pid`;
          const first = await db.one<{ pid: number }>(pid);
          const client = await new PgPool(db).connect();
          await client.query("create temporary table held (n int)");
          const [row] = await observer(
            "select nspname from pg_class join pg_namespace n on n.oid = relnamespace where relname = 'held'",
          );
          await observer(`begin; lock table ${row?.nspname}.held`);
          client.release();
          const second = await db.one<{ pid: number }>(pid);
          await observer("rollback");
          assert.notDeepEqual(second, first);
        },
        { max: 1, grace: 0.2 },
      ));
  });
});

describePglite("a session of PGlite that a bare query has changed", (bench) => {
  testResets(CHANGES, (body) => {
    const names: string[] = [];
    const onQuery = ({ name }: QueryReport): void => void names.push(name);
    return bench.run((db) => body(db, names), { onQuery });
  });
});

describe("a session of the FakeServer that a bare query has changed", () => {
  const SHOW = sql`show path`;

  test("is not seen by any other query, in any order, whoever is cancelled", async () => {
    await testing.explore(
      async () => {
        const server = new FakeServer();
        await using db = server.database({ max: 2, grace: 1 });
        const look = async (): Promise<void> =>
          assert.deepEqual(await db.query(SHOW), [{ path: "default" }]);
        await asyncio.taskGroup(async (group) => {
          for (let n = 0; n < 2; n++) {
            group.createTask(() => db.execute(sql`set path to x`));
            group.createTask(look);
            group.createTask(() =>
              asyncio.moveOnAfter(0.003, () => db.execute(sql`set path to y`)),
            );
          }
        });
        await look();
      },
      { iterations: SCHEDULES },
    );
  });

  test("leaves nothing open if it is cancelled anywhere, or a message is lost anywhere", async () => {
    const program = async (_t: unknown, server: FakeServer): Promise<void> => {
      await using db = server.database({ max: 1, grace: 1 });
      await db.execute(sql`set path to x`);
      await db.session((session) => session.execute(sql`set path to y`));
      assert.deepEqual(await db.query(SHOW), [{ path: "default" }]);
    };
    const options = {
      setup: () => new FakeServer(),
      invariant: ({ connections }: FakeServer) =>
        assert.deepEqual(connections, { open: 0, inTransaction: 0 }),
    };
    await testing.cancelSweep(program, options);
    await testing.faultSweep(program, options);
  });

  test("is cut off after `grace` if the server does not answer its reset", () =>
    testing.runTest(async () => {
      const server = new FakeServer();
      const { driver } = server;
      server.define("hang", () => [], 1000);
      const statement = { text: "hang", values: [], prepare: false };
      const connect = async (): Promise<DriverConnection> => {
        const connection = await driver.connect();
        const run = connection.run.bind(connection);
        connection.run = (request, done, before) => {
          const isReset = request.kind === "script" && request.text === "reset all";
          run(isReset ? { kind: "query", statement } : request, done, before);
        };
        return connection;
      };
      await using db = new Database({ ...driver, connect }, { max: 1, grace: 3 });
      await db.execute(sql`set path to x`);
      const loop = asyncio.getRunningLoop();
      const before = loop.time();
      assert.deepEqual(await db.query(SHOW), [{ path: "default" }]);
      assert.equal(Math.floor(loop.time() - before), 3);
    }));
});
