// Messages that a function of the program makes of what is buffered, in one step.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { conforms } from "../conformance.ts";
import { rejection } from "../virtual.ts";

const { connectionPair, createTask, readerFrom, run, sleep, StreamReader } = asyncio;
const { memoryStreamPair, runTest } = testing;

const bytes = (string: string) => new TextEncoder().encode(string);
const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);

/** A command of Redis: "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n". */
function command(input: asyncio.ParserInput): string[] {
  const head = input.readLine({ encoding: "utf-8" });
  if (!/^\*\d+$/.test(head)) throw new Error(`no command: ${head}`);
  return Array.from({ length: Number(head.slice(1)) }, () => {
    const size = Number(input.readLine({ encoding: "utf-8" }).slice(1));
    const word = input.readExactly(size, { encoding: "utf-8" });
    input.skip(2);
    return word;
  });
}

const encode = (words: readonly string[]) =>
  `*${words.length}\r\n${words.map((word) => `$${bytes(word).length}\r\n${word}\r\n`).join("")}`;

async function allOf<T>(reader: asyncio.StreamReader, parser: asyncio.Parser<T>): Promise<T[]> {
  const all: T[] = [];
  for (;;) {
    const message = await reader.parse(parser);
    if (message === undefined) return all;
    all.push(message);
  }
}

onBothLoops(
  "lines that follow a parser that has taken nothing are those that it has left",
  async () => {
    const lines = Array.from({ length: 60 }, (_, index) => `line ${index} of some length`);
    const reader = readerFrom([`first\n${lines.join("\n")}\n`]);
    const rest = reader.lines();
    assert.equal((await rest.next()).value, "first");
    const refusing = (input: asyncio.ParserInput) => {
      for (let skipped = 0; skipped < 5; skipped++) input.readLine();
      for (let read = 5; read < lines.length; read++) input.readLine({ encoding: "utf-8" });
      throw new RangeError("none of mine");
    };

    await assert.rejects(reader.parse(refusing), RangeError);

    const left: string[] = [];
    for await (const line of rest) left.push(line);
    assert.deepEqual(left, lines);
  },
);

test("a parser that is an async function is refused, also where it has not found all it wants", async (t) => {
  const unhandled = t.mock.fn();
  process.on("unhandledRejection", unhandled);
  const line = async (input: asyncio.ParserInput) => input.readLine();
  const refusal = { name: "TypeError", message: /expects a parser that is no async function/ };
  await run(async () => {
    for (const given of ["whole\n", "half"])
      for (const parser of [line, (input: asyncio.ParserInput) => input.all(line)]) {
        const reader = readerFrom([given]);
        await assert.rejects(reader.parse<unknown>(parser), refusal);
        assert.equal(text(await reader.read()), given);
      }
  });
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", unhandled);

  assert.equal(unhandled.mock.callCount(), 0);
});

conforms("StreamReader.parse", { wakes: "own", hasFastPath: true }, () => {
  const [near, far] = memoryStreamPair();
  const reader = new StreamReader(near);
  let offered = 0;
  return {
    begin: () => reader.parse((input) => input.readExactly(2)[0]),
    complete() {
      const byte = 100 + ++offered;
      far.send(new Uint8Array([byte, 10]));
      return byte;
    },
  };
});

const commands = [["SET", "k", "é€😀"], ["GET", "k"], [], ["PING", "x".repeat(5000)]];

for (const chunks of ["whole", "random", "bytes"] as const)
  test(`messages are the same however they are cut: ${chunks}`, () =>
    runTest(async () => {
      const [near, far] = memoryStreamPair({ chunks });
      far.send(bytes(commands.map(encode).join("")));
      far.close();

      assert.deepEqual(await allOf(new StreamReader(near), command), commands);
      near.close();
    }));

test("messages come over a real connection as they are sent", () =>
  run(async () => {
    await using server = await asyncio.startServer(
      async (reader, writer) => {
        for (;;) {
          const words = await reader.parse(command);
          if (words === undefined) return;
          await writer.write(`${words.join(" ")}\n`);
        }
      },
      { host: "127.0.0.1" },
    );
    await using connection = await asyncio.openConnection("127.0.0.1", server.sockets[0].port);
    for (const words of commands) await connection.writer.write(encode(words));
    connection.writer.writeEof();

    const lines: string[] = [];
    for await (const line of connection.reader.lines()) lines.push(line);
    assert.deepEqual(
      lines,
      commands.map((words) => words.join(" ")),
    );
  }));

