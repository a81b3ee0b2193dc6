import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as asyncio from "asyncio-ts";
import { sql } from "../src/index.ts";
import { describePostgres } from "./postgres.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = mkdtempSync(join(here, ".examples-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** 200 queries at a time, on ten connections. */
const program = join(folder, "program.ts");
writeFileSync(
  program,
  `import * as asyncio from "asyncio-ts";
import { sql } from "asyncio-ts-db";
import { connect } from "asyncio-ts-db/postgres";
await asyncio.run(async () => {
  await using db = await connect(process.env.DATABASE_URL, { max: 10 });
  await asyncio.taskGroup(async (group) => {
    for (let n = 0; n < 200; n++)
      group.createTask(() => db.transaction((tx) => tx.query(sql\`select pg_sleep(30)\`)));
  });
});`,
);

describePostgres("a program that is told to end", (bench) => {
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    test(`with 200 queries in flight and in line, by ${signal}`, () =>
      bench.run(async (db) => {
        const busy = async (): Promise<number> => {
          const row = await db.one<{ n: number }>(
            sql`select count(*)::int as n from pg_stat_activity where query like '%pg_sleep(30)%' and pid <> pg_backend_pid() and state <> 'idle'`,
          );
          return row.n;
        };
        const child = spawn(process.execPath, [program], {
          env: { ...process.env, DATABASE_URL: bench.server.url() },
          stdio: ["ignore", "ignore", "pipe"],
        });
        let told = "";
        child.stderr.setEncoding("utf8").on("data", (text: string) => {
          told += text;
        });
        const ended = new asyncio.Future<unknown>();
        child.on("close", (code, by) => ended.setResult(by ?? code));
        while ((await busy()) < 10) await asyncio.sleep(0.05);

        child.kill(signal);
        const by = await asyncio.timeout(30, () => ended);

        assert.deepEqual([by, await busy(), told], [signal, 0, ""]);
      }));
});
