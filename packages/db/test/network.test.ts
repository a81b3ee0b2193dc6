import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { ConnectError, ConnectionLostError, sql } from "../src/index.ts";
import { connect } from "../src/postgres.ts";
import { startProxy, type TcpProxy } from "../src/testing.ts";
import { makeCertificate } from "./certificate.ts";
import { startPgBouncer } from "./pgbouncer.ts";
import { describePostgres, running, WAYS } from "./postgres.ts";

const failureOf = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
  work.then(
    () => assert.fail("it has not failed"),
    (error: Error) => error,
  );

describePostgres(
  "a network that fails",
  (bench) => {
    const through = async (
      options: Parameters<typeof bench.run>[1],
      body: (
        proxy: TcpProxy,
        ...args: Parameters<Parameters<typeof bench.run>[0]>
      ) => Promise<void>,
    ): Promise<void> => {
      const { port } = bench.server;
      // A pooler that is hung up on while it brings a cancel may end the connections of the next test.
      const pooler = bench.needsSession.skip === false ? undefined : await startPgBouncer(port, 20);
      await using proxy = await startProxy(pooler === undefined ? port : pooler.port);
      const url = bench.url(proxy.port);
      const run = bench.run((db, observer) => body(proxy, db, observer), { url, ...options });
      await run.finally(() => pooler?.stop());
    };

    test("a cancel request that is refused: `grace`, then the connection is replaced", () =>
      // A connection that stands by would have been accepted before, if the first query is slow.
      through({ max: 1, grace: 0.3, standby: false }, async (proxy, db) => {
        const [first] = await db.query(sql`select pg_backend_pid() as pid`);
        proxy.refuses = true;
        const startedAt = performance.now();
        const error = await failureOf(
          asyncio.timeout(0.1, () => db.query(sql`select pg_sleep(20)`)),
        );
        const seconds = (performance.now() - startedAt) / 1000;
        proxy.refuses = false;
        const [second] = await db.query(sql`select pg_backend_pid() as pid`);
        assert.ok(error instanceof asyncio.TimeoutError);
        assert.ok((error.cause as Error).cause instanceof ConnectionLostError);
        assert.ok(seconds >= 0.4 && seconds < 15, String(seconds));
        assert.notDeepEqual(second, first);
      }));

    test("a cancel request that stalls: the same", () =>
      through({ max: 1, grace: 0.3, standby: false }, async (proxy, db) => {
        await db.check(5);
        proxy.isSilent = true;
        const error = await failureOf(
          asyncio.timeout(0.1, () => db.query(sql`select pg_sleep(20)`)),
        );
        proxy.isSilent = false;
        assert.ok(error instanceof asyncio.TimeoutError);
        assert.match(String((error.cause as Error).cause), /within 0.3 s after it was cancelled/);
        await db.check(5);
      }));

    test("a connection that is half open ends by deadline and grace; its place is free again", () =>
      through({ max: 1, grace: 0.3 }, async (proxy, db) => {
        await db.check(5);
        proxy.stall();
        const startedAt = performance.now();
        const error = await failureOf(asyncio.timeout(0.2, () => db.query(sql`select 1`)));
        assert.ok(error instanceof asyncio.TimeoutError);
        assert.ok(performance.now() - startedAt < 5000);
        await db.check(5);
        assert.deepEqual(db.stats().holders, []);
      }));

    test("a deadline in a transaction on a half-open connection, too", () =>
      through({ max: 1, grace: 0.3 }, async (proxy, db) => {
        await db.execute(sql`create table if not exists half (n int)`);
        const error = await failureOf(
          asyncio.timeout(0.3, () =>
            db.transaction(async (tx) => {
              await tx.execute(sql`insert into half values (1)`);
              proxy.stall();
              await tx.execute(sql`insert into half values (2)`);
            }),
          ),
        );
        assert.ok(error instanceof asyncio.TimeoutError || error instanceof ConnectionLostError);
        assert.deepEqual(await db.query(sql`select * from half`), []);
      }));

    test("a COMMIT whose answer never comes is unknown after `grace`", () =>
      through({ max: 1, grace: 0.3 }, async (proxy, db) => {
        await db.execute(sql`create table if not exists unsure (n int)`);
        const error = await failureOf(
          db.transaction(async (tx) => {
            await tx.execute(sql`insert into unsure values (1)`);
            proxy.stall();
          }),
        );
        assert.equal(error.code, "ERR_DATABASE_COMMIT_UNKNOWN");
        await db.check(5);
      }));

    test("connections that are cut fail what they run, and nothing else", () =>
      through({ max: 4 }, async (proxy, db) => {
        const each = (count: number) =>
          asyncio.gather(
            Array.from({ length: count }, () => () => db.query(sql`select pg_sleep(0.2)`)),
            { returnExceptions: true },
          );
        await each(4); // all connections are made
        const work = each(8);
        await asyncio.sleep(0.01);
        proxy.cut();
        const outcomes = await work;
        const lost = outcomes.filter((outcome) => outcome instanceof ConnectionLostError);
        assert.deepEqual([lost.length, outcomes.length - lost.length], [4, 4]);
        await db.check(5);
      }));

    test("a listener on a half-open connection finds out by its probe", bench.needsSession, () =>
      through({ grace: 0.2 }, async (proxy, db) => {
        const heard: string[] = [];
        const ready = new asyncio.Event();
        const task = asyncio.createTask(async () => {
          for await (const event of db.listen("jobs", { probe: 0.2 })) {
            heard.push(event.kind === "gap" ? "gap" : event.payload);
            if (event.kind === "gap") break;
            ready.set();
          }
        });
        while (!ready.isSet()) {
          await db.execute(sql`select pg_notify('jobs', 'hello')`);
          await asyncio.sleep(0.02);
        }
        proxy.stall();
        await asyncio.timeout(10, () => task);
        assert.deepEqual(heard.slice(-2), ["hello", "gap"]);
      }),
    );

    test("hosts are tried in their order, and a cancel goes to the one that was taken", () =>
      bench.run(async () => {
        const hosts = ["127.0.0.1:1", `127.0.0.1:${bench.port}`];
        await using other = await connect(bench.url(), { ...bench.options, hosts, max: 1 });
        const pid = () => other.one(sql`select pg_backend_pid() as pid`);
        const first = await pid();
        const { cancelled } = await asyncio.moveOnAfter(0.1, () =>
          other.query(sql`select pg_sleep(20)`),
        );
        assert.deepEqual([cancelled, await pid()], [true, first]); // it was not cut off
      }));

    test("one that is read-only is not the primary", bench.needsSession, () =>
      bench.run(async (db) => {
        const { options } = bench;
        const url = bench.url();
        await using other = await connect(url, { ...options, target: "read-write" });
        assert.deepEqual(await other.query(sql`select 1 as one`), [{ one: 1 }]);
        await db.execute(sql`alter role postgres set default_transaction_read_only = on`);
        const error = await failureOf(connect(url, { ...options, target: "read-write" }));
        await using reader = await connect(url, { ...options, target: "read-only" });
        await reader.check(5);
        await reader.batch([
          sql`set transaction read write`,
          sql`alter role postgres reset default_transaction_read_only`,
        ]);
        assert.ok(error instanceof ConnectError);
        assert.match(error.message, /is not read-write/);
      }),
    );

    test(
      "a server that restarts under load: all are served again, without a storm",
      { timeout: 60_000 },
      () =>
        through({ max: 5, acquire: 20 }, async (proxy, db) => {
          const told: string[] = [];
          const stop = new asyncio.Event();
          await asyncio.taskGroup(async (group) => {
            for (let n = 0; n < 20; n++)
              group.createTask(async () => {
                while (!stop.isSet()) {
                  told.push(
                    await db.query(sql`select pg_sleep(0.01)`).then(
                      () => "served",
                      (error) => error.code ?? String(error),
                    ),
                  );
                  await asyncio.sleep(0.01);
                }
              });
            await asyncio.sleep(0.2);
            const before = proxy.accepted;
            await asyncio.cancellable(() => bench.server.crash());
            await asyncio.sleep(1);
            const attempts = proxy.accepted - before;
            await asyncio.cancellable(() => bench.server.start());
            await asyncio.timeout(15, async () => {
              for (told.length = 0; told.filter((one) => one === "served").length < 40; )
                await asyncio.sleep(0.05);
            });
            stop.set();
            assert.ok(attempts < 60, `${attempts} attempts in a second`);
          });
          const kinds = new Set(told);
          for (const kind of kinds)
            assert.match(
              kind,
              /served|ERR_DATABASE_CONNECTION_LOST|ERR_DATABASE_UNREACHABLE|TOO_MANY/,
            );
          assert.deepEqual(db.stats().holders, []);
        }),
    );
  },
  { ways: WAYS },
);

