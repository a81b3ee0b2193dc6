import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { DatabaseError, NoRowError, RowError, sql, TooManyRowsError } from "../src/index.ts";
import { limitOnceWaiting } from "./limit-once-waiting.ts";
import { describeEveryWay, running } from "./postgres.ts";

const failureOf = (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => assert.fail("it has not failed"),
    (error: Error) => error,
  );

describeEveryWay("queries", (bench) => {
  test("values go apart from the text", () =>
    bench.run(async (db) => {
      const name = "Robert'); drop table students;--";
      const [row] = await db.query(sql`select ${name}::text as name, ${[1, 2]}::int[] as list`);
      assert.deepEqual(row, { name, list: [1, 2] });
    }));

  test("`one` wants exactly one row, `execute` counts", () =>
    bench.run(async (db) => {
      const none = await failureOf(db.one(sql`select 1 where false`, { name: "nobody" }));
      const two = await failureOf(db.one(sql`select generate_series(1, 2)`));
      const one = await db.one<{ n: number }>(sql`select 7 as n`);
      const count = await db.execute(sql`select generate_series(1, 5)`);
      assert.ok(none instanceof NoRowError && two instanceof TooManyRowsError);
      assert.match(none.message, /"nobody"/);
      assert.deepEqual([one, count], [{ n: 7 }, 5]);
    }));

  test("a schema checks each row", () =>
    bench.run(async (db) => {
      const row = {
        "~standard": {
          version: 1,
          vendor: "test",
          validate: (value: unknown) =>
            (value as { n: unknown }).n === 1
              ? { value: "one" }
              : { issues: [{ message: "not 1" }] },
        },
      } as const;
      assert.deepEqual(await db.query(sql`select 1 as n`, { row }), ["one"]);
      const error = await failureOf(db.query(sql`select 2 as n`, { row }));
      assert.ok(error instanceof RowError);
      assert.match(error.message, /not 1 \(\{ n: 2 \}\)/);
    }));

  test("a deadline ends the query on the server, and its connection is used again", () =>
    bench.run(
      async (db, observer) => {
        const first = await bench.connectionOf(db);
        const error = await failureOf(
          asyncio.timeout(0.1, () => db.query(sql`select pg_sleep(10)`)),
        );
        const left = await running(observer);
        const second = await bench.connectionOf(db);
        assert.ok(error instanceof asyncio.TimeoutError);
        assert.deepEqual([left, second], [[], first]);
      },
      { max: 1 }, // of several the next query takes another one, until the cancel has been answered
    ));

  test("a failing sibling ends the other query", () =>
    bench.run(async (db, observer) => {
      const startedAt = performance.now();
      const error = await failureOf(
        asyncio.taskGroup(async (group) => {
          group.createTask(() => db.query(sql`select pg_sleep(10)`));
          group.createTask(() => db.query(sql`select 1 / 0`));
        }),
      );
      assert.ok(error instanceof asyncio.ExceptionGroup);
      const [cause] = error.errors;
      assert.ok(cause instanceof DatabaseError && cause.sqlstate === "22012");
      assert.deepEqual(await running(observer), []);
      assert.ok(performance.now() - startedAt < 5000);
    }));

  test("a batch is one round trip, and all or nothing", () =>
    bench.run(async (db) => {
      await db.execute(sql`create table batch (n int primary key)`);
      const rows = await db.batch([sql`insert into batch values (1)`, sql`select * from batch`]);
      const error = await failureOf(
        db.batch([sql`insert into batch values (2)`, sql`insert into batch values (1)`]),
      );
      assert.deepEqual(rows, [[], [{ n: 1 }]]);
      assert.ok(error instanceof DatabaseError && error.sqlstate === "23505");
      assert.deepEqual(await db.batch([]), []);
      assert.deepEqual(await db.query(sql`select n from batch`), [{ n: 1 }]);
    }));

  test("a batch with a value that cannot be sent does nothing at all", () =>
    bench.run(async (db) => {
      await db.execute(sql`create table unsent (n int)`);
      const error = await failureOf(
        db.batch([
          sql`insert into unsent values (1)`,
          sql`insert into unsent values (${undefined})`,
        ]),
      );
      assert.equal((error as { code?: string }).code, "ERR_DATABASE_VALUE");
      assert.deepEqual(await db.query(sql`select n from unsent`), []);
    }));

  test(
    "plans are kept by template, and made anew when the server has lost or outgrown them",
    bench.needsSession,
    () =>
      bench.run(
        async (db) => {
          await db.execute(sql`create table plans (a int)`);
          await db.execute(sql`insert into plans values (1)`);
          const read = () => db.query(sql`select * from plans`);
          const kept = () => db.query(sql`select count(*)::int as n from pg_prepared_statements`);
          await read();
          await read();
          const [first] = await kept();
          await db.execute(sql`deallocate all`, { prepare: false });
          const healed = await read();
          await db.execute(sql`alter table plans add column b int default 2`);
          const grown = await read();
          assert.deepEqual(first, { n: 4 }); // create, insert, select, and the one that counts
          assert.deepEqual([healed, grown], [[{ a: 1 }], [{ a: 1, b: 2 }]]);
        },
        { max: 1 },
      ),
  );

  for (const [what, calls] of [
    ["before", [0, 1]],
    ["behind", [1, 0]],
    ["between two of", [1, 0, 1]],
  ] as const)
    test(
      `what is kept is known, with a \`deallocate all\` ${what} it in one batch`,
      bench.needsSession,
      () =>
        bench.run(
          async (db) => {
            const ask = () => sql`select ${7}::int as n`;
            const queries = calls.map((call) => (call === 0 ? sql`deallocate all` : ask()));
            for (let round = 0; round < 2; round++) {
              const answers = await db.batch(queries);
              assert.deepEqual(answers.at(calls.lastIndexOf(1)), [{ n: 7 }]);
              const row = await db.transaction((tx) => tx.one(ask())); // where no plan is made anew
              assert.deepEqual(row, { n: 7 });
            }
          },
          { max: 1 },
        ),
    );

  test(
    "inside a transaction a plan that is gone is an error, and nothing is repeated",
    bench.needsSession,
    () =>
      bench.run(
        async (db) => {
          const read = (to: { query: typeof db.query }) => to.query(sql`select 1 as one`);
          await read(db);
          const error = await failureOf(
            db.transaction(async (tx) => {
              await tx.execute(sql`do $$ begin execute 'deallocate all'; end $$`);
              await read(tx);
            }),
          );
          assert.ok(error instanceof DatabaseError && error.sqlstate === "26000");
          assert.deepEqual(await read(db), [{ one: 1 }]);
        },
        { max: 1 },
      ),
  );

  test(
    "so is the plan of BEGIN, which is kept where that of the query behind it is",
    bench.needsSession,
    () =>
      bench.run(
        async (db) => {
          const ids = () =>
            db.transaction(async (tx) => {
              const id = () => tx.one<{ id: string }>(sql`select txid_current()::text as id`);
              return [await id(), await id()];
            });
          const kept = sql`select statement from pg_prepared_statements where statement ~ '^begin'`;
          await ids();
          assert.deepEqual(await db.query(kept), [{ statement: "begin" }]);
          await db.execute(sql`do $$ begin execute 'deallocate all'; end $$`);

          const [first, second] = await ids();
          assert.deepEqual(first, second); // in one transaction
          await db.transaction((tx) => tx.query(sql`select 1`), { isolation: "serializable" });
          assert.equal((await db.query(kept)).length, 2);
        },
        { max: 1 },
      ),
  );

  test("more plans than are kept: the ones used least lately go", () =>
    bench.run(
      async (db) => {
        for (let n = 0; n < 150; n++)
          await db.query(sql.raw(`select ${n} as n`), { prepare: true });
        const [row] = await db.query<{ n: number }>(
          sql`select count(*)::int as n from pg_prepared_statements`,
        );
        assert.ok((row?.n ?? 0) <= 100, String(row?.n));
      },
      { max: 1 },
    ));

  test("who listens hears of each query, with its task and its end", async () => {
    const heard: string[] = [];
    await bench.run(
      async (db) => {
        const task = asyncio.createTask(
          () => db.query(sql`select generate_series(1, 3)`, { name: "three" }),
          { name: "counter" },
        );
        await task;
        await failureOf(db.query(sql`select 1 / 0`, { name: "wrong" }));
        await limitOnceWaiting(() => db.query(sql`select pg_sleep(9)`, { name: "slow" }));
      },
      {
        name: "main",
        onQuery: ({ database, name, rows, task, outcome }) => {
          heard.push(`${database} ${name} ${rows} ${task} ${outcome}`);
        },
      },
    );
    assert.deepEqual(
      heard.map((line) => line.replace(/Task-\d+/, "main")),
      ["main three 3 counter ok", "main wrong 0 main failed", "main slow 0 main cancelled"],
    );
  });

  test("a string is no query, and an option is not guessed", () =>
    bench.run(async (db) => {
      const text = await failureOf(db.query("select 1" as never));
      const option = await failureOf(db.query(sql`select 1`, { nmae: "x" } as never));
      assert.match(text.message, /Write it as sql`...`/);
      assert.match(option.message, /no option `nmae`/);
    }));
});
