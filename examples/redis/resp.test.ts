import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { encodeCommand, ProtocolError, Push, ReplyError, readValue, type Value } from "./resp.ts";

const read = (text: string): Promise<Value> => readValue(asyncio.readerFrom(text));

const values: readonly (readonly [string, Value])[] = [
  ["+OK\r\n", "OK"],
  ["+\r\n", ""],
  [":-42\r\n", -42],
  ["(123456789012345678901234567890\r\n", 123456789012345678901234567890n],
  [",1.5\r\n", 1.5],
  [",-inf\r\n", Number.NEGATIVE_INFINITY],
  [",nan\r\n", Number.NaN],
  ["#t\r\n", true],
  ["#f\r\n", false],
  ["_\r\n", undefined],
  ["$-1\r\n", undefined],
  ["*-1\r\n", undefined],
  ["$0\r\n\r\n", ""],
  ["$7\r\na\r\n\u00e9bc\r\n", "a\r\n\u00e9bc"],
  ["=8\r\ntxt:text\r\n", "text"],
  ["*3\r\n:1\r\n$1\r\na\r\n*0\r\n", [1, "a", []]],
  [
    "%2\r\n+a\r\n:1\r\n+b\r\n_\r\n",
    new Map<Value, Value>([
      ["a", 1],
      ["b", undefined],
    ]),
  ],
  ["~2\r\n:1\r\n:2\r\n", new Set([1, 2])],
  ["|1\r\n+ttl\r\n:5\r\n+value\r\n", "value"],
];

for (const [text, value] of values)
  test(`reads ${JSON.stringify(text)}`, async () => {
    assert.deepEqual(await read(text), value);
  });

test("reads errors and pushes", async () => {
  for (const text of ["-WRONGTYPE no list\r\n", "!17\r\nWRONGTYPE no list\r\n"]) {
    const error = await read(text);
    assert.ok(error instanceof ReplyError);
    assert.deepEqual([error.kind, error.message], ["WRONGTYPE", "WRONGTYPE no list"]);
  }
  const push = await read(">3\r\n+message\r\n+news\r\n+hello\r\n");
  assert.ok(push instanceof Push);
  assert.deepEqual([push.kind, push.values], ["message", ["news", "hello"]]);
});

test("what is no RESP3 is an error, and so is an end in the middle", async () => {
  for (const text of [
    "HTTP/1.1 200 OK\r\n",
    ":1.5\r\n",
    "$x\r\n",
    "*-2\r\n",
    "*999999999\r\n",
    "\r\n",
  ])
    await assert.rejects(read(text), ProtocolError);
  for (const text of ["", "+OK", "$5\r\nab", "*2\r\n:1\r\n"])
    await assert.rejects(read(text), asyncio.IncompleteReadError);
});

test("writes commands whose length is that of their bytes", () => {
  assert.equal(
    encodeCommand(["SET", "caf\u00e9", 1]),
    "*3\r\n$3\r\nSET\r\n$5\r\ncaf\u00e9\r\n$1\r\n1\r\n",
  );
});
