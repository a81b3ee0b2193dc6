/** One suite for both engines. Without PostgreSQL on the machine its half is left out, by name. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { sql } from "asyncio-ts-db";
import { lacksPostgres, type PostgresServer, startPostgres } from "asyncio-ts-db/testing";
import { Keys } from "../../src/store/keys.ts";
import type { LedgerRow } from "../../src/store/ledger.ts";
import { type Store, withStore } from "../../src/store/store.ts";

const row: LedgerRow = {
  keyId: "k",
  host: "example.org",
  status: 200,
  code: null,
  attempts: 1,
  sent: 100,
  received: 5000,
  cost: 1,
  seconds: 0.2,
};
const long = new Date("2999-01-01");
const ever = new Date(0);

/** What holds on every engine. `at` gives the address of an empty database. */
function holds(
  at: (body: (url: string) => Promise<void>) => Promise<void>,
  skip: string | false,
): void {
  const inStore = (name: string, body: (store: Store, url: string) => Promise<void>): void => {
    test(name, { skip }, () =>
      at((url) => asyncio.run(() => withStore({ url }, (store) => body(store, url)))),
    );
  };

  inStore("a key is found by its secret, and by nothing else", async ({ keys }) => {
    const { key, secret } = await keys.create({ name: "ann", scopes: ["fetch"], budget: 9.5 });
    const found = await keys.find(secret);
    assert.deepEqual(found?.scopes, ["fetch"]);
    assert.equal(found?.id, key.id);
    assert.equal(found?.budget, 9.5);
    assert.equal(found?.rate, 10);
    assert.equal(await keys.find(`${secret.slice(0, -1)}_`), undefined);
    assert.equal(await keys.find(""), undefined);
    assert.equal(await keys.find(key.id), undefined);
  });

  inStore("a key that was revoked is found no more, and is revoked once", async ({ keys }) => {
    const { key, secret } = await keys.create({ name: "ann" });
    assert.ok(await keys.find(secret));
    assert.equal(await keys.revoke(key.id), true);
    assert.equal(await keys.find(secret), undefined);
    assert.equal(await keys.revoke(key.id), false);
    assert.equal((await keys.list())[0]?.revoked instanceof Date, true);
  });

  inStore("an address claims one key, by a token that works once", async ({ keys }) => {
    const first = await keys.claim("a@b.example");
    const token = await keys.claim("a@b.example");
    assert.ok(first !== undefined && token !== undefined);
    assert.equal(await keys.confirm(first), undefined, "a later claim takes its place");
    const both = await asyncio.gather([() => keys.confirm(token), () => keys.confirm(token)]);
    assert.deepEqual(
      both.filter((address) => address !== undefined),
      ["a@b.example"],
    );
    const { key } = await keys.create({ name: "claimed", address: "a@b.example" });
    assert.equal(await keys.claim("a@b.example"), undefined);
    await keys.revoke(key.id);
    const again = await keys.claim("a@b.example");
    assert.ok(again !== undefined);
    assert.equal(await keys.confirm(again), "a@b.example");
    await keys.create({ name: "again", address: "a@b.example" });
  });

  inStore("a claim that is too old confirms nothing", async ({ keys }) => {
    const token = await keys.claim("a@b.example", -1);
    assert.equal(await keys.confirm(token ?? ""), undefined);
    assert.equal(await keys.confirm("x"), undefined);
  });

  inStore("the ledger has a row for each request, and adds them up", async ({ ledger }) => {
    const rows = [
      ...Array.from({ length: 1200 }, () => row),
      { ...row, code: "timeout", status: null, cost: 0.5 },
      { ...row, keyId: "other" },
    ];
    const written = await asyncio.gather(rows.map((one) => () => ledger.record(one, 30)));
    assert.ok(written.every((isWritten) => isWritten));
    assert.deepEqual(
      { ...(await ledger.usage("k", ever, long)) },
      {
        requests: 1201,
        pages: 1200,
        attempts: 1201,
        sent: 120_100,
        received: 6_005_000,
        cost: 1200.5,
        failures: Object.assign(Object.create(null), { timeout: 1 }),
      },
    );
    assert.equal((await ledger.usage("nobody", ever, long)).requests, 0);
    assert.equal((await ledger.usage("k", ever, ever)).requests, 0);
  });

  test("rows that nobody waits for are written before the store is closed", { skip }, () =>
    at((url) =>
      asyncio.run(async () => {
        await withStore({ url }, async ({ ledger }) => {
          await ledger.record(row, 0);
          await asyncio.moveOnAfter(0, () => ledger.record(row));
        });
        if (url === ":memory:") return;
        await withStore({ url }, async ({ ledger }) => {
          assert.equal((await ledger.usage("k", ever, long)).requests, 2);
        });
      }),
    ),
  );
}

describe("SQLite, in memory", () => holds((body) => body(":memory:"), false));

