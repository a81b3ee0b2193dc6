import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { Server } from "../../src/net/server.ts";
import type { Listener } from "../../src/streams/network.ts";
import * as testing from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { echo, everywhere, listen, local, text } from "./places.ts";

const { createTask, openConnection, run, sleep, startServer } = asyncio;

describe("startServer", () => {
  describe(
    "serves connections side by side",
    everywhere(async ({ options, connect }) => {
      await using server = await startServer(echo, options);
      const ask = async (question: string): Promise<string> => {
        await using connection = await connect(server);
        const { reader, writer } = connection;
        await writer.write(question);
        return text(await reader.readLine());
      };

      const answers = await asyncio.gather(
        () => ask("one\n"),
        () => ask("two\n"),
        () => ask("three\n"),
      );

      assert.deepEqual(answers, ["one\n", "two\n", "three\n"]);
    }),
  );

  describe(
    "closes a connection when its handler ends",
    everywhere(async ({ options, connect }) => {
      await using server = await startServer(async (_reader, writer) => {
        writer.write("bye");
      }, options);
      const [reader, writer] = await connect(server);

      assert.equal(text(await reader.read()), "bye");

      writer.close();
      await writer.waitClosed();
    }),
  );

  describe(
    "reports a handler that fails, and closes its connection only (S144)",
    everywhere(
      async ({ options, connect }) => {
        await using server = await startServer(async (reader, writer) => {
          const line = text(await reader.readLine());
          if (line === "fail\n") throw new Error("a mistake");
          await writer.write(line);
        }, options);
        const [reader, writer] = await connect(server);
        const [failedReader, failedWriter] = await connect(server);

        await failedWriter.write("fail\n");
        assert.equal(text(await failedReader.read()), "");
        await writer.write("fine\n");
        assert.equal(text(await reader.read()), "fine\n");

        failedWriter.close();
        writer.close();
      },
      { reports: [/a handler of server .* has failed.*: Error: a mistake/] },
    ),
  );

  describe(
    "a handler that is cancelled closes silently (S144)",
    everywhere(async ({ options, connect }) => {
      const begun = new asyncio.Event();
      let task: asyncio.Task<unknown> | undefined;
      await using server = await startServer(async () => {
        task = asyncio.currentTask();
        begun.set();
        await sleep(3600);
      }, options);
      const [reader, writer] = await connect(server);
      await begun.wait();

      task?.cancel();

      assert.equal(text(await reader.read()), "");
      writer.close();
    }),
  );

  describe(
    "a peer that is lost is no failure of the handler",
    everywhere(async ({ options, connect }) => {
      const begun = new asyncio.Event();
      const server = await startServer(async (reader, writer, connection) => {
        begun.set();
        await echo(reader, writer, connection);
      }, options);
      const [, writer] = await connect(server);
      await begun.wait();

      writer.abort();

      server.close();
      await server.waitClosed();
    }),
  );

  const databaseError = () => Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });

  describe(
    "a failure that only looks like a lost peer is reported: of a handler that has closed its connection",
    everywhere(
      async ({ options, connect }) => {
        await using server = await startServer(async (_reader, writer) => {
          writer.close();
          throw databaseError();
        }, options);
        const [reader, writer] = await connect(server);

        assert.equal(text(await reader.read()), "");
        writer.close();
      },
      { reports: [/a handler of server .* has failed.*: Error: read ECONNRESET/] },
    ),
  );

  describe(
    "a failure that only looks like a lost peer is reported: of a handler whose peer is lost as well",
    everywhere(
      async ({ options, connect }) => {
        const server = await startServer(async (reader) => {
          await reader.readLine();
          await assert.rejects(reader.readLine(), { code: "ECONNRESET" });
          throw databaseError();
        }, options);
        const [, writer] = await connect(server);
        await writer.write("begin\n");
        await sleep(0.01);
        writer.abort();

        await server.shutdown(3600);
      },
      { reports: [/a handler of server .* has failed.*: Error: read ECONNRESET/] },
    ),
  );

  describe(
    "a failure that only looks like a lost peer is reported: that of another connection of the handler",
    everywhere(
      async ({ options, connect }) => {
        const upstream = await startServer(async (reader, writer) => {
          await reader.readLine();
          writer.abort();
        }, options);
        const server = await startServer(async (_reader, writer) => {
          const [upstreamReader, upstreamWriter] = await connect(upstream);
          try {
            await upstreamWriter.write("question\n");
            writer.close();
            await upstreamReader.readLine();
          } finally {
            upstreamWriter.close();
          }
        }, options);
        const [reader, writer] = await connect(server);

        assert.equal(text(await reader.read()), "");
        writer.close();
        await server.shutdown(3600);
        await upstream.shutdown(3600);
      },
      { reports: [/a handler of server .* has failed.*: Error: read ECONNRESET/] },
    ),
  );

  describe(
    "a peer that is lost is no failure of a handler that reads and writes in a task group either",
    everywhere(async ({ options, connect }) => {
      const server = await startServer(async (reader, writer) => {
        await reader.readLine();
        await asyncio.taskGroup(async (group) => {
          group.createTask(() => reader.readLine());
          group.createTask(async () => {
            for (;;) await writer.write(new Uint8Array(100_000));
          });
        });
      }, options);
      const [, writer] = await connect(server);
      await writer.write("begin\n");
      await sleep(0.01);
      writer.abort();

      await server.shutdown(3600);
    }),
  );

  onBothLoops(
    "a connection that comes in the step in which it is closed gets no handler",
    async () => {
      const handler = async (reader: asyncio.StreamReader): Promise<void> => {
        handled++;
        await reader.read();
      };
      let handled = 0;
      const [coming, closing] = [new asyncio.Future<asyncio.ByteStream>(), new asyncio.Event()];
      const listener: Listener = {
        address: { host: "somewhere", port: 1 },
        async accept() {
          if (!coming.done()) return await coming;
          await closing.wait();
          throw new asyncio.InvalidStateError("the listener is closed");
        },
        close: () => closing.set(),
      };
      const server = new Server(handler, [listener], {});
      await sleep(0.001);
      const [near, far] = testing.memoryStreamPair();

      coming.setResult(near);
      server.close();
      server.abortClients();
      await server.waitClosed();

      assert.equal(handled, 0);
      await assert.rejects(far.read(), { code: "ECONNRESET" });
      far.close();
    },
  );

  test("handlers run in the context of whoever starts the server", async () => {
    const variable = new asyncio.ContextVar<string>("variable");
    await run(async () => {
      variable.set("inherited");
      await using server = await startServer(async (_reader, writer) => {
        writer.write(variable.get());
      }, local);
      await using connection = await openConnection("127.0.0.1", server.sockets[0].port);
      assert.equal(text(await connection.reader.read()), "inherited");
    });
  });

  test("takes host and port as asyncio does, and several hosts", async () => {
    await run(async () => {
      await using one = await startServer(echo, "127.0.0.1", 0);
      await using two = await startServer(echo, ["127.0.0.1", "127.0.0.2"], 0);

      assert.deepEqual(
        [...one.sockets, ...two.sockets].map(({ host }) => host),
        ["127.0.0.1", "127.0.0.1", "127.0.0.2"],
      );
      assert.ok(one.sockets[0].port > 0);
    });
  });

  test("tells why it cannot listen", async () => {
    await run(async () => {
      await using server = await startServer(echo, local);
      const { port } = server.sockets[0];
      await assert.rejects(startServer(echo, "127.0.0.1", port), { code: "EADDRINUSE" });
      await assert.rejects(startServer(echo, "203.0.113.1", 0), { code: "EADDRNOTAVAIL" });
    });
  });

  test("refuses what it cannot use", async () => {
    await run(async () => {
      // @ts-expect-error
      await assert.rejects(startServer("handler"), TypeError);
      await assert.rejects(startServer(echo, { port: 70_000 }), RangeError);
      await assert.rejects(startServer(echo, { maxConnections: 0 }), RangeError);
      await assert.rejects(startServer(echo, { limit: -1 }), RangeError);
      await assert.rejects(startServer(echo, { highWaterMark: -1 }), RangeError);
      await assert.rejects(startServer(echo, { highWaterMark: 1, lowWaterMark: 2 }), RangeError);
      for (const count of [1.5, -1, Number.NaN]) {
        await assert.rejects(startServer(echo, { maxConnections: count }), RangeError);
        await assert.rejects(startServer(echo, { backlog: count }), RangeError);
      }
      await assert.rejects(startServer(echo, [] as string[], 0), RangeError);
    });
  });
});

