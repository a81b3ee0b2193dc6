// Each argument and option of the public doors is given values of wrong kinds, one after the other. The
// call has to refuse each of them by name, and the database has to be as it was then.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import * as asyncio from "asyncio-ts";
import { remote } from "../src/drizzle.ts";
import { type Database, sql } from "../src/index.ts";
import { dialect } from "../src/kysely.ts";
import { PgPool } from "../src/pg.ts";
import { connect as connectPglite } from "../src/pglite.ts";
import { connect as connectPostgres } from "../src/postgres.ts";
import { connect } from "../src/sqlite.ts";
import { FakeServer, startPostgres, startProxy, transactionPerTest } from "../src/testing.ts";

const KINDS: Readonly<Record<string, unknown>> = {
  null: null,
  NaN: Number.NaN,
  "-1": -1,
  "1.5": 1.5,
  Infinity: Number.POSITIVE_INFINITY,
  "0": 0,
  "10n": 10n,
  true: true,
  '""': "",
  text: "no such thing",
  "{}": {},
  "[]": [],
  Promise: Promise.resolve(1),
  function: () => 1,
  symbol: Symbol("s"),
};

/** A call with the value that it gets, and the kinds that are right there. */
type Call = readonly [name: string, call: (value: never) => unknown, ...right: string[]];

/** What the call makes of each wrong kind, where that is no refusal by name. */
async function unrefused(calls: readonly Call[]): Promise<string[]> {
  const found: string[] = [];
  for (const [name, call, ...right] of calls)
    for (const [kind, value] of Object.entries(KINDS)) {
      if (right.includes(kind)) continue;
      const outcome = await asyncio
        .timeout(5, async () => inspect(await call(value as never)))
        .catch((error: Error & { code?: string }) =>
          ["ERR_ASYNCIO_INVALID_ARGUMENT", "ERR_DATABASE_VALUE"].includes(error.code ?? "")
            ? undefined
            : String(error),
        );
      if (outcome !== undefined) found.push(`${name} with ${kind}: ${outcome}`);
    }
  return found;
}

const one = sql`select 1 as n`;
const returns = async () => 1;
const TEXTS = ['""', "text"];
const SECONDS = ["0", "1.5", "Infinity"];

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream); // only its failure counts
}

const queries = (to: Database): readonly Call[] => [
  ["query", (value) => to.query(value)],
  ["query, options", (value) => to.query(one, value), "{}"],
  ["query, name", (name) => to.query(one, { name }), ...TEXTS],
  ["query, row", (row) => to.query(one, { row })],
  ["query, prepare", (prepare) => to.query(one, { prepare }), "true"],
  ["one", (value) => to.one(value)],
  ["one, row", (row) => to.one(one, { row })],
  ["execute", (value) => to.execute(value)],
  ["execute, options", (value) => to.execute(one, value), "{}"],
  ["batch", (value) => to.batch(value), "[]"],
  ["batch, a query", (value) => to.batch([value])],
  ["batch, options", (value) => to.batch([one], value), "{}"],
  ["batch, name", (name) => to.batch([one], { name }), ...TEXTS],
  ["stream", (value) => drain(to.stream(value))],
  ["stream, options", (value) => drain(to.stream(one, value)), "{}"],
  ["stream, batch", (batch) => drain(to.stream(one, { batch }))],
  ["stream, row", (row) => drain(to.stream(one, { row }))],
  ["transaction", (value) => to.transaction(value), "function"],
  ["transaction, options", (value) => to.transaction(returns, value), "{}"],
  ["transaction, name", (name) => to.transaction(returns, { name }), ...TEXTS],
  ["transaction, isolation", (isolation) => to.transaction(returns, { isolation })],
  ["transaction, readOnly", (readOnly) => to.transaction(returns, { readOnly }), "true"],
  ["transaction, deferrable", (deferrable) => to.transaction(returns, { deferrable }), "true"],
  ["transaction, verify", (verify) => to.transaction(returns, { verify }), "true"],
  ["transaction, retries", (retries) => to.transaction(returns, { retries }), "0"],
  ["savepoint", (value) => to.transaction((tx) => tx.savepoint(value)), "function"],
  ["savepoint, options", (value) => to.transaction((tx) => tx.savepoint(returns, value)), "{}"],
  ["savepoint, name", (name) => to.transaction((tx) => tx.savepoint(returns, { name })), ...TEXTS],
  ["session", (value) => to.session(value), "function"],
  ["lock, name", (value) => to.lock(value, returns), "text"],
  ["lock", (value) => to.lock("a", value), "function"],
  ["lock, options", (value) => to.lock("a", returns, value), "{}"],
  ["check", (value) => to.check(value), ...SECONDS],
  ["transactionPerTest", (value) => transactionPerTest(to, value), "function"],
  ["remote, text", (value) => remote(to)(value, [], "all"), ...TEXTS],
  ["remote, values", (value) => remote(to)("select 1", value, "all"), "[]"],
];

