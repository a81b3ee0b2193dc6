import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable } from "drizzle-orm/pg-core";
import { Kysely } from "kysely";
import { ConnectError, DatabaseError, sql, TransactionDoomedError } from "../src/index.ts";
import { dialect } from "../src/kysely.ts";
import { PgPool } from "../src/pg.ts";
import { connect } from "../src/pglite.ts";
import { transactionPerTest } from "../src/testing.ts";
import { limitOnceWaiting } from "./limit-once-waiting.ts";
import { describePglite } from "./pglite.ts";
import { testValues } from "./values-suite.ts";

const failureOf = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
  work.then(
    () => assert.fail("it has not failed"),
    (error: Error) => error,
  );

describePglite("a database", (bench) => {
  testValues(bench);

  test("takes queries and batches, keeps plans, and says what is wrong", () =>
    bench.run(async (db) => {
      await db.execute(sql`create table users (id int primary key, name text not null)`);
      const users = [
        { id: 1, name: "ann" },
        { id: 2, name: "bob" },
      ];
      assert.equal(
        await db.execute(sql`insert into users (id, name) values ${sql.values(users)}`),
        2,
      );
      for (const id of [1, 2, 1])
        assert.equal((await db.query(sql`select name from users where id = ${id}`)).length, 1);
      const { n } = await db.one<{ n: number }>(
        sql`select count(*)::int as n from pg_prepared_statements where statement like 'select name%'`,
      );
      assert.equal(n, 1);
      const wrong = await failureOf(db.execute(sql`insert into users values (1, 'cid')`));
      assert.ok(wrong instanceof DatabaseError);
      assert.deepEqual([wrong.sqlstate, wrong.constraint], ["23505", "users_pkey"]);
      const batch = db.batch([
        sql`insert into users values (3, 'cid')`,
        sql`insert into users values (3, 'dan')`,
      ]);
      assert.equal(((await failureOf(batch)) as DatabaseError).sqlstate, "23505");
      const [, rows] = await db.batch([
        sql`insert into users values (3, 'cid')`,
        sql`select id from users order by id`,
      ]);
      assert.deepEqual(rows, [{ id: 1 }, { id: 2 }, { id: 3 }]);
    }));

  test("has transactions, and savepoints that are undone alone", () =>
    bench.run(async (db) => {
      await db.execute(sql`create table t (n int primary key)`);
      const add = (n: number) => sql`insert into t values (${n})`;
      await db.transaction(async (tx) => {
        await tx.execute(add(1));
        await failureOf(
          tx.savepoint(async (sp) => {
            await sp.execute(add(2));
            await sp.execute(add(1));
          }),
        );
        await tx.execute(add(3));
      });
      const doomed = await failureOf(
        db.transaction(async (tx) => {
          await tx.execute(add(4));
          await failureOf(tx.execute(add(1)));
          await tx.execute(add(5));
        }),
      );
      const { cancelled } = await limitOnceWaiting((begins) =>
        db.transaction(async (tx) => {
          await tx.execute(add(6));
          begins();
          await asyncio.sleep(10);
        }),
      );
      assert.equal(cancelled, true);
      assert.ok(doomed instanceof TransactionDoomedError);
      assert.deepEqual(await db.query(sql`select n from t order by n`), [{ n: 1 }, { n: 3 }]);
    }));

  test("serves those who wait, one after the other, and names a deadlock", () =>
    bench.run(async (db) => {
      const answers = await asyncio.gather(
        [1, 2, 3].map((n) => () => db.one<{ n: number }>(sql`select ${n}::int as n`)),
      );
      assert.deepEqual(answers, [{ n: 1 }, { n: 2 }, { n: 3 }]);
      const error = await failureOf(db.transaction(() => db.query(sql`select 1`)));
      assert.ok(error instanceof asyncio.DeadlockError);
      assert.deepEqual(db.stats().holders, []);
    }));

  test("streams, locks, and brings a session back to what it was", () =>
    bench.run(async (db) => {
      const seen: number[] = [];
      for await (const { n } of db.stream<{ n: number }>(sql`select generate_series(1, 100) as n`, {
        batch: 7,
      })) {
        if (n === 20) break;
        seen.push(n);
      }
      assert.equal(seen.length, 19);
      await db.lock("migrate", (tx) => tx.execute(sql`create table log (line text)`));
      await db.session(async (session) => {
        await session.execute(sql`set application_name to 'changed'`);
        await session.execute(sql`create temporary table mine (n int)`);
      });
      const { name } = await db.one<{ name: string }>(
        sql`select current_setting('application_name') as name`,
      );
      assert.notEqual(name, "changed");
      assert.match((await failureOf(db.query(sql`select * from mine`))).message, /does not exist/);
    }));

  test("a statement that runs is not cancelled: its answer comes, and the cancellation after it", () =>
    bench.run(async (db) => {
      await db.execute(sql`create table filled (n int)`);
      let count = 0;
      await db.session(async (session) => {
        const scope = new asyncio.CancelScope();
        await scope.run(async () => {
          const filling = session.execute(sql`insert into filled select generate_series(1, 50000)`);
          scope.cancel();
          count = await filling;
          await asyncio.sleep(1);
          assert.fail("the cancellation was lost");
        });
      });
      assert.equal(count, 50_000);
      assert.deepEqual(await db.query(sql`select count(*)::int as n from filled`), [{ n: 50_000 }]);
    }));

  test("who is cancelled in line has sent nothing", () =>
    bench.run(async (db) => {
      await db.execute(sql`create table unsent (n int)`);
      await db.transaction(async () => {
        const { cancelled } = await limitOnceWaiting(() =>
          asyncio.createTask(() => db.execute(sql`insert into unsent values (1)`)),
        );
        assert.equal(cancelled, true);
      });
      assert.deepEqual(await db.query(sql`select n from unsent`), []);
    }));

  test("has one session, no LISTEN and no COPY", () =>
    bench.run(async (db) => {
      const second = await failureOf(connect(bench.pglite, { acquire: 1 }));
      assert.ok(second instanceof ConnectError);
      assert.equal(second.code, "ERR_DATABASE_TOO_MANY_CONNECTIONS");
      assert.match(second.message, /Close the other database first/);
      assert.throws(() => db.listen("jobs"), /`listen` is not there for pglite\. .*one session/);
      const copy = await failureOf(db.copyFrom(sql`copy t from stdin`, []));
      assert.match(copy.message, /`copyFrom` is not there for pglite\. .*sql\.values/);
      await assert.rejects(
        connect(undefined as never),
        /expects a PGlite, got undefined\. An example: connect\(await PGlite\.create\(\)\)/,
      );
      await assert.rejects(connect(bench.pglite, { max: 3 } as never), /no option `max`/);
    }));

  test("a COPY by any door is refused before it is sent: its end would be that of the PGlite", () =>
    bench.run(async (db) => {
      await db.execute(sql`create table copied (line text)`);
      const into = "copy copied from stdin";
      const doors: readonly (() => Promise<unknown>)[] = [
        ...[
          into,
          "COPY copied (line) FROM STDIN WITH (format csv)",
          "copy copied from /* the caller */ stdin",
          "-- lines\n copy copied from stdin",
          "copy copied from stdout",
          "copy copied to stdout",
          "copy copied from stdin with (delimiter E'\\t')",
        ].map((text) => () => db.query(sql.raw(text))),
        () => db.query(sql.raw(into), { prepare: false }),
        () => db.batch([sql`select 1`, sql.raw(into)]),
        () => db.transaction((tx) => tx.query(sql.raw(into))),
        () => new PgPool(db).query(into),
        () => new PgPool(db).query(`select 1; ${into}`),
      ];
      for (const door of doors) {
        const error = await failureOf(door());
        assert.match(error.message, /^a COPY is not there for pglite\. Write many rows by/);
        assert.equal((error as DatabaseError).sqlstate, "0A000");
      }
      const words = "copy copied from stdin";
      await db.execute(sql`insert into copied values (${words}), ('; copy a from stdin')`);
      assert.deepEqual(
        await db.query(sql`select line as "copy from stdin" from copied where line = ${words}`),
        [{ "copy from stdin": words }],
      );
    }));

  test("what a program has left open is undone for the next one", async () => {
    await bench.run(async (db) => {
      await db.execute(sql`create table left_open (n int)`);
      await db.execute(sql`/* a /* b */ */ begin`); // not known as one
    });
    await bench.pglite.exec("begin; insert into left_open values (1); set work_mem = '1MB'");
    await bench.run(async (db) => {
      assert.deepEqual(await db.query(sql`select n from left_open`), []);
    });
  });

  test("runs Kysely and Drizzle, and undoes a test", () =>
    bench.run(async (db) => {
      await db.execute(sql`create table items (n int primary key)`);
      const kysely = new Kysely<{ items: { n: number } }>({ dialect: dialect(db) });
      const items = pgTable("items", { n: integer("n") });
      const client = drizzle(new PgPool(db) as never);
      await kysely.transaction().execute((tx) => tx.insertInto("items").values({ n: 1 }).execute());
      await failureOf(
        client.transaction(async (tx) => {
          await tx.insert(items).values({ n: 2 });
          throw new Error("no");
        }),
      );
      await transactionPerTest(db, async (db) => {
        await db.execute(sql`insert into items values (3)`);
        assert.equal((await db.query(sql`select n from items`)).length, 2);
      });
      assert.deepEqual(await client.select().from(items), [{ n: 1 }]);
    }));
});

