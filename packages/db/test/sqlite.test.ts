import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { Kysely } from "kysely";
import { Migrator } from "kysely/migration";
import { type Database, DatabaseError, sql, TransactionDoomedError } from "../src/index.ts";
import { dialect } from "../src/kysely.ts";
import { wordsOf } from "../src/sqlite/text.ts";
import { connect } from "../src/sqlite.ts";
import { limitOnceWaiting } from "./limit-once-waiting.ts";
import { withSqlite } from "./sqlite.ts";

const failureOf = (work: Promise<unknown>): Promise<Error & { code?: string; sqlstate?: string }> =>
  work.then(
    () => assert.fail("it has not failed"),
    (error: Error) => error,
  );

/** Rows without an end: this ends between two of them, or not at all. */
const forever = sql`with recursive c(n) as (select 1 union all select n + 1 from c) select n from c`;
/** So many rows in one statement, which gives none: it cannot be interrupted. */
const insert = (count: number) =>
  sql`insert into t with recursive c(n) as (select 1 union all select n + 1 from c where n < ${count}) select n from c`;

describe("a database of SQLite", () => {
  test("takes queries, and says what is wrong with one", () =>
    withSqlite(async (db) => {
      await db.execute(sql`create table users (id integer primary key, name text not null unique)`);
      const users = [{ name: "ann" }, { name: "bob" }];
      assert.equal(await db.execute(sql`insert into users (name) values ${sql.values(users)}`), 2);
      const [given] = await db.query(sql`insert into users (name) values ('cid') returning id`);
      assert.deepEqual(given, { id: 3 });
      assert.deepEqual(await db.one(sql`select name from users where id = ${2}`), { name: "bob" });
      assert.equal(await db.execute(sql`update users set name = name || '!' where id < 3`), 2);

      const twice = await failureOf(db.execute(sql`insert into users (name) values ('cid')`));
      const none = await failureOf(db.execute(sql`insert into users (name) values (null)`));
      const wrong = await failureOf(db.query(sql`selec 1`, { name: "wrong" }));
      assert.ok(twice instanceof DatabaseError);
      assert.deepEqual([twice.sqlstate, twice.table, twice.column], ["23505", "users", "name"]);
      assert.equal(none.sqlstate, "23502");
      assert.match(wrong.message, /near "selec": syntax error/);
      assert.equal((wrong as DatabaseError).query, "wrong");
    }));

  test("refuses several statements in one, and runs a batch all or nothing", () =>
    withSqlite(async (db) => {
      await db.execute(sql`create table t (n integer primary key)`);
      const several = await failureOf(db.execute(sql`insert into t values (1); delete from t`));
      assert.match(several.message, /Use `batch`/);
      const batch = [sql`insert into t values (2)`, sql`insert into t values (2)`];
      assert.equal((await failureOf(db.batch(batch))).sqlstate, "23505");
      const answers = await db.batch([sql`insert into t values (3)`, sql`select n from t`]);
      assert.deepEqual(answers, [[], [{ n: 3 }]]);
    }));

  test("refuses in a batch that writes what cannot be undone with it", () =>
    withSqlite(
      async (db) => {
        await db.execute(sql`create table t (n integer primary key)`);
        const one = sql`insert into t values (1)`;
        for (const text of ["pragma cache_size = 100", "vacuum", "attach 'x' as x", "release x"]) {
          const error = await failureOf(db.batch([one, sql.raw(text), one]));
          assert.equal(error.sqlstate, "25001", text);
          assert.match(error.message, /cannot stand in a batch that writes.*by itself/);
        }
        await failureOf(db.batch([one, sql`-- nothing`]));
        assert.deepEqual(await db.query(sql`select n from t`), []);

        await db.batch([sql`pragma cache_size = 100`, sql`pragma temp_store = memory`]);
        await db.transaction((tx) => tx.batch([one, sql`pragma cache_size`]));
        await db.session((session) =>
          session.batch([
            sql`pragma foreign_keys = off`,
            ...[sql`begin`, sql`insert into t values (2)`, sql`commit`],
            sql`pragma foreign_keys = on`,
          ]),
        );
        assert.deepEqual(await db.query(sql`select n from t`), [{ n: 1 }, { n: 2 }]);
      },
      { max: 1 },
    ));

  for (const [where, run] of [
    ["on a real loop", asyncio.run],
    ["in virtual time", testing.runTest],
  ] as const)
    test(`refuses a transaction by hand, which cost one in memory its tables, ${where}`, () =>
      run(async () => {
        await using db = await connect(":memory:", { thread: false });
        await db.execute(sql`create table t (n integer)`);
        for (const text of ["begin", "end", "savepoint a"]) {
          const query = sql.raw(text);
          const failures = await Promise.all([
            failureOf(db.execute(query)),
            failureOf(db.batch([sql`insert into t values (1)`, query])),
            failureOf((async () => db.stream(query))()),
          ]);
          for (const { message } of failures)
            assert.match(message, /cannot begin or end a transac/);
        }
        await assert.rejects(
          db.transaction((tx) => tx.batch([sql`rollback`, sql`begin`], { name: "again" })),
          /was ended by its own query "again"/,
        );
        assert.deepEqual(await db.query(sql`select n from t`), []);
      }));

  test("commits what succeeds, and undoes what fails, a savepoint alone", () =>
    withSqlite(async (db, look) => {
      await db.execute(sql`create table t (n integer primary key)`);
      await db.transaction(async (tx) => {
        await tx.execute(sql`insert into t values (1)`);
        assert.deepEqual(look("select n from t"), []);
        await failureOf(
          tx.savepoint(async (sp) => {
            await sp.execute(sql`insert into t values (2)`);
            throw new Error("no");
          }),
        );
        // As everywhere in SQLite, a statement that fails has done nothing, and the block goes on.
        await failureOf(tx.execute(sql`insert into t values (1)`));
        await tx.execute(sql`insert into t values (3)`);
      });
      await failureOf(
        db.transaction(async (tx) => {
          await tx.execute(sql`insert into t values (4)`);
          throw new Error("no");
        }),
      );
      assert.deepEqual(
        look("select n from t").map(({ n }) => n),
        [1, 3],
      );
    }));

  test("reads beside a transaction that writes, and lets one write at a time", () =>
    withSqlite(async (db) => {
      await db.execute(sql`create table t (n integer)`);
      await db.execute(sql`insert into t values (0)`);
      const seen: unknown[] = [];
      await asyncio.taskGroup(async (group) => {
        for (let n = 0; n < 8; n++)
          group.createTask(() =>
            db.transaction(async (tx) => {
              const { n } = await tx.one<{ n: number }>(sql`select n from t`);
              seen.push((await db.one<{ n: number }>(sql`select n from t`)).n);
              await tx.execute(sql`update t set n = ${n + 1}`);
            }),
          );
      });
      assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7]);
      assert.deepEqual(await db.one(sql`select n from t`), { n: 8 });
      const { holders, waiting, open } = db.stats();
      assert.deepEqual([holders, waiting, open], [[], 0, 2]);
    }));

  test("a transaction that only reads sees one state, and cannot write", () =>
    withSqlite(async (db) => {
      await db.execute(sql`create table t (n integer)`);
      await db.transaction(
        async (tx) => {
          assert.deepEqual(await tx.query(sql`select n from t`), []);
          await db.execute(sql`insert into t values (1)`);
          assert.deepEqual(await tx.query(sql`select n from t`), []);
        },
        { readOnly: true },
      );
      const error = await failureOf(
        db.transaction((tx) => tx.execute(sql`insert into t values (2)`), { readOnly: true }),
      );
      assert.equal(error.sqlstate, "25006");
    }));

  test("who asks the database to write while it writes gets a DeadlockError", () =>
    withSqlite(async (db) => {
      await db.execute(sql`create table t (n integer)`);
      const error = await failureOf(
        db.transaction(() => db.execute(sql`insert into t values (1)`)),
      );
      assert.ok(error instanceof asyncio.DeadlockError, String(error));
    }));

  test("streams rows a batch at a time, and can be left", () =>
    withSqlite(async (db) => {
      const some: unknown[] = [];
      for await (const { n } of db.stream<{ n: number }>(forever, { batch: 10 })) {
        if (n > 25) break;
        some.push(n);
      }
      assert.equal(some.length, 25);
      await db.transaction(async (tx) => {
        for await (const { n } of tx.stream<{ n: number }>(forever)) if (n === 3) break;
      });
      const all: number[] = [];
      for await (const { n } of db.stream<{ n: number }>(
        sql`select value as n from json_each('[1,2,3,4]')`,
        { batch: 2 },
      ))
        all.push(n);
      assert.deepEqual(all, [1, 2, 3, 4]);
      assert.deepEqual(db.stats().holders, []);
    }));

  test("has `lock` and `session`, and no COPY and LISTEN", () =>
    withSqlite(async (db) => {
      let inside = 0;
      await asyncio.gather(
        [1, 2, 3].map(() => () => {
          return db.lock("migrate", async (tx) => {
            assert.equal(++inside, 1);
            await tx.execute(sql`create table if not exists t (n integer)`);
            inside--;
          });
        }),
      );
      await db.session(async (s) => {
        await s.execute(sql`create temp table mine (n integer)`);
        await s.transaction((tx) => tx.execute(sql`insert into mine values (1)`));
        assert.deepEqual(await s.query(sql`select n from mine`), [{ n: 1 }]);
      });
      assert.throws(() => db.listen("jobs"), /`listen` is not there for sqlite/);
      const copy = await failureOf(db.copyFrom(sql`copy t from stdin`, []));
      assert.deepEqual([copy.sqlstate, /sql\.values/.test(copy.message)], ["0A000", true]);
    }));
});

