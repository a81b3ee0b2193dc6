import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { conforms } from "../conformance.ts";

const { createTask, StreamReader } = asyncio;
const { memoryStreamPair, runTest } = testing;

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);

/** A reader, and the end whose bytes it reads; both ends are closed afterwards. */
function reading(
  body: (
    reader: asyncio.StreamReader,
    far: asyncio.ByteStream,
    t: testing.TestContext,
  ) => Promise<void>,
  { limit, ...options }: asyncio.ReaderOptions & testing.MemoryStreamOptions = {},
): () => Promise<void> {
  return () =>
    runTest(async (t) => {
      const [near, far] = memoryStreamPair(options);
      await body(new StreamReader(near, { limit }), far, t);
      near.close();
      far.close();
    });
}

/** A reader of what is given, in chunks, and then of the end. */
function ofChunks(
  chunks: readonly string[],
  body: (reader: asyncio.StreamReader) => Promise<void>,
  options: asyncio.ReaderOptions = {},
): () => Promise<void> {
  return reading(async (reader, far) => {
    const writer = createTask(async () => {
      for (const chunk of chunks) {
        await far.write(bytes(chunk));
        await asyncio.sleep(1);
      }
      far.writeEof();
    });
    await body(reader);
    await writer;
  }, options);
}

for (const [name, begin] of [
  ["StreamReader.read", (reader: asyncio.StreamReader) => reader.read(1)],
  ["StreamReader.readExactly", (reader: asyncio.StreamReader) => reader.readExactly(1)],
  ["StreamReader.readUntil", (reader: asyncio.StreamReader) => reader.readUntil(bytes(";"))],
] as const) {
  conforms(name, { wakes: "own", hasFastPath: true }, () => {
    const [near, far] = memoryStreamPair();
    const reader = new StreamReader(near);
    let offered = 0;
    return {
      begin: async () => (await begin(reader))[0],
      complete() {
        const byte = 100 + ++offered;
        far.send(new Uint8Array(name.endsWith("Until") ? [byte, 59] : [byte]));
        return byte;
      },
    };
  });
}

describe("read", () => {
  test(
    "gives what has come, at most what was asked for",
    reading(async (reader, far) => {
      await far.write(bytes("abcdef"));

      assert.equal(text(await reader.read(4)), "abcd");
      assert.equal(text(await reader.read(4)), "ef");
    }),
  );

  test(
    "reads to the end without a number, whatever the limit",
    ofChunks(
      ["abc", "def", "ghi"],
      async (reader) => {
        assert.equal(text(await reader.read()), "abcdefghi");
        assert.equal((await reader.read()).length, 0);
      },
      { limit: 2 },
    ),
  );

  test(
    "gives nothing at the end",
    ofChunks(["x"], async (reader) => {
      assert.equal(reader.atEof(), false);
      assert.equal(text(await reader.read(10)), "x");
      assert.equal(reader.atEof(), false);
      assert.equal((await reader.read(10)).length, 0);
      assert.equal(reader.atEof(), true);
    }),
  );

  test(
    "gives nothing when nothing was asked for",
    reading(async (reader) => {
      assert.equal((await reader.read(0)).length, 0);
    }),
  );
});

describe("readExactly", () => {
  test(
    "collects chunks, over the limit too (S133)",
    ofChunks(
      ["ab", "cd", "efg"],
      async (reader) => {
        assert.equal(text(await reader.readExactly(5)), "abcde");
        assert.equal((await reader.readExactly(0)).length, 0);
        assert.equal(text(await reader.read()), "fg");
      },
      { limit: 3 },
    ),
  );

  test(
    "rejects at the end with what there was (S133)",
    ofChunks(["ab", "c"], async (reader) => {
      const error = await reader.readExactly(5).catch((error: unknown) => error);

      assert.ok(error instanceof asyncio.IncompleteReadError);
      assert.equal(text(error.partial), "abc");
      assert.equal(error.expected, 5);
      assert.equal(
        error.message,
        "`reader.readExactly` expected 5 bytes, but the stream has ended after 3 bytes",
      );
      assert.equal((await reader.read()).length, 0);
    }),
  );

  test(
    "refuses a count that is none (S133)",
    reading(async (reader) => {
      await assert.rejects(reader.readExactly(-1), RangeError);
      await assert.rejects(reader.readExactly(1.5), RangeError);
      // @ts-expect-error
      await assert.rejects(reader.readExactly("1"), TypeError);
    }),
  );
});

