import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { conforms } from "../conformance.ts";
import { collectReports } from "../virtual.ts";

const { createTask, StreamReader, StreamWriter } = asyncio;
const { memoryStreamPair, runTest } = testing;

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);

interface Ends {
  readonly near: asyncio.ByteStream;
  readonly far: asyncio.ByteStream;
  readonly reader: asyncio.StreamReader;
  readonly t: testing.TestContext;
}

/** A writer that waits above four bytes, and a reader of what it writes. */
function writing(
  body: (writer: asyncio.StreamWriter, ends: Ends) => Promise<void>,
  options: asyncio.WriterOptions = { highWaterMark: 4, lowWaterMark: 1 },
): () => Promise<void> {
  return () =>
    runTest(async (t) => {
      const [near, far] = memoryStreamPair();
      await body(new StreamWriter(near, options), { near, far, reader: new StreamReader(far), t });
      near.close();
      far.close();
    });
}

conforms("StreamWriter.drain", { wakes: "all", hasFastPath: true }, () => {
  const [near, far] = memoryStreamPair();
  const writer = new StreamWriter(near, { highWaterMark: 0 });
  writer.write("x");
  return {
    begin: () => writer.drain(),
    complete() {
      if (near.unsent > 0) void far.read();
    },
  };
});

conforms("StreamWriter.write, awaited", { wakes: "own" }, () => {
  const [near, far] = memoryStreamPair();
  const writer = new StreamWriter(near, { highWaterMark: 0 });
  return {
    begin: async () => await writer.write("x"),
    complete() {
      if (near.unsent > 0) void far.read();
    },
  };
});