describe("a file that is attached", () => {
  const attach = sql`attach ':memory:' as other`;
  const use = async (to: Pick<Database, "execute" | "query">): Promise<unknown> => {
    await to.execute(attach);
    await to.execute(sql`create table other.t (n integer)`);
    await to.execute(sql`insert into other.t values (7)`);
    return await to.query(sql`select n from other.t`);
  };

  for (const thread of [true, false]) {
    const where = thread ? "in threads" : "on the loop";

    test(`is refused where readers would lack it, ${where}`, () =>
      withSqlite(
        async (db) => {
          for (const query of [attach, sql`/* a */ ATTACH DATABASE ${"x.db"} AS x`]) {
            const error = await failureOf(db.execute(query));
            assert.ok(error instanceof asyncio.InvalidStateError, String(error));
            assert.match(error.message, /cannot attach a file: .*`db\.session`.*`max: 1`/);
          }
          assert.equal((await failureOf(db.batch([attach]))).name, "InvalidStateError");
          assert.deepEqual(await db.session(use), [{ n: 7 }]);
        },
        { thread },
      ));

    test(`is there for all queries of a database with one connection, ${where}`, () =>
      withSqlite(async (db) => assert.deepEqual(await use(db), [{ n: 7 }]), { thread, max: 1 }));
  }
});