describe("readLine", () => {
  test(
    "gives lines with their ends, the last one as it is, and then nothing (S129)",
    ofChunks(["one\ntw", "o\n\nthr", "ee"], async (reader) => {
      const lines: string[] = [];
      for (let line = await reader.readLine(); line.length > 0; line = await reader.readLine())
        lines.push(text(line));

      assert.deepEqual(lines, ["one\n", "two\n", "\n", "three"]);
      assert.equal((await reader.readLine()).length, 0);
    }),
  );

  test(
    "does not count the line end against the limit (S130)",
    ofChunks(["1234567\n12345678\nok\n"], async (reader) => {
      assert.equal(text(await reader.readLine({ limit: 7 })), "1234567\n");
      await assert.rejects(reader.readLine({ limit: 7 }), asyncio.LimitOverrunError);
      assert.equal(text(await reader.readLine()), "ok\n");
    }),
  );

  test(
    "drops what has come of a line that is too long (S129)",
    ofChunks(
      ["too long", "\nnext\n"],
      async (reader) => {
        await assert.rejects(reader.readLine(), {
          code: "ERR_ASYNCIO_LIMIT_OVERRUN",
          consumed: 8,
          limit: 5,
          message:
            "`reader.readLine` found no separator in 8 bytes, over the `limit` of 5. Pass a higher `limit` to this call, or where the reader is made",
        });
        assert.equal(text(await reader.readLine()), "\n");
        assert.equal(text(await reader.readLine()), "next\n");
      },
      { limit: 5 },
    ),
  );
});

describe("readUntil", () => {
  test(
    "takes a separator of several bytes that comes in parts",
    ofChunks(["head\r", "\n\r", "\nbody"], async (reader) => {
      assert.equal(text(await reader.readUntil("\r\n\r\n")), "head\r\n\r\n");
      assert.equal(text(await reader.read()), "body");
    }),
  );

  test(
    "takes of several separators the one that ends first (S132)",
    ofChunks(["one;two, three"], async (reader) => {
      assert.equal(text(await reader.readUntil([", ", ";"])), "one;");
      assert.equal(text(await reader.readUntil([", ", ";"])), "two, ");
      assert.equal(text(await reader.readUntil(["hree", "re"])), "thre");
    }),
  );

  test(
    "rejects at the end with what there was (S131)",
    ofChunks(["abc"], async (reader) => {
      const error = await reader.readUntil(";").catch((error: unknown) => error);

      assert.ok(error instanceof asyncio.IncompleteReadError);
      assert.equal(text(error.partial), "abc");
      assert.equal(error.expected, undefined);
      assert.equal(reader.atEof(), true);
    }),
  );

  test(
    "keeps the buffer when it is over the limit (S131)",
    ofChunks(["abcdef;"], async (reader) => {
      const error = await reader.readUntil(";", { limit: 3 }).catch((error: unknown) => error);

      assert.ok(error instanceof asyncio.LimitOverrunError);
      assert.equal(error.consumed, 6);
      assert.equal(text(await reader.readExactly(error.consumed)), "abcdef");
      assert.equal(text(await reader.read()), ";");
    }),
  );

  describe("without a separator it looks for a newline, as with one (S131)", () => {
    const ways: Record<string, (reader: asyncio.StreamReader, limit?: number) => unknown> = {
      "left out": (reader) => reader.readUntil(),
      undefined: (reader, limit) => reader.readUntil(undefined, { limit }),
      "as text": (reader, limit) => reader.readUntil("\n", { limit }),
      "as bytes": (reader, limit) => reader.readUntil(bytes("\n"), { limit }),
      "one of several": (reader, limit) => reader.readUntil(["\n"], { limit }),
    };
    for (const [name, readUntil] of Object.entries(ways)) {
      const both = (body: (reader: asyncio.StreamReader) => Promise<void>, text: string) => {
        const onLoop = async () => {
          const [near, far] = asyncio.connectionPair({ limit: 4 });
          far.writer.write(text);
          far.writer.close();
          await body(near.reader);
          near.writer.close();
        };
        return async () => {
          await runTest(onLoop);
          await asyncio.run(onLoop);
        };
      };

      test(
        `${name}: what the end cuts off is an error with what there was`,
        both(async (reader) => {
          assert.equal(text((await readUntil(reader)) as Uint8Array), "ok\n");
          const error = await Promise.resolve(readUntil(reader)).catch((error: unknown) => error);
          assert.ok(error instanceof asyncio.IncompleteReadError);
          assert.equal(text(error.partial), "cut");
        }, "ok\ncut"),
      );

      test(
        `${name}: over the limit everything stays, also where a newline was found`,
        both(async (reader) => {
          const attempt = Promise.resolve(readUntil(reader, 4));
          await assert.rejects(attempt, asyncio.LimitOverrunError);
          assert.equal(text(await reader.read()), "too long\nrest");
        }, "too long\nrest"),
      );
    }
  });

  test(
    "refuses empty separators (S132)",
    reading(async (reader) => {
      await assert.rejects(reader.readUntil(""), RangeError);
      await assert.rejects(reader.readUntil([]), RangeError);
      // @ts-expect-error
      await assert.rejects(reader.readUntil(10), TypeError);
      await assert.rejects(reader.readUntil(";", { limit: 0 }), RangeError);
    }),
  );

  test("finds what one search over the whole text finds, wherever the chunks are cut", async () => {
    const all = "ab\r\ncd\n\r\n\r\nefg\r\r\nh";
    const whole = all.split(/(?<=\r\n|;)/);
    for (let seed = 0; seed < 20; seed++) {
      await runTest(async () => {
        const [near, far] = memoryStreamPair({ chunks: "random", seed });
        await far.write(bytes(all));
        far.close();
        const reader = new StreamReader(near);
        const parts: string[] = [];
        while (!reader.atEof()) {
          const part = await reader.readUntil([";", "\r\n"]).catch((error) => error.partial);
          parts.push(text(part));
        }
        assert.deepEqual(parts, whole);
        near.close();
      });
    }
  });
});

