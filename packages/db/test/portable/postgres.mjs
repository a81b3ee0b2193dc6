// PostgreSQL under every runtime, on a server of its own: connecting, plans, rows of every size,
// cancellation, transactions, COPY, LISTEN. Without a server on the machine nothing is checked.

import * as asyncio from "asyncio-ts";
import { sql } from "asyncio-ts-db";
import { connect } from "asyncio-ts-db/postgres";
import { lacksPostgres, startPostgres } from "asyncio-ts-db/testing";
import {
  checkInRun,
  equal,
  failureOf,
  summarise,
} from "../../../asyncio/test/portable/harness/checks.mjs";

async function checkServer(server) {
  /** A check with a database. */
  const checkWithDatabase = (name, body) =>
    checkInRun(name, async () => {
      const db = await connect(server.url(), { max: 3 }); // no `using` on Node 20 and 22
      try {
        await body(db);
      } finally {
        await db.close();
      }
    });

  await checkWithDatabase("values go there and come back", async (db) => {
    const at = new Date(86_400_000);
    const row = await db.one(sql`
      select ${1}::int as a, ${"ä"}::text as b, ${Uint8Array.of(0, 255)}::bytea as c,
        ${at}::timestamptz as d, ${true}::boolean as e, ${{ x: [1, null] }}::jsonb as f`);
    equal([...row.c], [0, 255]);
    equal(
      { ...row, c: undefined, d: row.d.getTime() },
      { a: 1, b: "ä", d: 86_400_000, e: true, f: { x: [1, null] } },
    );
  });

  await checkWithDatabase("several connections do not mix what they read", async (db) => {
    const sizes = [1, 100, 70_000, 300_000, 3, 70_001];
    const found = await asyncio.gather(
      sizes.flatMap((size) => [
        () => db.one(sql`select repeat('x', ${size}) as text, ${size}::int as size`),
        () => db.query(sql`select n from generate_series(1, ${size}::int) as n`),
      ]),
    );
    for (const [index, size] of sizes.entries()) {
      const { text, size: told } = found[2 * index];
      equal([text.length, /^x+$/.test(text), told], [size, true, size]);
      const rows = found[2 * index + 1];
      equal([rows.length, rows.at(-1).n], [size, size]);
    }
  });

  await checkWithDatabase("a deadline ends the query on the server", async (db) => {
    for (const seconds of [0.005, 0.2]) {
      const startedAt = performance.now();
      await asyncio.moveOnAfter(seconds, () => db.query(sql`select pg_sleep(15)`));
      equal(performance.now() - startedAt < 5000, true);
    }
    const rows = await db.query(sql`
      select query from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()`);
    equal(rows, []);
  });

  await checkWithDatabase("a transaction that fails or is cancelled leaves nothing", async (db) => {
    await db.execute(sql`create table if not exists t (n int)`);
    const insert = (tx) => tx.execute(sql`insert into t values (${1})`);
    await failureOf(db.transaction((tx) => insert(tx).then(() => Promise.reject(new Error("no")))));
    await asyncio.moveOnAfter(0.1, () =>
      db.transaction((tx) => insert(tx).then(() => tx.query(sql`select pg_sleep(15)`))),
    );
    equal(await db.query(sql`select * from t`), []);
    await db.transaction(insert);
    equal(await db.query(sql`select * from t`), [{ n: 1 }]);
  });

  await checkWithDatabase("a stream is read as it comes; a copy goes in and out", async (db) => {
    let sum = 0;
    for await (const { n } of db.stream(sql`select n from generate_series(1, 20000) as n`))
      sum += n;
    equal(sum, 200_010_000);
    await db.execute(sql`create table if not exists c (n int, t text)`);
    const lines = Array.from({ length: 20_000 }, (_, n) => `${n}\tline ${n}\n`);
    equal(await db.copyFrom(sql`copy c from stdin`, lines), 20_000);
    const chunks = [];
    for await (const bytes of db.copyTo(sql`copy c to stdout`)) {
      await asyncio.sleep(0); // the memory that it was read into is used again meanwhile
      chunks.push(bytes);
    }
    equal(Buffer.concat(chunks).toString() === lines.join(""), true);
  });

  await checkWithDatabase("a notification arrives", async (db) => {
    const [heard] = await asyncio.gather([
      async () => {
        for await (const message of db.listen("jobs")) if (!message.gap) return message.payload;
      },
      async () => {
        for (let n = 0; n < 50; n++) {
          await db.execute(sql`select pg_notify('jobs', 'more')`);
          await asyncio.sleep(0.01);
        }
      },
    ]);
    equal(heard, "more");
  });

  await checkWithDatabase("a connection that the server ends is replaced", async (db) => {
    const pid = async () => (await db.one(sql`select pg_backend_pid() as pid`)).pid;
    const first = await pid();
    const error = await failureOf(db.query(sql`select pg_terminate_backend(pg_backend_pid())`));
    equal(error.name, "ConnectionLostError");
    equal((await pid()) !== first, true);
  });
}

const lacks = lacksPostgres();
if (lacks) console.log(`left out: ${lacks}`);
else {
  const server = await startPostgres();
  try {
    await checkServer(server);
  } finally {
    await server.stop();
  }
}
summarise();
