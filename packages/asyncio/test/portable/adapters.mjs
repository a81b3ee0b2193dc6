// Stream adapters on every runtime: each has its own web streams, and its own streams of Node.

import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import * as asyncio from "asyncio-ts";
import { checkInRun as check, equal, summarise } from "./harness/checks.mjs";

const text = (bytes) => new TextDecoder().decode(bytes);

async function linesOf(source) {
  const lines = [];
  for await (const line of asyncio.readerFrom(source).lines()) lines.push(line);
  return lines;
}

const chunks = ["one\r", "\ntw", "o\nthr\u00e9", "e"];

/** Ends when `mayEnd` does, if it is given. */
async function* slowly(mayEnd) {
  for (const chunk of chunks) {
    await asyncio.sleep(0.001);
    yield chunk;
  }
  await mayEnd;
}

function webStream(mayEnd) {
  const iterator = slowly(mayEnd);
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
}

for (const [name, make] of [
  ["a generator", slowly],
  ["a web stream", webStream],
  ["a response", () => new Response(chunks.join("")).body],
  [
    "a stream of Node",
    () =>
      Readable.from(
        chunks.map((chunk) => Buffer.from(chunk)),
        { objectMode: false },
      ),
  ],
])
  await check(`lines of ${name}`, async () => {
    equal(await linesOf(make()), ["one", "two", "thr\u00e9e"]);
  });

await check("a cancelled read loses no chunk", async () => {
  for (const make of [slowly, webStream]) {
    let end;
    const mayEnd = new Promise((resolve) => {
      end = resolve;
    });
    const reader = asyncio.readerFrom(make(mayEnd));
    let cancelled = 0;
    for (let count = 0; count < 5; count++)
      if ((await asyncio.moveOnAfter(0.001, () => reader.readExactly(1000))).cancelled) cancelled++;
    equal(cancelled, 5);
    end();
    equal(text(await reader.read()), chunks.join(""));
  }
});

await check("closing cancels the source and releases the lock", async () => {
  const stream = webStream();
  const reader = asyncio.readerFrom(stream);
  equal(text(await reader.read(3)), "one");
  await reader[Symbol.asyncDispose]();
  equal(stream.locked, false);
});

await check("through web streams and back", async () => {
  const [client, server] = asyncio.connectionPair();
  client.writer.write("hello");
  client.writer.writeEof();
  const zipped = asyncio.toWebStream(server.reader).pipeThrough(new TransformStream());
  await zipped.pipeTo(asyncio.toWebStream(server.writer));
  equal(text(await client.reader.read()), "hello");
  client.writer.close();
  server.writer.close();
});

await check("through streams of Node and back", async () => {
  const [client, server] = asyncio.connectionPair();
  client.writer.write("hello");
  client.writer.writeEof();
  await pipeline(
    asyncio.toNodeStream(server.reader),
    createGzip(),
    createGunzip(),
    asyncio.toNodeStream(server.writer),
  );
  equal(text(await client.reader.read()), "hello");
  client.writer.close();
  server.writer.close();
});

await check("a writer to a web stream waits for room", async () => {
  const { readable, writable } = new TransformStream();
  const writer = asyncio.writerFrom(writable, { highWaterMark: 1 });
  const writing = asyncio.createTask(async () => {
    await writer.write("ab");
    await writer.write("cd");
  });
  await asyncio.sleep(0.01);
  equal(writing.done(), false);
  const reader = asyncio.readerFrom(readable);
  equal(text(await reader.readExactly(4)), "abcd");
  await writing;
  writer.close();
  equal((await reader.read()).length, 0);
});

await check("a web stream made of a writer is aborted while a write waits", async () => {
  const [near, far] = asyncio.connectionPair({ highWaterMark: 2 });
  const writing = asyncio.toWebStream(near.writer).getWriter();
  writing.closed.catch(() => {});
  const write = writing.write(new Uint8Array(100)).catch((error) => error);
  await asyncio.sleep(0);
  await writing.abort();
  equal((await write) instanceof Error, true);
  equal(await far.reader.read().catch((error) => error.code), "ECONNRESET");
});

for (const [name, make] of [
  ["bytes", () => new PassThrough()],
  ["text", () => new PassThrough().setEncoding("utf8")],
  ["objects", () => new PassThrough({ objectMode: true })],
])
  await check(`a silent stream of Node can be left, of ${name}`, async () => {
    const source = make();
    const reader = asyncio.readerFrom(source);
    await asyncio.moveOnAfter(0.01, () => reader.read(1));
    const { cancelled } = await asyncio.moveOnAfter(3, () => reader[Symbol.asyncDispose]());
    equal([cancelled, source.destroyed], [false, true]);
  });

await check("endless empty chunks do not keep a deadline from its turn", async () => {
  const reader = asyncio.readerFrom(
    (async function* () {
      for (;;) yield "";
    })(),
  );
  equal((await asyncio.moveOnAfter(0.02, () => reader.read(1))).cancelled, true);
  await reader[Symbol.asyncDispose]();
});

summarise();