describe("cancelling a statement of SQLite", () => {
  test("ends between two rows, and the connection is used again", () =>
    withSqlite(
      async (db) => {
        const moved = await limitOnceWaiting(() => db.query(forever));
        assert.equal(moved.cancelled, true);
        assert.deepEqual(await db.query(sql`select 1 as one`), [{ one: 1 }]);
        assert.equal(db.stats().open, 1);
      },
      { max: 1 },
    ));

  test("undoes one that writes, and waits until it has ended", () =>
    withSqlite(async (db, look) => {
      await db.execute(sql`create table t (n integer)`);
      const scope = new asyncio.CancelScope();
      const work = scope.run(() => db.execute(insert(200_000)));
      await asyncio.sleep(0.01);
      scope.cancel();
      await work;
      assert.deepEqual(look("select count(*) as n from t"), [{ n: 0 }]);
      assert.equal(await db.execute(insert(10)), 10);
    }));

  test("tells what is in the file, whenever the deadline strikes", () =>
    withSqlite(async (db, look) => {
      await db.execute(sql`create table told (id integer primary key)`);
      const yes: number[] = [];
      let no = 0;
      for (let id = 0; id < 150; id++) {
        const seconds = 0.0002 + 0.003 * ((id * 0.618) % 1);
        const add = async (): Promise<void> => {
          if (id % 2 === 0) await db.execute(sql`insert into told values (${id})`);
          else await db.transaction((tx) => tx.execute(sql`insert into told values (${id})`));
        };
        const done = await asyncio.timeout(seconds, add).then(
          () => true,
          () => false,
        );
        if (done) yes.push(id);
        else no++;
      }
      const there = look("select id from told order by id").map(({ id }) => id);
      assert.deepEqual(there, yes);
      assert.equal(yes.length + no, 150);
    }));

  test("dooms its transaction", () =>
    withSqlite(async (db, look) => {
      await db.execute(sql`create table t (n integer)`);
      const error = await failureOf(
        db.transaction(async (tx) => {
          await tx.execute(sql`insert into t values (1)`);
          await limitOnceWaiting(() => tx.query(forever, { name: "all" }));
          await tx.execute(sql`insert into t values (2)`);
        }),
      );
      assert.ok(error instanceof TransactionDoomedError, String(error));
      assert.match(error.message, /query "all" in it was cancelled/);
      assert.deepEqual(look("select * from t"), []);
    }));

  test("that does not end within `grace` gives its thread up, and changes nothing", () =>
    withSqlite(
      async (db, look) => {
        await db.execute(sql`create table t (n integer)`);
        const startedAt = performance.now();
        const moved = await limitOnceWaiting(() => db.execute(insert(1_500_000)));
        const seconds = (performance.now() - startedAt) / 1000;
        assert.equal(moved.cancelled, true);
        assert.ok(seconds < 5, String(seconds));
        // The next writer waits until the thread that was given up has gone.
        assert.equal(await db.execute(insert(1)), 1);
        assert.deepEqual(look("select count(*) as n from t"), [{ n: 1 }]);
      },
      { grace: 0.02 },
    ));
});

