// For the tests: how values map, on a server and on PostgreSQL in this process.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { type Database, sql, ValueError } from "../src/index.ts";
import { PreciseDate, type TypeOptions } from "../src/postgres.ts";

const bytes = Uint8Array.from([0, 1, 254, 255]);
const date = new Date("2026-11-29T10:11:12.345Z");

/** What is written in SQL, and what comes of it. Sent back as a value, it is the same again. */
const table: readonly (readonly [type: string, literal: string, value: unknown])[] = [
  ["bool", "true", true],
  ["int2", "-32768", -32768],
  ["int4", "2147483647", 2147483647],
  ["int8", "9007199254740993", 9007199254740993n],
  ["int8", "-9223372036854775808", -9223372036854775808n],
  ["float8", "'NaN'", Number.NaN],
  ["float8", "'-Infinity'", Number.NEGATIVE_INFINITY],
  ["float8", "0.1", 0.1],
  ["float8", "1.7976931348623157e308", Number.MAX_VALUE],
  ["float4", "0.5", 0.5],
  ["numeric", "'12345678901234567890.123456789'", "12345678901234567890.123456789"],
  ["numeric", "'NaN'", "NaN"],
  ["text", "'Ünï \\ \" '' 😀'", "Ünï \\ \" ' 😀"],
  ["text", "''", ""],
  ["bytea", "'\\x0001feff'", bytes],
  ["bytea", "''", new Uint8Array(0)],
  ["uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
  ["timestamptz", "'2026-11-29 10:11:12.345+00'", date],
  ["timestamptz", "'2026-11-29 15:41:12.345+05:30'", date],
  ["timestamptz", "'0044-03-15 12:00:00+00 BC'", new Date(Date.UTC(-43, 2, 15, 12))],
  ["timestamptz", "'10000-01-01 00:00:00+00'", new Date(Date.UTC(10000, 0, 1))],
  ["timestamptz", "'infinity'", Number.POSITIVE_INFINITY],
  ["timestamp", "'2026-11-29 10:11:12.345678'", "2026-11-29 10:11:12.345678"],
  ["date", "'2026-11-29'", "2026-11-29"],
  ["time", "'10:11:12.5'", "10:11:12.5"],
  ["interval", "'1 day 02:03:04'", "1 day 02:03:04"],
  ["json", `'{"a": [1, null, "x"]}'`, { a: [1, null, "x"] }],
  ["jsonb", `'"text"'`, "text"],
  [
    "jsonb",
    `'{"number in a string": "9007199254740993"}'`,
    { "number in a string": "9007199254740993" },
  ],
  ["int4[]", "'{1,NULL,3}'", [1, null, 3]],
  ["int4[]", "'{}'", []],
  ["int8[]", "'{9007199254740993}'", [9007199254740993n]],
  [
    "int4[]",
    "'{{1,2},{3,4}}'",
    [
      [1, 2],
      [3, 4],
    ],
  ],
  ["int4[]", "'[2:3]={1,2}'", [1, 2]],
  ["text[]", `'{"a,b","c\\"d","NULL",NULL,"","\\\\"}'`, ["a,b", 'c"d', "NULL", null, "", "\\"]],
  ["bool[]", "'{t,f}'", [true, false]],
  ["bytea[]", `'{"\\\\x0001feff"}'`, [bytes]],
  ["timestamptz[]", `'{"2026-11-29 10:11:12.345+00"}'`, [date]],
  ["numeric[]", "'{1.50}'", ["1.50"]],
  ["int4", "null", null],
];

/** What both have: a server, and PostgreSQL in this process. */
interface ValuesBench {
  run(
    body: (db: Database) => Promise<void>,
    options?: { readonly types?: TypeOptions },
  ): Promise<void>;
}

export function testValues(bench: ValuesBench): void {
  test("come as the table says, and go back unchanged", () =>
    bench.run(async (db) => {
      for (const [type, literal, value] of table) {
        const what = sql.raw(`(${literal})::${type}`);
        const { came } = await db.one<{ came: unknown }>(sql`select ${what} as came`);
        assert.deepEqual(came, value, `${literal}::${type}`);
        const isJson = type.startsWith("json");
        const sent = isJson && typeof value === "string" ? sql.json(value) : value;
        const { back } = await db.one<{ back: boolean }>(
          sql`select ${what}::text is not distinct from ${sent}::${sql.raw(type)}::text as back`,
        );
        if (isJson || literal.startsWith("'[")) continue; // spaces, and lower bounds
        assert.equal(back, true, `${literal}::${type} back`);
      }
    }));

  test("of another realm, as Node's are under Jest, are sent as those of this one", () =>
    bench.run(async (db) => {
      const foreignBytes = runInNewContext("new Uint8Array([0, 1, 254, 255])");
      const foreignDate = runInNewContext(`new Date(${date.getTime()})`);
      const row = await db.one(
        sql`select ${foreignBytes}::bytea as x, ${foreignDate}::timestamptz as t`,
      );

      assert.deepEqual(row, { x: bytes, t: date });
    }));

  test("microseconds survive the way there and back", () =>
    bench.run(async (db) => {
      const { t } = await db.one<{ t: Date }>(
        sql`select '2026-11-29 10:11:12.345678+00'::timestamptz as t`,
      );
      const { text } = await db.one<{ text: string }>(
        sql`select to_char(${t}::timestamptz at time zone 'UTC', 'SS.US') as text`,
      );
      assert.ok(t instanceof PreciseDate && t instanceof Date);
      assert.deepEqual([t.getTime(), t.microseconds, text], [date.getTime(), 678, "12.345678"]);
    }));

  test("what JavaScript would round is refused, by name", () =>
    bench.run(async (db) => {
      const json = db.one(sql`select '{"id": 9007199254740993}'::json as j`);
      const year = db.one(sql`select '294276-01-01 00:00:00+00'::timestamptz as t`);
      await assert.rejects(
        json,
        (error) => error instanceof ValueError && /9007199254740993/.test(error.message),
      );
      await assert.rejects(
        year,
        (error) => error instanceof ValueError && /cannot hold 294276/.test(error.message),
      );
      assert.deepEqual(await db.query(sql`select 1 as one`), [{ one: 1 }]);
    }));

  test("types are read as the options say", () =>
    bench.run(
      async (db) => {
        const row = await db.one(
          sql`select 7::int8 as a, '{8}'::int8[] as b, '2026-11-29 00:00:00+00'::timestamptz as c, '2026-11-29'::date as d`,
        );
        assert.deepEqual(row, { a: 7, b: [8], c: "2026-11-29 00:00:00+00", d: 2026 });
        await assert.rejects(
          db.one(sql`select 9007199254740993`),
          (error) =>
            error instanceof ValueError && /more than a number can hold/.test(error.message),
        );
      },
      {
        types: {
          int8: "number",
          timestamptz: "text",
          date: (text) => Number.parseInt(text, 10),
        },
      },
    ));
}