test("queries refuse what they cannot take, and the database goes on", () =>
  asyncio.run(async () => {
    await using db = await connect(":memory:", { thread: false });
    assert.deepEqual(await unrefused(queries(db)), []);
    assert.deepEqual(await db.query(one), [{ n: 1 }]);
    assert.deepEqual(db.stats().holders, []);
  }));

test("so do `listen`, COPY, and code for `pg`", () =>
  asyncio.run(async () => {
    const server = new FakeServer();
    await using db = server.database();
    const pool = new PgPool(db);
    const copy = sql`copy t from stdin`;
    const calls: readonly Call[] = [
      ["listen", (value) => db.listen(value), "text"],
      ["listen, options", (value) => db.listen("a", value), "{}"],
      ["listen, limit", (limit) => db.listen("a", { limit })],
      ["listen, probe", (probe) => db.listen("a", { probe }), ...SECONDS],
      ["copyFrom", (value) => db.copyFrom(value, [])],
      ["copyFrom, source", (value) => db.copyFrom(copy, value), "[]", ...TEXTS],
      ["copyFrom, options", (value) => db.copyFrom(copy, [], value), "{}"],
      ["copyTo", (value) => db.copyTo(value)],
      ["copyTo, options", (value) => db.copyTo(copy, value), "{}"],
      ["pool.query", (value) => pool.query(value), ...TEXTS],
      ["pool.query, values", (value) => pool.query("select 1", value), "[]", "null"],
      ["pool.query, name", (name) => pool.query({ text: "select 1", name }), "null", ...TEXTS],
      ["pool.query, types", (types) => pool.query({ text: "select 1", types })],
      ["define", (value) => server.define(value, () => []), ...TEXTS],
      ["define, run", (value) => server.define("a", value), "function"],
      ["define, seconds", (value) => server.define("a", () => [], value), ...SECONDS],
      ["fill", (value) => server.fill(value, "id", []), ...TEXTS],
      ["fill, key", (value) => server.fill("t", value, []), ...TEXTS],
      ["fill, rows", (value) => server.fill("t", "id", value), "[]"],
      ["fill, a row", (value) => server.fill("t", "id", [value]), "{}", "[]", "Promise"],
    ];
    assert.deepEqual(await unrefused(calls), []);
    assert.deepEqual(server.connections, { open: 1, inTransaction: 0 });
    assert.deepEqual(await db.query(sql`select 1`), [{ one: 1 }]);
  }));

