import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { sql } from "../src/index.ts";
import { PgPool } from "../src/pg.ts";
import { FakeServer } from "../src/testing.ts";

/** What a run in debug mode says, and the server has, when `body` has left something open. */
async function leftovers(
  body: (server: FakeServer) => Promise<unknown>,
): Promise<{ readonly told: string[]; readonly open: number }> {
  const server = new FakeServer();
  server.define("one", () => [{ n: 1 }]);
  const told: string[] = [];
  await asyncio.run(
    async () => {
      asyncio.getRunningLoop().setExceptionHandler((_loop, { message }) => told.push(message));
      await body(server);
    },
    { debug: true, shutdownDelay: 0.2 },
  );
  return { told, open: server.connections.open };
}

test("a database that is left open is closed by its run, and reported with its line", async () => {
  const { told, open } = await leftovers(async (server) => {
    const db = server.database({ name: "main" });
    await db.query(sql`one`);
  });
  assert.equal(open, 0);
  assert.deepEqual(
    told.map((text) => text.replace(/ \/.*\//, " ")),
    ['the run has ended what was left open:\n  database "main", opened at left-open.test.ts:27'],
  );
});

test("a client that was not released is cut off, and reported with its task", async () => {
  const { told, open } = await leftovers(async (server) => {
    const db = server.database({ name: "main" });
    await asyncio.createTask(() => new PgPool(db).connect(), { name: "careless" });
  });
  assert.equal(open, 0);
  assert.match(told.join("\n"), /pool "main" to end, held by task "careless"/);
  assert.match(
    told.join("\n"),
    /database "main", opened at .*; not given back by task "careless" \(for /,
  );
});

test("a database that was closed is none of the run's business", async () => {
  const { told } = await leftovers(async (server) => {
    await using db = server.database();
    await db.query(sql`one`);
  });
  assert.deepEqual(told, []);
});