test("a PGlite that has ended is unreachable", () =>
  asyncio.run(async () => {
    const ended = { execProtocolRaw: () => Promise.reject(new Error("PGlite is closed")) };
    const error = await failureOf(connect(ended, { acquire: 5 }));
    assert.ok(error instanceof ConnectError);
    assert.equal(error.code, "ERR_DATABASE_UNREACHABLE");
    assert.match(error.message, /the PGlite has ended: PGlite is closed\. Make another one/);
  }));

test("a PGlite whose program has ended is not asked again, and each query says so", () =>
  asyncio.run(async () => {
    let asked = 0;
    const pglite = {
      execProtocolRaw: async (messages: Uint8Array) => {
        asked++;
        if (messages[0] === "P".charCodeAt(0)) throw { message: "exit(1)", status: 1 };
        return new Uint8Array();
      },
    };
    const db = await connect(pglite, { acquire: 5 });
    const lost = await failureOf(db.query(sql`select 1`));
    assert.match(lost.message, /lost: the PGlite has ended: exit\(1\)/);
    const before = asked;
    for (const work of [() => db.query(sql`select 1`), () => connect(pglite)]) {
      const error = await failureOf(work());
      assert.equal(error.code, "ERR_DATABASE_UNREACHABLE");
      assert.match(error.message, /the PGlite has ended: exit\(1\)\. Make another one/);
    }
    assert.equal(asked, before);
    await db.close();
  }));
