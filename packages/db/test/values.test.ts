import assert from "node:assert/strict";
import { test } from "node:test";
import { ValueError } from "../src/index.ts";
import { encode } from "../src/postgres/values.ts";
import { describePostgres } from "./postgres.ts";
import { testValues } from "./values-suite.ts";

describePostgres("values", testValues);

test("what no column can hold is refused before it is sent", () => {
  for (const value of [undefined, Symbol("s"), () => {}, "a\0b", new Date(Number.NaN), [undefined]])
    assert.throws(() => encode(value, 0), ValueError, String(value));
});
