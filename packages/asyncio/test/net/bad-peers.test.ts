// What peers do to servers and clients, on real sockets. The peers are bare sockets of Node.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { collectGarbage } from "../gc.ts";
import { collectReports } from "../virtual.ts";

const { createTask, Event, run, startServer } = asyncio;

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);

/**
 * Runs `body` beside a server, with a function that connects a bare socket to it. Afterwards the
 * server is shut down, and has to have made as many `reports` as are expected.
 */
async function withServer(
  handler: asyncio.ConnectionHandler,
  body: (server: asyncio.Server, open: () => Promise<Socket>) => Promise<void>,
  { reports: expected = 0, ...options }: asyncio.ServerOptions & { reports?: number } = {},
): Promise<void> {
  const loop = new asyncio.HostLoop();
  const reports = collectReports(loop);
  await run(
    async () => {
      const server = await startServer(handler, { host: "127.0.0.1", ...options });
      const { port } = server.sockets[0];
      const open = async (): Promise<Socket> => {
        const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
        socket.on("error", () => {});
        await once(socket, "connect");
        return socket;
      };
      await body(server, open);
      await server.shutdown(5);
      assert.equal(server.connections, 0);
    },
    { loop },
  );
  assert.deepEqual(reports.length, expected, JSON.stringify(reports));
}

/** Counts something, and waits until there is enough of it. */
class Tally {
  #wanted = 0;
  #count = 0;
  readonly #reached = new Event();

