import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";

const { connectionPair, createTask } = asyncio;
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
