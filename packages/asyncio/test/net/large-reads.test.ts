// Sockets are read into memory that all of them share, and readers copy out of it. What one reader
// has got must not be overwritten by what comes for another, nor by what comes next.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gather, openConnection, run, startServer } from "../../src/index.ts";

const SIZE = 700_001;

/** Bytes that tell where they belong, of a connection and a place. */
function patternOf(seed: number): Uint8Array {
  return Uint8Array.from({ length: SIZE }, (_, index) => (index * 7 + (index >> 8) * seed) % 251);
}

test("what several connections read in large pieces stays what it was", async () => {
  await run(async () => {
    await using server = await startServer(
      async (reader, writer) => {
        const seed = (await reader.readExactly(1))[0] ?? assert.fail();
        await writer.write(patternOf(seed));
      },
      "127.0.0.1",
      0,
    );
    const { port } = server.sockets[0];
    const readPieces = async (seed: number): Promise<[number, Uint8Array[]]> => {
      await using connection = await openConnection("127.0.0.1", port);
      const { reader, writer } = connection;
      await writer.write(Uint8Array.of(seed));
      const pieces: Uint8Array[] = [];
      for (let left = SIZE, size = 90_000; left > 0; left -= size) {
        size = Math.min(size, left);
        // By turns what takes several chunks, and what takes one as it comes.
        if (pieces.length % 3 !== 0) pieces.push(await reader.readExactly(size));
        else {
          const piece = await reader.read(size);
          pieces.push(piece);
          size = piece.length;
        }
      }
      return [seed, pieces];
    };
    const all = await gather(...[1, 2, 3, 4].map((seed) => () => readPieces(seed)));
    for (const [seed, pieces] of all)
      assert.deepEqual(Buffer.concat(pieces), Buffer.from(patternOf(seed)));
  });
});

test("lines of several connections are whole, while other lines come", async () => {
  const line = (seed: number, index: number) => `${seed}: ${"x".repeat(index % 300)} ${index}`;
  const count = 4000;
  await run(async () => {
    await using server = await startServer(
      async (reader, writer) => {
        const seed = Number(await reader.readLine({ encoding: "utf-8" }));
        for (let index = 0; index < count; index++) await writer.write(`${line(seed, index)}\n`);
      },
      "127.0.0.1",
      0,
    );
    const { port } = server.sockets[0];
    const readLines = async (seed: number): Promise<void> => {
      await using connection = await openConnection("127.0.0.1", port);
      await connection.writer.write(`${seed}\n`);
      let index = 0;
      for await (const text of connection.reader.lines()) assert.equal(text, line(seed, index++));
      assert.equal(index, count);
    };
    await gather(...[1, 2, 3].map((seed) => () => readLines(seed)));
  });
});
