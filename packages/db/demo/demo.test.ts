import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { lacksPostgres } from "../src/testing.ts";

const demo = fileURLToPath(new URL("main.ts", import.meta.url));

test("the demonstration counts nothing against us", { skip: lacksPostgres() }, () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [demo, "60"], {
    encoding: "utf8",
    timeout: 120_000,
  });

  assert.equal(status, 0, stderr);
  const line = (name: string) =>
    stdout
      .split("\n")
      .filter((one) => one.startsWith(name))
      .map((one) =>
        one
          .slice(26)
          .trim()
          .split(/\s{2,}/),
      );
  assert.deepEqual(line("asyncio-ts-db")[0], ["0 of 60", "0 of 60"]);
  assert.deepEqual(line("Drizzle, on ours"), [["0 of 60", "-"]]);
  assert.deepEqual(line("Kysely's signal, on ours"), [["0 of 60", "-"]]);
  assert.deepEqual(line("asyncio-ts-db")[1]?.slice(1), ["0 of 3", "SIGINT"]);
  assert.match(line("Effect")[0]?.[0] ?? "", /^\d+ of 60$/);
  assert.equal(line("Effect")[1]?.length, 3);
  assert.deepEqual(line("pg  ")[0]?.slice(1), ["3 of 3", "SIGINT"]);
});