describe("write", () => {
  test(
    "takes bytes and text, in order",
    writing(async (writer, { reader }) => {
      writer.write("a");
      writer.write(new Uint8Array([98]));
      await writer.writeLines(["c\n", new TextEncoder().encode("d")]);
      writer.close();

      assert.equal(text(await reader.read()), "abc\nd");
    }, {}),
  );

  test(
    "copies the bytes in the call",
    writing(async (writer, { reader }) => {
      const chunk = new TextEncoder().encode("ab");
      writer.write(chunk);
      chunk.fill(0);

      assert.equal(text(await reader.read(2)), "ab");
    }),
  );

  test(
    "waits above the high-water mark, until the low one is reached (S138)",
    writing(async (writer, { far, t }) => {
      await writer.write("1234");
      const waiting = createTask(async () => await writer.write("56"));

      await t.settle();
      await far.read(4);
      await t.settle();
      assert.equal(waiting.done(), false);
      await far.read(1);
      await waiting;

      assert.equal(writer.bytesWritten, 5);
    }),
  );

  test(
    "that nobody awaits arrives, and is no wait",
    writing(async (writer, { reader }) => {
      writer.write("123456");
      writer.write("78");

      assert.deepEqual(asyncio.currentTask()?.waitingFor(), []);
      assert.equal(text(await reader.readExactly(8)), "12345678");
    }),
  );

  test(
    "that nobody awaits takes no cancellation away from `drain`",
    writing(async (writer, { reader }) => {
      const task = createTask(async () => {
        asyncio.currentTask()?.cancel();
        writer.write("123456");
        writer.write("7");
        await writer.drain();
      });

      await assert.rejects(task, asyncio.CancelledError);
      assert.equal(text(await reader.readExactly(7)), "1234567");
    }),
  );

  test(
    "is a checkpoint when it is awaited, also where there is room",
    writing(async (writer, { reader }) => {
      const task = createTask(async () => {
        asyncio.currentTask()?.cancel();
        for (;;) await writer.write("x");
      });

      const error = await task.catch((error: unknown) => error);

      assert.ok(error instanceof asyncio.CancelledError);
      assert.equal(error.bytesWritten, 0);
      assert.equal(text(await reader.read(9)), "x");
    }),
  );

  test(
    "cancelled tells how much of it has gone out, and the rest follows",
    writing(async (writer, { far, reader }) => {
      await writer.write("ab");
      const write = asyncio.timeout(2, () => writer.write("cdefgh"));
      const failed = write.catch((error: unknown) => error);
      await asyncio.sleep(1);
      assert.equal(text((await far.read(2)) as Uint8Array), "ab");
      assert.equal(text((await far.read(3)) as Uint8Array), "cde");

      const error = await failed;

      assert.ok(error instanceof asyncio.TimeoutError);
      assert.ok(error.cause instanceof asyncio.CancelledError);
      assert.equal(error.cause.bytesWritten, 3);
      assert.equal(text(await reader.readExactly(3)), "fgh");
    }),
  );

  test(
    "cancelled shows in its stack where it was awaited",
    writing(async (writer, { far }) => {
      const task = createTask(async function victim() {
        await writer.write("123456");
      });
      await asyncio.sleep(1);
      task.cancel();

      const error = await task.catch((error: unknown) => error);

      assert.match((error as Error).stack ?? "", /at async victim/);
      await far.read();
    }),
  );

  test(
    "can be caught, finished and raced like any promise",
    writing(async (writer, { reader }) => {
      const write = writer.write("123456");
      const log: string[] = [];
      const all = Promise.all([
        write.then(() => log.push("then")),
        write.finally(() => log.push("finally")),
        write.catch(() => log.push("catch")),
      ]);
      await reader.readExactly(6);

      await all;

      assert.deepEqual(log, ["then", "finally"]);
    }),
  );

  test(
    "of another task is refused while one waits, and both are named",
    writing(async (writer, { reader, t }) => {
      const first = createTask(async () => await writer.write("123456"), { name: "first" });
      await t.settle();

      const second = createTask(async () => await writer.write("x"), { name: "second" });

      await assert.rejects(second, {
        code: "ERR_ASYNCIO_INVALID_STATE",
        message:
          '`writer.write` was called by task "second" while a write of task "first" waits for room. Let one task write, or put a Lock round it',
      });
      await reader.readExactly(6);
      await first;
      await writer.write("y");
      assert.equal(text(await reader.read(9)), "y");
    }),
  );

  test(
    "of the same task may come while one waits",
    writing(async (writer, { reader, t }) => {
      const first = writer.write("123456");
      const waiting = first.then(() => "written");
      await t.settle();
      writer.write("78");

      assert.equal(text(await reader.readExactly(8)), "12345678");
      assert.equal(await waiting, "written");
    }),
  );

  test(
    "after the end is refused, and does no harm if nobody looks (S141)",
    writing(async (writer, { reader }) => {
      writer.write("a");
      writer.writeEof();
      writer.write("b");
      await assert.rejects(writer.write("c"), /called after `writeEof`/);
      writer.close();
      writer.write("d");
      await assert.rejects(writer.write("e"), /called after `close`/);

      assert.equal(text(await reader.read()), "a");
    }),
  );

  test(
    "refuses what is neither bytes nor text",
    writing(async (writer) => {
      // @ts-expect-error
      await assert.rejects(writer.write(1), TypeError);
      // @ts-expect-error
      await assert.rejects(writer.writeLines([1]), TypeError);
      // @ts-expect-error
      await assert.rejects(writer.writeLines(5), TypeError);
      // @ts-expect-error
      await assert.rejects(writer.writeLines(undefined), TypeError);
    }),
  );
});

test("a refused write that nobody awaits is reported: its bytes are lost", async () => {
  const loop = new testing.VirtualLoop();
  const reports = collectReports(loop);
  await asyncio.run(
    async () => {
      const [near, far] = memoryStreamPair();
      const writer = new StreamWriter(near, { highWaterMark: 0 });
      const first = createTask(async () => await writer.write("1"), { name: "first" });
      await asyncio.sleep(1);
      writer.write("2");
      far.close();
      await first.catch(() => {});
      near.close();
    },
    { loop },
  );

  assert.equal(reports.length, 1);
  assert.match(String(reports[0]?.exception), /while a write of task "first" waits/);
});

describe("drain", () => {
  test(
    "returns at once below the mark, and any number of tasks may wait in it (S137)",
    writing(async (writer, { reader, t }) => {
      await writer.drain();
      writer.write("123456");
      const drains = [1, 2, 3].map(() => createTask(() => writer.drain()));
      await t.settle();
      assert.deepEqual(
        drains.map((drain) => drain.done()),
        [false, false, false],
      );

      await reader.readExactly(6);

      await asyncio.gather(drains);
    }),
  );

  test(
    "fails once the connection is lost, and so does a write (S137, S141)",
    writing(async (writer, { far, t }) => {
      const write = createTask(async () => await writer.write("123456"));
      await t.settle();

      far.abort();

      await assert.rejects(write, { code: "ECONNRESET" });
      const drain = writer.drain();
      await new Promise((resolve) => setImmediate(resolve)); // nobody looks, and no harm is done
      await assert.rejects(drain, { code: "ECONNRESET" });
      await assert.rejects(writer.write("x"), { code: "ECONNRESET" });
      writer.write("nobody looks");
      assert.equal(writer.isClosing(), true);
    }),
  );
});

