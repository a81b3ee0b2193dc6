import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ChunkQueue } from "../../src/streams/chunk-queue.ts";

/** Bytes that count on from `from`, so that none can be taken for another nearby. */
const counting = (from: number, length: number) =>
  Uint8Array.from({ length }, (_, index) => (from + index) % 251);

test("gives what it was given, in order, and changes nothing that it has given", () => {
  const step = fc.record({
    kind: fc.constantFrom("push", "append", "shift", "take"),
    length: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20_000 })),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new ChunkQueue();
      const given: Uint8Array[] = [];
      let [put, taken] = [0, 0];
      const give = (bytes: Uint8Array): void => {
        given.push(bytes);
        taken += bytes.length;
      };

      for (const { kind, length } of steps) {
        const bytes = counting(put, length);
        if (kind === "push") queue.push(bytes);
        else if (kind === "append" && !queue.append(bytes)) queue.push(bytes);
        if (kind === "push" || kind === "append") put += length;
        else if (queue.size === 0) continue;
        else if (kind === "shift") give(queue.shift(length));
        else {
          const wanted = Math.min(length, queue.size);
          give(queue.take(length));
          assert.equal(given.at(-1)?.length, wanted);
        }
        assert.equal(queue.size, put - taken);
      }
      while (queue.size > 0) give(queue.shift());

      assert.deepEqual(new Uint8Array(Buffer.concat(given)), counting(0, put));
    }),
  );
});

test("small chunks become few", () => {
  const queue = new ChunkQueue();
  for (let index = 0; index < 65_536; index++)
    if (!queue.append(new Uint8Array(1))) queue.push(new Uint8Array(1));

  let chunks = 0;
  for (; queue.size > 0; chunks++) queue.shift();
  assert.ok(chunks < 20, `${chunks} chunks`);
});
