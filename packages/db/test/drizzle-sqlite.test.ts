import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { eq } from "drizzle-orm";
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import { drizzle } from "drizzle-orm/sqlite-proxy";
import { remote } from "../src/drizzle.ts";
import { type Database, sql } from "../src/index.ts";
import { limitOnceWaiting } from "./limit-once-waiting.ts";
import { withSqlite } from "./sqlite.ts";

const users = sqliteTable("users", {
  id: integer("id").primaryKey(),
  name: text("name").notNull().unique(),
  isAdmin: integer("is_admin", { mode: "boolean" }),
  seen: integer("seen", { mode: "timestamp_ms" }),
  tags: text("tags", { mode: "json" }).$type<string[]>(),
});

const withTable = (body: (db: Database) => Promise<void>): Promise<void> =>
  withSqlite(async (db) => {
    await db.execute(sql`
      create table users (id integer primary key, name text not null unique, is_admin integer,
        seen integer, tags text)`);
    await body(db);
  });

const ann = {
  id: 1,
  name: "ann",
  isAdmin: true,
  seen: new Date("2026-11-29T10:11:12.345Z"),
  tags: ["a", "b"],
};

test("Drizzle's queries run on SQLite, and its columns are as its schema says", () =>
  withTable(async (db) => {
    const client = drizzle(remote(db));
    const [inserted] = await client.insert(users).values(ann).returning({ id: users.id });
    await client.update(users).set({ isAdmin: false }).where(eq(users.name, "ann"));
    assert.deepEqual(inserted, { id: 1 });
    assert.deepEqual(await client.select().from(users), [{ ...ann, isAdmin: false }]);
    assert.deepEqual(await client.select({ n: users.name }).from(users).get(), { n: "ann" });
    const nobody = client.select().from(users).where(eq(users.id, 9)).get();
    assert.equal(await nobody, undefined);
  }));

test("in a transaction of ours they are committed and undone with it", () =>
  withTable(async (db) => {
    const add = (name: string, fails: boolean): Promise<void> =>
      db.transaction(async (tx) => {
        await drizzle(remote(tx)).insert(users).values({ name });
        await tx.execute(sql`update users set seen = 1 where name = ${name}`);
        if (fails) throw new Error("no");
      });
    await add("ann", false);
    await assert.rejects(add("bob", true), /no/);
    const moved = await limitOnceWaiting((begins) =>
      db.transaction(async (tx) => {
        await drizzle(remote(tx)).insert(users).values({ name: "cid" });
        begins();
        await asyncio.sleep(10);
      }),
    );
    const names = await drizzle(remote(db)).select({ name: users.name }).from(users);
    assert.deepEqual([moved.cancelled, names], [true, [{ name: "ann" }]]);
  }));

test("a transaction of Drizzle's own is refused, with the cure", () =>
  withTable(async (db) => {
    const failure = await drizzle(remote(db))
      .transaction(async () => {})
      .then(
        () => assert.fail("it has not failed"),
        (error: Error) => error,
      );
    const told = `${failure.message} ${String(failure.cause)}`;
    assert.match(told, /drizzle\(remote\(tx\)\)/);
    assert.throws(() => remote({} as never), /a database made by `connect`/);
    assert.deepEqual(await db.query(sql`select 1 as one`), [{ one: 1 }]);
  }));