test("so do what opens databases, and `close`", () =>
  asyncio.run(async () => {
    const opened = async (opening: Promise<Database>): Promise<void> => (await opening).close();
    const common = (open: (options: object) => unknown): readonly Call[] => [
      ["options", (value) => open(value), "{}"],
      ["name", (name) => open({ name }), ...TEXTS],
      ["max", (max) => open({ max })],
      ["min", (min) => open({ min }), "0"],
      ["idle", (idle) => open({ idle }), ...SECONDS],
      ["lifetime", (lifetime) => open({ lifetime }), ...SECONDS],
      ["acquire", (acquire) => open({ acquire }), ...SECONDS],
      ["grace", (grace) => open({ grace }), ...SECONDS],
      ["prepare", (prepare) => open({ prepare }), "true"],
      ["onQuery", (onQuery) => open({ onQuery }), "function"],
    ];
    const inMemory = (options: object) => opened(connect(":memory:", options));
    const nowhere = (options: object) => connectPostgres("postgres://127.0.0.1:1/d", options);
    const closing = async (value: never): Promise<void> => {
      const db = new FakeServer().database();
      try {
        await db.close(value);
      } finally {
        await db.close();
      }
    };
    const calls: readonly Call[] = [
      ...common((options) => new FakeServer().database(options).close()),
      ...common(nowhere),
      ["FakeServer", (value) => new FakeServer(value), "{}"],
      ["FakeServer, latency", (latency) => new FakeServer({ latency }), ...SECONDS],
      ["sqlite, path", (value) => opened(connect(value)), "text"],
      ["sqlite, types", (types) => inMemory({ types }), "{}", "function"],
      ["sqlite, integers", (integers) => inMemory({ integers })],
      ["sqlite, synchronous", (synchronous) => inMemory({ synchronous })],
      ["sqlite, thread", (thread) => inMemory({ thread }), "true"],
      ["pglite", (value) => connectPglite(value)],
      ["postgres, url", (value) => connectPostgres(value)],
      ["postgres, types", (types) => nowhere({ types }), "{}"],
      ["postgres, hosts", (hosts) => nowhere({ hosts })],
      ["postgres, a host", (host) => nowhere({ hosts: [host] }), ...TEXTS],
      ["postgres, target", (target) => nowhere({ target })],
      ["postgres, tls", (tls) => nowhere({ tls }), "true", "{}"],
      ["postgres, password", (password) => nowhere({ password }), ...TEXTS],
      ["postgres, connectTimeout", (connectTimeout) => nowhere({ connectTimeout }), ...SECONDS],
      ["postgres, standby", (standby) => nowhere({ standby }), "true"],
      ["close", closing, "{}"],
      ["close, drain", (drain) => closing({ drain } as never), ...SECONDS],
      ["dialect", (value) => dialect(value)],
      ["remote", (value) => remote(value)],
      ["PgPool", (value) => new PgPool(value)],
      ["transactionPerTest", (value) => transactionPerTest(value, returns)],
      ["startPostgres", (value) => startPostgres(value), "{}"],
      ["startPostgres, auth", (auth) => startPostgres({ auth })],
      ["startPostgres, settings", (settings) => startPostgres({ settings }), "{}"],
      ["startPostgres, patience", (patience) => startPostgres({ patience }), ...SECONDS],
      ["startProxy", (value) => startProxy(value)],
    ];
    assert.deepEqual(await unrefused(calls), []);
  }));

test("so do the functions of `sql`", () =>
  asyncio.run(async () => {
    const calls: readonly Call[] = [
      ["sql", (value) => sql(value)],
      ["sql.id", (value) => sql.id(value), "text"],
      ["sql.raw", (value) => sql.raw(value), ...TEXTS],
      ["sql.join", (value) => sql.join(value)],
      ["sql.join, separator", (value) => sql.join([1, 2], value), ...TEXTS],
      ["sql.values", (value) => sql.values(value)],
      ["sql.values, a row", (value) => sql.values([value])],
      ["sql.values, a later row", (value) => sql.values([{ a: 1 }, value])],
      [
        "sql.json",
        (value) => sql.json(value),
        "null",
        "-1",
        "1.5",
        "0",
        "true",
        ...TEXTS,
        "{}",
        "[]",
      ],
    ];
    assert.deepEqual(await unrefused(calls), []);
  }));

test("a value of which JSON would keep nothing is refused, and not stored as {}", () =>
  asyncio.run(async () => {
    class Hidden {
      readonly #secret = 1;
      get secret(): number {
        return this.#secret;
      }
    }
    const lost = [
      Promise.resolve(1),
      new Map([[1, 2]]),
      new Set([1]),
      new Error("x"),
      new ArrayBuffer(3),
      new Hidden(),
      { n: 1n },
    ];
    await using db = await connect(":memory:", { thread: false });
    const calls = lost.flatMap((value) => [
      () => db.query(sql`select ${value}`),
      async () => sql.json(value),
    ]);
    for (const [index, call] of calls.entries())
      await assert.rejects(
        call,
        /has no JSON|JSON keeps nothing|a value that JSON has/,
        `${index}`,
      );
    const kept = [{}, Object.create(null), { toJSON: () => ({}) }, []];
    for (const value of kept) await db.query(sql`select ${value}, ${sql.json(value)}`);
  }));