describe("two writers of one file", () => {
  test("wait for each other, and a wait is ended at once", () =>
    withSqlite(async (first, look, path) => {
      await first.execute(sql`create table t (n integer)`);
      await using second = await connect(path, { name: "second", synchronous: "off" });
      const held = new asyncio.Event();
      const release = new asyncio.Event();
      const holder = asyncio.createTask(() =>
        first.transaction(async (tx) => {
          await tx.execute(sql`insert into t values (1)`);
          held.set();
          await release.wait();
        }),
      );
      await held.wait();

      const moved = await limitOnceWaiting(() => second.execute(sql`insert into t values (2)`));
      const waiter = asyncio.createTask(() =>
        second.transaction((tx) => tx.execute(sql`insert into t values (3)`)),
      );
      await asyncio.sleep(0.02);
      release.set();
      await asyncio.gather([holder, waiter]);

      assert.equal(moved.cancelled, true);
      assert.deepEqual(
        look("select n from t order by n").map(({ n }) => n),
        [1, 3],
      );
    }));

  test("one that waits longer than `acquire` is told that the file is locked", () =>
    withSqlite(
      async (first, _look, path) => {
        await first.execute(sql`create table t (n integer)`);
        await using second = await connect(path, { acquire: 20, thread: false });
        await first.transaction(async () => {
          const startedAt = asyncio.getRunningLoop().time();
          const error = await failureOf(second.execute(sql`insert into t values (2)`));
          const seconds = asyncio.getRunningLoop().time() - startedAt;
          assert.deepEqual([error.sqlstate, error.message], ["55P03", "database is locked"]);
          assert.ok(seconds >= 20 && seconds < 21, String(seconds));
        });
      },
      { thread: false, loop: new testing.VirtualLoop() },
    ));

  test("one that is killed in the middle leaves a sound file", () =>
    withSqlite(async (db, look, path) => {
      await db.execute(sql`create table t (n integer)`);
      const child = spawn(
        process.execPath,
        [fileURLToPath(new URL("./sqlite-writer.ts", import.meta.url)), path],
        { stdio: ["ignore", "pipe", "inherit"] },
      );
      const begun = new asyncio.Event();
      const ended = new asyncio.Event();
      child.stdout.once("data", () => begun.set());
      child.once("close", () => ended.set());
      await begun.wait();
      await asyncio.sleep(0.02);
      child.kill("SIGKILL");
      await ended.wait();

      assert.deepEqual(look("pragma integrity_check"), [{ integrity_check: "ok" }]);
      const [row] = look("select count(*) as n from t");
      assert.equal((row?.n as number) % 1000, 0); // whole transactions
      assert.ok((row?.n as number) >= 1000);
      await db.execute(sql`insert into t values (0)`);
    }));
});

describe("SQLite in virtual time", () => {
  const bank = async (db: Database): Promise<void> => {
    await db.execute(sql`create table accounts (name text primary key, balance int)`);
    await db.execute(sql`insert into accounts values ('ann', 100), ('bob', 0)`);
  };
  const pay = (db: Database, sum: number) =>
    db.transaction(async (tx) => {
      await tx.execute(sql`update accounts set balance = balance - ${sum} where name = 'ann'`);
      await asyncio.sleep(0.01);
      await tx.execute(sql`update accounts set balance = balance + ${sum} where name = 'bob'`);
    });
  const total = (db: Database) =>
    db.one<{ n: number }>(
      sql`select sum(balance) as n, count(*) filter (where balance < 0) as negative from accounts`,
    );

  test("no cancellation leaves half a transaction", async () => {
    const sweep = await testing.cancelSweep(
      async () => {
        await using db = await connect(":memory:", { thread: false });
        await bank(db);
        const payer = asyncio.createTask(() => pay(db, 10), { name: "payer" });
        await asyncio.wait([payer]);
        assert.deepEqual(await total(db), { n: 100, negative: 0 });
        assert.deepEqual(db.stats().holders, []);
      },
      { victims: /payer/, mayReturn: true },
    );
    assert.ok(sweep.places >= 5, String(sweep.places));
  });

  test("no order of two transactions loses an update", async () => {
    await testing.explore(
      async () => {
        await using db = await connect(":memory:", { thread: false });
        await bank(db);
        await asyncio.taskGroup(async (group) => {
          group.createTask(() => pay(db, 10));
          group.createTask(() => asyncio.moveOnAfter(0.015, () => pay(db, 20)));
          group.createTask(() => db.query(sql`select * from accounts`));
        });
        assert.equal((await total(db)).n, 100);
      },
      { iterations: 50 },
    );
  });
});

