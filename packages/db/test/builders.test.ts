import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { sql as drizzleSql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable, timestamp } from "drizzle-orm/pg-core";
import { Kysely, sql as kyselySql } from "kysely";
import { Migrator } from "kysely/migration";
import { type Database, sql } from "../src/index.ts";
import { dialect } from "../src/kysely.ts";
import { PgPool } from "../src/pg.ts";
import { limitOnceWaiting } from "./limit-once-waiting.ts";
import { describeEveryWay, type Observer, running } from "./postgres.ts";

const failureOf = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
  work.then(
    () => assert.fail("it has not failed"),
    (error: Error) => error,
  );

/** The error of this package that a builder has wrapped. */
const causesOf = (error: unknown): unknown[] =>
  error instanceof Error ? [error, ...causesOf(error.cause)] : [];

interface Handle {
  insert(n: number): Promise<unknown>;
  sleep(seconds: number): Promise<unknown>;
  ids(): Promise<number[]>;
}
interface Builder extends Handle {
  transaction<T>(body: (tx: Handle) => Promise<T>): Promise<T>;
}

const items = pgTable("items", { n: integer("n").primaryKey(), at: timestamp("at") });

function withDrizzle(db: Database): Builder {
  type Client = Pick<ReturnType<typeof drizzle>, "insert" | "execute" | "select">;
  const handle = (client: Client): Handle => ({
    insert: async (n) => await client.insert(items).values({ n }),
    sleep: async (seconds) => await client.execute(drizzleSql`select pg_sleep(${seconds})`),
    ids: async () =>
      (await client.select({ n: items.n }).from(items).orderBy(items.n)).map(({ n }) => n),
  });
  const client = drizzle(new PgPool(db) as never);
  return {
    ...handle(client),
    transaction: (body) => client.transaction((tx) => body(handle(tx as unknown as Client))),
  };
}

function withKysely(db: Database): Builder {
  type Client = Pick<Kysely<{ items: { n: number } }>, "insertInto" | "selectFrom" | "getExecutor">;
  const handle = (client: Client): Handle => ({
    insert: (n) => client.insertInto("items").values({ n }).execute(),
    sleep: (seconds) => kyselySql`select pg_sleep(${seconds})`.execute(client as never),
    ids: async () =>
      (await client.selectFrom("items").select("n").orderBy("n").execute()).map(({ n }) => n),
  });
  const client = new Kysely<{ items: { n: number } }>({ dialect: dialect(db) });
  return {
    ...handle(client),
    transaction: (body) => client.transaction().execute((tx) => body(handle(tx))),
  };
}