/** The path of a database that is not there yet, in a folder that goes with the body. */
async function withFile(body: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "pagefetch-"));
  try {
    await body(join(folder, "store.db"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("SQLite, in a file", () => {
  holds(withFile, false);

  test("the file has no secret in it", () =>
    withFile(async (path) => {
      let secret = "";
      await asyncio.run(() =>
        withStore({ url: path }, async ({ keys }) => {
          secret = (await keys.create({ name: "ann" })).secret;
          await keys.find(secret);
        }),
      );
      const [, , random = "?"] = /^pf_(\w{12})_(.+)$/.exec(secret) ?? [];
      assert.ok(!readFileSync(path).includes(random));
    }));

  test("a store of a newer version is refused, and left as it is", () =>
    withFile(async (path) => {
      const { connect } = await import("asyncio-ts-db/sqlite");
      await asyncio.run(async () => {
        await withStore({ url: path }, async () => undefined);
        {
          await using db = await connect(path);
          await db.execute(sql`insert into steps values (900)`);
        }
        await assert.rejects(
          withStore({ url: path }, async () => undefined),
          /newer pagefetch/,
        );
      });
    }));
});

describe("PostgreSQL", () => {
  const lack = lacksPostgres();
  let server: PostgresServer | undefined;
  let databases = 0;
  before(async () => {
    if (lack === false) server = await startPostgres();
  });
  after(() => server?.stop());

  /** A database of its own for each test. */
  async function withDatabase(body: (url: string) => Promise<void>): Promise<void> {
    assert.ok(server);
    const name = `store${databases++}`;
    const admin = server.url("postgres");
    await asyncio.run(async () => {
      const { connect } = await import("asyncio-ts-db/postgres");
      await using db = await connect(admin);
      await db.execute(sql`create database ${sql.id(name)}`);
    });
    await body(server.url(name));
  }
  holds(withDatabase, lack);
});

describe("a database that goes away", () => {
  test("costs no row: they stay in line until it is back", () =>
    withFile((path) =>
      asyncio.run(async () => {
        const troubles: unknown[] = [];
        const { Ledger } = await import("../../src/store/ledger.ts");
        const { connect } = await import("asyncio-ts-db/sqlite");
        const { migrate } = await import("../../src/store/schema.ts");
        await using db = await connect(path);
        await migrate(db);
        await db.execute(sql`alter table ledger rename to away`);
        const isAway = new asyncio.Event();
        const ledger = new Ledger(db, (error) => {
          troubles.push(error);
          isAway.set();
        });
        await asyncio.taskGroup(async (group) => {
          group.createTask(() => ledger.write());
          assert.equal(await ledger.record(row, 0.05), false);
          await isAway.wait();
          assert.equal(ledger.statistics().isWell, false);
          await db.execute(sql`alter table away rename to ledger`);
          assert.equal(await ledger.record(row, 30), true);
          ledger.close();
        });
        assert.equal((await ledger.usage("k", ever, long)).requests, 2);
        assert.ok(troubles.length > 0);
      }),
    ));

  test("leaves keys that were known to work for ten minutes, and no others", () =>
    withFile((path) =>
      asyncio.run(async () => {
        const { connect } = await import("asyncio-ts-db/sqlite");
        const { migrate } = await import("../../src/store/schema.ts");
        await using db = await connect(path);
        await migrate(db);
        let now = 1000;
        const keys = new Keys(db, () => now);
        const known = await keys.create({ name: "ann" });
        const other = await keys.create({ name: "bob" });
        await keys.find(known.secret);
        await db.execute(sql`alter table keys rename to away`);

        now += 100;
        assert.equal((await keys.find(known.secret))?.id, known.key.id);
        await assert.rejects(keys.find(other.secret), { code: "ERR_DATABASE" });
        assert.equal(await keys.isWell(), false);
        now += 501;
        await assert.rejects(keys.find(known.secret), { code: "ERR_DATABASE" });

        await db.execute(sql`alter table away rename to keys`);
        assert.equal(await keys.isWell(), true);
        await keys.revoke(known.key.id);
        assert.equal(await keys.find(known.secret), undefined);
      }),
    ));
});

describe("settings that make no sense are refused by name", () => {
  const keys = new Keys(undefined as never);
  const table: [Parameters<Keys["create"]>[0], RegExp][] = [
    [{ name: "" }, /`name`/],
    [{ name: "a", rate: 0 }, /`rate`/],
    [{ name: "a", rate: Number.NaN }, /`rate`/],
    [{ name: "a", burst: 1.5 }, /`burst`/],
    [{ name: "a", concurrency: 0 }, /`concurrency`/],
    [{ name: "a", budget: -1 }, /`budget`/],
    [{ name: "a", scopes: ["all" as never] }, /`scopes`/],
  ];
  for (const [settings, message] of table) {
    test(String(message), async () => {
      await assert.rejects(keys.create(settings), { name: "RangeError", message });
    });
  }
});