describe("bad input for SQLite", () => {
  test("each has its own error", async () => {
    const folder = mkdtempSync(join(tmpdir(), "asyncio-ts-db-"));
    try {
      const page = join(folder, "page.html");
      writeFileSync(page, "<!doctype html>".padEnd(4096, "x"));
      await asyncio.run(async () => {
        const code = async (work: Promise<unknown>) => (await failureOf(work)).code;
        assert.deepEqual(
          [
            await code(connect(undefined as never)),
            await code(connect("a.db", { grase: 1 } as never)),
            await code(connect("a.db", { max: 0 })),
            await code(connect("a.db", { synchronous: "always" as never })),
            await code(connect("a.db", { types: { json: "text" as never } })),
            await code(connect(join(folder, "none/a.db"))),
            await code(connect(page)),
          ],
          [
            ...Array(4).fill("ERR_ASYNCIO_INVALID_ARGUMENT"),
            "ERR_DATABASE_VALUE",
            "ERR_DATABASE_UNREACHABLE",
            "ERR_DATABASE_NOT_A_DATABASE",
          ],
        );
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

test("the words of a statement say whether it reads, and whether it is one", () => {
  const told = (text: string) => {
    const { command, isReading, isSeveral } = wordsOf(text);
    return `${command}${isReading ? " reads" : ""}${isSeveral ? " several" : ""}`;
  };
  assert.deepEqual(
    [
      "select 1",
      "select 1;",
      "select 1; -- and no more",
      "select ';' || \"a;b\"",
      "select 1; drop table t",
      "select replace(a, 'delete', 'x') from t",
      "with a as (select 1) select * from a",
      "with a as (select 1) insert into t select * from a",
      "/* select */ delete from t",
      "replace into t values (1)",
      "create trigger x after insert on t begin delete from u; delete from v; end",
      "pragma user_version = 3",
      "values (1)",
    ].map(told),
    [
      "SELECT reads",
      "SELECT reads",
      "SELECT reads",
      "SELECT reads",
      "SELECT reads several",
      "SELECT reads",
      "SELECT reads",
      "INSERT",
      "DELETE",
      "REPLACE",
      "CREATE",
      "PRAGMA",
      "VALUES reads",
    ],
  );
});

test("Kysely runs on SQLite, with its transactions and its Migrator", () =>
  withSqlite(async (db, look) => {
    const kysely = new Kysely<{ items: { n: number } }>({ dialect: dialect(db) });
    const migrator = new Migrator({
      db: kysely,
      provider: {
        getMigrations: async () => ({
          "1": {
            up: async (on) => {
              await on.schema.createTable("items").addColumn("n", "integer").execute();
            },
          },
        }),
      },
    });
    const { error } = await migrator.migrateToLatest();
    assert.equal(error, undefined);
    await kysely.insertInto("items").values({ n: 1 }).execute();
    const moved = await asyncio.moveOnAfter(0.1, () =>
      kysely.transaction().execute(async (tx) => {
        const { numInsertedOrUpdatedRows } = await tx
          .insertInto("items")
          .values([{ n: 2 }, { n: 3 }])
          .executeTakeFirst();
        assert.equal(numInsertedOrUpdatedRows, 2n);
        await asyncio.sleep(10);
      }),
    );
    assert.equal(moved.cancelled, true);
    assert.deepEqual(look("select n from items"), [{ n: 1 }]);
    assert.deepEqual(await kysely.selectFrom("items").select("n").execute(), [{ n: 1 }]);
    const streamed: unknown[] = [];
    for await (const row of kysely.selectFrom("items").select("n").stream()) streamed.push(row);
    assert.deepEqual(streamed, [{ n: 1 }]);
  }));
