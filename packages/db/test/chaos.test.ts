import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as asyncio from "asyncio-ts";
import { CommitUnknownError, sql } from "../src/index.ts";
import { connect } from "../src/postgres.ts";
import { startProxy } from "../src/testing.ts";
import { describePostgres } from "./postgres.ts";

/** Seconds of it; a soak takes more. */
const SECONDS = Number(process.env.ASYNCIO_DB_CHAOS ?? 8);

const client = fileURLToPath(new URL("./chaos-client.ts", import.meta.url));

describePostgres(
  "under load, while connections, sessions, clients and servers are killed at random",
  (bench) => {
    test(
      "no lie is told, no place is lost, no connection leaks",
      { timeout: (SECONDS + 120) * 1000 },
      () =>
        bench.run(async (direct, _observer) => {
          await direct.execute(sql`create table chaos (id int primary key)`);
          await using proxy = await startProxy(bench.server.port);
          const url = `postgres://postgres@127.0.0.1:${proxy.port}/postgres`;
          const told = new Map<number, "yes" | "no" | "unknown">();
          let ids = 0;
          let killed = 0;

          {
            await using db = await connect(url, { max: 5, grace: 0.5, acquire: 5, name: "chaos" });
            const end = performance.now() + SECONDS * 1000;
            const worker = async (): Promise<void> => {
              while (performance.now() < end) {
                const id = ++ids;
                const seconds = id % 2 === 0 ? 10 : 0.01 + 0.3 * ((id * 0.618) % 1);
                told.set(
                  id,
                  await asyncio
                    .timeout(seconds, () =>
                      db.transaction(async (tx) => {
                        await tx.execute(sql`insert into chaos values (${id})`);
                        await tx.query(sql`select pg_sleep(${((id * 0.37) % 1) * 0.01})`);
                      }),
                    )
                    .then(
                      () => "yes" as const,
                      (error) => (error instanceof CommitUnknownError ? "unknown" : "no"),
                    ),
                );
                await asyncio.sleep(0.001);
              }
            };
            const killer = async (): Promise<void> => {
              for (let n = 0; performance.now() < end; n++) {
                await asyncio.sleep(0.8);
                if (n % 4 === 0) proxy.cut();
                else if (n % 4 === 1) proxy.stall();
                else if (n % 4 === 2) await terminateAll();
                else if (n % 16 === 3) {
                  await asyncio.cancellable(() => bench.server.crash());
                  await asyncio.cancellable(() => bench.server.start());
                }
              }
            };
            /** Another process does the same, and is killed: what it was told it has written down. */
            const victim = async (): Promise<void> => {
              for (let n = 1; performance.now() < end; n++) {
                const child = spawn(process.execPath, [client, url, String(n * 1_000_000)], {
                  stdio: ["ignore", "pipe", "ignore"],
                });
                let said = "";
                const begun = new asyncio.Event();
                child.stdout.setEncoding("utf8").on("data", (text: string) => {
                  said += text;
                  begun.set();
                });
                const closed = new asyncio.Event();
                child.once("close", () => closed.set());
                await asyncio.moveOnAfter(10, () => begun.wait()); // the server may be down
                await asyncio.sleep(1.5 * ((n * 0.618) % 1));
                child.kill("SIGKILL");
                await closed.wait();
                for (const line of said.split("\n").filter((one) => one.includes(" "))) {
                  const [number, answer] = line.split(" ");
                  told.set(Number(number), answer as "yes" | "no" | "unknown"); // as it is written there
                }
                if (said !== "") killed++;
              }
            };
            const terminateAll = async (): Promise<void> => {
              const kill = sql`select pg_terminate_backend(pid) from pg_stat_activity
            where query like '%chaos%' and pid <> pg_backend_pid()`;
              await direct.execute(kill).catch(() => {}); // its own session may have been killed
            };
            await asyncio.taskGroup(async (group) => {
              for (let n = 0; n < 12; n++) group.createTask(worker);
              group.createTask(killer);
              group.createTask(victim);
            });
            await asyncio.timeout(20, async () => {
              while (
                !(await db.check(2).then(
                  () => true,
                  () => false,
                ))
              )
                await asyncio.sleep(0.1);
            });
            assert.deepEqual(db.stats().holders, []);
            assert.ok(db.stats().open <= 5);
            const all = await asyncio.gather(
              Array.from({ length: 20 }, () => () => db.query(sql`select 1`)),
            );
            assert.equal(all.length, 20); // every place serves
          }
          proxy.cut(); // what it has stalled hangs on in the server, as behind a dead cable
          const there = await connected(bench.server.url());
          const lies = [...told].filter(
            ([id, answer]) => answer !== "unknown" && there.has(id) !== (answer === "yes"),
          );
          const counts = { yes: 0, no: 0, unknown: 0 };
          for (const answer of told.values()) counts[answer]++;
          assert.deepEqual(lies, [], JSON.stringify(counts));
          assert.ok(counts.yes > 0 && counts.no > 0, JSON.stringify(counts));
          // In its few seconds a slow machine may not have killed a client yet.
          if (process.env.ASYNCIO_DB_CHAOS !== undefined) assert.ok(killed > 0);
          if (process.env.ASYNCIO_DB_CHAOS !== undefined)
            console.log({ ...counts, clientsKilled: killed, lies: lies.length });
        }),
    );
  },
);

async function connected(url: string): Promise<Set<number>> {
  await using db = await connect(url);
  const rows = await db.query<{ id: number }>(sql`select id from chaos`);
  // Those of the pool are closed, and their servers see that within the seconds of their look-out.
  await asyncio.timeout(20, async () => {
    for (let left = Number.POSITIVE_INFINITY; left > 3; await asyncio.sleep(0.1)) {
      const row = await db.one<{ n: number }>(
        sql`select count(*)::int as n from pg_stat_activity where application_name = 'asyncio-ts-db'`,
      );
      left = row.n; // this one, and those of the test itself
    }
  });
  return new Set(rows.map(({ id }) => id));
}
