// Reading text: lines and what comes before a separator, as strings.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";

const { connectionPair, createTask, moveOnAfter, readerFrom, run, sleep, StreamReader } = asyncio;
const { memoryStreamPair, runTest } = testing;

const bytes = (string: string) => new TextEncoder().encode(string);
const utf8 = { encoding: "utf-8" } as const;

/** Runs on the virtual loop, and on the real one. */
function onBothLoops(body: () => Promise<void>): () => Promise<void> {
  return async () => {
    await runTest(body);
    await run(body);
  };
}

async function allLines(reader: asyncio.StreamReader, options: { encoding: string }) {
  const lines: string[] = [];
  for (;;) {
    const line = await reader.readLine(options);
    if (line === undefined) return lines;
    lines.push(line);
  }
}

describe("readLine with an encoding", () => {
  test(
    "gives lines without their ends, an empty one as such, and undefined at the end of the stream",
    onBothLoops(async () => {
      const reader = readerFrom(["one\r\ntw", "o\n\n", "\r\nlast\r"]);

      assert.deepEqual(await allLines(reader, utf8), ["one", "two", "", "", "last\r"]);
      assert.equal(await reader.readLine(utf8), undefined);
    }),
  );

  test(
    "drops a byte order mark at the beginning, and none after it",
    onBothLoops(async () => {
      const reader = readerFrom(["\uFEFFone\n\uFEFFtwo\n"]);

      assert.deepEqual(await allLines(reader, utf8), ["one", "\uFEFFtwo"]);
    }),
  );

  test("decodes what TextDecoder knows, whatever the chunks cut", async () => {
    await runTest(async () => {
      for (const [encoding, bytes, text] of [
        ["utf-8", "é€😀\nx", "é€😀"],
        ["latin1", new Uint8Array([0xe9, 0x0a]), "é"],
        ["shift_jis", new Uint8Array([0x83, 0x65, 0x0a]), "テ"],
      ] as const) {
        const [near, far] = memoryStreamPair({ chunks: "bytes" });
        far.send(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
        far.close();
        assert.equal(await new StreamReader(near).readLine({ encoding }), text);
        near.close();
      }
    });
  });

  test("a text of any length comes out as it went in, of ASCII and of others", async () => {
    for (let length = 0; length <= 60; length++)
      for (const end of ["", "é", "\u007f", "\u0080", "\uFEFF"]) {
        const line = `${"x".repeat(length)}${end}`;
        const reader = readerFrom(["\n", bytes(`${line}\n${line}\r\n`), `${line}</p>`]);

        assert.equal(await reader.readLine(utf8), "");
        assert.equal(await reader.readLine(utf8), line);
        assert.equal(await reader.readLine(utf8), line);
        assert.equal(await reader.readUntil("</p>", utf8), line);
      }
  });

  test("rejects for an encoding that is unknown, or in which a newline is not one byte", async () => {
    const reader = readerFrom("a\n");

    for (const encoding of ["klingon", "utf-16le"]) {
      await assert.rejects(reader.readLine({ encoding }), RangeError);
      await assert.rejects(reader.readUntil("\n", { encoding }), RangeError);
    }
    assert.equal(await reader.readLine(utf8), "a");
  });

  test("keeps to the limit, in bytes", async () => {
    const reader = readerFrom("éé\nok\n");

    await assert.rejects(reader.readLine({ ...utf8, limit: 3 }), asyncio.LimitOverrunError);
    assert.equal(await reader.readLine({ ...utf8, limit: 3 }), "ok");
  });

  test("cancelled by a deadline around one line, it has taken nothing", async () => {
    await runTest(async () => {
      const [near, far] = connectionPair();
      const feeding = createTask(async () => {
        for (const part of ["half of ", "the answer\nmore\n"]) {
          await far.writer.write(part);
          await sleep(2);
        }
        far.writer.close();
      });

      assert.deepEqual(await moveOnAfter(1, () => near.reader.readLine(utf8)), { cancelled: true });
      assert.equal(await near.reader.readLine(utf8), "half of the answer");
      assert.equal(await near.reader.readLine(utf8), "more");

      await feeding;
      near.writer.close();
    });
  });

  test("a line that nobody awaits any more crashes nothing when the connection is lost", () =>
    runTest(async (t) => {
      const [near, far] = connectionPair();
      const line = near.reader.readLine(utf8);
      await t.settle();
      far.writer.abort();
      await new Promise((resolve) => setImmediate(resolve));

      await assert.rejects(line, { code: "ECONNRESET" });
      near.writer.close();
    }));
});

describe("readUntil with an encoding", () => {
  test(
    "gives the text before the separator, of several that which ends first",
    onBothLoops(async () => {
      const reader = readerFrom(["name=Ad", "a&; rest"]);

      assert.equal(await reader.readUntil("=", utf8), "name");
      assert.equal(await reader.readUntil([";", "&;", "\n"], utf8), "Ada");
      assert.equal(await reader.readUntil(" ", utf8), "");
      await assert.rejects(reader.readUntil(" ", utf8), asyncio.IncompleteReadError);
    }),
  );

  test("gives lines as they are, without the separator alone", async () => {
    const reader = readerFrom("a\r\nb\r\n");

    assert.equal(await reader.readUntil(undefined, utf8), "a\r");
    assert.equal(await reader.readUntil("\r\n", utf8), "b");
  });
});

test("an iterator of lines survives a deadline around one of them", async () => {
  await runTest(async () => {
    const [near, far] = connectionPair();
    const lines = near.reader.lines();
    const feeding = createTask(async () => {
      await sleep(2);
      await far.writer.write("late\nnext\n");
      far.writer.close();
    });

    assert.deepEqual(await moveOnAfter(1, () => lines.next()), { cancelled: true });
    const rest: string[] = [];
    for await (const line of lines) rest.push(line);

    assert.deepEqual(rest, ["late", "next"]);
    await feeding;
    near.writer.close();
  });
});
