// What a server gives its handlers, and what it tells them of their clients.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect as connectSocket, type Socket } from "node:net";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { collectReports } from "../virtual.ts";

const { createTask, openConnection, run, sleep, startServer } = asyncio;

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);
const utf8 = { encoding: "utf-8" } as const;

interface Place {
  readonly options: asyncio.ServerOptions;
  connect(server: asyncio.Server): Promise<asyncio.Connection>;
}

/**
 * The same test on sockets of this machine, and on a simulated network in virtual time. Nothing may
 * be reported.
 */
function everywhere(body: (place: Place) => Promise<void>): () => void {
  const check = async (loop: asyncio.EventLoop, main: () => Promise<void>): Promise<void> => {
    const reports = collectReports(loop);
    await run(main, { loop });
    assert.deepEqual(reports, []);
  };
  return () => {
    test("on sockets", () =>
      check(new asyncio.HostLoop(), () =>
        body({
          options: { host: "127.0.0.1" },
          connect: (server) => openConnection("127.0.0.1", server.sockets[0].port),
        }),
      ));
    test("on a simulated network", () => {
      const network = new testing.SimulatedNetwork({ latency: 0.001, chunks: "random", seed: 1 });
      return check(new testing.VirtualLoop(), () =>
        network.host("server").run(() =>
          body({
            options: {},
            connect: (server) =>
              network.host("client").run(() => openConnection("server", server.sockets[0].port)),
          }),
        ),
      );
    });
  };
}

describe(
  "a handler and a client have the same: one function serves on both sides",
  everywhere(async ({ options, connect }) => {
    const log: string[] = [];
    const greet = async (name: string, connection: asyncio.Connection): Promise<void> => {
      await using own = connection;
      await own.writer.write(`${name}\n`);
      log.push(`${name} hears ${await own.reader.readLine(utf8)}`);
    };
    const chat: asyncio.ConnectionHandler = async (reader, writer, connection) => {
      assert.deepEqual([...connection], [reader, writer]);
      assert.deepEqual([connection.reader, connection.writer], [reader, writer]);
      await greet("server", connection);
    };
    await using server = await startServer(chat, options);
    await greet("client", await connect(server));
    server.close();
    await server.waitClosed();

    assert.deepEqual(log.sort(), ["client hears server", "server hears client"]);
  }),
);