test("a parser is not asked again before as much has come as it lacks", () =>
  runTest(async () => {
    const [near, far] = memoryStreamPair({ chunks: "bytes" });
    const reader = new StreamReader(near);
    far.send(new Uint8Array(1000));
    let attempts = 0;

    const message = await reader.parse((input) => {
      attempts++;
      return input.readExactly(1000).length;
    });

    assert.deepEqual([message, attempts], [1000, 2]);
    near.close();
    far.close();
  }));

test("what a parser does not take stays for the next read, whatever that is", async () => {
  const reader = readerFrom(["ab\nc", "d\nrest"]);

  assert.deepEqual(
    await reader.parse((input) => [input.readByte(), text(input.readUntil()), input.length]),
    [97, "b\n", 1],
  );
  assert.equal(text(await reader.readLine()), "cd\n");
  assert.equal(await reader.parse((input) => text(input.readExactly(2))), "re");
  assert.equal(text(await reader.read()), "st");
});

test("options of several calls may be one object, and what is changed in it counts", async () => {
  await run(async () => {
    const options: { encoding?: string; limit?: number } = { encoding: "utf-8" };
    const reader = readerFrom([new Uint8Array([0xe9, 10, 0xe9, 10, 0xe9, 0xe9, 10])]);

    const [broken, right] = (await reader.parse((input) => {
      const first = input.readLine(options as { encoding: string });
      options.encoding = "latin1";
      return [first, input.readLine(options as { encoding: string })];
    })) as string[];
    options.limit = 1;
    const long = await rejection(
      reader.parse((input) => input.readLine(options as { encoding: string })),
    );
    const unknown = await rejection(
      reader.parse((input) => input.readExactly(1, options as { encoding: string })),
    );
    delete options.limit;
    options.encoding = "klingon";
    const wrong = await rejection(
      reader.parse((input) => input.readLine(options as { encoding: string })),
    );

    assert.deepEqual([broken, right], ["\ufffd", "\u00e9"]);
    assert.ok(long instanceof asyncio.LimitOverrunError);
    assert.ok(unknown instanceof TypeError);
    assert.ok(wrong instanceof RangeError);
  });
});

test("fields are bytes, or text in any encoding, and may be skipped", async () => {
  const latin1 = { encoding: "latin1" } as const;
  const reader = readerFrom([new Uint8Array([0xe9, 59]), "a\r\nb\r\n", "one&;", "rest"]);

  const fields = await reader.parse((input) => {
    const first = [input.readUntil(";", latin1), input.readLine({ encoding: "utf-8" })];
    input.skip(1);
    const second = [text(input.readLine()), input.readUntil([";", "&;"], { encoding: "utf-8" })];
    input.skip(0);
    return [...first, ...second, input.readExactly(4, latin1), input.readExactly(0, latin1)];
  });

  assert.deepEqual(fields, ["é", "a", "\r\n", "one", "rest", ""]);
});

test("`all` gives every whole message that is there, and leaves the beginning of another", async () => {
  const whole = commands.map(encode).join("");
  const reader = readerFrom([`${whole}*1\r\n$3\r\nE`, "ND\r\n"]);

  assert.deepEqual(await reader.parse((input) => input.all(command)), commands);
  assert.deepEqual(await reader.parse((input) => input.all(command)), [["END"]]);
  assert.equal(await reader.parse((input) => input.all(command)), undefined);
});

test("`all` gives the messages before a wrong one, whose error comes with the next call", async () => {
  const reader = readerFrom(`${encode(["GET", "k"])}garbage\r\n`);

  assert.deepEqual(await reader.parse((input) => input.all(command)), [["GET", "k"]]);
  for (let attempt = 0; attempt < 2; attempt++)
    await assert.rejects(
      reader.parse((input) => input.all(command)),
      /no command: garbage/,
    );
  assert.equal(text(await reader.readLine()), "garbage\r\n");
});

