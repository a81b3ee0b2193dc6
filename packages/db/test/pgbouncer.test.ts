import assert from "node:assert/strict";
import { createConnection, createServer, type Socket } from "node:net";
import { after, before, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { sql } from "../src/index.ts";
import { connect } from "../src/postgres.ts";
import { lacksPgBouncer, type PgBouncer, startPgBouncer } from "./pgbouncer.ts";
import { describePostgres, NearDeadlines, running } from "./postgres.ts";

/** What stands between a pooler and its server. */
interface Relay extends AsyncDisposable {
  readonly port: number;
  /** True: who connects gets no answer. */
  isDeaf: boolean;
  /** Ends the connections of those who got none. */
  hangUp(): void;
}

async function startRelay(to: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  const deaf = new Set<Socket>();
  const server = createServer((socket) => {
    const ends = relay.isDeaf ? [socket] : [socket, createConnection({ port: to })];
    if (relay.isDeaf) deaf.add(socket);
    for (const [index, one] of ends.entries()) {
      const other = ends[1 - index];
      sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => other?.destroy());
      if (other === undefined) one.resume();
      else one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const relay: Relay = {
    port: (server.address() as { port: number }).port, // it listens on one
    isDeaf: false,
    hangUp() {
      for (const socket of deaf) socket.destroy();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return relay;
}

/** A soak repeats more often. */
const ROUNDS = Number(process.env.ASYNCIO_DB_ROUNDS ?? 300);

describePostgres(
  "through PgBouncer in transaction mode",
  (bench) => {
    let pooler: PgBouncer | undefined;
    const url = () => (pooler as PgBouncer).url; // it runs while the tests do
    before(async () => {
      pooler = await startPgBouncer(bench.server.port, 2);
    });
    after(() => pooler?.stop());

    test(
      "a cancel that comes as the query ends hits nobody else's",
      { timeout: 100_000 + 100 * ROUNDS },
      () =>
        bench.run(
          async (db, observer) => {
            const innocent: unknown[] = [];
            const deadlines = new NearDeadlines();
            let cancelled = 0;
            await asyncio.taskGroup(async (group) => {
              for (let lane = 0; lane < 4; lane++)
                group.createTask(async () => {
                  for (let n = lane; n < ROUNDS; n += 4) {
                    const query = () => db.query(sql`select pg_sleep(0.003)`);
                    const moved = await asyncio.moveOnAfter(deadlines.next(), query);
                    if (moved.cancelled) cancelled++;
                    await deadlines.take(query).catch((error) => innocent.push(error));
                  }
                });
            });
            assert.deepEqual([innocent, await running(observer)], [[], []]);
            assert.ok(cancelled > 0 && cancelled < ROUNDS, String(cancelled));
          },
          { url: url(), max: 4, prepare: false },
        ),
    );

    test("told is what is found; transactions and streams are whole", () =>
      bench.run(
        async (db) => {
          await db.execute(sql`create table if not exists t (n int primary key)`);
          const wrong: number[] = [];
          for (let n = 0; n < 100; n++) {
            const told = await asyncio
              .timeout(0.001 + 0.012 * ((n * 0.618) % 1), () =>
                db.transaction(async (tx) => {
                  await tx.execute(sql`insert into t values (${n})`);
                  await tx.query(sql`select pg_sleep(0.002)`);
                }),
              )
              .then(
                () => true,
                () => false,
              );
            const found = await db.query(sql`select 1 from t where n = ${n}`);
            if ((found.length === 1) !== told) wrong.push(n);
          }
          let sum = 0;
          for await (const { n } of db.stream<{ n: number }>(
            sql`select generate_series(1, 100) as n`,
            {
              batch: 7,
            },
          ))
            sum += n;
          assert.deepEqual([wrong, sum], [[], 5050]);
        },
        { url: url(), prepare: false },
      ));

    test("a cancel that is given up while the pooler brings it ends no other client", async () => {
      await using relay = await startRelay(bench.server.port);
      const own = await startPgBouncer(relay.port, 4);
      const run = bench.run(
        async (db) => {
          const pid = (tx: Pick<typeof db, "one">) => tx.one(sql`select pg_backend_pid() as pid`);
          await db.check(5);
          relay.isDeaf = true; // the cancel gets as far as here
          const { cancelled } = await asyncio.moveOnAfter(0.1, () =>
            db.query(sql`select pg_sleep(20)`),
          );
          relay.isDeaf = false;
          assert.ok(cancelled);
          await db.transaction(async (tx) => {
            const first = await pid(tx);
            relay.hangUp();
            await db.check(5); // behind the end of that in the pooler
            assert.deepEqual(await pid(tx), first);
          });
        },
        { url: own.url, max: 2, grace: 0.3, prepare: false },
      );
      await run.finally(() => own.stop());
    });

    test("a reset leaves the program its name", () => {
      const named = new URL(url());
      named.searchParams.set("application_name", "it's \\mine");
      return bench.run(
        async (db) => {
          const name = () =>
            db.one<{ name: string }>(sql`select current_setting('application_name') as name`);
          for (const change of ["set work_mem = '5MB'", "set application_name = 'lent'"])
            for (let time = 0; time < 2; time++) {
              await db.execute(sql.raw(change));
              assert.deepEqual(await name(), { name: "it's \\mine" }, change);
            }
          assert.deepEqual(await pooler?.clients("application_name"), ["it's \\mine"]);
        },
        { url: named.href, max: 1, prepare: false },
      );
    });

    test("a reset leaves a session its encoding where the database has another one", () =>
      bench.run(async (db) => {
        await db.execute(
          sql`create database latin encoding 'LATIN1' locale 'C' template template0`,
        );
        const latin = new URL(url());
        latin.pathname = "/latin";
        const resets: string[] = [];
        await using other = await connect(latin.href, {
          max: 1,
          prepare: false,
          onQuery: ({ name, outcome }) => void (name === "reset" && resets.push(outcome)),
        });
        for (let time = 0; time < 2; time++) {
          await other.execute(sql`set work_mem = '5MB'`);
          assert.deepEqual(
            await other.one(sql`select current_setting('client_encoding') as e, ${"é"}::text as t`),
            { e: "UTF8", t: "é" },
          );
        }
        await other.session((session) => session.execute(sql`set work_mem = '5MB'`));
        assert.deepEqual(await other.one(sql`select ${"é"}::text as t`), { t: "é" });
        assert.deepEqual(resets, ["ok", "ok", "ok"]);
      }));

    test("settings in the URL, which it does not take, are told with their cure", () =>
      bench.run(async () => {
        const set = new URL(url());
        set.searchParams.set("options", "-c search_path=app");
        await assert.rejects(
          connect(set.href),
          /unsupported startup parameter: options\. .*Leave `options` out.*`alter role \.\.\. set`/,
        );
      }));

    test("plans that the pooler's other server does not have are made anew", () =>
      bench.run(
        async (db) => {
          const rows = await asyncio.gather(
            Array.from(
              { length: 40 },
              (_, n) => () => db.query(sql`select ${n}::int as n, pg_sleep(0.002)`),
            ),
          );
          assert.equal(rows.length, 40);
        },
        { url: url(), max: 4 },
      ));
  },
  { skip: lacksPgBouncer },
);
