// The servers of the tests, in a process that is killed.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import * as asyncio from "asyncio-ts";
import { needs, withPostgres, withRedisServer } from "./servers.ts";

test(
  "redis-server has gone when its body has ended, and so has its folder",
  needs("redis-server"),
  async () => {
    let at = { port: 0, path: "" };

    await asyncio.run(() =>
      withRedisServer(async (found) => {
        at = found;
        await using connection = await asyncio.openConnection("127.0.0.1", at.port);
        await connection.writer.write("PING\r\n");
        assert.equal(await connection.reader.readLine({ encoding: "utf-8" }), "+PONG");
      }),
    );

    assert.equal(existsSync(at.path.replace("/redis.sock", "")), false);
    await assert.rejects(asyncio.run(() => asyncio.openConnection("127.0.0.1", at.port)));
  },
);

test("postgres has gone, also after a failure", needs("initdb", "postgres"), async () => {
  let folder = "";
  const failing = asyncio.run(() =>
    withPostgres(async ({ host }) => {
      folder = host;
      throw new Error("the body fails");
    }),
  );

  await assert.rejects(failing);
  assert.equal(existsSync(folder), false);
});

const servers = [
  { call: "withRedisServer", program: "redis-server", tools: ["redis-server"] },
  { call: "withPostgres", program: "postgres", tools: ["initdb", "postgres"] },
];
for (const { call, program, tools } of servers) {
  test(`${program} and its folder go when the test is killed`, needs("ps", ...tools), async () => {
    const code = `import { run, sleep } from "asyncio-ts";
      import { ${call} } from "./servers.ts";
      run(() => ${call}(async ({ path, host }) => {
        console.log(host ?? path.replace("/redis.sock", ""));
        await sleep(3600);
      }));`;
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const child = spawn(process.execPath, ["--input-type=module-typescript", "--eval", code], {
      cwd: fileURLToPath(new URL(".", import.meta.url)),
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const { value: folder = "" } = await lines.next();
      assert.ok(existsSync(folder), folder);
      const own = processes().filter(({ parent }) => parent === child.pid);
      const pids = own.map(({ pid }) => pid);
      assert.equal(pids.length, 2, "the server, and what cleans up");

      child.kill("SIGKILL");

      const isLeft = () => processes().some(({ pid }) => pids.includes(pid));
      while (existsSync(folder) || isLeft()) await delay(100);
    } finally {
      child.kill("SIGKILL");
    }
  });
}

interface Running {
  readonly pid: number;
  readonly parent: number;
}

/** All processes but those that have ended, and that nobody has asked about yet. */
function processes(): Running[] {
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid=,stat="], { encoding: "utf8" });
  const rows = [...stdout.matchAll(/^ *(\d+) +(\d+) +[^Z\s]/gm)];
  return rows.map(([, pid, parent]) => ({ pid: Number(pid), parent: Number(parent) }));
}
