import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { conforms } from "../conformance.ts";

const { createTask, sleep } = asyncio;
const { memoryStreamPair, runTest } = testing;

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (chunk: Uint8Array | undefined) =>
  chunk === undefined ? undefined : new TextDecoder().decode(chunk);

/** Reads to the end. */
async function readAll(stream: asyncio.ByteStream): Promise<string> {
  let all = "";
  for (let chunk = await stream.read(); chunk !== undefined; chunk = await stream.read())
    all += text(chunk);
  return all;
}

conforms("stream.read", { wakes: "own", hasFastPath: true }, () => {
  const [near, far] = memoryStreamPair();
  let offered = 0;
  return {
    begin: async () => (await near.read(1))?.[0],
    complete() {
      void far.write(new Uint8Array([++offered]));
      return offered;
    },
    check(counts) {
      assert.equal(counts.offered, offered);
    },
  };
});

test("what is written at one end is read at the other", async () => {
  await runTest(async () => {
    const [near, far] = memoryStreamPair();

    await near.write(bytes("ping"));
    assert.equal(text(await far.read()), "ping");
    await far.write(bytes("pong"));
    assert.equal(text(await near.read(2)), "po");
    assert.equal(text(await near.read()), "ng");

    near.close();
    far.close();
  });
});

test("a read waits for bytes, and a cancelled one takes none", async () => {
  await runTest(async () => {
    const [near, far] = memoryStreamPair();

    await assert.rejects(
      asyncio.timeout(1, () => far.read()),
      asyncio.TimeoutError,
    );
    await near.write(bytes("late"));

    assert.equal(text(await far.read()), "late");
    near.close();
    far.close();
  });
});

test("the bytes are copied when they are written", async () => {
  await runTest(async () => {
    const [near, far] = memoryStreamPair();
    const chunk = bytes("abc");

    await near.write(chunk);
    chunk.fill(0);

    assert.equal(text(await far.read()), "abc");
    near.close();
    far.close();
  });
});

test("a writer waits while its peer does not read", async () => {
  await runTest(async (t) => {
    const [near, far] = memoryStreamPair({ highWaterMark: 4 });
    const writer = createTask(() => near.write(bytes("123456")));

    await t.settle();
    assert.equal(writer.done(), false);
    await far.read(2);
    await writer;

    near.close();
    far.close();
  });
});

test("a write that is cancelled has handed its bytes over", async () => {
  await runTest(async () => {
    const [near, far] = memoryStreamPair({ highWaterMark: 1 });

    await assert.rejects(
      asyncio.timeout(1, () => near.write(bytes("all"))),
      asyncio.TimeoutError,
    );

    assert.equal(text(await far.read()), "all");
    near.close();
    far.close();
  });
});

test("one side can end while the other goes on", async () => {
  await runTest(async () => {
    const [near, far] = memoryStreamPair();

    await near.write(bytes("request"));
    near.writeEof();
    assert.equal(await readAll(far), "request");
    await far.write(bytes("answer"));
    far.close();

    assert.equal(await readAll(near), "answer");
    near.close();
  });
});

test("`waitClosed` waits until the peer has read everything", async () => {
  await runTest(async (t) => {
    const [near, far] = memoryStreamPair();
    await near.write(bytes("rest"));
    near.close();
    const closed = createTask(() => near.waitClosed());

    await t.settle();
    assert.equal(closed.done(), false);
    assert.equal(await readAll(far), "rest");
    await closed;

    far.close();
  });
});

test("an abort resets the peer", async () => {
  await runTest(async (t) => {
    const [near, far] = memoryStreamPair();
    const reader = createTask(() => far.read());
    await t.settle();

    near.abort();

    await assert.rejects(reader, { code: "ECONNRESET", syscall: "read" });
    await assert.rejects(far.write(bytes("x")), { code: "ECONNRESET" });
    far.close();
  });
});