describe("iteration", () => {
  test(
    "goes over lines, as bytes",
    ofChunks(["a\nb", "\nc"], async (reader) => {
      const lines: string[] = [];
      for await (const line of reader) lines.push(text(line));
      assert.deepEqual(lines, ["a\n", "b\n", "c"]);
    }),
  );

  test(
    "goes over lines of text, without their ends and without a byte order mark",
    ofChunks(["\uFEFFa\r\nb\n\n", "c\r"], async (reader) => {
      const lines: string[] = [];
      for await (const line of reader.lines()) lines.push(line);
      assert.deepEqual(lines, ["a", "b", "", "c\r"]);
    }),
  );

  test("cuts no character of the text", async () => {
    await runTest(async () => {
      const [near, far] = memoryStreamPair({ chunks: "bytes" });
      await far.write(bytes("aé€😀"));
      far.close();
      const parts: string[] = [];
      for await (const part of new StreamReader(near).chunks({ encoding: "utf-8" }))
        parts.push(part);
      assert.deepEqual(parts, ["a", "é", "€", "😀"]);
      near.close();
    });
  });

  test(
    "goes over chunks as they come, and can be taken up again",
    ofChunks(["ab", "c", "d"], async (reader) => {
      const chunks: string[] = [];
      for await (const chunk of reader.chunks()) {
        chunks.push(text(chunk));
        if (chunks.length === 2) break;
      }
      assert.deepEqual(chunks, ["ab", "c"]);
      assert.equal(text(await reader.read()), "d");
    }),
  );

  test(
    "refuses encodings that it cannot split",
    reading(async (reader) => {
      assert.throws(() => reader.lines({ encoding: "utf-16le" }), RangeError);
      assert.throws(() => reader.chunks({ encoding: "klingon" }), RangeError);
    }),
  );
});

describe("cancelled in the middle", () => {
  for (const [name, begin] of [
    ["readExactly", (reader: asyncio.StreamReader) => reader.readExactly(10)],
    ["readLine", (reader: asyncio.StreamReader) => reader.readLine()],
    ["read to the end", (reader: asyncio.StreamReader) => reader.read()],
  ] as const) {
    test(
      `${name} leaves its bytes in the buffer (S134)`,
      ofChunks(["abc", "def"], async (reader) => {
        await asyncio.moveOnAfter(0.5, () => begin(reader));
        assert.equal(text(await reader.read(2)), "ab");
        await asyncio.moveOnAfter(1, () => begin(reader));
        assert.equal(text(await reader.readExactly(4)), "cdef");
      }),
    );
  }

  test("no byte is lost wherever the reader is cancelled", async () => {
    await testing.cancelSweep(
      async (_t, state) => {
        const [near, far] = memoryStreamPair({ chunks: "bytes" });
        const reader = new StreamReader(near);
        far.send(bytes("one\ntwo\nrest"));
        far.close();
        try {
          state.got += text(await reader.readLine());
          state.got += text(await reader.readExactly(2));
          state.got += text(await reader.read(5));
        } finally {
          const rest = createTask(async () => {
            state.got += text(await reader.read());
            state.isComplete = true;
            near.close();
          });
          await asyncio.shield(rest);
        }
      },
      {
        depth: 1,
        setup: () => ({ got: "", isComplete: false }),
        invariant: ({ got, isComplete }) => {
          if (isComplete) assert.equal(got, "one\ntwo\nrest");
        },
      },
    );
  });
});

