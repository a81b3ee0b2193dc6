import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import { PassThrough, Readable, Writable } from "node:stream";
import { test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { NodeListener } from "../../src/net/node-network.ts";
import { NodeStream } from "../../src/streams/node-stream.ts";
import { conforms } from "../conformance.ts";

const { createTask, run, StreamReader, StreamWriter } = asyncio;
const text = (chunk: Uint8Array | undefined) => new TextDecoder().decode(chunk);
const bytes = (string: string) => new TextEncoder().encode(string);

conforms("NodeStream.read", { wakes: "own", hasFastPath: true, holdsTime: true }, () => {
  const readable = new Readable({ read() {} });
  const stream = new NodeStream({ readable, describe: () => "a pipe" });
  let offered = 0;
  return {
    begin: async () => (await stream.read(1))?.[0],
    complete() {
      readable.emit("data", Buffer.from([++offered]));
      return offered;
    },
  };
});

conforms("NodeStream.drain", { wakes: "all", hasFastPath: true, holdsTime: true }, () => {
  // One of Node's calls back a tick later: then nothing could come in the step in which it is
  // through.
  class Congested extends EventEmitter {
    writableLength = 0;
    passed: () => void = () => {};
    write(chunk: Uint8Array, passed?: () => void): void {
      this.writableLength += chunk.length;
      if (passed !== undefined) this.passed = passed;
    }
  }
  const writable = new Congested();
  const stream = new NodeStream({
    writable: writable as unknown as Writable,
    describe: () => "a pipe",
  });
  stream.send(bytes("x"));
  return {
    begin: () => stream.drain(0),
    complete() {
      writable.writableLength = 0;
      writable.passed();
    },
  };
});

conforms("NodeListener.accept", { wakes: "one", hasFastPath: true, holdsTime: true }, () => {
  const server = createServer();
  const listener = new NodeListener(server, asyncio.getRunningLoop(), undefined);
  return {
    begin: async () => (await listener.accept()).extra?.("socket"),
    complete() {
      const socket = new Socket();
      server.emit("connection", socket);
      return socket;
    },
  };
});

/**
 * Both ends of a TCP connection: a stream of ours, and the bare socket of its peer. Once with bytes
 * that come as "data", and once with the host reading into memory of ours.
 */
function connected(
  body: (stream: NodeStream, peer: Socket, socket: Socket) => Promise<void>,
  ways: readonly boolean[] = [false, true],
): () => Promise<void> {
  return async () => {
    for (const isSocketOfOurs of ways)
      await run(async () => {
        const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
        await once(server, "listening");
        const { port } = server.address() as AddressInfo;
        const accepted = once(server, "connection");
        const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
        socket.pause();
        const [peer] = (await accepted) as [Socket];
        if (socket.connecting) await once(socket, "connect");
        peer.on("error", () => {});
        const stream = new NodeStream({
          readable: socket,
          writable: socket,
          isSocketOfOurs,
          describe: () => "a test connection",
        });
        try {
          await body(stream, peer, socket);
        } finally {
          stream.abort();
          peer.destroy();
          server.close();
          await stream.waitClosed();
        }
      });
  };
}

test(
  "bytes go both ways, and the end of one side is not that of the other",
  connected(async (stream, peer) => {
    peer.end("question");
    let question = "";
    for (let chunk = await stream.read(3); chunk !== undefined; chunk = await stream.read(3))
      question += text(chunk);
    assert.equal(question, "question");

    await stream.write(bytes("answer"));
    stream.close();

    const [answer] = await once(peer, "data");
    assert.equal(text(answer), "answer");
    await stream.waitClosed();
  }),
);

test(
  "chunks are plain bytes, whose slices are copies",
  connected(async (stream, peer) => {
    peer.write("abc");

    const chunk = await stream.read();

    assert.deepEqual(chunk, bytes("abc"));
    assert.notEqual(chunk?.slice().buffer, chunk?.buffer);
  }),
);

test(
  "a chunk is not written to again, whatever comes after it",
  connected(async (stream, peer) => {
    peer.write("first");
    const first = await stream.read();
    peer.write("other");
    const other = await stream.read();

    assert.deepEqual([text(first), text(other)], ["first", "other"]);
  }),
);

test(
  "a write takes its bytes in the call, also those that the host keeps",
  connected(async (stream, peer) => {
    peer.pause();
    const size = 1024;
    const chunk = new Uint8Array(size);
    let count = 0;
    for (; stream.unsent < 65_536 && count < 100_000; count++) {
      chunk.fill(count);
      stream.send(chunk);
    }
    chunk.fill(0xff);
    stream.writeEof();

    const received: Uint8Array[] = [];
    peer.on("data", (data: Uint8Array) => received.push(data));
    peer.resume();
    await once(peer, "end");

    const all = Buffer.concat(received);
    assert.equal(all.length, count * size);
    for (let index = 0; index < count; index++) {
      const piece = all.subarray(index * size, (index + 1) * size);
      assert.ok(piece.every((byte) => byte === index % 256));
    }
  }),
);

test(
  "a peer that does not read stops the writer, and memory stays flat",
  connected(async (stream, peer) => {
    peer.pause();
    const writer = new StreamWriter(stream);
    const total = 64 * 1024 * 1024;
    const chunk = new Uint8Array(256 * 1024);
    const writing = createTask(async () => {
      for (let sent = 0; sent < total; sent += chunk.length) {
        await writer.write(chunk);
        assert.ok(stream.unsent <= 65_536);
      }
      writer.close();
    });

    let received = 0;
    peer.on("data", (data: Uint8Array) => {
      received += data.length;
    });
    peer.resume();
    await once(peer, "end");
    await writing;

    assert.equal(received, total);
    assert.equal(writer.bytesWritten, total);
  }),
);

for (const whose of ["here", "by the peer"])
  test(
    `bytes that a reset ${whose} has dropped have not gone out`,
    connected(async (stream, peer) => {
      peer.pause();
      const writer = new StreamWriter(stream);
      const size = 32 * 1024 * 1024;
      const writing = createTask(async () => await writer.write(new Uint8Array(size)));
      await asyncio.sleep(0.01);
      if (whose === "here") writer.abort();
      else peer.resetAndDestroy();

      await assert.rejects(writing, { code: whose === "here" ? "ECONNABORTED" : "ECONNRESET" });
      await writer[Symbol.asyncDispose]();

      const { bytesWritten } = writer;
      assert.ok(bytesWritten > 0 && bytesWritten < size, String(bytesWritten));
      assert.equal(stream.unsent, 0);
      assert.equal(stream.dropped, size - bytesWritten);
    }),
  );

test(
  "a cancelled write tells what the operating system has, and the rest follows",
  connected(async (stream, peer) => {
    peer.pause();
    const writer = new StreamWriter(stream);
    const size = 32 * 1024 * 1024;
    const task = createTask(async () => await writer.write(new Uint8Array(size)));
    await asyncio.sleep(0.05);
    task.cancel();

    const error = await task.catch((error: unknown) => error);

    assert.ok(error instanceof asyncio.CancelledError);
    const { bytesWritten = -1 } = error;
    assert.ok(bytesWritten > 0 && bytesWritten < size, String(bytesWritten));
    assert.equal(stream.unsent, size - bytesWritten);
    let received = 0;
    peer.on("data", (data: Uint8Array) => {
      received += data.length;
    });
    peer.resume();
    writer.close();
    await once(peer, "end");
    assert.equal(received, size);
  }),
);

test(
  "a reader that is slow stops the peer",
  connected(async (stream, peer) => {
    assert.equal(peer.write(new Uint8Array(64 * 1024 * 1024)), false);
    const reader = new StreamReader(stream);
    await reader.readExactly(1);
    await asyncio.sleep(0.05);

    assert.ok(peer.writableLength > 32 * 1024 * 1024);

    await reader.readExactly(64 * 1024 * 1024 - 1);
  }),
);

test(
  "who waits for the end is told by a read that had begun before, or by one that was cancelled",
  connected(async (stream, peer) => {
    const reader = new StreamReader(stream);
    const read = createTask(() => reader.read(10));
    await asyncio.sleep(0);
    const end = createTask(() => reader.waitEof());
    await asyncio.sleep(0);
    peer.write("some");
    assert.equal(text(await read), "some");
    const cancelled = createTask(() => reader.read(10));
    await asyncio.sleep(0);
    cancelled.cancel();
    await asyncio.wait([cancelled]);
    peer.end();
    await asyncio.timeout(5, () => end);

    assert.equal((await reader.read(10)).length, 0);
    assert.ok(reader.atEof());
  }),
);

test(
  "a read is refused while another one waits, and that one goes on",
  connected(async (stream, peer) => {
    const reader = new StreamReader(stream);
    const first = createTask(() => reader.read(10), { name: "first" });
    await asyncio.sleep(0);
    const refusals = { read: () => reader.read(10), line: () => reader.readLine() };
    for (const refused of Object.values(refusals))
      await assert.rejects(refused, /while task "first" is reading from the same stream/);
    assert.throws(() => reader.reserve("`startTls`"), /while task "first" is reading/);
    peer.write("line\n");

    assert.equal(text(await first), "line\n");
  }),
);

test(
  "a reset comes after what came before it",
  connected(async (stream, peer) => {
    const reader = new StreamReader(stream);
    peer.write("last words");
    assert.equal(text(await reader.read(4)), "last");
    peer.resetAndDestroy();

    assert.equal(text(await reader.readExactly(6)), " words");
    await assert.rejects(reader.read(1), { code: "ECONNRESET" });
    await assert.rejects(stream.drain(0), { code: "ECONNRESET" });
  }),
);

test(
  "an abort resets the peer and drops what is on its way",
  connected(async (stream, peer) => {
    peer.pause();
    stream.send(new Uint8Array(32 * 1024 * 1024));
    const drain = createTask(() => stream.drain(0));
    const failed = once(peer, "error");
    await asyncio.sleep(0.01);

    stream.abort();

    await assert.rejects(drain, { code: "ECONNABORTED" });
    await stream.waitClosed();
    peer.resume();
    const error = await failed.catch((error: unknown) => [error]);
    assert.equal((error[0] as NodeJS.ErrnoException).code, "ECONNRESET");
  }),
);

test(
  "a peer that goes away in order is the end, and no loss",
  connected(async (stream, peer) => {
    const read = createTask(() => stream.read());
    await asyncio.sleep(0.01);
    peer.destroy();
    assert.equal(await read, undefined);
    assert.equal(stream.lost, undefined);
  }),
);

test("works over any readable and any writable", async () => {
  await run(async () => {
    const through = new PassThrough();
    const stream = new NodeStream({
      readable: through,
      writable: through,
      describe: () => "a pass-through",
    });
    const sending = createTask(async () => {
      await stream.write(new Uint8Array(200_000).fill(7));
      stream.writeEof();
    });

    const all = await new StreamReader(stream).read();
    await sending;

    assert.equal(all.length, 200_000);
    stream.close();
    await stream.waitClosed();
    assert.equal(through.destroyed, true);
  });
});

test("works over a pair, as the stdio of a child process", async () => {
  await run(async () => {
    const written: string[] = [];
    const readable = Readable.from([Buffer.from("out")], { objectMode: false });
    const writable = new Writable({
      write(chunk, _encoding, done) {
        if (chunk.length > 0) written.push(String(chunk));
        setImmediate(done);
      },
    });
    const stream = new NodeStream({ readable, writable, describe: () => "a pair" });

    for (const letter of "abc") await stream.write(bytes(letter));
    assert.equal(text(await stream.read()), "out");
    assert.equal(await stream.read(), undefined);
    stream.close();
    await stream.waitClosed();

    assert.equal(written.join(""), "abc");
    assert.deepEqual([readable.destroyed, writable.destroyed], [true, true]);
  });
});

test("a failing writable fails the writers", async () => {
  await run(async () => {
    const writable = new Writable({
      write(_chunk, _encoding, done) {
        setImmediate(() => done(new Error("disk full")));
      },
    });
    const stream = new NodeStream({ writable, describe: () => "a disk" });

    stream.send(bytes("abc"));

    await assert.rejects(stream.drain(0), /disk full/);
    assert.match(String(stream.lost), /disk full/);
    stream.close();
    await stream.waitClosed();
  });
});

test("what comes before somebody reads is kept, whoever makes it flow", async () => {
  await run(async () => {
    const readable = new PassThrough();
    const stream = new NodeStream({ readable, describe: () => "the output of a child" });
    readable.end("last words");
    readable.resume(); // as Node does when a child has ended
    await once(readable, "close");

    assert.equal(text(await stream.read()), "last words");
    assert.equal(await stream.read(), undefined);
    assert.equal(stream.lost, undefined);
  });
});

test("a readable that has ended before is at its end", async () => {
  await run(async () => {
    const readable = new PassThrough();
    readable.end();
    readable.resume();
    await once(readable, "close");

    const stream = new NodeStream({ readable, describe: () => "an old pipe" });

    assert.equal(await stream.read(), undefined);
    await stream.waitClosed();
  });
});

test("a stream that is destroyed behind its back is lost, for who reads and who writes", async () => {
  await run(async () => {
    const readable = new PassThrough();
    const writable = new PassThrough();
    const output = new NodeStream({ readable, describe: () => "an output" });
    const input = new NodeStream({ writable, describe: () => "an input" });
    input.send(new Uint8Array(200_000));
    const read = createTask(() => output.read());
    const drain = createTask(() => input.drain(0));
    await asyncio.sleep(0);

    readable.destroy();
    writable.destroy();

    await assert.rejects(read, { code: "ECONNABORTED" });
    await assert.rejects(drain, { code: "EPIPE" });
    await assert.rejects(input.write(bytes("x")), { code: "EPIPE" });
  });
});

test("a peer that is gone fails the writer with the host's code", async () => {
  await connected(async (stream, peer) => {
    const writer = new StreamWriter(stream);
    peer.destroy();
    await once(peer, "close");

    const error = await (async () => {
      for (;;) {
        await writer.write(new Uint8Array(100_000));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })().catch((error: NodeJS.ErrnoException) => error);

    assert.match(error.code ?? "", /^(EPIPE|ECONNRESET)$/);
    assert.equal(writer.isClosing(), true);
  })();
});

test("small writes behind a backlog leave as few pieces, and a program's own stream gets each as it is", () =>
  run(async () => {
    for (const [kind, pieces] of [
      ["a socket", 3],
      ["a stream", 1001],
    ] as const) {
      const taken: Uint8Array[] = [];
      const writable = kind === "a socket" ? new Socket() : new Writable();
      writable._write = (chunk, _encoding, callback) => {
        if (chunk.length > 0) taken.push(chunk);
        setImmediate(callback);
      };
      const stream = new NodeStream({ writable, refusesEmpty: true, describe: () => kind });

      stream.send(new Uint8Array(60_000));
      for (let index = 0; index < 1000; index++) stream.send(bytes(String(index).padStart(100)));
      await stream.drain(0);

      assert.equal(taken.length, pieces);
      const whole = Buffer.concat(taken).toString("latin1", 60_000);
      assert.deepEqual(whole.match(/ +\d+/g)?.map(Number), [...Array(1000).keys()]);
      stream.close();
    }
  }));

test(
  "an answer that comes while a write waits can be read after a reset",
  connected(
    async (stream, peer, socket) => {
      const write = stream.write(new Uint8Array(20_000_000)).catch((error: unknown) => error);
      peer.write("too large");
      await once(socket, "data");
      peer.resetAndDestroy();

      assert.match(String(((await write) as NodeJS.ErrnoException).code), /^(ECONNRESET|EPIPE)$/);

      assert.equal(text(await stream.read()), "too large");
      await assert.rejects(stream.read(), { code: /^(ECONNRESET|EPIPE)$/ });
    },
    [false],
  ), // else nothing tells from outside when the answer has come
);

test(
  "no more than a buffer is read ahead while a write waits",
  connected(async (stream, peer, socket) => {
    const write = stream.write(new Uint8Array(20_000_000)).catch((error: unknown) => error);
    peer.write(new Uint8Array(20_000_000));
    if (!socket.isPaused()) await once(socket, "pause");
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);

    assert.ok(socket.bytesRead < 300_000, `${socket.bytesRead} bytes read`);
    stream.abort();
    await write;
  }),
);

test("abort leaves no handle, whatever is on its way", () =>
  run(async () => {
    const silent: asyncio.ConnectionHandler = () => asyncio.sleep(3600);
    const server = await asyncio.startServer(silent, "127.0.0.1", 0);
    const sockets = () =>
      process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length;
    const before = sockets();
    const beginnings: ((writer: asyncio.StreamWriter) => unknown)[] = [
      (writer) => writer.close(),
      (writer) => writer.writeEof(),
      (writer) => void writer.write(new Uint8Array(1000)),
      (writer) => void writer.write(new Uint8Array(20_000_000)),
    ];
    const moments = beginnings.flatMap((begin) =>
      [0, 1, 3, 10].flatMap((hops) => [
        [begin, hops, () => {}] as const,
        [begin, hops, (writer: asyncio.StreamWriter) => writer.close()] as const,
      ]),
    );

    for (const [begin, hops, end] of moments) {
      const { writer } = await asyncio.openConnection("127.0.0.1", server.sockets[0].port);
      await writer.write("hello\n");
      begin(writer);
      end(writer);
      for (let hop = 0; hop < hops; hop++) await new Promise<void>(process.nextTick);
      writer.abort();
      await asyncio.timeout(5, () => writer.waitClosed());
    }

    await server.shutdown(0);
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate); // handles close in their own time
    assert.equal(sockets(), before);
  }));