test("`all` ends with a parser that takes nothing", async () => {
  assert.deepEqual(await readerFrom("x").parse((input) => input.all(() => 1)), [1]);
});

describe("at the end of the stream", () => {
  test("a message that is cut off is an error with what there was", async () => {
    const reader = readerFrom("*1\r\n$5\r\nhel");

    const error = await reader.parse(command).catch((error: unknown) => error);

    assert.ok(error instanceof asyncio.IncompleteReadError);
    assert.equal(text(error.partial), "*1\r\n$5\r\nhel");
    assert.equal(error.expected, 13);
    assert.equal(await reader.parse(command), undefined);
  });

  test("a lost connection gives the messages before it, and then its error", () =>
    runTest(async () => {
      const [near, far] = connectionPair();
      far.writer.write(`${encode(["a"])}*1\r\n`);
      far.writer.abort();

      assert.deepEqual(await near.reader.parse(command), ["a"]);
      await assert.rejects(near.reader.parse(command), { code: "ECONNRESET" });
      near.writer.close();
    }));
});

test("a line over the limit is refused, and stays in the buffer", async () => {
  const reader = readerFrom(["too lo", "ng\nok\n"]);
  const line = (input: asyncio.ParserInput) => input.readLine({ encoding: "utf-8" });

  await assert.rejects(reader.parse(line, { limit: 4 }), {
    code: "ERR_ASYNCIO_LIMIT_OVERRUN",
    limit: 4,
  });
  await assert.rejects(
    reader.parse((input) => input.readUntil("\n", { limit: 3 })),
    asyncio.LimitOverrunError,
  );
  assert.equal(await reader.parse(line), "too long");
});

describe("a parser", () => {
  test("that throws has taken nothing, and its error is that of the read", async () => {
    const reader = readerFrom("abc");
    const failure = new Error("mine");

    await assert.rejects(
      reader.parse((input) => {
        input.readExactly(2);
        throw failure;
      }),
      (error) => error === failure,
    );
    assert.equal(text(await reader.read()), "abc");
  });

  test("that catches what its calls throw is asked again all the same", async () => {
    const reader = readerFrom(["a", "b"]);

    const message = await reader.parse((input) => {
      try {
        return text(input.readExactly(2));
      } catch {
        return "too early";
      }
    });

    assert.equal(message, "ab");
  });

  test("that is async, or none, is refused", async () => {
    const reader = readerFrom("ab");

    await assert.rejects(
      reader.parse(async (input) => input.readByte()),
      { name: "TypeError", message: /expects a parser that is no async function, got a promise/ },
    );
    // @ts-expect-error
    await assert.rejects(reader.parse("x"), TypeError);
    await assert.rejects(
      reader.parse(() => 1, { limit: 0 }),
      RangeError,
    );
    assert.equal(text(await reader.read()), "ab");
  });

  test("that keeps its input gets an error when it uses it later", async () => {
    let kept: asyncio.ParserInput | undefined;
    await readerFrom("ab").parse((input) => {
      kept = input;
    });

    for (const use of [() => kept?.readByte(), () => kept?.readLine(), () => kept?.length])
      assert.throws(use, asyncio.InvalidStateError);
  });

  test("that reads from its reader is refused", async () => {
    const reader = readerFrom("ab");
    const inner = await reader.parse(() => ({ read: reader.read(1).catch((error) => error.code) }));

    assert.equal(await inner?.read, "ERR_ASYNCIO_INVALID_STATE");
    assert.equal(text(await reader.read()), "ab");
  });

  test("gets clear errors for wrong arguments", async () => {
    const reader = readerFrom("ab");

    const wrong = "1" as unknown as number;
    await assert.rejects(
      reader.parse((input) => input.readExactly(wrong)),
      TypeError,
    );
    for (const count of [-1, 1.5, Number.NaN])
      await assert.rejects(
        reader.parse((input) => input.skip(count)),
        RangeError,
      );
    await assert.rejects(
      reader.parse((input) => input.readExactly(1, { encoding: "utf-16le" })),
      RangeError,
    );
    await assert.rejects(
      reader.parse((input) => input.all(wrong as unknown as () => number)),
      TypeError,
    );
    await assert.rejects(
      reader.parse((input) => input.readUntil("")),
      RangeError,
    );
    await assert.rejects(
      reader.parse((input) => input.readLine({ encoding: "klingon" })),
      RangeError,
    );
  });
});