describe("two tasks", () => {
  test(
    "cannot read at the same time, and both are named (S134)",
    reading(async (reader, far, t) => {
      const first = createTask(() => reader.readLine(), { name: "first" });
      await t.settle();

      const second = createTask(() => reader.read(1), { name: "second" });

      await assert.rejects(second, {
        code: "ERR_ASYNCIO_INVALID_STATE",
        message:
          '`reader.read` was called by task "second" while task "first" is reading from the same stream. Let one task read',
      });
      await far.write(bytes("x\n"));
      assert.equal(text(await first), "x\n");
    }),
  );

  test("that have both given up crash nothing when one was refused", () =>
    runTest(async (t) => {
      for (const end of ["abort", "close", "send"] as const) {
        const [near, far] = memoryStreamPair();
        const reader = new StreamReader(near);
        const abandon = (): void => {
          void reader.read(1);
        };

        abandon();
        abandon();
        if (end === "send") far.send(bytes("x"));
        else far[end]();
        await t.settle();

        near.close();
        far.close();
      }
    }));

  test(
    "can take turns after one was cancelled",
    reading(async (reader, far, t) => {
      const first = createTask(() => reader.readLine());
      await t.settle();
      first.cancel();
      await asyncio.wait([first]);

      await far.write(bytes("x\n"));

      assert.equal(text(await reader.readLine()), "x\n");
    }),
  );
});

describe("a lost connection", () => {
  test(
    "gives what came before, and then its error, again and again (S136)",
    reading(async (reader, far) => {
      await far.write(bytes("abcd"));
      far.abort();

      await assert.rejects(reader.readExactly(6), { code: "ECONNRESET" });
      assert.equal(text(await reader.readExactly(3)), "abc");
      assert.equal(text(await reader.read(3)), "d");
      await assert.rejects(reader.read(3), { code: "ECONNRESET" });
      await assert.rejects(reader.readLine(), { code: "ECONNRESET" });
    }),
  );

  for (const [name, begin] of [
    ["read", (reader: asyncio.StreamReader) => reader.read(1)],
    ["readLine", (reader: asyncio.StreamReader) => reader.readLine()],
    ["readExactly", (reader: asyncio.StreamReader) => reader.readExactly(1)],
  ] as const) {
    test(
      `does no harm to a ${name} that is looked at later`,
      reading(async (reader, far, t) => {
        const read = begin(reader);
        await t.settle();
        far.abort();
        await new Promise((resolve) => setImmediate(resolve));

        await assert.rejects(read, { code: "ECONNRESET" });
      }),
    );
  }

  test(
    "wakes a read that waits (S136)",
    reading(async (reader, far, t) => {
      const read = createTask(() => reader.read(1));
      await t.settle();

      far.abort();

      await assert.rejects(read, { code: "ECONNRESET" });
    }),
  );

  test("is not the close of one's own end: that ends a read that waits", async () => {
    await runTest(async (t) => {
      const [near, far] = memoryStreamPair();
      const reader = new StreamReader(near);
      const line = createTask(() => reader.readLine());
      await t.settle();

      near.close();

      assert.equal((await line).length, 0);
      assert.equal(reader.atEof(), true);
      far.close();
    });
  });

  test("aborted at one's own end is an error there too", async () => {
    await runTest(async (t) => {
      const [near, far] = memoryStreamPair();
      const reader = new StreamReader(near);
      const line = createTask(() => reader.readLine());
      await t.settle();

      near.abort();

      await assert.rejects(line, { code: "ECONNABORTED" });
      await assert.rejects(reader.read(1), { code: "ECONNABORTED" });
      far.close();
    });
  });
});

test("asks for no more than it needs, so a slow reader fills no memory (S135)", async () => {
  await runTest(async (t) => {
    const [near, far] = memoryStreamPair({ highWaterMark: 10 });
    const reader = new StreamReader(near);
    const writer = createTask(() => far.write(new Uint8Array(100)));
    await t.settle();

    assert.equal(far.unsent, 100);
    assert.equal((await reader.readExactly(30)).length, 30);
    await reader.readExactly(70);
    await writer;

    near.close();
    far.close();
  });
});

test("refuses arguments that it cannot use", async () => {
  await runTest(async () => {
    const [near, far] = memoryStreamPair();
    assert.throws(() => new StreamReader(near, { limit: 0 }), RangeError);
    // @ts-expect-error
    assert.throws(() => new StreamReader(near, { limit: "1" }), TypeError);
    const reader = new StreamReader(near);
    // @ts-expect-error
    await assert.rejects(reader.read("1"), TypeError);
    for (const most of [Number.NaN, 0.5, 1.5, -1.5, Number.NEGATIVE_INFINITY])
      await assert.rejects(reader.read(most), RangeError);
    far.send(bytes("some"));
    assert.equal(text(await reader.read(Number.POSITIVE_INFINITY)), "some");
    near.close();
    far.close();
  });
});

test("pieces of a large chunk do not keep all of it alive", async () => {
  await runTest(async () => {
    const [near, far] = memoryStreamPair();
    const reader = new StreamReader(near);
    await far.write(bytes(`short\n${"x".repeat(10_000)}`));

    const line = await reader.readLine();

    assert.equal(line.buffer.byteLength, line.length);
    near.close();
    far.close();
  });
});
