// Waiting for the end of a stream while nobody reads, and while somebody does.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { conforms } from "../conformance.ts";

const { connectionPair, createTask, moveOnAfter, readerFrom, run, sleep, StreamReader } = asyncio;
const { memoryStreamPair, runTest } = testing;

const bytes = (string: string) => new TextEncoder().encode(string);
const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);

// What comes is handed on by a reaction, not in the step in which it comes; a cancellation in
// between takes no bytes away.
const cancellationWins = true;

conforms("StreamReader.waitEof", { wakes: "all", hasFastPath: true, cancellationWins }, () => {
  const [near, far] = memoryStreamPair();
  const reader = new StreamReader(near);
  return {
    begin: () => reader.waitEof(),
    complete: () => far.close(),
  };
});

conforms(
  "StreamReader.read while somebody waits for the end",
  { wakes: "own", cancellationWins },
  () => {
    const [near, far] = memoryStreamPair();
    const reader = new StreamReader(near);
    let offered = 0;
    return {
      async begin() {
        reader.onEof(() => {});
        return (await reader.read(1))[0];
      },
      complete() {
        far.send(new Uint8Array([++offered]));
        return offered;
      },
    };
  },
);

/** The two ends of a connection, on the virtual loop and on the real one, in memory and by TCP. */
function everywhere(
  body: (near: asyncio.Connection, far: asyncio.Connection) => Promise<void>,
): () => void {
  const inMemory = async (): Promise<void> => {
    const [near, far] = connectionPair();
    await body(near, far);
    near.writer.close();
    far.writer.close();
  };
  return () => {
    test("in virtual time", () => runTest(inMemory));
    test("in real time", () => run(inMemory));
    test("by TCP", () =>
      run(async () => {
        const accepted = new asyncio.Future<void>();
        const server = await asyncio.startServer(
          async (...[, , near]) => {
            const far = await opening;
            await body(near, far).then(
              () => accepted.setResult(),
              (error) => accepted.setException(error),
            );
            far.writer.close();
          },
          { host: "127.0.0.1" },
        );
        const opening = asyncio.openConnection("127.0.0.1", server.sockets[0].port);
        await accepted;
        server.close();
        await server.waitClosed();
      }));
  };
}

describe(
  "the end comes to whoever waits, behind what was sent before it, which can still be read",
  everywhere(async (near, far) => {
    const ending = createTask(() => near.reader.waitEof());
    const other = createTask(() => near.reader.waitEof());
    await far.writer.write("last words\n");
    far.writer.close();

    await asyncio.gather(ending, other);

    assert.equal(near.reader.atEof(), false);
    assert.equal(text(await near.reader.read()), "last words\n");
    await near.reader.waitEof();
  }),
);

describe(
  "reads go on while somebody waits for the end, and lose nothing",
  everywhere(async (near, far) => {
    const ending = createTask(() => near.reader.waitEof());
    const got: string[] = [];
    for (const [index, part] of ["a", "b\nc", "d\n", "ef"].entries()) {
      const feeding = createTask(() => sleep(0).then(() => far.writer.write(part)));
      if (index % 2 === 0) got.push(text(await near.reader.read(1)));
      else got.push(text(await near.reader.readLine()));
      await feeding;
    }
    assert.equal(ending.done(), false);
    far.writer.close();
    await ending;

    got.push(text(await near.reader.read()));
    assert.equal(got.join(""), "ab\ncd\nef");
  }),
);

describe(
  "a lost connection rejects those who wait for its end",
  everywhere(async (near, far) => {
    const ending = createTask(() => near.reader.waitEof());
    await sleep(0);
    far.writer.abort();

    await assert.rejects(ending, { code: "ECONNRESET" });
  }),
);

test("nothing is read ahead above the limit; below it the end is seen", () =>
  runTest(async (t) => {
    const [near, far] = memoryStreamPair();
    const reader = new StreamReader(near);
    far.send(bytes("123456"));
    far.writeEof();

    const ending = createTask(() => reader.waitEof({ limit: 4 }));
    await t.settle();

    assert.equal(far.unsent, 2);
    assert.equal(ending.done(), false);
    assert.equal(text(await reader.readExactly(3)), "123");
    await ending;
    assert.equal(text(await reader.read()), "456");
    near.close();
    far.close();
  }));

test("every way to take bytes makes room to see the end", async () => {
  const takes: Record<string, (reader: asyncio.StreamReader) => PromiseLike<unknown>> = {
    read: (reader) => reader.read(4),
    readExactly: (reader) => reader.readExactly(4),
    readLine: (reader) => reader.readLine(),
    "a line that is too long": (reader) => reader.readLine({ limit: 1 }).catch(() => {}),
    parse: (reader) => reader.parse((input) => input.readExactly(4)),
  };
  for (const [name, take] of Object.entries(takes))
    await runTest(async (t) => {
      const [near, far] = memoryStreamPair();
      const reader = new StreamReader(near, { limit: 4 });
      far.send(bytes("123\n"));
      far.close();
      const ending = createTask(() => reader.waitEof());
      await t.settle();
      assert.equal(ending.done(), false, name);

      await take(reader);

      await asyncio.timeout(1, () => ending);
      near.close();
    });
});

