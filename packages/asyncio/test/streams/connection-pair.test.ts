import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";

const { connectionPair, createTask, sleep } = asyncio;
const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);

test("what one end writes, the other reads, and one side ends alone", () =>
  testing.runTest(async () => {
    const [[reader, writer], far] = connectionPair();
    writer.write("question\n");
    writer.writeEof();

    assert.equal(text(await far.reader.read()), "question\n");
    far.writer.write("answer");
    far.writer.close();

    assert.equal(text(await reader.read()), "answer");
    writer.close();
  }));

test("is closed by `await using`", () =>
  testing
    .runTest(async () => {
      await using near = connectionPair()[0];
      assert.equal(near.writer.isClosing(), false);
    })
    .then(
      () => assert.fail("the far end was left open"),
      (error) => assert.match(String(error), /memory stream "b"/),
    ));

/** How a connection comes to its end, in steps of either end; after the last one it is there. */
const ends: Record<string, ((near: asyncio.Connection, far: asyncio.Connection) => unknown)[]> = {
  "it is closed": [(near) => near.writer.close()],
  "it is closed, and what it wrote has been read": [
    (near) => void near.writer.write("abc"),
    (near) => near.writer.close(),
    (_near, far) => far.reader.read(),
  ],
  "it is aborted": [(near) => near.writer.abort()],
  "the peer resets it": [(_near, far) => far.writer.abort()],
  "both have ended their side": [
    (_near, far) => void far.writer.write("abc"),
    (_near, far) => far.writer.writeEof(),
    (near) => near.reader.read(),
    (near) => near.writer.writeEof(),
  ],
};

for (const [how, steps] of Object.entries(ends))
  onBothLoops(`waitClosed waits until ${how}`, async () => {
    const [near, far] = connectionPair();
    const closed = createTask(() => near.writer.waitClosed());
    for (const step of steps) {
      await sleep(0.001);
      assert.equal(closed.done(), false);
      await step(near, far);
    }

    await closed;
    near.writer.close();
    far.writer.close();
  });

onBothLoops("a waitClosed that is cancelled has closed nothing", async () => {
  const [near, far] = connectionPair();
  const waiting = asyncio.timeout(0.001, () => near.writer.waitClosed());

  await assert.rejects(waiting, asyncio.TimeoutError);
  await near.writer.write("open");
  near.writer.close();
  assert.equal(text(await far.reader.read()), "open");
  far.writer.close();
});

test("takes options for its readers and writers, and names", () =>
  testing.runTest(async (t) => {
    const [near, far] = connectionPair({ limit: 2, highWaterMark: 1, names: ["tap", "drain"] });
    assert.deepEqual(near.writer.getExtraInfo("peername"), { host: "drain", port: 2 });
    const writing = createTask(async () => await near.writer.write("abc\n"));
    await t.settle();
    assert.equal(writing.done(), false);

    await assert.rejects(far.reader.readLine(), asyncio.LimitOverrunError);
    await writing;
    near.writer.close();
    far.writer.close();
  }));

test("reads are cut elsewhere in each schedule of an exploration", async () => {
  const seen = new Set<string>();

  await testing.explore(async () => {
    const [near, far] = connectionPair();
    near.writer.write("abc");
    near.writer.close();
    const chunks: string[] = [];
    for await (const chunk of far.reader.chunks()) chunks.push(text(chunk));
    far.writer.close();
    assert.equal(chunks.join(""), "abc");
    seen.add(chunks.join("|"));
  });

  assert.deepEqual([...seen].sort(), ["abc", "ab|c", "a|bc", "a|b|c"].sort());
});
