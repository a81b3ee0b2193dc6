// `tee()` makes two streams of one, and so does `clone()` of a response. Each half has every byte;
// the source is cancelled when both halves are, and the first one hears of it only then.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  connectionPair,
  createTask,
  gather,
  moveOnAfter,
  readerFrom,
  run,
  type StreamReader,
  sleep,
  toWebStream,
} from "../../src/index.ts";
import { cancelSweep, explore, VirtualLoop } from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { collectReports } from "../virtual.ts";

const LINES = ["one\n", "two\n", "three\n"];

interface Source {
  readonly stream: ReadableStream<string>;
  isCancelled(): boolean;
}

/** Gives LINES, a chunk at a time, when it is asked. */
function makeSource(): Source {
  let given = 0;
  let isCancelled = false;
  const stream = new ReadableStream<string>(
    {
      pull(controller) {
        const line = LINES[given++];
        if (line === undefined) controller.close();
        else controller.enqueue(line);
      },
      cancel() {
        isCancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, isCancelled: () => isCancelled };
}

async function textIn(reader: StreamReader): Promise<string> {
  return new TextDecoder().decode(await reader.read());
}

async function textOf(half: ReadableStream<Uint8Array | string>): Promise<string> {
  await using reader = readerFrom(half);
  return await textIn(reader);
}

onBothLoops("both halves give all, one after the other and side by side", async () => {
  const [first, second] = makeSource().stream.tee();
  const one = await textOf(first);
  const two = await textOf(second);
  const halves = makeSource().stream.tee();
  const both = await gather(...halves.map((half) => () => textOf(half)));

  assert.deepEqual([one, two, ...both], new Array(4).fill(LINES.join("")));
});

onBothLoops("a cancelled read of one half takes nothing from either", async () => {
  const [first, second] = makeSource().stream.tee();
  await using reader = readerFrom(first);
  await using other = readerFrom(second);

  await moveOnAfter(0, () => reader.read());
  const texts = await gather(
    () => textIn(reader),
    () => textIn(other),
  );

  assert.deepEqual(texts, [LINES.join(""), LINES.join("")]);
});

onBothLoops("a half that is closed early leaves the other all of it", async () => {
  const { stream, isCancelled } = makeSource();
  const [first, second] = stream.tee();
  const rest = createTask(() => textOf(second));
  const reader = readerFrom(first);
  assert.equal(new TextDecoder().decode(await reader.readLine()), "one\n");
  reader.close();

  await reader[Symbol.asyncDispose](); // ends with the other half

  assert.deepEqual([await rest, isCancelled()], [LINES.join(""), false]);
});

onBothLoops("the source is cancelled when both halves are closed", async () => {
  const { stream, isCancelled } = makeSource();
  const readers = stream.tee().map((half) => readerFrom(half));
  await readers[0]?.readLine();

  readers[0]?.close();
  await sleep(0.005);
  const before = isCancelled();
  readers[1]?.close();
  await gather(...readers.map((reader) => () => reader[Symbol.asyncDispose]()));

  assert.deepEqual([before, isCancelled()], [false, true]);
});

test("who waits for the end of one half alone is told why it does not come", async () => {
  const loop = new VirtualLoop();
  const reports = collectReports(loop);

  const [waited, text] = await run(
    async () => {
      const [first, second] = makeSource().stream.tee();
      const reader = readerFrom(first);
      await reader.readLine();
      const since = loop.time();
      reader.close();
      await reader[Symbol.asyncDispose]();
      return [loop.time() - since, await textOf(second)];
    },
    { loop },
  );

  assert.deepEqual([waited, text], [5, LINES.join("")]);
  assert.deepEqual(
    reports.map(({ message }) => message),
    [
      "a ReadableStream was closed, and has not answered for 5 s. It is left behind: what it holds may stay open. A half of `tee()` answers when the other half has ended, or is closed as well",
    ],
  );
});

onBothLoops("the halves of a stream that was made of a reader give all of it", async () => {
  const [client, server] = connectionPair();
  const [first, second] = toWebStream(server.reader).tee();
  const texts = gather(
    () => textOf(first),
    () => textOf(second),
  );
  for (const line of LINES) await client.writer.write(line);
  client.writer.close();

  assert.deepEqual(await texts, [LINES.join(""), LINES.join("")]);
  server.writer.close();
});

onBothLoops("one half of it that is cancelled leaves the connection open", async () => {
  const [client, server] = connectionPair();
  const [first, second] = toWebStream(server.reader).tee();
  const left = first.cancel();
  await using reader = readerFrom(second);
  await client.writer.write("one\n");

  assert.equal(new TextDecoder().decode(await reader.readLine()), "one\n");
  await server.writer.write("two\n");
  assert.equal(new TextDecoder().decode(await client.reader.readLine()), "two\n");

  reader.close();
  await left;
  assert.equal(new TextDecoder().decode(await client.reader.read()), ""); // both: it is closed
  client.writer.close();
});

async function copyTwice(): Promise<void> {
  const [client, server] = connectionPair();
  await using near = client;
  await using far = server;
  const halves = toWebStream(far.reader).tee();
  const copies = gather(...halves.map((half) => () => textOf(half)));
  await near.writer.write(LINES.join(""));
  near.writer.writeEof();
  assert.deepEqual(await copies, [LINES.join(""), LINES.join("")]);
}

test("no schedule loses a byte of a half", async () => {
  await explore(copyTwice, { iterations: 200 });
});

test("cancelled anywhere, the halves leave nothing open", async () => {
  await cancelSweep(copyTwice);
});