test("the end that a read meets is told to those who wait for it", () =>
  runTest(async (t) => {
    const [near, far] = connectionPair();
    const reading = createTask(() => near.reader.read());
    await t.settle();
    const ending = createTask(() => near.reader.waitEof());
    await t.settle();
    far.writer.write("all");
    far.writer.close();

    assert.equal(text(await reading), "all");
    await ending;
    near.writer.close();
  }));

test("a listener is told of an end that no read meets, and of no other", () =>
  runTest(async (t) => {
    for (const isRead of [true, false]) {
      const [near, far] = connectionPair();
      let told = 0;
      near.reader.onEof(() => told++);
      const reading = isRead ? createTask(() => near.reader.readLine()) : undefined;
      await t.settle();

      far.writer.close();
      await reading;
      await t.settle();

      assert.equal(told, isRead ? 0 : 1);
      near.writer.close();
    }
  }));

test("cancelled, it leaves nothing behind, and the stream to others", () =>
  runTest(async (t) => {
    const [near, far] = memoryStreamPair();
    const reader = new StreamReader(near);

    assert.deepEqual(await moveOnAfter(1, () => reader.waitEof()), { cancelled: true });
    await t.settle();
    const reading = near.read(); // nobody else reads
    far.send(bytes("x"));

    assert.deepEqual(await reading, bytes("x"));
    near.close();
    far.close();
  }));

test("a read that comes when the wait was just cancelled gets its bytes in order", () =>
  runTest(async (t) => {
    for (const isFirst of [true, false]) {
      const [near, far] = connectionPair();
      const ending = createTask(() => near.reader.waitEof());
      await t.settle();
      if (isFirst) far.writer.write("12");
      ending.cancel();
      if (!isFirst) far.writer.write("12");
      far.writer.write("34");

      assert.equal(text(await near.reader.readExactly(4)), "1234");
      near.writer.close();
      far.writer.close();
    }
  }));

test("a cancelled read leaves its bytes to the next one while somebody waits for the end", () =>
  runTest(async (t) => {
    const [near, far] = connectionPair();
    const ending = createTask(() => near.reader.waitEof());
    await t.settle();

    assert.deepEqual(await moveOnAfter(1, () => near.reader.readLine()), { cancelled: true });
    far.writer.write("line\n");
    far.writer.close();

    await ending;
    assert.equal(text(await near.reader.readLine()), "line\n");
    near.writer.close();
  }));

test("a second read at the same time is refused, also while somebody waits for the end", () =>
  runTest(async (t) => {
    const [near, far] = connectionPair();
    const ending = createTask(() => near.reader.waitEof());
    const first = createTask(() => near.reader.read(1), { name: "first" });
    await t.settle();

    await assert.rejects(
      createTask(() => near.reader.read(1), { name: "second" }),
      /"second" while task "first"/,
    );
    far.writer.write("x");
    far.writer.close();
    assert.equal(text(await first), "x");
    await ending;
    near.writer.close();
  }));

test("one's own close ends the wait", () =>
  runTest(async (t) => {
    const [near, far] = connectionPair();
    const ending = createTask(() => near.reader.waitEof());
    await t.settle();

    near.reader.close();

    await ending;
    far.writer.close();
  }));

test("an adapted source is watched as well", () =>
  runTest(async (t) => {
    const source = async function* () {
      yield "a";
      await sleep(2);
      yield "b";
      await sleep(2);
    };
    await using reader = readerFrom(source());

    await reader.waitEof();

    assert.equal(t.now, 4);
    assert.equal(text(await reader.read()), "ab");
  }));

test("refuses a limit that is none", async () => {
  const [near] = connectionPair();
  await assert.rejects(near.reader.waitEof({ limit: 0 }), RangeError);
  // @ts-expect-error
  await assert.rejects(near.reader.waitEof({ limit: "1" }), TypeError);
});

test("no schedule loses a byte or the end", async () => {
  await testing.explore(async () => {
    const [near, far] = connectionPair();
    let got = "";
    await asyncio.taskGroup(async (group) => {
      group.createTask(() => near.reader.waitEof());
      group.createTask(async () => {
        await moveOnAfter(1, () => near.reader.waitEof());
      });
      group.createTask(async () => {
        for (const part of ["one", "\ntwo\n", "three"]) {
          await far.writer.write(part);
          await sleep(1);
        }
        far.writer.close();
      });
      got += text(await near.reader.readLine());
      got += text(await near.reader.read(2));
      got += text(await near.reader.read());
    });
    assert.equal(got, "one\ntwo\nthree");
    near.writer.close();
  });
});

test("cancelled anywhere, no byte is lost or doubled", async () => {
  await testing.cancelSweep(
    async (_t, state) => {
      const [near, far] = memoryStreamPair({ chunks: "bytes" });
      const reader = new StreamReader(near);
      far.send(bytes("one\ntwo\nrest"));
      far.close();
      try {
        await asyncio.gather(
          () => reader.waitEof({ limit: 5 }),
          async () => {
            state.got += text(await reader.readLine());
            state.got += text(await reader.readExactly(2));
          },
          () => sleep(0).then(() => reader.waitEof({ limit: 100 })),
        );
      } finally {
        const rest = createTask(async () => {
          state.got += text(await reader.read());
          state.isComplete = true;
          near.close();
        });
        await asyncio.cleanup(10, () => rest);
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
