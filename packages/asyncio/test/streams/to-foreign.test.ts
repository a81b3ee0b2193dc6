import assert from "node:assert/strict";
import { once } from "node:events";
import { Duplex, Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { describe, test } from "node:test";
import { createGunzip, createGzip } from "node:zlib";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";

const { connectionPair, createTask, readerFrom, run, sleep, toNodeStream, toWebStream } = asyncio;
const { runTest } = testing;

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);

/** Two ends of a connection, closed when the test has ended. */
function paired(
  body: (
    near: asyncio.Connection,
    far: asyncio.Connection,
    t: testing.TestContext,
  ) => Promise<void>,
  options?: asyncio.ConnectionPairOptions,
): () => Promise<void> {
  return () =>
    runTest(async (t) => {
      const [near, far] = connectionPair(options);
      await body(near, far, t);
      near.writer.close();
      far.writer.close();
    });
}

describe("a reader as a web stream", () => {
  test(
    "gives the bytes as they come, and ends",
    paired(async (near, far) => {
      const stream = toWebStream(near.reader);
      createTask(async () => {
        for (const part of ["one ", "two"]) {
          await far.writer.write(part);
          await sleep(1);
        }
        far.writer.writeEof();
      });

      const chunks: string[] = [];
      for await (const chunk of stream) chunks.push(text(chunk));

      assert.deepEqual(chunks, ["one ", "two"]);
    }),
  );

  test(
    "reads when it is read, and not ahead",
    paired(
      async (near, far, t) => {
        const stream = toWebStream(near.reader);
        const writing = createTask(async () => await far.writer.write("123456"));
        await t.settle();
        assert.equal(writing.done(), false);

        const reader = stream.getReader();
        const { value } = await reader.read();

        assert.equal(text(value as Uint8Array), "123456");
        await writing;
      },
      { highWaterMark: 2 },
    ),
  );

  test(
    "is of use after the task that made it has ended",
    paired(async (near, far) => {
      const stream = await createTask(async () => toWebStream(near.reader));
      far.writer.write("late");
      far.writer.writeEof();

      assert.equal(await new Response(stream).text(), "late");
    }),
  );

  test(
    "a cancelled wait of its consumer loses no chunk",
    paired(async (near, far) => {
      const web = toWebStream(near.reader);
      const reader = readerFrom(web);
      await asyncio.moveOnAfter(1, () => reader.read());
      far.writer.write("kept");
      far.writer.close();

      assert.equal(text(await reader.read()), "kept");
      assert.equal(web.locked, false);
    }),
  );

  test(
    "cancelled, it closes the connection: the peer's writes fail",
    paired(async (near, far) => {
      const stream = toWebStream(near.reader);
      const reading = stream.getReader();
      const waiting = reading.read();

      await reading.cancel("enough");

      assert.deepEqual(await waiting, { done: true, value: undefined });
      await assert.rejects(far.writer.write("x"), { code: "EPIPE" });
      assert.equal((await far.reader.read()).length, 0);
    }),
  );

  test(
    "an error comes when everything before it has been read",
    paired(async (near, far) => {
      const stream = toWebStream(near.reader);
      far.writer.write("before");
      const reading = stream.getReader();
      assert.equal(text((await reading.read()).value as Uint8Array), "before");
      far.writer.abort();

      await assert.rejects(reading.read(), { code: "ECONNRESET" });
    }),
  );
});

