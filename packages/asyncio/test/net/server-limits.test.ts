import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { mkdtempSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { collectReports } from "../virtual.ts";
import { ca, certificate } from "./certificates.ts";
import { everywhere, type Handler, listen, local, text } from "./places.ts";

const { openConnection, run, sleep, startServer } = asyncio;

/** Ends for nothing and nobody. */
const swallow: Handler = async () => {
  for (;;) await sleep(3600).catch(() => {});
};

const much = new Uint8Array(12_000_000); // more than the operating system takes

const readAll = async (reader: asyncio.StreamReader): Promise<void> => {
  for await (const _ of reader.chunks());
};

/** What a handler may be at when the time is over, and its peer has read nothing. */
const unread: Record<string, Handler> = {
  "has ended": (_reader, writer) => {
    writer.write(much);
  },
  "waits for room": async (_reader, writer) => {
    await writer.write(much);
  },
  "writes when it is cancelled": async (_reader, writer) => {
    await sleep(3600).finally(() => void writer.write(much));
  },
};

describe("a peer that never reads holds nothing up when the time is over", () => {
  const stops: Record<string, (server: asyncio.Server) => Promise<unknown>> = {
    shutdown: (server) => server.shutdown(0.1),
    "a shutdown that is cancelled": (server) =>
      asyncio.moveOnAfter(0.1, () => server.shutdown(3600)),
    drain: (server) => asyncio.moveOnAfter(0, () => server.serveForever({ drain: 0.1 })),
  };
  for (const [what, handler] of Object.entries(unread))
    for (const [how, stop] of Object.entries(stops))
      describe(
        `${how}: a handler that ${what}`,
        everywhere(async ({ options, connect }) => {
          const loop = asyncio.getRunningLoop();
          const server = await startServer(handler, options);
          const [reader, writer] = await connect(server);
          await sleep(0.01);
          const from = loop.time();

          await stop(server);

          const seconds = loop.time() - from;
          if (loop instanceof testing.VirtualLoop) assert.equal(seconds.toFixed(2), "0.35");
          else {
            assert.ok(seconds < 5, `${seconds} s`); // it was 5 more
            await assert.rejects(readAll(reader), { code: "ECONNRESET" });
          }
          writer.close();
        }),
      );

  describe(
    "shutdown, and a disposal that begins while it waits for cleanup",
    everywhere(async ({ options, connect }) => {
      const loop = asyncio.getRunningLoop();
      const handler: Handler = async (_reader, writer) => {
        await sleep(3600).finally(async () => {
          await sleep(0.03);
          writer.write(much);
        });
      };
      const server = await startServer(handler, options);
      const [, writer] = await connect(server);
      await sleep(0.01);
      const from = loop.time();

      await asyncio.gather(
        () => server.shutdown(0.01),
        async () => {
          await sleep(0.02);
          await server[Symbol.asyncDispose]();
        },
      );

      const seconds = loop.time() - from;
      if (loop instanceof testing.VirtualLoop) assert.equal(seconds.toFixed(2), "0.29");
      else assert.ok(seconds < 5, `${seconds} s`); // it was 5 more
      writer.close();
    }),
  );

  test("where no time was given, what was written has 5 seconds", async () => {
    await testing.runTest(async (t) => {
      const network = new testing.SimulatedNetwork({ highWaterMark: 10 });
      await network.host("server").run(async () => {
        const server = await startServer(unread["has ended"] as Handler, { port: 80 });
        const client = await network.host("client").run(() => openConnection("server", 80));
        await sleep(1); // the handler has begun

        await server[Symbol.asyncDispose]();

        assert.equal(t.now, 6);
        client.writer.close();
      });
    });
  });
});

describe("a handler that does not end", () => {
  describe(
    "and swallows every cancellation, loses its connection when it is given up",
    everywhere(
      async ({ options, connect }) => {
        const server = await startServer(swallow, options);
        const [reader, writer] = await connect(server);
        await sleep(0.01);

        await server.shutdown(0.01);

        assert.equal(server.connections, 0);
        assert.equal(text(await reader.read()), "");
        writer.close();
      },
      { cancelGrace: 0.02, reports: [/has swallowed 10000 cancellations/] },
    ),
  );

  describe(
    "and sits in a foreign await, is left behind when its grace period is over, without its connection",
    everywhere(
      async ({ options, connect }) => {
        const log: string[] = [];
        const { promise, resolve } = Promise.withResolvers<void>();
        const server = await startServer(async () => {
          await promise;
          log.push("went on");
        }, options);
        const [reader, writer] = await connect(server);
        await sleep(0.01);

        await server.shutdown(0.01);

        assert.equal(server.connections, 0);
        assert.equal(text(await reader.read()), "");
        writer.close();
        await server.waitClosed();
        resolve();
        await sleep(0.01);
        assert.deepEqual(log, ["went on"]);
      },
      { cancelGrace: 0.02, reports: [/has left 1 handler behind/] },
    ),
  );

  describe(
    "after it has caught its cancellation, is found as well",
    everywhere(
      async ({ options, connect }) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        const server = await startServer(async () => {
          await asyncio.cleanup(0.05, () => sleep(0.03)).catch(() => {});
          await sleep(3600).catch(() => {});
          await promise;
        }, options);
        const [reader, writer] = await connect(server);
        await sleep(0.01);

        await server[Symbol.asyncDispose]();

        assert.equal(server.connections, 0);
        assert.equal(text(await reader.read()), "");
        writer.close();
        resolve();
      },
      { cancelGrace: 0.02, reports: [/has left 1 handler behind/] },
    ),
  );

  describe(
    "is not left behind while it cleans up, however long that takes",
    everywhere(
      async ({ options, connect }) => {
        const server = await startServer(async (_reader, writer) => {
          await sleep(3600).catch(() => {});
          await asyncio.cleanup(5, async () => {
            await sleep(0.06);
            await sleep(0.06);
          });
          writer.write("goodbye");
        }, options);
        const [reader, writer] = await connect(server);
        await sleep(0.01);

        await server.shutdown(0);

        assert.equal(text(await reader.read()), "goodbye");
        writer.close();
      },
      { cancelGrace: 0.02 },
    ),
  );

  describe(
    "has not sent all it wrote: its peer gets a reset, and not an end that looks like all",
    everywhere(
      async ({ options, connect }) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        const server = await startServer(async (_reader, writer) => {
          writer.write(new Uint8Array(20_000_000));
          await promise;
        }, options);
        const [reader, writer] = await connect(server);
        await sleep(0.01);

        await server.shutdown(0);

        await assert.rejects(reader.read(), { code: "ECONNRESET" });
        writer.close();
        resolve();
      },
      { cancelGrace: 0.02, reports: [/has left 1 handler behind/] },
    ),
  );

  describe(
    "leaves its place to the next that waits, also when the server is closed",
    everywhere(
      async ({ options, connect }) => {
        const tasks: (asyncio.Task<unknown> | undefined)[] = [];
        const handler: Handler = async (reader, writer, connection) => {
          tasks.push(asyncio.currentTask());
          if (tasks.length === 1) await swallow(reader, writer, connection);
          writer.write("served");
        };
        const server = await startServer(handler, { ...options, maxConnections: 1 });
        const clients = [await connect(server), await connect(server), await connect(server)];
        await sleep(0.01);
        assert.equal(server.connections, 3);

        tasks[0]?.cancel();
        server.close();

        for (const { reader } of clients.slice(1))
          assert.equal(text(await reader.read()), "served");
        assert.equal((await clients[0]?.reader.read())?.length, 0);
        await server.waitClosed();
        for (const { writer } of clients) writer.close();
      },
      { cancelGrace: 0.02, reports: [/has swallowed 10000 cancellations/] },
    ),
  );

  for (const [name, handler] of Object.entries({
    swallow,
    stuck: async () => await new Promise<never>(() => {}),
  })) {
    test(`has no connection any more when the run has ended (${name})`, async () => {
      const { net, ended } = rawClients();
      const loop = new asyncio.HostLoop({ cancelGrace: 3600 });
      const reports = collectReports(loop);
      let server: asyncio.Server | undefined;
      await run(
        async () => {
          server = await startServer(handler, { ...local, maxConnections: 1 });
          net(server.sockets[0].port);
          net(server.sockets[0].port);
          await connected(server, 2);
        },
        { loop, shutdownDelay: 0.01 },
      );

      assert.equal(server?.connections, 0);
      assert.deepEqual((await ended()).sort(), ["ECONNRESET", "end"]); // served, and waiting for a place
      assert.match(String(reports[0]?.message), /2 tasks have not ended/);
    });
  }

  test("has no connection any more when the run has ended, on a Unix socket and under TLS too", async () => {
    const { net, ended } = rawClients();
    const path = join(mkdtempSync(join(tmpdir(), "asyncio-ts-")), "socket");
    const loop = new asyncio.HostLoop();
    collectReports(loop);
    const servers: asyncio.Server[] = [];
    await run(
      async () => {
        const handler: Handler = async () => await new Promise<never>(() => {});
        const plain = await asyncio.startUnixServer(handler, path);
        const secure = await startServer(handler, { ...local, tls: certificate("server") });
        servers.push(plain, secure);
        net(path);
        await openConnection("127.0.0.1", secure.sockets[0].port, {
          tls: { ca, serverHostname: "localhost" },
        });
        await connected(plain, 1);
        await connected(secure, 1);
      },
      { loop, shutdownDelay: 0.01 },
    );

    assert.deepEqual(
      servers.map(({ connections }) => connections),
      [0, 0],
    );
    assert.deepEqual(await ended(), ["end"]);
  });
});

