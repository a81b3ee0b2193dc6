import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { PassThrough, Readable } from "node:stream";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { conforms } from "../conformance.ts";
import { collectReports, rejection } from "../virtual.ts";

const { connectionFrom, createTask, moveOnAfter, readerFrom, run, sleep } = asyncio;
const { runTest } = testing;

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);
const bytes = (string: string) => new TextEncoder().encode(string);

/** A ReadableStream that a test feeds by hand, and what was asked of it. */
function fedStream() {
  let controller!: ReadableStreamDefaultController<unknown>;
  const asked = { pulls: 0, cancelled: undefined as unknown };
  const stream = new ReadableStream<Uint8Array | string>(
    {
      start(given) {
        controller = given;
      },
      pull() {
        asked.pulls++;
      },
      cancel(reason) {
        asked.cancelled = reason ?? "without a reason";
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, asked, controller };
}

async function lines(reader: asyncio.StreamReader): Promise<string[]> {
  const all: string[] = [];
  for await (const line of reader.lines()) all.push(line);
  return all;
}

describe("readerFrom", () => {
  const chunks = ["one\r", "\ntwo", "\n", "", "\u00e9\u{1f600}"];
  const sources: Record<string, () => asyncio.ReadSource> = {
    "a ReadableStream": () => ReadableStream.from(chunks),
    "a ReadableStream of bytes": () => ReadableStream.from(chunks.map(bytes)),
    "the body of a response": () => new Response(chunks.join("")).body as ReadableStream,
    "a Readable of Node": () => Readable.from(chunks.map(bytes), { objectMode: false }),
    "a Readable of objects": () => Readable.from(chunks),
    "a Readable with an encoding": () =>
      Readable.from(chunks.map(bytes), { objectMode: false }).setEncoding("utf8"),
    "an async generator": async function* () {
      yield* chunks;
    },
    "an array": () => chunks,
    "a set of bytes": () => new Set(chunks.map(bytes)),
    text: () => chunks.join(""),
    bytes: () => bytes(chunks.join("")),
  };
  for (const [name, make] of Object.entries(sources))
    test(`reads ${name}`, async () => {
      assert.deepEqual(await run(() => lines(readerFrom(make()))), [
        "one",
        "two",
        "\u00e9\u{1f600}",
      ]);
    });

  test("joins characters that chunks cut, of bytes and of text", async () => {
    const whole = "\u{1f600}\u00e9\u{1f601}";

    for (const pieces of [[...bytes(whole)].map((byte) => new Uint8Array([byte])), whole.split("")])
      assert.equal(text(await readerFrom(pieces).read()), whole);
    assert.equal(text(await readerFrom(["\ud83d", bytes("x"), "\ud83d"]).read()), "\ufffdx\ufffd");
  });

  test("what a stream of Node gave before it closed can be read late", () =>
    run(async () => {
      const source = new PassThrough();
      source.end("one two");
      const reader = readerFrom(source);
      assert.equal(text(await reader.read(3)), "one");
      if (!source.closed) await once(source, "close");
      await new Promise(setImmediate);

      assert.equal(text(await reader.read()), " two");
      assert.equal(reader.atEof(), true);
    }));

  test("gives plain bytes, also of Buffers", async () => {
    for (const source of [[Buffer.from("ab")], Readable.from([Buffer.from("ab")])])
      assert.deepEqual(await readerFrom(source).read(2), bytes("ab"));
  });

  test("reads nothing of what is empty", async () => {
    for (const source of ["", new Uint8Array(0), [], ["", ""], Readable.from([])]) {
      const reader = readerFrom(source);
      assert.equal((await reader.read(10)).length, 0);
      assert.equal(reader.atEof(), true);
    }
  });

  test("keeps to the limit of its options", async () => {
    const reader = readerFrom(["too long\n", "ok\n"], { limit: 4 });

    await assert.rejects(reader.readLine(), asyncio.LimitOverrunError);
    assert.equal(text(await reader.readLine()), "ok\n");
  });

  test("pulls a chunk when a read needs one, and not before", async () => {
    let pulled = 0;
    const reader = readerFrom(
      (async function* () {
        for (;;) yield `${++pulled}\n`;
      })(),
    );

    await reader.readLine();
    assert.equal(pulled, 1);
    await reader.readLine();
    assert.equal(pulled, 2);
    reader.close();
  });

  test("a cancelled read loses no chunk, and does not reach into the generator", () =>
    runTest(async () => {
      const reader = readerFrom(
        (async function* () {
          await sleep(2);
          yield "late";
          await sleep(2);
          yield "r";
        })(),
      );

      const moved = await moveOnAfter(1, () => reader.read(10));

      assert.equal(moved.cancelled, true);
      assert.equal(text(await reader.read()), "later");
    }));

  test("gives what came for a cancelled read of a web stream to the next one", () =>
    runTest(async (t) => {
      const { stream, controller } = fedStream();
      const reader = readerFrom(stream);
      const reading = createTask(() => reader.read(10));
      await t.settle();
      reading.cancel();
      await assert.rejects(reading, asyncio.CancelledError);

      controller.enqueue("kept");
      controller.close();

      assert.equal(text(await reader.read(2)), "ke");
      assert.equal(text(await reader.read()), "pt");
      assert.equal(stream.locked, false);
    }));

  test("an error comes after everything before it, again and again", () =>
    runTest(async () => {
      const failing = async function* () {
        yield "line\nrest";
        throw new Error("torn");
      };
      for (const source of [failing(), ReadableStream.from(failing())]) {
        const reader = readerFrom(source);

        assert.equal(text(await reader.readLine()), "line\n");
        await assert.rejects(reader.readLine(), /torn/);
        assert.equal(text(await reader.read(10)), "rest");
        await assert.rejects(reader.read(10), /torn/);
        if ("locked" in source) assert.equal(source.locked, false);
      }
    }));

  test("a cancellation inside the generator is not that of its reader", () =>
    runTest(async () => {
      const task = createTask(() => sleep(100));
      const reader = readerFrom(
        (async function* () {
          yield "x";
          await task;
        })(),
      );
      await reader.read(1);
      task.cancel();

      const error = await rejection(reader.read(1));

      assert.ok(error instanceof asyncio.InvalidStateError);
      assert.match(error.message, /^an iterable was cancelled/);
      assert.ok(error.cause instanceof asyncio.CancelledError);
    }));

  test("a chunk of another kind is a TypeError, and cancels the source", () =>
    runTest(async () => {
      const ended: string[] = [];
      const iterable = (async function* () {
        try {
          yield 42 as unknown as string;
        } finally {
          ended.push("iterable");
        }
      })();
      const { stream, asked, controller } = fedStream();
      controller.enqueue(null);

      await assert.rejects(readerFrom(iterable).read(), {
        name: "TypeError",
        message: "`readerFrom` expects a source of Uint8Arrays and strings, got 42",
      });
      await assert.rejects(readerFrom(stream).read(), TypeError);

      assert.deepEqual(ended, ["iterable"]);
      assert.equal(asked.cancelled, "without a reason");
      assert.equal(stream.locked, false);
    }));

  test("two reads at once are an error that names both tasks", () =>
    runTest(async (t) => {
      const reader = readerFrom(fedStream().stream);
      const first = createTask(() => reader.read(1), { name: "first" });
      await t.settle();

      await assert.rejects(
        createTask(() => reader.read(1), { name: "second" }),
        /second.*first/,
      );
      reader.close();
      assert.equal((await first).length, 0);
    }));

  describe("closed", () => {
    test("cancels a web stream and releases its lock; a read that waits comes to the end", () =>
      runTest(async (t) => {
        const { stream, asked } = fedStream();
        const reader = readerFrom(stream);
        const reading = createTask(() => reader.read(10));
        await t.settle();

        await reader[Symbol.asyncDispose]();

        assert.equal((await reading).length, 0);
        assert.equal(asked.cancelled, "without a reason");
        assert.equal(stream.locked, false);
      }));

    test("runs the `finally` of a generator, which may wait", () =>
      runTest(async (t) => {
        const log: string[] = [];
        const generator = async function* () {
          try {
            yield "x";
          } finally {
            await sleep(1);
            log.push(`done at ${t.now}`);
          }
        };
        {
          await using reader = readerFrom(generator());
          await reader.read(1);
        }
        assert.deepEqual(log, ["done at 1"]);
      }));

    test("cancels what a generator waits for", () =>
      runTest(async (t) => {
        const log: unknown[] = [];
        const reader = readerFrom(
          (async function* () {
            try {
              await sleep(1000);
              yield "x";
            } catch (error) {
              log.push(error instanceof asyncio.CancelledError, t.now);
              throw error;
            }
          })(),
        );
        await moveOnAfter(1, () => reader.read(1));

        await reader[Symbol.asyncDispose]();

        assert.deepEqual(log, [true, 1]);
      }));

    test("destroys a stream of Node", () =>
      run(async () => {
        const source = new PassThrough();
        source.write("x");
        const reader = readerFrom(source);
        await reader.read(1);

        await reader[Symbol.asyncDispose]();

        assert.equal(source.destroyed, true);
      }));

    test("does not wait for its source in a scope that was cancelled", () =>
      runTest(async (t) => {
        let isClosing = false;
        const reader = readerFrom(
          (async function* () {
            try {
              yield "x";
            } finally {
              isClosing = true;
              await sleep(3);
            }
          })(),
        );
        const scope = new asyncio.CancelScope({ cancelGrace: 0 });
        await scope.run(async () => {
          await using open = reader;
          await open.read(1);
          scope.cancel();
        });
        assert.deepEqual([t.now, isClosing], [0, true]);
        await sleep(3);
      }));

    test("reports a source that fails then: nobody reads any more", async () => {
      const loop = new asyncio.HostLoop();
      const reports = collectReports(loop);
      await run(
        async () => {
          const reader = readerFrom(
            (async function* () {
              try {
                yield "x";
              } finally {
                // biome-ignore lint/correctness/noUnsafeFinally: what is tested
                throw new Error("cannot close");
              }
            })(),
          );
          await reader.read(1);
          await reader[Symbol.asyncDispose]();
        },
        { loop },
      );

      assert.deepEqual(
        reports.map(({ message, exception }) => [message, String(exception)]),
        [["an iterable has failed while it was closed", "Error: cannot close"]],
      );
    });
  });

  test("what another task feeds comes in virtual time, from streams of Node as well", () =>
    runTest(async (t) => {
      const feeds: [asyncio.ReadSource, (chunk: string) => void][] = [];
      const node = new PassThrough();
      feeds.push([node, (chunk) => node.write(chunk)]);
      const { stream, controller } = fedStream();
      feeds.push([stream, (chunk) => controller.enqueue(chunk)]);
      for (const [source, feed] of feeds) {
        await using reader = readerFrom(source);
        const startedAt = t.now;
        createTask(async () => {
          await sleep(3600);
          feed("late");
        });

        assert.equal(text(await reader.read(4)), "late");
        assert.equal(t.now - startedAt, 3600);
      }
    }));

  test("time holds still while a file is read", () =>
    runTest(async (t) => {
      // Its first bytes: all of a runtime take longer to read than a test may, on a busy machine.
      const file = createReadStream(process.execPath, { end: 4_000_000 });
      const reading = createTask(() => readerFrom(file).read());
      const sleeping = createTask(() => sleep(3600));

      assert.ok((await reading).length > 1_000_000);
      assert.equal(t.now, 0);
      await sleeping;
    }));

  test("a source that is left open is found by a test", async () => {
    const leak = () =>
      runTest(async () => {
        await readerFrom(["a", "b"]).read(1);
      });

    await assert.rejects(leak(), /an iterable, still open/);
  });

  test("refuses what it cannot read", () => {
    const { stream } = fedStream();
    stream.getReader();
    const destroyed = new PassThrough();
    destroyed.destroy();
    const twice = new PassThrough();
    readerFrom(twice);

    for (const [source, found] of [
      [42, "bytes or text, got 42"],
      [undefined, "got undefined"],
      [null, "got null"],
      [{}, "got an object"],
      [() => {}, "got"],
      [new WritableStream(), "got"],
      [stream, "not locked"],
      [destroyed, "not destroyed"],
      [twice, "connectionFrom"],
    ] as const)
      assert.throws(
        () => readerFrom(source as string),
        (error) => error instanceof TypeError && error.message.includes(found),
      );
    assert.throws(() => readerFrom("x", { limit: 0 }), RangeError);
    twice.destroy();
  });

  test("wrong options leave nothing locked", async () => {
    const { stream, asked } = fedStream();

    assert.throws(() => readerFrom(stream, { limit: 0 }), RangeError);
    await new Promise(setImmediate);

    assert.equal(asked.cancelled, "without a reason");
    assert.equal(stream.locked, false);
  });

  conforms("StreamReader.read of a web stream", { wakes: "own", cancellationWins: true }, () => {
    const { stream, controller } = fedStream();
    const reader = readerFrom(stream);
    let offered = 0;
    return {
      begin: () => reader.read(1),
      complete() {
        const chunk = new Uint8Array([++offered]);
        controller.enqueue(chunk);
        return chunk;
      },
    };
  });

  test("cancelled anywhere, no byte is lost or doubled", async () => {
    const sweep = await testing.cancelSweep(
      async (_t, state) => {
        const reader = readerFrom(
          (async function* () {
            for (const chunk of ["on", "e\ntw", "o\nrest"]) {
              await sleep(1);
              yield chunk;
            }
          })(),
        );
        try {
          state.got += text(await reader.readLine());
          state.got += text(await reader.readExactly(2));
          state.got += text(await reader.read(5));
        } finally {
          const rest = createTask(async () => {
            state.got += text(await reader.read());
            state.isComplete = true;
          });
          await asyncio.shield(rest);
        }
      },
      {
        depth: 1,
        schedules: 10,
        setup: () => ({ got: "", isComplete: false }),
        invariant: ({ got, isComplete }) => {
          if (isComplete) assert.equal(got, "one\ntwo\nrest");
        },
      },
    );

    assert.ok(sweep.complete && sweep.runs > 5);
  });
});

test("standard input that was closed does not keep the process alive", async () => {
  const path = fileURLToPath(new URL("../fixtures/stdin.ts", import.meta.url));
  const child = spawn(process.execPath, [path], { stdio: ["pipe", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });

  child.stdin.write("hello\n"); // and it stays open
  const [code] = await once(child, "close");

  assert.deepEqual([code, output], [0, "hello\n\ntrue\nthe run has ended\n"]);
});

describe("connectionFrom", () => {
  test("takes a pair of web streams", () =>
    runTest(async () => {
      const pair = new TransformStream<Uint8Array, Uint8Array>();
      const [reader, writer] = connectionFrom(pair);

      writer.write("echo\n");
      assert.equal(text(await reader.readLine()), "echo\n");
      writer.close();
      await writer.waitClosed();

      assert.deepEqual([pair.readable.locked, pair.writable.locked], [false, false]);
    }));

  test("an error of one direction ends the other", () =>
    runTest(async () => {
      const log: string[] = [];
      const connection = connectionFrom({
        readable: ReadableStream.from(
          (async function* () {
            yield "x";
            throw new Error("torn");
          })(),
        ),
        writable: new WritableStream({ abort: (reason) => void log.push(String(reason)) }),
      });

      await assert.rejects(connection.reader.read(), /torn/);
      await connection.writer.waitClosed();

      assert.deepEqual(log, ["Error: torn"]);
      await assert.rejects(connection.writer.write("x"), /torn/);
    }));

  test("closed while a read waits, it still gives the sink what was written", () =>
    runTest(async () => {
      const taken: string[] = [];
      const [reader, writer] = connectionFrom({
        readable: new ReadableStream({ pull: () => new Promise(() => {}) }),
        writable: new WritableStream({
          async write(chunk) {
            await asyncio.sleep(1);
            taken.push(text(chunk));
          },
          close: () => void taken.push("the end"),
        }),
      });
      const read = createTask(() => reader.read(1));
      await asyncio.sleep(0);
      writer.write("one");
      writer.write("two");

      writer.close();
      await writer.waitClosed();

      assert.deepEqual(taken, ["one", "two", "the end"]);
      assert.equal((await read).length, 0);
    }));

  test("takes a Duplex of Node", () =>
    run(async () => {
      const duplex = new PassThrough();
      await using connection = connectionFrom(duplex);
      const [reader, writer] = connection;

      await writer.write("echo\n");
      assert.equal(text(await reader.readLine()), "echo\n");
      writer.close();
      if (!duplex.closed) await once(duplex, "close");

      assert.throws(() => connectionFrom(duplex), /without a reader or writer/);
    }));

  test("refuses a Duplex that takes nothing more", async () => {
    const ended = new PassThrough();
    ended.resume();
    ended.end();
    assert.throws(() => connectionFrom(ended), /was not ended or destroyed/);
    await once(ended, "close");
    assert.throws(() => connectionFrom(ended), /was not ended or destroyed/);
  });

  test("refuses a stream of Node that gives its bytes to somebody else", () => {
    const stream = new PassThrough();
    stream.on("readable", () => {});

    assert.throws(() => readerFrom(stream), /a listener for "readable".* Remove it first/);
    assert.throws(() => connectionFrom(stream), /a listener for "readable"/);
  });

  test("refuses what does not go both ways", () => {
    const pair = new TransformStream();
    for (const source of [undefined, 1, "x", {}, Readable.from([]), { readable: pair.readable }])
      assert.throws(() => connectionFrom(source as typeof pair), {
        name: "TypeError",
        code: "ERR_ASYNCIO_INVALID_ARGUMENT",
      });
    assert.throws(() => connectionFrom(new PassThrough({ objectMode: true })), TypeError);
    const { stdin, stdout } = process;
    const wanted =
      "`connectionFrom` expects a Duplex of Node, or `{ readable, writable }` of web streams";
    const cure = "What goes one way, as `process.stdin`, wants `readerFrom` or `writerFrom`";
    assert.throws(() => connectionFrom({ readable: stdin, writable: stdout } as never), {
      message: `${wanted}, got an object. ${cure}`,
    });
    assert.throws(() => connectionFrom([] as never), { message: `${wanted}, got an array of 0` });
  });
});
