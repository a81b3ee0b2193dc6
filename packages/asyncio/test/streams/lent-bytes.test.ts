import assert from "node:assert/strict";
import { test } from "node:test";
import { keepLent, LENT, lend } from "../../src/streams/lent-bytes.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

test("memory that the host did not keep is lent again", () => {
  const first = lend(bytes(1, 2, 3));
  const place = first.byteOffset;
  assert.deepEqual([...first], [1, 2, 3]);
  const second = lend(bytes(4, 5));

  assert.deepEqual([[...second], second.byteOffset], [[4, 5], place]);
  assert.equal(second.buffer, first.buffer);
});

test("what the host keeps is not written to again, however much is lent after it", () => {
  const kept: Uint8Array[] = [];
  const count = 1000;
  for (let index = 0; index < count; index++) {
    const length = 1 + ((index * 37) % 997);
    kept.push(lend(new Uint8Array(length).fill(index)));
    keepLent();
    lend(new Uint8Array(length).fill(0xff));
  }

  for (const [index, chunk] of kept.entries())
    assert.ok(
      chunk.length === 1 + ((index * 37) % 997) && chunk.every((byte) => byte === index % 256),
    );
});

test("the longest write has room, also behind what was kept", () => {
  lend(bytes(1));
  keepLent();
  const long = lend(new Uint8Array(LENT).fill(7));

  assert.equal(long.length, LENT);
  assert.ok(long.every((byte) => byte === 7));
  keepLent();
  assert.deepEqual([...lend(bytes(8))], [8]);
  assert.ok(long.every((byte) => byte === 7));
});
