import assert from "node:assert/strict";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { PassThrough, Readable, Writable } from "node:stream";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { runFixture } from "../child.ts";
import { conforms } from "../conformance.ts";
import { collectReports, rejection } from "../virtual.ts";

const { connectionFrom, createTask, moveOnAfter, readerFrom, run, sleep, writerFrom } = asyncio;
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

describe("writerFrom", () => {
  /** A WritableStream whose chunks a test takes by hand. */
  function slowSink() {
    const log: string[] = [];
    const waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
    let controller!: WritableStreamDefaultController;
    const stream = new WritableStream<Uint8Array>({
      start(given) {
        controller = given;
      },
      write(chunk) {
        log.push(text(chunk));
        return new Promise<void>((resolve, reject) => waiting.push({ resolve, reject }));
      },
      close() {
        log.push("closed");
      },
      abort(reason) {
        log.push(`aborted: ${reason.code ?? reason.message}`);
      },
    });
    return { stream, log, waiting, fail: (error: Error) => controller.error(error) };
  }

  test("gives a web stream one chunk at a time, and waits for room", () =>
    runTest(async (t) => {
      const { stream, log, waiting } = slowSink();
      const writer = writerFrom(stream, { highWaterMark: 2, lowWaterMark: 0 });
      const writing = createTask(async () => {
        await writer.write("ab");
        await writer.write("cd");
      });
      await t.settle();
      assert.deepEqual(log, ["ab"]);
      assert.equal(writing.done(), false);
      assert.equal(writer.bytesWritten, 0);

      waiting[0]?.resolve();
      await t.settle();
      assert.deepEqual(log, ["ab", "cd"]);
      assert.equal(writer.bytesWritten, 2);
      waiting[1]?.resolve();
      await writing;
      await writer[Symbol.asyncDispose]();

      assert.deepEqual(log, ["ab", "cd", "closed"]);
      assert.equal(stream.locked, false);
    }));

  conforms("StreamWriter.drain to a web stream", { wakes: "all", cancellationWins: true }, () => {
    const { stream, waiting } = slowSink();
    const writer = writerFrom(stream, { highWaterMark: 0 });
    writer.write("x");
    return {
      begin: () => writer.drain(),
      complete() {
        waiting[0]?.resolve();
      },
    };
  });

  test("closed, everything that was written goes out first", () =>
    runTest(async () => {
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
      const writer = writerFrom(writable);
      writer.write("a");
      writer.write("b");
      writer.close();

      assert.equal(await new Response(readable).text(), "ab");
      await writer.waitClosed();
      assert.equal(writable.locked, false);
    }));

  test("aborted, it aborts the stream and releases its lock", () =>
    runTest(async (t) => {
      const { stream, log, waiting } = slowSink();
      const writer = writerFrom(stream);
      writer.write("a");
      writer.write("never");
      await t.settle();

      writer.abort();
      waiting[0]?.resolve();
      await writer.waitClosed();

      assert.deepEqual(log, ["a", "aborted: ECONNABORTED"]);
      assert.equal(stream.locked, false);
    }));

  test("a stream that fails fails those who wait, and who come", () =>
    runTest(async (t) => {
      const { stream, waiting } = slowSink();
      const writer = writerFrom(stream, { highWaterMark: 0 });
      const writing = createTask(async () => await writer.write("a"));
      await t.settle();
      waiting[0]?.reject(new Error("disk full"));

      await assert.rejects(writing, /disk full/);
      await assert.rejects(writer.write("b"), /disk full/);
      await writer.waitClosed();
      assert.equal(stream.locked, false);
    }));

  test("a stream that fails by itself is noticed", () =>
    runTest(async (t) => {
      const { stream, fail } = slowSink();
      const writer = writerFrom(stream);
      fail(new Error("gone"));
      await t.settle();

      assert.equal(writer.isClosing(), true);
      await assert.rejects(writer.drain(), /gone/);
      assert.equal(stream.locked, false);
    }));

  test("a failure that no write was told comes out of the end", async () => {
    const log: string[] = [];
    const targets = (): [asyncio.WriteTarget, string][] => [
      [
        new WritableStream({
          write() {
            throw new Error("disk full");
          },
        }),
        "a web stream that fails to write",
      ],
      [
        new WritableStream({
          close() {
            throw new Error("disk full");
          },
        }),
        "a web stream that fails to close",
      ],
      [
        new Writable({
          write: (_chunk, _encoding, callback) => setImmediate(callback, new Error("disk full")),
        }),
        "a Writable that fails to write",
      ],
      [
        new Writable({
          write: (_chunk, _encoding, callback) => callback(),
          final: (callback) => callback(new Error("disk full")),
        }),
        "a Writable that fails to close",
      ],
    ];
    await run(async () => {
      for (const [target, name] of targets()) {
        const writer = writerFrom(target);
        await writer.write("x");
        const error = await rejection(writer[Symbol.asyncDispose]());
        log.push(`${name}: ${(error as Error).message}`);
        await writer.waitClosed();
      }
    });

    assert.deepEqual(
      log,
      targets().map(([, name]) => `${name}: disk full`),
    );
  });

  test("cancelled anywhere, what was taken arrives, in order and once", async () => {
    const sweep = await testing.cancelSweep(
      async (_t, state) => {
        const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
        const writer = writerFrom(writable, { highWaterMark: 1 });
        const reading = createTask(async () => {
          state.got = text(await readerFrom(readable).read());
        });
        try {
          for (const chunk of ["ab", "cd", "ef"]) {
            const writing = writer.write(chunk);
            state.taken += chunk;
            await writing;
            await sleep(1);
          }
        } finally {
          writer.close();
          await asyncio.cleanup(10, () => reading);
        }
      },
      {
        schedules: 10,
        setup: () => ({ taken: "", got: "" }),
        invariant: ({ taken, got }) => assert.equal(got, taken),
      },
    );

    assert.ok(sweep.complete && sweep.runs > 5);
  });

  test("a failure that a write was told is not told again by `await using`", () =>
    runTest(async (t) => {
      const { stream, waiting } = slowSink();
      const failure = new Error("disk full");
      const use = async () => {
        await using writer = writerFrom(stream);
        await writer.write("a");
        await t.settle();
        waiting[0]?.reject(failure);
        await t.settle();
        await writer.write("b");
      };

      assert.equal(await rejection(use()), failure);
    }));

  test("a failure that a write was told is not told again by waitClosed, one that nobody awaited is", () =>
    run(async () => {
      const failing = (): Writable =>
        new Writable({ write: (_chunk, _encoding, callback) => callback(new Error("disk full")) });
      const told = writerFrom(failing());
      const untold = writerFrom(failing());
      for (const writer of [told, untold]) void writer.write("a");
      await new Promise(setImmediate);

      await assert.rejects(told.write("b"), /disk full/);
      void untold.write("b");

      told.close();
      await told.waitClosed();
      untold.close();
      await assert.rejects(untold[Symbol.asyncDispose](), /disk full/);
    }));

  test("has no addresses", () =>
    run(async () => {
      const { writer } = connectionFrom(new PassThrough());
      assert.equal(writer.getExtraInfo("peername"), undefined);
      assert.equal(writer.getExtraInfo("sockname"), undefined);
      writer.close();
    }));

  test("writes to a stream of Node, and ends it", () =>
    run(async () => {
      const written: string[] = [];
      const target = new Writable({
        write(chunk, _encoding, callback) {
          written.push(String(chunk));
          setImmediate(callback);
        },
      });
      const writer = writerFrom(target);
      writer.write("a");
      await writer.write("b");
      await writer[Symbol.asyncDispose]();

      assert.deepEqual(written, ["a", "b"]);
      assert.equal(target.writableFinished, true);
    }));

  for (const [kind, options] of [
    ["that emits no close", { emitClose: false }],
    ["that does not destroy itself", { autoDestroy: false }],
    ["that does neither", { emitClose: false, autoDestroy: false }],
  ] as const) {
    test(`waits for the end of a stream of Node ${kind}`, () =>
      run(async () => {
        const written: string[] = [];
        const target = new Writable({
          ...options,
          write(chunk, _encoding, callback) {
            written.push(String(chunk));
            setImmediate(callback);
          },
          destroy(_error, callback) {
            written.push("destroyed");
            setImmediate(callback, null);
          },
        });
        const writer = writerFrom(target);
        writer.write("a");
        writer.write("b");

        writer.close();
        await writer.waitClosed();

        assert.deepEqual(written, ["a", "b", "destroyed"]);
        assert.equal(target.closed, true);
      }));

    for (const when of ["before", "after"] as const)
      test(`waits for the end of a stream of Node ${kind} and has failed, closed ${when} that`, () =>
        run(async () => {
          const target = new Writable({
            ...options,
            write(_chunk, _encoding, callback) {
              setImmediate(callback, new Error("disk full"));
            },
          });
          const writer = writerFrom(target);
          const write = writer.write("a");
          if (when === "before") writer.close();
          await write;
          await once(target, "error");
          writer.close();

          await assert.rejects(writer.waitClosed(), /disk full/);

          assert.equal(target.destroyed, true);
        }));
  }

  test("does not end the standard output", async () => {
    const { stdout, stderr } = await runFixture("output", "");

    const lines = (name: string) => Array.from({ length: 1000 }, (_, line) => `${name} ${line}`);
    const expected = [...lines("first"), ...lines("second"), "after them", "the end", ""];
    assert.equal(stderr, "");
    assert.deepEqual(stdout.split("\n"), expected);
  });

  test("refuses what it cannot write to", () => {
    const { stream } = slowSink();
    stream.getWriter();
    const destroyed = new PassThrough();
    destroyed.destroy();
    const ended = new PassThrough();
    ended.end();

    for (const target of [
      ...[42, undefined, null, {}, "x", new ReadableStream(), stream],
      ...[destroyed, ended],
    ])
      assert.throws(() => writerFrom(target as Writable), {
        name: "TypeError",
        code: "ERR_ASYNCIO_INVALID_ARGUMENT",
      });
    assert.throws(() => writerFrom(slowSink().stream, { highWaterMark: -1 }), RangeError);
  });
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
  });
});
