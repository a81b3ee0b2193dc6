import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { Program } from "../program.ts";
import { proxyTo, type Summary } from "./proxy.ts";

const { openConnection, sleep, startServer } = asyncio;

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);

interface World {
  readonly network: testing.SimulatedNetwork;
  /** Connects to the proxy. */
  connect(): Promise<asyncio.Connection>;
  readonly summaries: Summary[];
}

/** A client, a proxy and a target, each on its host. */
async function proxying(
  serve: asyncio.ConnectionHandler,
  body: (world: World) => Promise<void>,
  options: testing.NetworkOptions = {},
): Promise<void> {
  const network = new testing.SimulatedNetwork(options);
  const summaries: Summary[] = [];
  const [client, proxy, target] = ["client", "proxy", "target"].map((name) =>
    network.host(name),
  ) as [testing.SimulatedHost, testing.SimulatedHost, testing.SimulatedHost];
  const handler = proxyTo({
    target: { host: "target", port: 80 },
    connectSeconds: 5,
    idleSeconds: 60,
    onEnd: (summary) => summaries.push(summary),
  });
  await target.run(async () => {
    await using _target = await startServer(serve, { port: 80 });
    await proxy.run(async () => {
      await using server = await startServer(handler, { port: 8080 });
      await client.run(async () => {
        await body({ network, connect: () => openConnection("proxy", 8080), summaries });
      });
      await server.shutdown(1);
    });
  });
}

const echo: asyncio.ConnectionHandler = async (reader, writer) => {
  for await (const chunk of reader.chunks()) await writer.write(chunk);
};

/** Answers when the question has ended. */
const reverse: asyncio.ConnectionHandler = async (reader, writer) => {
  const question = text(await reader.read());
  await writer.write([...question].reverse().join(""));
};

test("passes both directions on, and counts", () =>
  testing.runTest(async () => {
    const all: Summary[] = [];
    await proxying(
      echo,
      async ({ connect, summaries }) => {
        await using connection = await connect();
        await connection.writer.write("one\n");
        assert.equal(text(await connection.reader.readLine()), "one\n");
        await connection.writer.write("and two\n");
        assert.equal(text(await connection.reader.readLine()), "and two\n");
        connection.writer.writeEof();
        assert.equal((await connection.reader.read()).length, 0);
        await sleep(1);
        all.push(...summaries);
      },
      { latency: 0.01 },
    );
    assert.equal(all.length, 1);
    const [{ client, sent, received, ending } = assert.fail()] = all;
    assert.deepEqual({ sent, received, ending }, { sent: 12, received: 12, ending: "done" });
    assert.match(client, /^client:\d+$/);
  }));

test("the end of one direction leaves the other open", () =>
  testing.runTest(() =>
    proxying(reverse, async ({ connect }) => {
      await using connection = await connect();
      await connection.writer.write("stressed");
      connection.writer.writeEof();

      assert.equal(text(await connection.reader.read()), "desserts");
    }),
  ));

test("back-pressure goes through: a client that does not read stops the target", () =>
  testing.runTest(async (t) => {
    let sent = 0;
    const flood: asyncio.ConnectionHandler = async (_reader, writer) => {
      for (;;) {
        await writer.write(new Uint8Array(10_000));
        sent += 10_000;
      }
    };
    await proxying(flood, async ({ connect }) => {
      const connection = await connect();
      await t.settle();

      assert.ok(sent < 400_000, String(sent));
      connection.writer.abort();
    });
  }));

test("a target that does not answer is given up after the deadline", () =>
  testing.runTest((t) =>
    proxying(echo, async ({ network, connect, summaries }) => {
      network.partition("proxy", "target");
      await using connection = await connect();

      await assert.rejects(connection.reader.read(), { code: "ECONNRESET" });

      assert.equal(t.now, 5);
      assert.equal(summaries[0]?.ending, "no connection in 5 s");
    }),
  ));

test("a target that refuses is said so", () =>
  testing.runTest(() =>
    proxying(echo, async ({ network, connect, summaries }) => {
      network.crash("target");
      network.restart("target");
      await using connection = await connect();

      await assert.rejects(connection.reader.read(), { code: "ECONNRESET" });

      assert.match(summaries[0]?.ending ?? "", /^no connection: connect ECONNREFUSED target:80/);
    }),
  ));

test("each byte moves the idle deadline on", () =>
  testing.runTest((t) =>
    proxying(echo, async ({ connect, summaries }) => {
      await using connection = await connect();
      for (let count = 0; count < 3; count++) {
        await sleep(59);
        await connection.writer.write("x");
        await connection.reader.readExactly(1);
      }

      await assert.rejects(connection.reader.read(), { code: "ECONNRESET" });

      assert.equal(t.now, 3 * 59 + 60);
      assert.equal(summaries[0]?.ending, "idle for 60 s");
    }),
  ));

test("a reset on one side is a reset on the other", () =>
  testing.runTest(() =>
    proxying(echo, async ({ network, connect, summaries }) => {
      await using connection = await connect();
      await connection.writer.write("x");
      await connection.reader.readExactly(1);
      network.reset("proxy", "target");

      await assert.rejects(connection.reader.read(), { code: "ECONNRESET" });

      assert.match(summaries[0]?.ending ?? "", /^lost: /);
    }),
  ));

const conversation = () =>
  proxying(reverse, async ({ connect }) => {
    await using connection = await connect();
    await connection.writer.write("ab");
    connection.writer.writeEof();
    assert.equal(text(await connection.reader.read()), "ba");
  });

test("a conversation goes well under every schedule", async () => {
  const found = await testing.explore(conversation, {
    iterations: 200,
    seconds: Number.POSITIVE_INFINITY,
  });

  assert.ok(found.distinct > 20, String(found.distinct));
});

test("wherever it is cancelled, nothing is left", async () => {
  const found = await testing.cancelSweep(conversation, {
    depth: 1,
    seconds: Number.POSITIVE_INFINITY,
  });

  assert.ok(found.places > 10, String(found.places));
});

test("on real sockets: half a close, a line for each connection, and Ctrl-C", () =>
  asyncio.run(async () => {
    await using target = await startServer(reverse, "127.0.0.1", 0);
    const { port } = target.sockets[0];
    const program = new Program("proxy/main.ts", `127.0.0.1:${port}`, "--listen", "127.0.0.1:0");
    {
      await using connection = await openConnection("127.0.0.1", await program.port());
      await connection.writer.write("stressed");
      connection.writer.writeEof();
      assert.equal(text(await connection.reader.read()), "desserts");
    }

    assert.match(await program.line(), /^127\.0\.0\.1:\d+ sent 8 B, received 8 B in .* s: done$/);
    const ending = await program.end("SIGINT");
    assert.deepEqual(ending, { code: null, signal: "SIGINT", stderr: "" });
  }));

test("wrong arguments and a taken port end with a sentence", () =>
  asyncio.run(async () => {
    const wrong = await new Program("proxy/main.ts").end();
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /^the target has to be HOST:PORT, not absent\n\nUsage: /);

    await using taken = await startServer(echo, "127.0.0.1", 0);
    const at = `127.0.0.1:${taken.sockets[0].port}`;
    const refused = await new Program("proxy/main.ts", "80", "--listen", at).end();
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^listen EADDRINUSE: .*\n$/);
  }));
