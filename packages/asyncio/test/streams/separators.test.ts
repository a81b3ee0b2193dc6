// How much is looked through for separators: no more than what is new, and what comes before the
// one that is found.

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { ByteBuffer } from "../../src/streams/byte-buffer.ts";
import { find, LINE, searchedIn, searchFor } from "../../src/streams/separators.ts";

/** Counts the bytes that the engine is made to look through, at most. */
function countBytes(t: TestContext): () => number {
  const bytes = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array;
  const { indexOf } = bytes;
  let count = 0;
  t.mock.method(bytes, "indexOf", function (this: Uint8Array, byte: number, from: number) {
    count += this.length - from;
    return indexOf.call(this, byte, from);
  });
  return () => count;
}

const CHUNK = new Uint8Array(1000).fill(97);

test("a line that comes in many chunks is looked through once", (t) => {
  const count = countBytes(t);
  const buffer = new ByteBuffer();
  let searched = 0;
  for (let chunks = 0; chunks < 1000; chunks++) {
    buffer.append(CHUNK);
    assert.equal(find(buffer, LINE, searched), undefined);
    searched = searchedIn(buffer, LINE);
  }

  assert.ok(count() <= buffer.length, `${count()} bytes`);
});

describe("of several separators one may be nowhere", () => {
  for (const separators of [
    ["\n", "\0"],
    ["\0", "\n"],
    ["\0\0\0\0", "\r\n", "no"],
  ])
    test(`among ${JSON.stringify(separators)}, and a message costs no more for what lies behind it`, (t) => {
      const buffer = new ByteBuffer();
      const message = new TextEncoder().encode(`${"x".repeat(58)}\r\n`);
      const many = new Uint8Array(60 * 10_000).map((_, index) => message[index % 60] as number);
      buffer.append(many);
      const search = searchFor("`test`", separators);
      const count = countBytes(t);

      for (let at = 0; at < many.length; at += 60) {
        assert.equal(find(buffer, search, 0)?.end, 60);
        buffer.drop(60);
      }

      assert.ok(count() <= 15 * many.length, `${count()} bytes`);
    });

  test("and the one that ends first is found, wherever a look ends", () => {
    const search = searchFor("`test`", ["ab", "b", "abcd", "zzzz"]);
    for (let before = 0; before < 1100; before++) {
      const buffer = new ByteBuffer();
      buffer.append(new TextEncoder().encode(`${"x".repeat(before)}abcd${"x".repeat(1100)}`));
      assert.deepEqual(find(buffer, search, 0), { start: before, end: before + 2 });
      assert.deepEqual(find(buffer, search, before + 1), { start: before + 1, end: before + 2 });
      assert.equal(find(buffer, search, before + 2), undefined);
    }
  });
});