const certificate = makeCertificate();

describePostgres(
  "TLS",
  (bench) => {
    test("cancels over TLS as it queries over TLS, and hits nobody else", () =>
      bench.run(
        async (db, observer) => {
          const innocent: unknown[] = [];
          const [first] = await db.query(sql`select pg_backend_pid() as pid`);
          const [row] = await db.query(
            sql`select ssl from pg_stat_ssl where pid = pg_backend_pid()`,
          );
          for (let n = 0; n < 60; n++) {
            await asyncio.moveOnAfter(0.002 + (n % 10) * 0.001, () =>
              db.query(sql`select pg_sleep(0.006)`),
            );
            await db.query(sql`select pg_sleep(0.0005)`).catch((error) => innocent.push(error));
          }
          const [second] = await db.query(sql`select pg_backend_pid() as pid`);
          assert.deepEqual([row, innocent, await running(observer)], [{ ssl: true }, [], []]);
          assert.deepEqual(second, first);
        },
        { max: 1, tls: certificate.tls() },
      ));

    test("a certificate that is not trusted is told", () =>
      asyncio.run(async () => {
        const error = await failureOf(connect(bench.server.url(), { tls: true, acquire: 5 }));
        assert.equal(error.code, "ERR_DATABASE_CERTIFICATE");
        assert.match(error.message, /Pass its authority: `tls: \{ ca \}`/);
      }));
  },
  {
    skip: certificate.lacks,
    settings: certificate.settings,
  },
);
