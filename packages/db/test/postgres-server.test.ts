import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import pg from "pg";
import { lacksPostgres, startPostgres } from "../src/testing/postgres-server.ts";

test("a server runs until it is stopped, and leaves nothing", {
  skip: lacksPostgres(),
}, async () => {
  const server = await startPostgres();
  const answers: unknown[] = [];

  for (const url of [server.url(), server.socketUrl()]) {
    const client = new pg.Client(url);
    await client.connect();
    answers.push((await client.query("select 1 as one")).rows[0].one);
    await client.end();
  }
  await server.stop();

  assert.deepEqual(answers, [1, 1]);
  assert.equal(existsSync(server.folder), false);
});

test("a server that takes too long is given up, and leaves nothing", {
  skip: lacksPostgres(),
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "asyncio-ts-db-late-"));
  const before = process.env.TMPDIR;
  process.env.TMPDIR = folder;
  try {
    chmodSync(folder, 0o755); // the server runs as somebody else
    await assert.rejects(
      startPostgres({ patience: 0.01 }),
      /initdb has not ended within 0.01 s, and was killed/,
    );
    assert.deepEqual(readdirSync(folder), []);
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    rmSync(folder, { recursive: true });
  }
  await assert.rejects(startPostgres({ patience: -1 }), /`patience` in seconds, 0 or more, got -1/);
});

test("a database can be a copy of another one", { skip: lacksPostgres() }, async () => {
  await using server = await startPostgres();
  const made = new pg.Client(await server.createDatabase("app"));
  await made.connect();
  await made.query("create table users as select 'ann' as name");
  await made.end();

  const copy = new pg.Client(await server.createDatabase("test one", { template: "app" }));
  await copy.connect();
  const { rows } = await copy.query("select name from users");
  await copy.end();

  assert.deepEqual(rows, [{ name: "ann" }]);
  await assert.rejects(server.createDatabase("app"), /"app" cannot be created: .*already exists/);
});
