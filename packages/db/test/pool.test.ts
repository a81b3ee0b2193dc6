import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { sql } from "../src/index.ts";
import { PgPool } from "../src/pg.ts";
import { connect } from "../src/postgres.ts";
import { describeEveryWay, NearDeadlines, running } from "./postgres.ts";

/** A soak repeats more often. */
const ROUNDS = Number(process.env.ASYNCIO_DB_ROUNDS ?? 600);

const failureOf = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
  work.then(
    () => assert.fail("it has not failed"),
    (error: Error) => error,
  );

/** Whether both comments have to end depends on the engine, so it is not taken for a BEGIN. */
const UNSEEN_BEGIN = "/* a /* b */ */ begin";

describeEveryWay("a pool of connections", (bench) => {
  test("no more than `max` are open, and all are served", () =>
    bench.run(
      async (db, observer) => {
        const all = new asyncio.Barrier(3);
        await asyncio.taskGroup(async (group) => {
          for (let n = 0; n < 3; n++)
            group.createTask(() =>
              db.transaction(async (tx) => {
                await tx.query(sql`select 1`);
                await all.wait(); // three are open
              }),
            );
          for (let n = 0; n < 30; n++) group.createTask(() => db.query(sql`select pg_sleep(0.01)`));
        });
        const [row] = await observer(
          "select count(*)::int as n from pg_stat_activity where application_name = 'asyncio-ts-db'",
        );
        const found = row?.n as number;
        // A pooler opens as many as it needs.
        assert.ok(found > 0 && found <= 3 && (bench.needsSession.skip || found === 3));
        assert.equal(db.stats().open, 3);
      },
      { max: 3 },
    ));

  test("nobody who is cancelled in line loses a place for others", () =>
    bench.run(
      async (db) => {
        for (let round = 0; round < 20; round++)
          await asyncio.taskGroup(async (group) => {
            group.createTask(() => db.query(sql`select pg_sleep(0.02)`));
            for (let n = 0; n < 5; n++)
              group.createTask(() => asyncio.moveOnAfter(0.005, () => db.query(sql`select 1`)));
          });
        assert.deepEqual(await db.query(sql`select 1 as one`), [{ one: 1 }]);
        assert.deepEqual(db.stats().holders, []);
      },
      { max: 1 },
    ));

  test("transactions that each ask the pool for one more get a DeadlockError at once", () =>
    bench.run(
      async (db) => {
        const greedy = () =>
          db.transaction(async (tx) => {
            await tx.query(sql`select pg_sleep(0.05)`);
            return await db.query(sql`select 1 as one`);
          });
        const first = asyncio.createTask(greedy, { name: "ann" });
        const second = asyncio.createTask(greedy, { name: "bob" });
        const startedAt = performance.now();
        const outcomes = await asyncio.gather([first, second], { returnExceptions: true });
        const errors = outcomes.filter((outcome) => outcome instanceof asyncio.DeadlockError);
        assert.equal(errors.length, 1);
        assert.match(String(errors[0]), /ann/);
        assert.match(String(errors[0]), /bob/);
        assert.ok(performance.now() - startedAt < 5000);
      },
      { max: 2 },
    ));

  test("a connection that was lost while idle is replaced", () =>
    bench.run(
      async (db, observer) => {
        const [first] = await db.query<{ pid: number }>(sql`select pg_backend_pid() as pid`);
        await observer(`select pg_terminate_backend(${first?.pid}, 60000)`); // until it has ended
        await asyncio.sleep(0.05);
        const [second] = await db.query<{ pid: number }>(sql`select pg_backend_pid() as pid`);
        assert.notEqual(second?.pid, first?.pid);
      },
      { max: 1 },
    ));

  test("a BEGIN or COMMIT by hand is refused, which the next query would know nothing of", () =>
    bench.run(async (db) => {
      for (const text of ["begin", "COMMIT; -- done", "rollback"])
        await assert.rejects(
          db.execute(sql.raw(text)),
          /cannot begin or end a transaction.*Use `db\.transaction`, or `db\.session`/,
        );
      assert.throws(() => db.stream(sql`commit`), /"commit" cannot begin or end a transaction/);
      await assert.rejects(new PgPool(db).query("begin"), /Use a client of `pool\.connect\(\)`/);
      await db.session(async (session) => {
        for (const text of ["begin", "select 1", "commit"]) await session.execute(sql.raw(text));
      });
    }));

  test("a batch takes no BEGIN and no COMMIT, and sends nothing then", () =>
    bench.run(async (db) => {
      await db.execute(sql`create table whole (n int)`);
      for (const text of ["begin", "commit", "rollback", "prepare transaction 'x'", "savepoint a"])
        await assert.rejects(
          db.batch([sql`insert into whole values (1)`, sql.raw(text), sql`select 1`]),
          /cannot begin or end a transaction: a batch is a transaction already.*Leave it out/,
        );
      assert.deepEqual(await db.query(sql`select n from whole`), []);
      const rows = await db.session((session) =>
        session.batch([sql`begin`, sql`insert into whole values (2) returning n`, sql`commit`]),
      );
      assert.deepEqual(rows, [[], [{ n: 2 }], []]);
    }));

  test("a BEGIN by hand does not reach the next borrower", () =>
    bench.run(
      async (db) => {
        const first = await bench.connectionOf(db);
        await db.execute(sql.raw(UNSEEN_BEGIN));
        assert.notDeepEqual(await bench.connectionOf(db), first); // it was cut off
      },
      { max: 1 },
    ));

  test("a session is one connection, and is given back as it was", bench.needsSession, () =>
    bench.run(
      async (db) => {
        const pids = await db.session(async (session) => {
          await session.execute(sql`set application_name to 'changed'`);
          await session.execute(sql`create temporary table mine (n int)`);
          await session.transaction((tx) => tx.execute(sql`insert into mine values (1)`));
          const rows = await session.query(sql`select n from mine`);
          assert.deepEqual(rows, [{ n: 1 }]);
          return await session.one<{ pid: number }>(sql`select pg_backend_pid() as pid`);
        });
        const after = await db.one<{ pid: number; name: string }>(
          sql`select pg_backend_pid() as pid, current_setting('application_name') as name`,
        );
        const temporary = await failureOf(db.query(sql`select * from mine`));
        assert.deepEqual(after, { pid: pids.pid, name: "asyncio-ts-db" });
        assert.match(temporary.message, /does not exist/);
      },
      { max: 1 },
    ),
  );

  test("`lock` lets one after the other in", () =>
    bench.run(
      async (db) => {
        let inside = 0;
        let most = 0;
        await asyncio.taskGroup(async (group) => {
          for (let n = 0; n < 5; n++)
            group.createTask(() =>
              db.lock("migrate", async () => {
                most = Math.max(most, ++inside);
                await asyncio.sleep(0.01);
                inside--;
              }),
            );
        });
        const { cancelled } = await asyncio.moveOnAfter(0.1, () =>
          db.lock("a", () => db.lock("a", async () => {})),
        );
        assert.deepEqual([most, cancelled], [1, true]);
      },
      { max: 5 },
    ));

  test("`check` answers, or is over in time", () =>
    bench.run(async (db) => {
      await db.check(5);
      const error = await failureOf(db.check(Number.NaN));
      assert.match(error.message, /`seconds` in seconds, 0 or more/);
    }));

  test("`close` waits for those at work", () =>
    bench.run(async (db) => {
      const work = asyncio.createTask(() => db.query(sql`select pg_sleep(0.1), 1 as one`));
      await asyncio.sleep(0.03);
      await db.close();
      assert.equal((await work).length, 1);
      const late = await failureOf(db.query(sql`select 1`));
      assert.ok(late instanceof asyncio.InvalidStateError);
    }));

  test("`close` with a drain cancels what is left, on the server too", () =>
    bench.run(async (db, observer) => {
      const work = asyncio.createTask(() => failureOf(db.query(sql`select pg_sleep(20)`)));
      await asyncio.sleep(0.03);
      await db.close({ drain: 0.05 });
      assert.ok((await work) instanceof asyncio.InvalidStateError);
      assert.deepEqual(await running(observer), []);
    }));

  test("who waits for a connection when the database is closed is told so", () =>
    bench.run(
      async (_db) => {
        const db = await connect(bench.url(), { ...bench.options, max: 1, name: "main" });
        const first = asyncio.createTask(() => db.query(sql`select pg_sleep(0.1)`));
        const refused = [
          () => db.query(sql`select 1`),
          () => db.transaction((tx) => tx.query(sql`select 1`)),
        ].map((work) =>
          asyncio.createTask(() => assert.rejects(work(), /database "main" is closed/)),
        );
        await asyncio.sleep(0);
        await db.close();
        await asyncio.gather([first, ...refused]);
      },
      { max: 1 },
    ));

  test("a pool that is left open is closed by the run", bench.needsSession, async () => {
    await asyncio.run(async () => {
      const db = await connect(bench.url(), bench.options);
      await db.check(5);
    });
    await asyncio.run(async () => {
      await using db = await connect(bench.server.url(), { name: "observer" });
      for (;;) {
        const row = await db.one<{ n: number }>(
          sql`select count(*)::int as n from pg_stat_activity where application_name = 'asyncio-ts-db' and pid <> pg_backend_pid()`,
        );
        if (row.n === 0) return;
        await asyncio.sleep(0.02);
      }
    });
  });

  test(
    "a cancel that comes as the query ends hits nobody else's",
    { timeout: 100_000 + 100 * ROUNDS },
    () =>
      bench.run(
        async (db) => {
          const innocent: unknown[] = [];
          const deadlines = new NearDeadlines();
          let cancelled = 0;
          await asyncio.taskGroup(async (group) => {
            for (let lane = 0; lane < 4; lane++)
              group.createTask(async () => {
                for (let n = lane; n < ROUNDS; n += 4) {
                  const query = () => db.query(sql`select pg_sleep(0.002)`);
                  const moved = await asyncio.moveOnAfter(deadlines.next(), query);
                  if (moved.cancelled) cancelled++;
                  await deadlines.take(query).catch((error) => innocent.push(error));
                }
              });
          });
          assert.deepEqual(innocent, []);
          assert.ok(cancelled > 0 && cancelled < ROUNDS, String(cancelled));
        },
        { max: 4 },
      ),
  );
});