test("two tasks cannot parse at the same time", () =>
  runTest(async (t) => {
    const [near, far] = connectionPair();
    const first = createTask(() => near.reader.parse(command), { name: "first" });
    await t.settle();

    await assert.rejects(
      createTask(() => near.reader.parse(command), { name: "second" }),
      /`reader.parse` was called by task "second" while task "first"/,
    );
    far.writer.write(encode(["x"]));
    assert.deepEqual(await first, ["x"]);
    near.writer.close();
    far.writer.close();
  }));

test("cancelled anywhere, no message is lost or doubled", async () => {
  const sweep = await testing.cancelSweep(
    async (_t, state) => {
      const reader = readerFrom(
        (async function* () {
          for (const chunk of ["*1\r\n$1", "\r\na\r\n*1\r", "\n$2\r\nbc\r\n"]) {
            await sleep(1);
            yield chunk;
          }
        })(),
      );
      try {
        state.got.push(...((await reader.parse(command)) ?? []));
      } finally {
        const rest = createTask(async () => {
          for (const words of await allOf(reader, command)) state.got.push(...words);
          state.isComplete = true;
        });
        await asyncio.cleanup(10, () => rest);
      }
    },
    {
      depth: 1,
      schedules: 10,
      setup: () => ({ got: [] as string[], isComplete: false }),
      invariant: ({ got, isComplete }) => {
        if (isComplete) assert.deepEqual(got, ["a", "bc"]);
      },
    },
  );

  assert.ok(sweep.complete && sweep.runs > 3);
});

describe("a large message", () => {
  const words = (size: number) => Array.from({ length: size / 100 }, () => "x".repeat(100));
  const inPieces = (message: string, size: number) => {
    const all = bytes(message);
    return Array.from({ length: Math.ceil(all.length / size) }, (_, index) =>
      all.slice(index * size, (index + 1) * size),
    );
  };

  onBothLoops("is not parsed anew with every chunk that comes", async () => {
    let attempts = 0;
    const sent = words(1_000_000);
    const reader = readerFrom(inPieces(encode(sent), 1000));

    const message = await reader.parse((input) => {
      attempts++;
      return command(input);
    });

    assert.deepEqual(message, sent);
    assert.ok(attempts < 100, `${attempts} attempts`);
  });

  onBothLoops("is given when it is there, though nothing follows", async () => {
    const [near, far] = connectionPair();
    const sent = words(200_000);
    const sending = createTask(async () => {
      for (const piece of inPieces(encode(sent), 20_000)) {
        await sleep(0.001);
        await far.writer.write(piece);
      }
      assert.equal(text(await far.reader.readExactly(2)), "OK");
    });

    assert.deepEqual(await near.reader.parse(command), sent);
    near.writer.write("OK");
    await sending;

    near.writer.close();
    far.writer.close();
  });

  test("loses nothing when the read is cancelled while more is looked for", async () => {
    const sweep = await testing.cancelSweep(
      async (_t, state) => {
        const sent = words(100_000);
        const reader = readerFrom([...inPieces(encode(sent), 30_000), bytes(encode(["next"]))]);
        try {
          state.got.push(await reader.parse(command));
        } finally {
          const rest = createTask(async () => {
            state.got.push(...(await allOf(reader, command)));
            assert.deepEqual(state.got, [sent, ["next"]]);
          });
          await asyncio.cleanup(10, () => rest);
        }
      },
      { depth: 1, schedules: 2, setup: () => ({ got: [] as unknown[] }) },
    );

    assert.ok(sweep.complete && sweep.runs > 3);
  });

  test("that is cut off is an error with all that there was", async () => {
    const reader = readerFrom(inPieces(encode(words(200_000)).slice(0, -1), 1000));

    const error = await rejection(run(() => reader.parse(command)));

    assert.ok(error instanceof asyncio.IncompleteReadError);
    assert.equal(error.partial.length, encode(words(200_000)).length - 1);
  });
});