test("writing to a peer that has closed fails", async () => {
  await runTest(async () => {
    const [near, far] = memoryStreamPair();

    far.close();

    await assert.rejects(near.write(bytes("x")), { code: "EPIPE" });
    near.close();
  });
});

test("two reads at once are refused, and both tasks are named", async () => {
  await runTest(async (t) => {
    const [near, far] = memoryStreamPair();
    const first = createTask(() => near.read(), { name: "first" });
    await t.settle();

    const second = createTask(() => near.read(), { name: "second" });

    await assert.rejects(second, /task "second" while task "first" is reading/);
    await far.write(bytes("x"));
    await first;
    near.close();
    far.close();
  });
});

test("a stream that is left open fails the test and is named", async () => {
  const left = runTest(async () => {
    const [near] = memoryStreamPair({ names: ["client", "server"] });
    near.close();
  });

  await assert.rejects(left, /memory stream "server", which is still open/);
});

test("chunks come byte by byte, or cut at random but the same for a seed", async () => {
  const sizes = (options: testing.MemoryStreamOptions) =>
    runTest(async () => {
      const [near, far] = memoryStreamPair(options);
      await near.write(new Uint8Array(20));
      near.close();
      const cuts: number[] = [];
      for (let chunk = await far.read(); chunk !== undefined; chunk = await far.read())
        cuts.push(chunk.length);
      far.close();
      return cuts;
    });

  assert.deepEqual(await sizes({ chunks: "whole" }), [20]);
  assert.deepEqual(await sizes({ chunks: "bytes" }), Array(20).fill(1));
  const random = await sizes({ chunks: "random", seed: 7 });
  assert.ok(random.length > 1 && random.length < 20);
  assert.deepEqual(await sizes({ chunks: "random", seed: 7 }), random);
});

test("a parser that trusts in whole chunks is found out by exploring", async () => {
  const read = async (stream: asyncio.ByteStream) => JSON.parse(text(await stream.read()) ?? "");
  const body = async () => {
    const [near, far] = memoryStreamPair();
    await near.write(bytes('{"a":1}'));
    try {
      assert.deepEqual(await read(far), { a: 1 });
    } finally {
      near.close();
      far.close();
    }
  };

  const error = await testing.explore(body).catch((error: unknown) => error);

  assert.ok(error instanceof testing.ScheduleError);
  assert.ok(error.cause instanceof SyntaxError);
  assert.equal(error.deviations, 1);
});

test("no byte is lost wherever reader and writer are cancelled", async () => {
  await testing.cancelSweep(
    async (_t, state) => {
      const [near, far] = memoryStreamPair({ highWaterMark: 2 });
      try {
        await asyncio.gather(
          async () => {
            for (const part of ["ab", "cd", "ef"]) {
              await near.write(bytes(part));
              state.sent += part;
            }
          },
          async () => {
            while (state.got.length < 6) state.got += text(await far.read(3));
          },
        );
      } finally {
        const rest = createTask(async () => {
          near.close();
          state.got += await readAll(far);
          far.close();
        });
        await asyncio.shield(rest);
      }
    },
    {
      depth: 1,
      schedules: 10,
      setup: () => ({ sent: "", got: "" }),
      // A cancelled write has handed its bytes over, or has not begun.
      invariant: ({ sent, got }) => assert.ok(got.startsWith(sent) && "abcdef".startsWith(got)),
    },
  );
});

test("refuses what it cannot use", async () => {
  await runTest(async () => {
    const [near, far] = memoryStreamPair();
    // @ts-expect-error
    await assert.rejects(near.write("text"), TypeError);
    // @ts-expect-error
    await assert.rejects(near.read("1"), TypeError);
    await assert.rejects(near.read(0), RangeError);
    // @ts-expect-error
    assert.throws(() => memoryStreamPair({ chunks: "small" }), TypeError);
    near.close();
    far.close();
    assert.equal(await near.read(), undefined);
    await sleep(0);
  });
});