  add(): void {
    if (++this.#count === this.#wanted) this.#reached.set();
  }

  async reaches(wanted: number): Promise<void> {
    this.#wanted = wanted;
    if (this.#count < wanted) await this.#reached.wait();
  }
}

test("thousands of peers that connect and vanish leave nothing behind", async () => {
  const vanished = new Tally();
  await withServer(
    async (reader) => {
      try {
        await reader.readLine();
      } finally {
        vanished.add();
      }
    },
    async (server, open) => {
      for (let round = 0; round < 20; round++) {
        const sockets = await Promise.all(Array.from({ length: 50 }, open));
        for (const [index, socket] of sockets.entries()) {
          if (index % 2 === 0) socket.resetAndDestroy();
          else socket.destroy();
        }
      }
      await vanished.reaches(1000);
      await asyncio.sleep(0);
      assert.equal(server.isServing(), true);
    },
  );
});

test("a peer that has ended its side can still be answered (S142)", async () => {
  await withServer(
    async (reader, writer) => {
      const question = await reader.read();
      await writer.write(`${question.length} bytes`);
    },
    async (_server, open) => {
      const socket = await open();
      socket.end("question");
      const [answer] = await once(socket, "data");
      assert.equal(String(answer), "8 bytes");
      await once(socket, "end");
    },
  );
});

test("a peer that sends byte by byte is understood", async () => {
  await withServer(
    async (reader, writer) => {
      await writer.write(await reader.readLine());
    },
    async (_server, open) => {
      const socket = await open();
      socket.setNoDelay(true);
      for (const byte of "a line\n")
        await new Promise<void>((resolve) => socket.write(byte, () => resolve()));
      const [answer] = await once(socket, "data");
      assert.equal(String(answer), "a line\n");
      socket.destroy();
    },
  );
});

test("a peer that never reads costs its writer a deadline, and little memory", async () => {
  let unsent = 0;
  const stuck = new Tally();
  await withServer(
    async (_reader, writer) => {
      const chunk = new Uint8Array(65_536);
      try {
        await asyncio.timeout(0.2, async () => {
          for (;;) await writer.write(chunk);
        });
      } catch (error) {
        assert.ok(error instanceof asyncio.TimeoutError);
        assert.ok(error.cause instanceof asyncio.CancelledError);
        assert.ok((error.cause.bytesWritten ?? -1) >= 0);
        unsent = 65_536 - (error.cause.bytesWritten ?? 0);
        writer.abort();
        stuck.add();
      }
    },
    async (_server, open) => {
      const socket = await open();
      socket.pause();
      await stuck.reaches(1);
      assert.ok(unsent <= 2 * 65_536);
      socket.destroy();
    },
  );
});

test("a line that never ends fails its handler at the limit, and no other", async () => {
  await withServer(
    async (reader, writer) => {
      await writer.write(await reader.readLine());
    },
    async (_server, open) => {
      const endless = await open();
      const fine = await open();
      endless.write("x".repeat(100_000));
      endless.resume();
      await once(endless, "end");

      fine.write("fine\n");
      const [answer] = await once(fine, "data");

      assert.equal(String(answer), "fine\n");
      endless.destroy();
      fine.destroy();
    },
    { limit: 1000, reports: 1 },
  );
});

test("a reset in the middle of a message is an error with the host's code", async () => {
  let lostWith: unknown;
  const reset = new Tally();
  await withServer(
    async (reader) => {
      try {
        await reader.readExactly(100);
      } catch (error) {
        lostWith = error;
        reset.add();
      }
    },
    async (_server, open) => {
      const socket = await open();
      await new Promise<void>((resolve) => socket.write("half of it", () => resolve()));
      await asyncio.sleep(0.01);
      socket.resetAndDestroy();

      await reset.reaches(1);

      assert.equal((lostWith as NodeJS.ErrnoException).code, "ECONNRESET");
    },
  );
});

test("garbage is bytes like others", async () => {
  await withServer(
    async (reader, writer) => {
      const garbage = await reader.readExactly(1000);
      await writer.write(String(garbage.reduce((sum, byte) => sum + byte, 0)));
    },
    async (_server, open) => {
      const socket = await open();
      const garbage = Uint8Array.from({ length: 1000 }, (_, index) => (index * 7919) % 256);
      socket.write(garbage);
      const [answer] = await once(socket, "data");
      assert.equal(
        Number(answer),
        garbage.reduce((sum, byte) => sum + byte, 0),
      );
      socket.destroy();
    },
  );
});

test("a server with 1,000 live connections is shut down at once", async () => {
  const begun = new Tally();
  const cancelled = new Tally();
  await withServer(
    async (_reader, writer) => {
      writer.write("hello");
      begun.add();
      try {
        await asyncio.sleep(3600);
      } finally {
        cancelled.add();
      }
    },
    async (server, open) => {
      const sockets = await Promise.all(Array.from({ length: 1000 }, open));
      const ended = sockets.map(async (socket) => {
        socket.resume();
        await once(socket, "end");
        socket.destroy();
      });
      await begun.reaches(1000);
      assert.equal(server.connections, 1000);

      await server.shutdown(0);

      await cancelled.reaches(1000);
      await Promise.all(ended);
    },
  );
});

test("memory stays flat while much goes through a slow consumer", async () => {
  const total = 128 * 1024 * 1024;
  await run(async () => {
    await using server = await startServer(
      async (_reader, writer) => {
        const chunk = new Uint8Array(65_536);
        for (let sent = 0; sent < total; sent += chunk.length) await writer.write(chunk);
      },
      { host: "127.0.0.1" },
    );
    const { port } = server.sockets[0];
    await using connection = await asyncio.openConnection("127.0.0.1", port);
    let most = 0;
    let received = 0;
    const before = process.memoryUsage().arrayBuffers;
    const consumer = createTask(async () => {
      let sampleAt = 0;
      for await (const chunk of connection.reader.chunks()) {
        received += chunk.length;
        await new Promise((resolve) => setImmediate(resolve));
        if (received < sampleAt) continue;
        sampleAt += total / 32;
        await collectGarbage(); // the host collects buffers when it likes, which may be after 64 MiB
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      }
    });
    await consumer;

    assert.equal(received, total);
    assert.ok(most < 8 * 1024 * 1024, `${most} bytes in array buffers`);
  });
});

test("a server that goes away ends its clients", async () => {
  await run(async () => {
    const server = await startServer(
      async (reader, writer) => {
        await reader.readLine();
        await writer.write("some");
        writer.abort();
      },
      { host: "127.0.0.1" },
    );
    await using connection = await asyncio.openConnection("127.0.0.1", server.sockets[0].port);
    const { reader, writer } = connection;
    await writer.write("go\n");

    const outcome = await reader.readExactly(100).catch((error: NodeJS.ErrnoException) => error);

    assert.equal((outcome as NodeJS.ErrnoException).code, "ECONNRESET");
    assert.match(text(await reader.read(100).catch(() => new Uint8Array())), /^(some)?$/);
    server.close();
    await server.waitClosed();
  });
});
