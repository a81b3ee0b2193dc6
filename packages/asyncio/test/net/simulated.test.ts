// A client and a server in one test, in virtual time: cancelled everywhere, under many schedules,
// with links that fail.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { SimulatedListener } from "../../src/testing/network-ends.ts";
import * as testing from "../../src/testing.ts";
import { conforms } from "../conformance.ts";

const { openConnection, startServer } = asyncio;
const { cancelSweep, explore, runTest, SimulatedNetwork } = testing;

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);

conforms("listener.accept", { wakes: "one", hasFastPath: true }, () => {
  const listener = new SimulatedListener({ host: "server", port: 80 }, () => {});
  let offered = 0;
  return {
    begin: () => listener.accept(),
    complete() {
      const [stream] = testing.memoryStreamPair({ names: [`client ${++offered}`, "server"] });
      listener.connected(stream as Parameters<typeof listener.connected>[0]);
      stream.close();
      return stream;
    },
  };
});

test("a connection or a server that is left open fails the test and is named (S145)", async () => {
  const network = new SimulatedNetwork();
  const left = runTest(async () => {
    const server = await network.host("server").run(() => startServer(sums, { port: 80 }));
    const [, writer] = await network.host("client").run(() => openConnection("server", 80));
    await asyncio.sleep(1);
    writer.write("not closed\n");
    server.close();
  });

  await assert.rejects(left, (error) => {
    assert.ok(error instanceof testing.LeakError);
    assert.match(error.message, /stream client:49152 to server:80, which is still open/);
    assert.match(error.message, /task "server server:80"/);
    return true;
  });
});

/** A server that adds up: each line is a number, and is answered by the sum so far. */
const sums: asyncio.ConnectionHandler = async (reader, writer) => {
  let sum = 0;
  for await (const line of reader.lines()) {
    sum += Number(line);
    await writer.write(`${sum}\n`);
  }
};

async function askForSums(numbers: readonly number[]): Promise<string[]> {
  await using connection = await openConnection("server", 80);
  const { reader, writer } = connection;
  const answers: string[] = [];
  for (const number of numbers) {
    await writer.write(`${number}\n`);
    answers.push(text(await reader.readLine()));
  }
  return answers;
}

test("a client and a server find each other on the network that their code runs on", async () => {
  await runTest(async (t) => {
    const network = new SimulatedNetwork({ latency: 0.1, chunks: "bytes" });
    const handlerHosts: unknown[] = [];
    const server = await network.host("server").run(() =>
      startServer(
        async (...connection) => {
          handlerHosts.push(testing.networkHere());
          await sums(...connection);
        },
        { port: 80 },
      ),
    );

    const answers = await network.host("client").run(() => askForSums([1, 2, 3]));
    await server.shutdown(1);

    assert.deepEqual(answers, ["1\n", "3\n", "6\n"]);
    assert.deepEqual(handlerHosts, [network.host("server")]);
    assert.ok(t.now < 2);
  });
});

const program = async (options: testing.NetworkOptions): Promise<void> => {
  const network = new SimulatedNetwork({ latency: 0.01, ...options });
  await network.host("server").run(async () => {
    await using server = await startServer(sums, { port: 80, maxConnections: 2 });
    const client = () => network.host("client").run(() => askForSums([1, 2]));
    const answers = await asyncio.gather(client, client, client);
    for (const answer of answers) assert.deepEqual(answer, ["1\n", "3\n"]);
    await server.shutdown(1);
  });
};

test("client and server are right under every schedule that is tried", async () => {
  const found = await explore(() => program({ highWaterMark: 1 }), {
    iterations: 300,
    seconds: Number.POSITIVE_INFINITY,
  });

  assert.ok(found.distinct > 50, String(found.distinct));
});

test("wherever the program is cancelled, nothing is left open", async () => {
  const found = await cancelSweep(() => program({ chunks: "bytes", highWaterMark: 1 }), {
    depth: 1,
    seconds: Number.POSITIVE_INFINITY,
  });

  assert.ok(found.places > 20, String(found.places));
  assert.equal(found.complete, true);
});

test("a second cancellation, while the first is cleaned up, leaves nothing open either", async () => {
  const found = await cancelSweep(() => program({}), {
    depth: 2,
    seconds: Number.POSITIVE_INFINITY,
  });

  assert.equal(found.complete, true);
});

test("wherever a task is cancelled, handler or client, nothing is left open", async () => {
  await cancelSweep(
    async () => {
      const network = new SimulatedNetwork({ latency: 0.01 });
      await network.host("server").run(async () => {
        const server = await startServer(sums, { port: 80, name: "sums" });
        try {
          await network.host("client").run(() => askForSums([1, 2]));
        } catch {
          // Its handler, or the server, was cancelled: the connection is closed or refused.
        } finally {
          await server.shutdown(1);
        }
      });
    },
    { victims: "tasks", depth: 1, seconds: Number.POSITIVE_INFINITY, mayReturn: true },
  );
});

test("a link that is cut delays what was sent, and loses nothing", async () => {
  await runTest(async (t) => {
    const network = new SimulatedNetwork({ latency: 0.1 });
    await network.host("server").run(async () => {
      await using server = await startServer(sums, { port: 80 });
      const client = asyncio.createTask(() =>
        network.host("client").run(() => askForSums([1, 2, 3])),
      );
      await asyncio.sleep(0.35);
      network.partition("client", "server");
      await asyncio.sleep(10);
      network.heal("client", "server");

      assert.deepEqual(await client, ["1\n", "3\n", "6\n"]);
      assert.ok(t.now > 10);
      server.close();
    });
  });
});

test("a reset ends the handler without a report, and the client with the error", async () => {
  await runTest(async () => {
    const network = new SimulatedNetwork({ latency: 0.1 });
    await network.host("server").run(async () => {
      await using server = await startServer(sums, { port: 80 });
      const client = asyncio.createTask(() =>
        network.host("client").run(() => askForSums([1, 2, 3])),
      );
      await asyncio.sleep(0.35);
      assert.equal(server.connections, 1);
      network.reset("client", "server");

      await assert.rejects(client, { code: "ECONNRESET" });
      await asyncio.sleep(1);
      assert.equal(server.connections, 0);
    });
  });
});

test("a server whose peer never reads is drained by its deadline", async () => {
  await runTest(async (t) => {
    const network = new SimulatedNetwork({ highWaterMark: 10 });
    await network.host("server").run(async () => {
      const server = await startServer(
        async (_reader, writer) => {
          await writer.write("far too much for somebody who does not read");
        },
        { port: 80 },
      );
      const [, writer] = await network.host("client").run(() => openConnection("server", 80));
      await asyncio.sleep(1);

      await server.shutdown(3);

      // 3 seconds for the handler, and a quarter for its last words.
      assert.equal(t.now, 4.25);
      assert.equal(server.connections, 0);
      writer.close();
    });
  });
});

test("a slow consumer stops the producer, and memory stays flat", async () => {
  await runTest(async () => {
    const network = new SimulatedNetwork({ latency: 0.01, highWaterMark: 10_000 });
    let produced = 0;
    await network.host("server").run(async () => {
      await using _server = await startServer(
        async (_reader, writer) => {
          for (;;) {
            await writer.write(new Uint8Array(1000));
            produced += 1000;
          }
        },
        { port: 80 },
      );
      const [reader, writer] = await network.host("client").run(() => openConnection("server", 80));
      for (let consumed = 0; consumed < 100_000; ) {
        await asyncio.sleep(1);
        consumed += (await reader.read(1000)).length;
        assert.ok(produced - consumed <= 20_000);
      }
      writer.abort();
    });
  });
});