describe("cancelOnEof", () => {
  describe(
    "cancels a handler that works when its client leaves: the item goes to the next one",
    everywhere(async ({ options, connect }) => {
      const jobs = new asyncio.Queue<string>();
      const [begun, ended] = [new asyncio.Event(), new asyncio.Event()];
      const reasons: unknown[] = [];
      await using server = await startServer(
        async (reader, writer) => {
          try {
            while ((await reader.readLine(utf8)) === "next") {
              begun.set();
              await writer.write(`${await jobs.get()}\n`);
            }
          } catch (error) {
            reasons.push((error as asyncio.CancelledError).reason);
            ended.set();
            throw error;
          }
        },
        { ...options, cancelOnEof: true },
      );
      const first = await connect(server);
      await first.writer.write("next\n");
      await begun.wait();
      await first.writer[Symbol.asyncDispose]();
      await ended.wait();

      const second = await connect(server);
      await second.writer.write("next\n");
      jobs.putNowait("the only one");

      assert.equal(await second.reader.readLine(utf8), "the only one");
      assert.deepEqual(reasons, ["the client has ended its side"]);
      await second.writer[Symbol.asyncDispose]();
    }),
  );

  describe(
    "cancels a handler whose client is lost",
    everywhere(async ({ options, connect }) => {
      const begun = new asyncio.Event();
      const server = await startServer(
        async () => {
          begun.set();
          await sleep(3600);
        },
        { ...options, cancelOnEof: true },
      );
      const client = await connect(server);
      await begun.wait();
      client.writer.abort();

      server.close();
      await server.waitClosed();
    }),
  );

  describe(
    "leaves an end to the handler that reads it, which may still answer",
    everywhere(async ({ options, connect }) => {
      const waits = new asyncio.Event();
      await using server = await startServer(
        async (reader, writer) => {
          const first = await reader.readLine(utf8);
          waits.set();
          assert.equal(await reader.readLine(utf8), undefined);
          await sleep(0);
          await writer.write(`hello ${first}`);
        },
        { ...options, cancelOnEof: true },
      );
      const { reader, writer } = await connect(server);
      await writer.write("Ada\n");
      await waits.wait();
      writer.writeEof();

      assert.equal(text(await reader.read()), "hello Ada");
      await writer[Symbol.asyncDispose]();
    }),
  );

  describe(
    "without it a client that has said all gets its answer",
    everywhere(async ({ options, connect }) => {
      await using server = await startServer(async (reader, writer) => {
        const name = await reader.readLine(utf8);
        await reader.waitEof();
        await writer.write(`hello ${name}`);
      }, options);
      const { reader, writer } = await connect(server);
      await writer.write("Ada\n");
      writer.writeEof();

      assert.equal(text(await reader.read()), "hello Ada");
      await writer[Symbol.asyncDispose]();
    }),
  );

  test("a client that ends is seen behind what it has sent ahead, up to the limit", () =>
    testing.runTest(async (t) => {
      const network = new testing.SimulatedNetwork();
      await network.host("server").run(async () => {
        const handled: string[] = [];
        const begun = new asyncio.Event();
        const server = await startServer(
          async (reader) => {
            for await (const line of reader.lines()) {
              handled.push(line);
              begun.set();
              await sleep(10);
            }
          },
          { port: 80, limit: 8, cancelOnEof: true },
        );
        await network.host("client").run(async () => {
          const { writer } = await openConnection("server", 80);
          writer.write("one\ntwo\nthree\n");
          writer.close();
          await begun.wait();
        });
        server.close();
        await server.waitClosed();

        // Ten bytes are left when the first line is handled: too many to see what comes behind
        // them.
        assert.deepEqual(handled, ["one", "two"]);
        assert.equal(t.now, 10);
      });
    }));

  test("a client that was killed by its system is one that is lost", async () => {
    await run(async () => {
      const begun = new asyncio.Event();
      const server = await startServer(
        async (reader) => {
          await reader.readLine();
          begun.set();
          await new asyncio.Event().wait();
        },
        { host: "127.0.0.1", cancelOnEof: true },
      );
      const socket: Socket = connectSocket(server.sockets[0].port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write("wait\n");
      await begun.wait();
      socket.destroy();

      server.close();
      await server.waitClosed();
    });
  });

  test("`waitEof` in a handler does not keep `startTls` from the connection", async () => {
    const read = (name: string) =>
      readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url), "utf8");
    await run(async () => {
      await using server = await startServer(
        async (reader, writer) => {
          assert.equal(await reader.readLine(utf8), "STARTTLS");
          const ending = createTask(() => reader.waitEof());
          await sleep(0);
          void writer.write("go ahead\n");
          await writer.startTls({ cert: read("server.pem"), key: read("server-key.pem") });
          await writer.write(`hello ${await reader.readLine(utf8)}\n`);
          await ending;
        },
        { host: "127.0.0.1", cancelOnEof: true },
      );
      const { reader, writer } = await openConnection("127.0.0.1", server.sockets[0].port);
      await writer.write("STARTTLS\n");
      assert.equal(await reader.readLine(utf8), "go ahead");
      await writer.startTls({ ca: read("ca.pem"), serverHostname: "localhost" });
      await writer.write("in secret\n");
      assert.equal(await reader.readLine(utf8), "hello in secret");
      writer.close();
      server.close();
      await server.waitClosed();
    });
  });

  test("is refused unless it is true or false", async () => {
    await run(async () => {
      const wrong = { cancelOnEof: "yes" as unknown as boolean };
      await assert.rejects(
        startServer(async () => {}, wrong),
        TypeError,
      );
    });
  });
});