/** Nothing tells when the host of a server hears of a client that may not be served yet. */
async function connected(server: asyncio.Server, count: number): Promise<void> {
  while (server.connections < count) await sleep(0.001);
}

/** Clients that no run of ours has, and how their connections have ended. */
function rawClients() {
  const ends: Promise<string>[] = [];
  return {
    net(at: number | string): void {
      const socket =
        typeof at === "number" ? createConnection(at, "127.0.0.1") : createConnection(at);
      ends.push(
        new Promise((resolve) => {
          socket.on("end", () => resolve("end"));
          socket.on("error", (error: NodeJS.ErrnoException) => resolve(String(error.code)));
          socket.resume();
        }),
      );
    },
    ended: () => Promise.all(ends),
  };
}

describe("maxConnections", () => {
  describe(
    "a connection that has waited is served in the context of its server, not of the handler before it",
    everywhere(async ({ options, connect }) => {
      const tenant = new asyncio.ContextVar<string>("tenant");
      const store = new AsyncLocalStorage<string>();
      tenant.set("nobody");
      const handler: Handler = async (reader, writer) => {
        writer.write(`${tenant.get()} ${store.getStore()}\n`);
        tenant.set("somebody");
        store.enterWith("somebody");
        await reader.readLine();
      };
      await using server = await startServer(handler, { ...options, maxConnections: 1 });
      const clients = [await connect(server), await connect(server)];

      for (const { reader, writer } of clients) {
        assert.equal(text(await reader.readLine()), "nobody undefined\n");
        await writer.write("next\n");
        writer.close();
      }
    }),
  );

  describe(
    "lets the others wait, unread, until one ends",
    everywhere(async ({ options, connect }) => {
      let running = 0;
      let most = 0;
      const handler: Handler = async (reader, writer) => {
        most = Math.max(most, ++running);
        await writer.write(await reader.readLine());
        running--;
      };
      await using server = await startServer(handler, { ...options, maxConnections: 2 });
      const ask = async (): Promise<string> => {
        await using connection = await connect(server);
        connection.writer.write("question\n");
        return text(await connection.reader.readLine());
      };

      const answers = await asyncio.gather(Array.from({ length: 8 }, () => ask));

      assert.deepEqual([new Set(answers), most], [new Set(["question\n"]), 2]);
    }),
  );

  describe(
    "gives nobody a place any more when the server is stopped",
    everywhere(
      async ({ options, connect }) => {
        let started = 0;
        const handler: Handler = async (reader) => {
          started++;
          await reader.read();
        };
        const server = await startServer(handler, { ...options, maxConnections: 1 });
        const clients = await asyncio.gather([1, 2, 3].map(() => () => connect(server)));
        while (server.connections < 3) await sleep(0.001);

        await server.shutdown(0);

        assert.equal(started, 1);
        for (const { reader, writer } of clients) {
          await reader.read().catch(() => {});
          writer.close();
        }
      },
      { cancelGrace: Number.POSITIVE_INFINITY },
    ),
  );

  describe(
    "refuses what is above the backlog",
    everywhere(async ({ options, connect }) => {
      const limits = { ...options, maxConnections: 1, backlog: 1 };
      await using server = await startServer(listen, limits);
      const clients = [await connect(server), await connect(server)];

      // The reset comes while it connects, or after that.
      const lost = await connect(server)
        .then(([reader]) => reader.read(1))
        .catch((error: NodeJS.ErrnoException) => error.code);

      assert.equal(lost, "ECONNRESET");
      assert.equal(server.connections, 2);
      for (const { writer } of clients) writer.close();
      server.close();
      await server.waitClosed();
    }),
  );
});