describe("a writer as a web stream", () => {
  test(
    "takes bytes and text, and its end ends this side alone",
    paired(async (near, far) => {
      const writing = toWebStream(near.writer).getWriter();
      writing.write("text, ");
      writing.write(new TextEncoder().encode("bytes"));
      await writing.close();

      assert.equal(text(await far.reader.read()), "text, bytes");
      await far.writer.write("still open");
      assert.equal(text(await near.reader.read(20)), "still open");
    }),
  );

  test(
    "passes back-pressure on",
    paired(
      async (near, far, t) => {
        const writing = toWebStream(near.writer).getWriter();
        let isReady = false;
        const written = writing.write("123456").then(() => {
          isReady = true;
        });
        await t.settle();
        assert.equal(isReady, false);
        assert.equal(writing.desiredSize, 0);

        await far.reader.read(6);
        await written;
      },
      { highWaterMark: 2 },
    ),
  );

  test(
    "aborted, it aborts the connection",
    paired(async (near, far) => {
      const stream = toWebStream(near.writer);
      await stream.abort("enough");

      await assert.rejects(far.reader.read(), { code: "ECONNRESET" });
    }),
  );

  for (const [what, begin] of [
    ["a write waits", (writing: WritableStreamDefaultWriter) => writing.write(new Uint8Array(100))],
    [
      "its end waits",
      (writing: WritableStreamDefaultWriter) => {
        writing.write(new Uint8Array(100)).catch(() => {});
        return writing.close();
      },
    ],
  ] as const) {
    const aborts = async (near: asyncio.Connection, far: asyncio.Connection): Promise<void> => {
      const writing = toWebStream(near.writer).getWriter();
      writing.closed.catch(() => {});
      const waiting = assert.rejects(begin(writing));
      await sleep(0);

      await writing.abort(new Error("enough"));

      await waiting;
      await assert.rejects(far.reader.read(), { code: "ECONNRESET" });
    };

    test(
      `aborts at once while ${what}, in virtual time`,
      paired((near, far) => aborts(near, far), { highWaterMark: 2 }),
    );

    test(`aborts at once while ${what}, in real time`, () =>
      run(() => aborts(...connectionPair({ highWaterMark: 2 }))));
  }

  test("aborts at once while a write by TCP waits for a peer that does not read", () =>
    run(async () => {
      const done = new asyncio.Event();
      await using server = await asyncio.startServer(
        async () => {
          await done.wait();
        },
        { host: "127.0.0.1" },
      );
      const { writer } = await asyncio.openConnection("127.0.0.1", server.sockets[0].port);
      const writing = toWebStream(writer).getWriter();
      writing.closed.catch(() => {});
      const waiting = assert.rejects(writing.write(new Uint8Array(20_000_000)), {
        code: "ECONNABORTED",
      });
      await sleep(0);

      await writing.abort();

      await waiting;
      done.set();
    }));

  test(
    "a chunk of another kind errors it, and aborts the connection",
    paired(async (near, far) => {
      const writing = toWebStream(near.writer).getWriter();

      await assert.rejects(writing.write(42 as unknown as string), TypeError);
      await assert.rejects(writing.closed, TypeError);
      await assert.rejects(far.reader.read(), { code: "ECONNRESET" });
    }),
  );

  test(
    "a lost connection errors it",
    paired(async (near, far) => {
      const writing = toWebStream(near.writer).getWriter();
      far.writer.abort();

      await assert.rejects(writing.write("x"), { code: "ECONNRESET" });
      await assert.rejects(writing.closed, { code: "ECONNRESET" });
    }),
  );

  test(
    "a connection is a pair, which things are piped through",
    paired(async (near, far) => {
      const echo = createTask(async () => {
        for await (const chunk of far.reader.chunks()) await far.writer.write(chunk);
        far.writer.close();
      });

      const back = new Response("there and back").body?.pipeThrough(toWebStream(near));

      assert.equal(await new Response(back).text(), "there and back");
      await echo;
    }),
  );
});

