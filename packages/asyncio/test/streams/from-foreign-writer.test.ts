import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough, Transform, Writable } from "node:stream";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { runFixture } from "../child.ts";
import { conforms } from "../conformance.ts";
import { rejection } from "../virtual.ts";

const { connectionFrom, createTask, readerFrom, run, sleep, writerFrom } = asyncio;
const { runTest } = testing;

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);
const _bytes = (string: string) => new TextEncoder().encode(string);

/** A ReadableStream that a test feeds by hand, and what was asked of it. */
function _fedStream() {
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

async function _lines(reader: asyncio.StreamReader): Promise<string[]> {
  const all: string[] = [];
  for await (const line of reader.lines()) all.push(line);
  return all;
}

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

  onBothLoops("chunks that it had not taken when it failed have not gone out", async () => {
    const { stream, waiting, fail } = slowSink();
    const writer = writerFrom(stream);
    writer.write("ab");
    writer.write("cd");
    await sleep(0.001);
    waiting[0]?.resolve();
    await sleep(0.001);
    assert.equal(writer.bytesWritten, 2);

    fail(new Error("broken"));
    waiting[1]?.resolve();
    await sleep(0.001);

    await assert.rejects(async () => await writer.drain(), { message: "broken" });
    assert.equal(writer.bytesWritten, 2);
    await writer[Symbol.asyncDispose]();
  });

  for (const when of [1, 2])
    onBothLoops(`a stream that throws at chunk ${when} is one that has failed`, async () => {
      let nth = 0;
      const parse = new Transform({
        transform(chunk, _encoding, callback) {
          if (++nth === when) throw new RangeError("no such thing");
          callback(null, chunk);
        },
      });
      const { reader, writer } = connectionFrom(parse);
      const reading = createTask(async () => await reader.readExactly(400_000));
      const closed = (async () => {
        await using own = writer;
        for (let written = 0; written < 3; written++) {
          own.write(new Uint8Array(100_000));
          await sleep(0.001);
        }
        await own.drain();
      })();

      await assert.rejects(closed, { name: "RangeError", message: "no such thing" });
      await assert.rejects(reading, { name: "RangeError" });
      assert.ok(writer.bytesWritten < 100_000 * when, `${writer.bytesWritten}`);
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
