import assert from "node:assert/strict";
import { existsSync } from "node:fs";
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