describe("as a stream of Node", () => {
  test("a pipeline reads, transforms and writes", () =>
    run(async () => {
      const [near, far] = connectionPair();
      const size = 1_000_000;
      const sent = new Uint8Array(size).map((_, index) => index * index);
      const sending = createTask(async () => {
        for (let at = 0; at < size; at += 10_000)
          await near.writer.write(sent.subarray(at, at + 10_000));
        near.writer.writeEof();
      });
      const receiving = createTask(() => near.reader.read());
      const [source, target] = [toNodeStream(far.reader), toNodeStream(far.writer)];

      await pipeline(source, createGzip(), createGunzip(), target);

      assert.deepEqual(await receiving, sent);
      await sending;
      await near.writer[Symbol.asyncDispose]();
      await far.writer[Symbol.asyncDispose]();
    }));

  test("a reader that is read to the end leaves its connection open", () =>
    run(async () => {
      const [near, far] = connectionPair();
      far.writer.write("ab");
      far.writer.writeEof();

      const chunks: unknown[] = [];
      for await (const chunk of toNodeStream(near.reader)) chunks.push(String(chunk));

      assert.deepEqual(chunks, ["ab"]);
      await near.writer.write("open");
      assert.equal(text(await far.reader.read(10)), "open");
      near.writer.close();
      far.writer.close();
    }));

  test("leaving a loop over a reader closes its connection", () =>
    run(async () => {
      const [near, far] = connectionPair();
      far.writer.write("ab");

      for await (const chunk of toNodeStream(near.reader)) {
        assert.equal(String(chunk), "ab");
        break;
      }

      await assert.rejects(far.writer.write("x"), { code: "EPIPE" });
      far.writer.close();
    }));

  test("an error of the connection comes after what was before it", () =>
    run(async () => {
      const [near, far] = connectionPair();
      const readable = toNodeStream(near.reader);
      far.writer.write("before");
      const [first] = await once(readable, "data");
      assert.equal(String(first), "before");
      far.writer.abort();

      await assert.rejects(once(readable, "end"), { code: "ECONNRESET" });
      assert.equal(readable.destroyed, true);
    }));

  test("a writer takes back-pressure along, and its end ends this side alone", () =>
    run(async () => {
      const [near, far] = connectionPair({ highWaterMark: 2 });
      const writable = toNodeStream(near.writer);
      let isWritten = false;
      writable.write("123456", () => {
        isWritten = true;
      });
      writable.end("7");
      await sleep(0);
      assert.equal(isWritten, false);

      assert.equal(text(await far.reader.read()), "1234567");
      if (!writable.writableFinished) await once(writable, "finish");

      assert.equal(isWritten, true);
      far.writer.write("back");
      assert.equal(text(await near.reader.read(10)), "back");
      near.writer.close();
      far.writer.close();
    }));

  test("a destroyed writer aborts its connection", () =>
    run(async () => {
      const [near, far] = connectionPair();
      toNodeStream(near.writer).destroy();

      await assert.rejects(far.reader.read(), { code: "ECONNRESET" });
    }));

  for (const [kind, make] of [
    ["writer", (near: asyncio.Connection): Writable => toNodeStream(near.writer)],
    ["connection", (near: asyncio.Connection): Writable => toNodeStream(near)],
  ] as const)
    for (const what of ["a write", "its end"])
      test(`a destroyed ${kind} aborts its connection at once while ${what} waits`, () =>
        run(async () => {
          const [near, far] = connectionPair({ highWaterMark: 2 });
          const writable = make(near);
          writable.write(new Uint8Array(100));
          if (what === "its end") writable.end();
          await sleep(0);
          writable.destroy();
          await once(writable, "close");

          await assert.rejects(far.reader.read(), { code: "ECONNRESET" });
        }));

  test("a reader that is destroyed while it waits closes its connection at once", () =>
    run(async () => {
      const [near, far] = connectionPair();
      const readable = toNodeStream(near.reader);
      readable.resume();
      await sleep(0);
      readable.destroy();
      await once(readable, "close");

      assert.equal((await far.reader.read()).length, 0);
      far.writer.close();
    }));

  test("a connection is a Duplex, which closes it when both sides have ended", () =>
    run(async () => {
      const [near, far] = connectionPair();
      const duplex = toNodeStream(near);
      const echo = createTask(async () => {
        for await (const chunk of far.reader.chunks()) await far.writer.write(chunk);
        far.writer.close();
      });
      duplex.end("hello");

      const chunks: string[] = [];
      for await (const chunk of duplex) chunks.push(String(chunk));
      await echo;

      assert.deepEqual(chunks, ["hello"]);
      assert.equal(near.writer.isClosing(), true);
    }));

  test("a Duplex that is destroyed with an error aborts its connection", () =>
    run(async () => {
      const [near, far] = connectionPair();
      const duplex = toNodeStream(near);
      duplex.on("error", () => {});
      duplex.destroy(new Error("mine"));

      await assert.rejects(far.reader.read(), { code: "ECONNRESET" });
    }));

  test("a Duplex that is destroyed in the middle of writing aborts its connection", () =>
    run(async () => {
      const [near, far] = connectionPair();
      const duplex = toNodeStream(near);
      for (let index = 0; index < 5; index++) duplex.write(new Uint8Array(50_000));
      const reading = createTask(() => far.reader.read());
      await asyncio.sleep(0);

      duplex.destroy();

      await assert.rejects(reading, { code: "ECONNRESET" });
    }));

  test("a Duplex that is destroyed after it was ended closes its connection", () =>
    run(async () => {
      const [near, far] = connectionPair();
      const duplex = toNodeStream(near);
      duplex.end("all of it");
      await once(duplex, "finish");

      duplex.destroy();

      assert.equal(text(await far.reader.read()), "all of it");
      assert.equal(near.writer.isClosing(), true);
    }));

  test("they are streams of Node", () => {
    const [near, far] = connectionPair();

    assert.ok(toNodeStream(near.reader) instanceof Readable);
    assert.ok(toNodeStream(near.writer) instanceof Writable);
    assert.ok(toNodeStream(far) instanceof Duplex);
  });
});

test("what is no reader, writer or connection is a TypeError", () => {
  const [near] = connectionPair();
  for (const convert of [toWebStream, toNodeStream])
    for (const wrong of [
      undefined,
      null,
      1,
      "x",
      {},
      { reader: near.reader },
      new ReadableStream(),
    ])
      assert.throws(() => convert(wrong as asyncio.StreamReader), {
        name: "TypeError",
        code: "ERR_ASYNCIO_INVALID_ARGUMENT",
      });
});
