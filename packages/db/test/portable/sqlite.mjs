// SQLite under every runtime: in threads, and on the loop. Where the host has no `node:sqlite`, that
// is what it has to say.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as asyncio from "asyncio-ts";
import { sql } from "asyncio-ts-db";
import { connect } from "asyncio-ts-db/sqlite";
import { transactionPerTest } from "asyncio-ts-db/testing";
import {
  checkInRun,
  equal,
  failureOf,
  summarise,
} from "../../../asyncio/test/portable/harness/checks.mjs";

const hasSqlite = await import("node:sqlite").then(
  ({ DatabaseSync }) => new DatabaseSync(":memory:").isTransaction === false,
  () => false,
);

/** A check in a run of its own, with a file of its own. */
async function checkWithFile(name, body) {
  const folder = mkdtempSync(join(tmpdir(), "asyncio-ts-db-portable-"));
  await checkInRun(name, () => body(join(folder, "test.db")));
  rmSync(folder, { recursive: true, force: true });
}

/** A check with a database. */
function checkWithDatabase(name, thread, body) {
  return checkWithFile(name, async (path) => {
    const db = await connect(path, { thread, synchronous: "off" }); // no `using` on Node 20 and 22
    try {
      await body(db);
    } finally {
      await db.close();
    }
  });
}

if (!hasSqlite)
  await checkWithFile("a host without node:sqlite is told what it lacks", async (path) => {
    for (const thread of [true, false]) {
      const { code } = await failureOf(connect(path, { thread, acquire: 5 }));
      equal(code, "ERR_DATABASE_NO_SQLITE");
    }
  });

for (const thread of hasSqlite ? [true, false] : []) {
  const where = thread ? "in threads" : "on the loop";

  await checkWithDatabase(`values go there and come back, ${where}`, thread, async (db) => {
    await db.execute(sql`create table v (a integer, b bigint, c text, d blob, e boolean, f json)`);
    const row = { a: 1, b: 2n ** 62n, c: "ab", e: true, f: { x: [1, null] } };
    await db.execute(sql`insert into v values (${row.a}, ${row.b}, ${row.c}, ${Uint8Array.of(0, 255)},
      ${row.e}, ${row.f})`);
    const { b, d, ...found } = await db.one(sql`select * from v`);
    equal(found, { a: row.a, c: row.c, e: row.e, f: row.f });
    equal(String(b), String(row.b));
    equal([d instanceof Uint8Array, ...d], [true, 0, 255]);
    const { code } = await failureOf(db.one(sql`select 9007199254740993`));
    equal(code, "ERR_DATABASE_VALUE");
    // A host that cannot read it may not write it.
    const nul = await db.one(sql`select ${"a\0b"} as c`).catch((error) => error);
    equal(nul.c ?? nul.code, nul.c === undefined ? "ERR_DATABASE_VALUE" : "a\0b");
  });

  await checkWithDatabase(`transactions commit, and are undone, ${where}`, thread, async (db) => {
    await db.execute(sql`create table t (n integer primary key)`);
    await db.transaction(async (tx) => {
      await tx.execute(sql`insert into t values (1)`);
      await failureOf(
        tx.savepoint(async (sp) => {
          await sp.execute(sql`insert into t values (2)`);
          await sp.execute(sql`insert into t values (1)`);
        }),
      );
    });
    const scope = new asyncio.CancelScope();
    await scope.run(() =>
      db.transaction(async (tx) => {
        await tx.execute(sql`insert into t values (3)`);
        scope.cancel();
        await asyncio.sleep(10);
      }),
    );
    equal(scope.cancelled, true);
    await transactionPerTest(db, (inner) => inner.execute(sql`insert into t values (4)`));
    equal(await db.query(sql`select n from t`), [{ n: 1 }]);
    const { sqlstate } = await failureOf(db.execute(sql`insert into t values (1)`));
    equal(sqlstate, "23505");
  });

  await checkWithDatabase(
    `a stream that is left frees its connection, ${where}`,
    thread,
    async (db) => {
      const seen = [];
      for await (const { n } of db.stream(
        sql`with recursive c(n) as (select 1 union all select n + 1 from c) select n from c`,
        { batch: 3 },
      )) {
        if (n > 5) break;
        seen.push(n);
      }
      equal(seen, [1, 2, 3, 4, 5]);
      equal(db.stats().holders, []);
    },
  );
}

if (hasSqlite)
  await checkWithDatabase(
    "a query without an end ends with its deadline, and the loop goes on",
    true,
    async (db) => {
      let ticks = 0;
      const moved = await asyncio.moveOnAfter(1, () =>
        asyncio.taskGroup(async (group) => {
          group.createTask(() =>
            db.query(
              sql`with recursive c(n) as (select 1 union all select n + 1 from c) select n from c`,
            ),
          );
          for (;;) {
            await asyncio.sleep(0.01);
            ticks++;
          }
        }),
      );
      equal([moved.cancelled, ticks > 3], [true, true]);
      equal(await db.query(sql`select 1 as one`), [{ one: 1 }]);
    },
  );

summarise();
