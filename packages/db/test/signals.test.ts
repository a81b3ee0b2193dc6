import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as asyncio from "asyncio-ts";
import { type Database, sql } from "../src/index.ts";
import { startProxy } from "../src/testing.ts";
import { type Bench, describeEveryWay } from "./postgres.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = mkdtempSync(join(here, ".examples-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** 200 queries at a time, on ten connections; or a COPY that has no end. */
const program = join(folder, "program.ts");
writeFileSync(
  program,
  `import * as asyncio from "asyncio-ts";
import { sql } from "asyncio-ts-db";
import { connect } from "asyncio-ts-db/postgres";
await asyncio.run(async () => {
  const options = JSON.parse(process.env.OPTIONS ?? "{}");
  await using db = await connect(process.env.DATABASE_URL, { max: 10, ...options });
  async function* lines() {
    for (let n = 0; ; n++) {
      yield n + "\\n";
      await asyncio.sleep(0.001);
    }
  }
  if (process.env.COPIES === "1") await db.copyFrom(sql\`copy lines from stdin\`, lines());
  else await asyncio.taskGroup(async (group) => {
    for (let n = 0; n < 200; n++)
      group.createTask(() => db.transaction((tx) => tx.query(sql\`select pg_sleep(30)\`)));
  });
});`,
);

/** What the program needs to get to the server. */
const surroundings = (bench: Bench, port?: number): NodeJS.ProcessEnv => ({
  ...process.env,
  DATABASE_URL: bench.url(port),
  OPTIONS: JSON.stringify(bench.options),
});

/** How many queries of the program the server works on. */
async function busy(db: Database): Promise<number> {
  const row = await db.one<{ n: number }>(
    sql`select count(*)::int as n from pg_stat_activity where query like '%pg_sleep(30)%' and pid <> pg_backend_pid() and state <> 'idle'`,
  );
  return row.n;
}

describeEveryWay("a program that is told to end", (bench) => {
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    test(`with 200 queries in flight and in line, by ${signal}`, () =>
      bench.run(async (db) => {
        const child = spawn(process.execPath, [program], {
          env: surroundings(bench),
          stdio: ["ignore", "ignore", "pipe"],
        });
        let told = "";
        child.stderr.setEncoding("utf8").on("data", (text: string) => {
          told += text;
        });
        const ended = new asyncio.Future<unknown>();
        child.on("close", (code, by) => ended.setResult(by ?? code));
        while ((await busy(db)) < 10) {
          assert.equal(child.exitCode, null);
          await asyncio.sleep(0.05);
        }

        child.kill(signal);
        const by = await asyncio.timeout(30, () => ended);

        assert.deepEqual([by, await busy(db), told], [signal, 0, ""]);
      }));

  test("in the middle of a COPY, by SIGINT: no row is kept", () =>
    bench.run(async (db, observer) => {
      await db.execute(sql`create table if not exists lines (n int)`);
      const child = spawn(process.execPath, [program], {
        env: { ...surroundings(bench), COPIES: "1" },
        stdio: ["ignore", "ignore", "pipe"],
      });
      let told = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        told += text;
      });
      const ended = new asyncio.Future<unknown>();
      child.on("close", (code, by) => ended.setResult(by ?? code));
      const copying = async () => {
        const text =
          "select 1 from pg_stat_activity where query like 'copy lines%' and state = 'active'";
        return (await asyncio.cancellable(() => observer(text))).length;
      };
      while ((await copying()) === 0) {
        assert.equal(child.exitCode, null);
        await asyncio.sleep(0.05);
      }
      await asyncio.sleep(0.2);

      child.kill("SIGINT");
      const by = await asyncio.timeout(30, () => ended);

      const { n } = await db.one<{ n: number }>(sql`select count(*)::int as n from lines`);
      assert.deepEqual([by, n, await copying(), told], ["SIGINT", 0, 0, ""]);
    }));

  test("by a second signal, while it waits for a server that does not answer: at once", () =>
    bench.run(async (db) => {
      await using proxy = await startProxy(bench.port);
      const child = spawn(process.execPath, [program], {
        env: surroundings(bench, proxy.port),
        stdio: ["ignore", "ignore", "ignore"],
      });
      const ended = new asyncio.Future<unknown>();
      child.on("close", (code, by) => ended.setResult(by ?? code));
      while ((await busy(db)) < 10) {
        assert.equal(child.exitCode, null);
        await asyncio.sleep(0.05);
      }
      const before = proxy.accepted;
      proxy.isSilent = true; // nothing comes of cancel requests
      child.kill("SIGTERM");
      while (proxy.accepted === before) await asyncio.sleep(0.01); // it asks for the first
      await asyncio.sleep(1.2); // sooner it could be the first one, come twice
      const startedAt = performance.now();
      child.kill("SIGTERM");

      const by = await asyncio.timeout(30, () => ended);

      const seconds = (performance.now() - startedAt) / 1000;
      assert.equal(by, "SIGTERM");
      assert.ok(seconds < 2.5, String(seconds)); // `grace` would be five
    }));
});