for (const [name, make] of [
  ["Drizzle", withDrizzle],
  ["Kysely", withKysely],
] as const)
  describeEveryWay(`${name} on a database of ours`, (bench) => {
    const run = (
      body: (builder: Builder, db: Database, observer: Observer) => Promise<void>,
      options = {},
    ): Promise<void> =>
      bench.run(
        async (db, observer) => {
          await db.execute(sql`drop table if exists items`);
          await db.execute(sql`create table items (n int primary key, at timestamp)`);
          await body(make(db), db, observer);
        },
        { max: 1, ...options },
      );

    test("reads, writes, commits, rolls back", () =>
      run(async (builder) => {
        await builder.insert(1);
        await builder.transaction(async (tx) => {
          await tx.insert(2);
        });
        await failureOf(
          builder.transaction(async (tx) => {
            await tx.insert(3);
            throw new Error("no");
          }),
        );
        assert.deepEqual(await builder.ids(), [1, 2]);
      }));

    test("a deadline ends the query, and its connection is used again", () =>
      run(async (builder, db, observer) => {
        const first = await bench.connectionOf(db);
        const error = await failureOf(asyncio.timeout(0.1, () => builder.sleep(20)));
        assert.ok(error instanceof asyncio.TimeoutError);
        assert.deepEqual(await running(observer), []);
        assert.deepEqual(await bench.connectionOf(db), first);
      }));

    test("a deadline in a transaction, BEGIN included, leaves the pool whole", () =>
      run(async (builder, db, observer) => {
        for (let n = 0; n < 30; n++) {
          const error = await failureOf(
            asyncio.timeout(0.0005 * (n % 10), () =>
              builder.transaction(async (tx) => {
                await tx.insert(n);
                await tx.sleep(20);
              }),
            ),
          );
          assert.ok(error instanceof asyncio.TimeoutError, String(error));
        }
        assert.deepEqual(await running(observer), []);
        assert.deepEqual(await builder.ids(), []);
        assert.deepEqual(db.stats().holders, []);
        const open = await observer(
          "select 1 from pg_stat_activity where state like 'idle in transaction%'",
        );
        assert.deepEqual(open, []);
      }));

    test("told is what is found, whenever the deadline strikes", () =>
      run(async (builder) => {
        const wrong: number[] = [];
        for (let n = 0; n < 120; n++) {
          const told = await asyncio
            .timeout(0.001 + 0.012 * ((n * 0.618) % 1), () =>
              builder.transaction(async (tx) => {
                await tx.insert(n);
                await tx.sleep(0.002);
              }),
            )
            .then(
              () => true,
              () => false,
            );
          if ((await builder.ids()).includes(n) !== told) wrong.push(n);
        }
        assert.deepEqual(wrong, []);
      }));

    test("siblings in a body: one fails, the others are ended, nothing runs after ROLLBACK", () =>
      run(async (builder, _db, observer) => {
        const late: unknown[] = [];
        await failureOf(
          builder.transaction(async (tx) => {
            await Promise.all([
              tx.sleep(20),
              tx.insert(1),
              (async () => {
                await asyncio.sleep(0.1);
                await tx.insert(2).catch((error) => late.push(error));
              })(),
              asyncio.sleep(0.05).then(() => {
                throw new Error("sibling");
              }),
            ]);
          }),
        );
        await asyncio.sleep(0.1);
        assert.deepEqual(await running(observer), []);
        assert.deepEqual(await builder.ids(), []);
      }));

    for (const [what, goesOn] of [
      ["goes on", true],
      ["returns", false],
    ] as const)
      test(`a body that catches its cancellation and ${what} is rolled back, and told so`, () =>
        run(async (builder, db) => {
          const error = await failureOf(
            builder.transaction(async (tx) => {
              await tx.insert(1);
              await limitOnceWaiting(() => tx.sleep(20)).catch(() => {});
              if (goesOn) await tx.insert(2);
            }),
          );
          const codes = causesOf(error).map((cause) => (cause as { code?: string }).code);
          assert.ok(codes.includes("ERR_DATABASE_TRANSACTION_DOOMED"), String(codes));
          assert.deepEqual([await builder.ids(), db.stats().holders], [[], []]);
        }));

    test("a connection that is killed while the body sleeps fails the transaction, and nothing else", () =>
      run(async (builder, db, observer) => {
        const error = await failureOf(
          builder.transaction(async (tx) => {
            await tx.insert(1);
            await observer(
              "select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction'",
            );
            await asyncio.sleep(0.05);
            await tx.insert(2);
          }),
        );
        const codes = causesOf(error).map((cause) => (cause as { code?: string }).code);
        assert.ok(codes.includes("ERR_DATABASE_CONNECTION_LOST"), String(codes));
        assert.deepEqual(await builder.ids(), []);
        assert.deepEqual(db.stats().holders, []);
      }));
  });

describeEveryWay("Kysely's own tools", (bench) => {
  test("a signal reaches the server in a transaction, too", () =>
    bench.run(
      async (db, observer) => {
        const kysely = new Kysely<Record<string, never>>({ dialect: dialect(db) });
        const controller = new AbortController();
        setTimeout(() => controller.abort(new Error("enough")), 100);
        const error = await failureOf(
          kysely.transaction().execute(async (tx) => {
            await tx.executeQuery(kyselySql`select pg_sleep(20)`.compile(tx), {
              signal: controller.signal,
            });
          }),
        );
        assert.match(causesOf(error).join(), /enough/);
        await asyncio.sleep(0.2); // Kysely itself does not wait
        assert.deepEqual(await running(observer), []);
        await db.check(5);
      },
      { max: 1 },
    ));

  test("streams; a loop that is left closes the cursor", () =>
    bench.run(
      async (db) => {
        const kysely = new Kysely<{ numbers: { n: number } }>({ dialect: dialect(db) });
        await db.execute(sql`create table numbers as select generate_series(1, 1000) as n`);
        const seen: number[] = [];
        for await (const { n } of kysely
          .selectFrom("numbers")
          .select("n")
          .orderBy("n")
          .stream(10)) {
          seen.push(n);
          if (n === 25) break;
        }
        assert.deepEqual([seen.length, db.stats().holders], [25, []]);
      },
      { max: 1 },
    ));

  test("migrations run once, also from several processes", () =>
    bench.run(async (db) => {
      const ran: string[] = [];
      const migrate = async (): Promise<void> => {
        const kysely = new Kysely<Record<string, never>>({ dialect: dialect(db) });
        const migrator = new Migrator({
          db: kysely,
          provider: {
            getMigrations: async () => ({
              "001": {
                up: async (tx) => {
                  ran.push("001");
                  await tx.schema.createTable("made").addColumn("n", "integer").execute();
                },
              },
            }),
          },
        });
        const { error } = await migrator.migrateToLatest();
        if (error !== undefined) throw error;
      };
      await asyncio.taskGroup(async (group) => {
        for (let n = 0; n < 3; n++) group.createTask(() => db.lock("migrations", migrate));
      });
      assert.deepEqual(ran, ["001"]);
    }));
});