describe("the end", () => {
  test(
    "close lets what was written arrive (S139)",
    writing(async (writer, { reader, t }) => {
      writer.write("123456");
      writer.close();
      const closed = createTask(() => writer.waitClosed());
      await t.settle();
      assert.equal(closed.done(), false);
      assert.equal(writer.isClosing(), true);

      assert.equal(text(await reader.read()), "123456");
      await closed;
    }),
  );

  test(
    "abort drops what is on its way (S139)",
    writing(async (writer, { reader }) => {
      const write = writer.write("123456").catch((error: unknown) => error);
      writer.abort();

      assert.equal(((await write) as NodeJS.ErrnoException).code, "ECONNABORTED");
      await writer.waitClosed();
      await reader.read().catch(() => {});
      await assert.rejects(reader.read(), { code: "ECONNRESET" });
    }),
  );

  test(
    "`writeEof` ends one side only",
    writing(async (writer, { far, near, reader }) => {
      writer.write("ask");
      assert.equal(writer.canWriteEof(), true);
      writer.writeEof();
      assert.equal(text(await reader.read()), "ask");

      await far.write(new TextEncoder().encode("answer"));

      assert.equal(text(await new StreamReader(near).read(99)), "answer");
    }),
  );

  onBothLoops(
    "bytes that were dropped when the connection was lost have not gone out",
    async () => {
      for (const lose of [
        ([near]: asyncio.Connection[]) => near?.writer.abort(),
        ([, far]: asyncio.Connection[]) => far?.reader.close(),
      ]) {
        const ends = asyncio.connectionPair();
        const [{ writer }, { reader }] = ends;
        writer.write("123456");
        assert.equal(text(await reader.readExactly(6)), "123456");
        writer.write("789");
        assert.equal(writer.bytesWritten, 6);

        lose(ends);

        assert.equal(writer.bytesWritten, 6);
        writer.abort();
        ends[1].writer.abort();
      }
    },
  );

  test(
    "after somebody else has closed the stream, a write is refused, and not counted",
    writing(async (writer, { near, reader }) => {
      writer.write("taken");
      new StreamReader(near).close();

      assert.equal(writer.isClosing(), true);
      await assert.rejects(writer.write("dropped"), { code: "ECONNABORTED", syscall: "write" });

      assert.equal(text(await reader.read()), "taken");
      assert.equal(writer.bytesWritten, 5);
    }),
  );

  test(
    "disposing closes, and waits until all has left",
    writing(async (writer, { reader }) => {
      const body = async (): Promise<void> => {
        await using own = writer;
        own.write("123456");
      };
      const task = createTask(body);

      assert.equal(text(await reader.read()), "123456");
      await task;
      assert.equal(writer.isClosing(), true);
    }),
  );

  test(
    "disposing in a scope past its grace waits for nobody: it aborts",
    writing(async (writer, { reader }) => {
      const task = createTask(
        async () => {
          await using own = writer;
          own.write("123456");
          await asyncio.sleep(3600);
        },
        { cancelGrace: 2 },
      );
      await asyncio.sleep(1);
      task.cancel();

      const start = asyncio.getRunningLoop().time();
      await assert.rejects(task, asyncio.CancelledError);
      assert.equal(asyncio.getRunningLoop().time() - start, 2);
      await reader.read(10);
      await assert.rejects(reader.read(1), { code: "ECONNRESET" });
    }),
  );
});

test(
  "tells the addresses of both ends",
  writing(async (writer) => {
    assert.deepEqual(writer.getExtraInfo("sockname"), { host: "a", port: 1 });
    assert.deepEqual(writer.getExtraInfo("peername"), { host: "b", port: 2 });
    assert.equal(writer.getExtraInfo("socket"), undefined);
  }),
);

test("refuses water marks in the wrong order (S138)", async () => {
  await runTest(async () => {
    const [near, far] = memoryStreamPair();
    assert.throws(() => new StreamWriter(near, { highWaterMark: 1, lowWaterMark: 2 }), RangeError);
    assert.throws(() => new StreamWriter(near, { highWaterMark: -1 }), RangeError);
    // @ts-expect-error
    assert.throws(() => new StreamWriter(near, { highWaterMark: "1" }), TypeError);
    near.close();
    far.close();
  });
});
