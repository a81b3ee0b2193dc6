import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionLostError, sql, ValueError } from "../src/index.ts";
import { encode } from "../src/postgres/values.ts";
import { describeEveryWay, describePostgres } from "./postgres.ts";
import { testValues } from "./values-suite.ts";

describePostgres("values", testValues);

describeEveryWay("an encoding that is not UTF-8", (bench) => {
  test("loses the connection, before a text is stored as other letters", () =>
    bench.run(
      async (db) => {
        await assert.rejects(
          db.session(async (session) => {
            await session.execute(sql`set client_encoding to latin1`).catch(() => {});
            return await session.query(sql`select length(${"ü"}::text)`);
          }),
          (error) =>
            error instanceof ConnectionLostError && /client_encoding to LATIN1/.test(error.message),
        );
        assert.deepEqual(await db.query(sql`select length(${"ü"}::text) as n`), [{ n: 1 }]);
      },
      { max: 1 },
    ));
});

test("what no column can hold is refused before it is sent", () => {
  for (const value of [undefined, Symbol("s"), () => {}, "a\0b", new Date(Number.NaN), [undefined]])
    assert.throws(() => encode(value, 0), ValueError, String(value));
});