test("a backlog may be larger than what the system counts with", async () => {
  await run(async () => {
    for (const backlog of [Number.POSITIVE_INFINITY, 2 ** 40]) {
      await using server = await startServer(listen, { ...local, backlog });
      const open = () => openConnection("127.0.0.1", server.sockets[0].port);
      const connections = await asyncio.gather(Array.from({ length: 50 }, () => open));
      for (const { writer } of connections) writer.close();
    }
  });
});

describe("the end of a server", () => {
  describe(
    "close leaves connections open (S146)",
    everywhere(async ({ options, connect }) => {
      const server = await startServer(echo, options);
      const [reader, writer] = await connect(server);
      await writer.write("before\n");
      await reader.readLine();

      server.close();
      const closed = createTask(() => server.waitClosed());
      await writer.write("after\n");

      assert.equal(text(await reader.readLine()), "after\n");
      assert.deepEqual([server.isServing(), server.connections, closed.done()], [false, 1, false]);
      await assert.rejects(connect(server), { code: "ECONNREFUSED" });
      writer.close();
      await closed;
      assert.equal(server.connections, 0);
      await server.waitClosed();
    }),
  );

  describe(
    "closeClients lets handlers read to the end (S147)",
    everywhere(async ({ options, connect }) => {
      const server = await startServer(async (reader, writer) => {
        writer.write("hello");
        await reader.read();
      }, options);
      const [reader, writer] = await connect(server);
      assert.equal(text(await reader.readExactly(5)), "hello");

      server.close();
      server.closeClients();
      await server.waitClosed();

      assert.equal(text(await reader.read()), "");
      writer.close();
    }),
  );

  describe(
    "a handler that writes after closeClients is told, and that is no failure of its own",
    everywhere(async ({ options, connect }) => {
      const errors: unknown[] = [];
      const server = await startServer(async (reader, writer) => {
        writer.write("hello");
        await reader.read();
        await writer.write("too late").catch((error) => {
          errors.push(error.code);
          throw error;
        });
      }, options);
      const [reader, writer] = await connect(server);
      await reader.readExactly(5);

      server.closeClients();

      assert.equal(text(await reader.read()), "");
      writer.close();
      await server.shutdown(5);
      assert.deepEqual(errors, ["ECONNABORTED"]);
    }),
  );

  describe(
    "abortClients works although a peer does not read (S147)",
    everywhere(async ({ options, connect }) => {
      const server = await startServer(async (_reader, writer) => {
        for (;;) await writer.write(new Uint8Array(100_000));
      }, options);
      const [reader, writer] = await connect(server);
      await reader.read(1);

      server.close();
      server.abortClients();
      await server.waitClosed();

      writer.abort();
    }),
  );

  describe(
    "disposing cancels the handlers and waits for them",
    everywhere(async ({ options, connect }) => {
      const log: string[] = [];
      let client: asyncio.Connection;
      {
        await using server = await startServer(async (_reader, writer) => {
          try {
            writer.write("!");
            await sleep(3600);
          } finally {
            await sleep(0.001);
            writer.write("goodbye");
            log.push("cleaned up");
          }
        }, options);
        client = await connect(server);
        await client.reader.readExactly(1);
      }

      assert.deepEqual(log, ["cleaned up"]);
      assert.equal(text(await client.reader.read()), "goodbye");
      client.writer.close();
    }),
  );

  describe(
    "shutdown gives handlers time, and cancels the rest",
    everywhere(async ({ options, connect }) => {
      const log: string[] = [];
      const isQuick = new asyncio.Event();
      const server = await startServer(async (reader, writer) => {
        const name = text(await reader.readLine()).trim();
        writer.write("!");
        try {
          await (name === "quick" ? isQuick.wait() : sleep(3600));
          log.push(`${name} has ended`);
        } catch {
          log.push(`${name} was cancelled`);
        }
      }, options);
      const clients = await asyncio.gather(
        () => connect(server),
        () => connect(server),
      );
      await clients[0].writer.write("quick\n");
      await clients[1].writer.write("slow\n");
      for (const { reader } of clients) await reader.readExactly(1);

      const shuttingDown = createTask(() => server.shutdown(0.2));
      await sleep(0);
      isQuick.set();
      await shuttingDown;

      assert.deepEqual(log, ["quick has ended", "slow was cancelled"]);
      for (const { writer } of clients) writer.close();
    }),
  );

  describe(
    "shutdown waits no longer than the handlers take",
    everywhere(async ({ options, connect }) => {
      const server = await startServer(echo, options);
      const [, writer] = await connect(server);
      await writer.write("x\n");
      const shutdown = createTask(() => server.shutdown(3600));
      await sleep(0);

      writer.close();

      await shutdown;
    }),
  );

  describe(
    "serveForever ends with the server, once it was cancelled (S148)",
    everywhere(async ({ options, connect }) => {
      const log: string[] = [];
      const server = await startServer(async (reader, writer) => {
        try {
          writer.write("!");
          await reader.read();
        } finally {
          log.push("handler ended");
        }
      }, options);
      const forever = createTask(() => server.serveForever());
      const [reader, writer] = await connect(server);
      await reader.readExactly(1);
      await assert.rejects(server.serveForever(), /serves for ever already/);

      forever.cancel();
      await assert.rejects(forever, asyncio.CancelledError);

      assert.deepEqual([log, server.isServing()], [["handler ended"], false]);
      await assert.rejects(server.serveForever(), /which is closed/);
      writer.close();
    }),
  );

  describe(
    "serveForever drains, where it was told to, before it cancels",
    everywhere(async ({ options, connect }) => {
      const server = await startServer(async (reader, writer) => {
        await reader.readLine();
        await sleep(0.02);
        writer.write("finished");
      }, options);
      const forever = createTask(() => server.serveForever({ drain: 5 }));
      const [reader, writer] = await connect(server);
      await writer.write("work\n");
      await sleep(0.01);

      forever.cancel();

      assert.equal(text(await reader.read()), "finished");
      await assert.rejects(forever, asyncio.CancelledError);
      writer.close();
    }),
  );

  describe(
    "a handler cannot wait for itself",
    everywhere(async ({ options, connect }) => {
      const errors: unknown[] = [];
      await using server = await startServer(async () => {
        await server.shutdown(1).catch((error) => errors.push(error));
        await server.waitClosed().catch((error) => errors.push(error));
      }, options);
      const [reader, writer] = await connect(server);

      await reader.read();

      assert.equal(errors.length, 2);
      for (const error of errors) assert.match(String(error), /it would wait for itself/);
      writer.close();
    }),
  );

  describe(
    "a task that a handler waits for cannot wait for the server either",
    everywhere(async ({ options, connect }) => {
      const errors: unknown[] = [];
      const waits = [
        () => server.shutdown(0.1),
        () => server.waitClosed(),
        () => server.serveForever(),
        () => server[Symbol.asyncDispose](),
      ];
      const waitForAll = async (): Promise<void> => {
        for (const wait of waits) await wait().catch((error) => errors.push(error));
      };
      const server = await startServer(async () => {
        await asyncio.taskGroup(async (group) => {
          group.createTask(waitForAll);
          group.createTask(() => asyncio.taskGroup(async (inner) => inner.createTask(waitForAll)));
        });
        await asyncio.gather(waitForAll, () => sleep(0));
        await createTask(async () => {
          await sleep(0); // until somebody awaits it
          await waitForAll();
        });
      }, options);
      const [reader, writer] = await connect(server);

      await reader.read();

      assert.equal(errors.length, 16);
      for (const error of errors) assert.match(String(error), /it would wait for itself/);
      writer.close();
      await server.shutdown(0);
    }),
  );

  describe(
    "a task that a handler comes to wait for while it shuts the server down is told when its time is over",
    everywhere(async ({ options, connect }) => {
      const errors: unknown[] = [];
      const server = await startServer(async () => {
        const task = createTask(() => server.shutdown(0.05).catch((error) => errors.push(error)));
        await sleep(0);
        await task;
      }, options);
      const [reader, writer] = await connect(server);

      assert.equal(text(await reader.read()), "");
      await server.waitClosed();

      assert.equal(errors.length, 1);
      assert.match(String(errors[0]), /it would wait for itself/);
      writer.close();
    }),
  );

  describe(
    "a task that a handler has started and does not wait for may shut the server down",
    everywhere(async ({ options, connect }) => {
      const server = await startServer(async (reader) => {
        await reader.readLine();
        createTask(() => server.shutdown(0));
        await reader.read();
      }, options);
      const [reader, writer] = await connect(server);

      await writer.write("quit\n");
      await server.waitClosed();

      assert.equal(text(await reader.read()), "");
      writer.close();
    }),
  );

  test("the run that started it closes it", async () => {
    let server: asyncio.Server | undefined;
    const log: string[] = [];
    await run(async () => {
      server = await startServer(async (_reader, writer) => {
        try {
          writer.write("!");
          await sleep(3600);
        } finally {
          log.push("cancelled");
        }
      }, local);
      const [reader] = await openConnection("127.0.0.1", server.sockets[0].port);
      await reader.readExactly(1);
    });

    assert.deepEqual([log, server?.isServing()], [["cancelled"], false]);
  });
});
