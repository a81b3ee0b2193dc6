import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";

const { createTask, sleep } = asyncio;
const { runTest, SimulatedNetwork } = testing;

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (chunk: Uint8Array | undefined) => new TextDecoder().decode(chunk);

/** A listener on server:80 and a connection to it from client. */
async function connected(network: testing.SimulatedNetwork) {
  const listener = await network.host("server").listen(80);
  const accepted = createTask(() => listener.accept());
  const client = await network.host("client").connect({ host: "server", port: 80 });
  const server = await accepted;
  const closeAll = () => {
    for (const end of [client, server, listener]) end.close();
  };
  return { listener, client, server, closeAll };
}

test("a connection takes a round trip, and bytes the way there", async () => {
  await runTest(async (t) => {
    const { client, server, closeAll } = await connected(new SimulatedNetwork({ latency: 1 }));
    assert.equal(t.now, 2);

    await client.write(bytes("hello"));
    assert.equal(text(await server.read()), "hello");
    assert.equal(t.now, 3);

    closeAll();
  });
});

test("names of hosts and aliases compare without case, and without the dot at their end", async () => {
  await runTest(async () => {
    const network = new SimulatedNetwork();
    network.alias("Db.example", ["a", "b"]);
    const server = network.host("Server");

    for (const name of ["Server", "server", "SERVER."])
      assert.deepEqual(await server.lookup(name), ["Server"]);
    assert.deepEqual(await server.lookup("LocalHost."), ["Server"]);
    assert.deepEqual(await server.lookup("db.EXAMPLE."), ["a", "b"]);
    network.host("server"); // the name as it is comes first
    assert.deepEqual(await server.lookup("server"), ["server"]);
    await assert.rejects(server.lookup("db"), {
      code: "ENOTFOUND",
      hostname: "db",
      message: "getaddrinfo ENOTFOUND db",
    });
  });
});

test("bytes arrive in order whatever the latency of each piece", async () => {
  await runTest(async () => {
    const { client, server, closeAll } = await connected(
      new SimulatedNetwork({ latency: [0.1, 5], seed: 3 }),
    );

    for (const letter of "abcdefgh") await client.write(bytes(letter));
    client.writeEof();

    let all = "";
    for (let chunk = await server.read(); chunk !== undefined; chunk = await server.read())
      all += text(chunk);
    assert.equal(all, "abcdefgh");
    closeAll();
  });
});

test("nobody listening refuses, an unknown host is not found", async () => {
  await runTest(async (t) => {
    const network = new SimulatedNetwork({ latency: 1 });
    network.host("server");
    const client = network.host("client");

    const refused = client.connect({ host: "server", port: 81 });
    await assert.rejects(refused, { code: "ECONNREFUSED", syscall: "connect", port: 81 });
    assert.equal(t.now, 2);
    await assert.rejects(client.connect({ host: "nowhere", port: 80 }), { code: "ENOTFOUND" });
    await assert.rejects(client.lookup("nowhere"), { code: "ENOTFOUND" });
    assert.deepEqual(await client.lookup("server"), ["server"]);
  });
});

test("a connection to a host that cannot be reached waits until its deadline", async () => {
  await runTest(async (t) => {
    const network = new SimulatedNetwork();
    const listener = await network.host("server").listen(80);
    network.partition("client", "server");

    const connecting = asyncio.timeout(30, () =>
      network.host("client").connect({ host: "server", port: 80 }),
    );

    await assert.rejects(connecting, asyncio.TimeoutError);
    assert.equal(t.now, 30);
    listener.close();
  });
});

test("a partition stalls a connection until it is healed", async () => {
  await runTest(async (t) => {
    const network = new SimulatedNetwork({ latency: 1 });
    const { client, server, closeAll } = await connected(network);
    const read = createTask(() => server.read());

    network.partition("client", "server");
    await client.write(bytes("late"));
    await sleep(10);
    assert.equal(read.done(), false);
    network.heal("client", "server");

    assert.equal(text(await read), "late");
    assert.equal(t.now, 12);
    closeAll();
  });
});

test("a reset ends both ends at once", async () => {
  await runTest(async (t) => {
    const network = new SimulatedNetwork();
    const { client, server, closeAll } = await connected(network);
    const read = createTask(() => server.read());
    await t.settle();

    network.reset("server", "client");

    await assert.rejects(read, { code: "ECONNRESET" });
    await assert.rejects(client.read(), { code: "ECONNRESET" });
    closeAll();
  });
});

test("a host that crashes resets its connections, and can come back", async () => {
  await runTest(async () => {
    const network = new SimulatedNetwork();
    const { client, closeAll } = await connected(network);

    network.crash("server");
    await assert.rejects(client.read(), { code: "ECONNRESET" });
    const dead = asyncio.timeout(1, () =>
      network.host("client").connect({ host: "server", port: 80 }),
    );
    await assert.rejects(dead, asyncio.TimeoutError);
    network.restart("server");
    const again = await connected(network);

    again.closeAll();
    closeAll();
  });
});

test("an accept gets connections in order; closing refuses the rest", async () => {
  await runTest(async (t) => {
    const network = new SimulatedNetwork();
    const listener = await network.host("server").listen(80);
    const ends = await asyncio.gather(
      ["a", "b", "c"].map((name) => () => network.host(name).connect({ host: "server", port: 80 })),
    );

    const first = await listener.accept();
    assert.equal(first.remoteAddress.host, "a");
    listener.close();

    await t.settle();
    await assert.rejects(listener.accept(), asyncio.InvalidStateError);
    for (const reset of ends.slice(1)) await assert.rejects(reset.read(), { code: "ECONNRESET" });
    for (const end of [...ends, first]) end.close();
  });
});

test("a port is taken once; port 0 takes a free one", async () => {
  await runTest(async () => {
    const host = new SimulatedNetwork().host("server");
    const listener = await host.listen(80);

    await assert.rejects(host.listen(80), { code: "EADDRINUSE", syscall: "listen" });
    const other = await host.listen(0);
    assert.ok(other.address.port > 0 && other.address.port !== 80);

    listener.close();
    other.close();
    (await host.listen(80)).close();
  });
});

test("datagrams arrive, get lost, and are dropped by a partition", async () => {
  await runTest(async (t) => {
    const network = new SimulatedNetwork({ latency: 1, loss: 0.5, seed: 1 });
    const a = await network.host("a").bind(53);
    const b = await network.host("b").bind(53);

    for (let index = 0; index < 100; index++) a.send(new Uint8Array([index]), b.address);
    await t.advance(1);
    let arrived = 0;
    while ((await asyncio.moveOnAfter(0.001, () => b.receive())).cancelled === false) arrived++;
    assert.ok(arrived > 30 && arrived < 70, String(arrived));

    network.partition("a", "b");
    for (let index = 0; index < 20; index++) a.send(new Uint8Array([index]), b.address);
    await t.advance(1);
    network.heal("a", "b");
    await t.advance(1);
    assert.equal((await asyncio.moveOnAfter(0.001, () => b.receive())).cancelled, true);

    a.close();
    b.close();
  });
});

test("code knows on which host it is", async () => {
  await runTest(async () => {
    const network = new SimulatedNetwork();

    assert.equal(testing.networkHere(), undefined);
    const seen = await network.host("server").run(async () => {
      await sleep(1);
      return await createTask(async () => testing.networkHere());
    });

    assert.equal(seen, network.host("server"));
    assert.equal(asyncio.getRunningLoop().host.network, undefined);
  });
});

test("what is left open is named", async () => {
  const left = runTest(async () => {
    await new SimulatedNetwork().host("server").listen(80);
  });

  await assert.rejects(left, /a listener on server:80/);
});

test("the same seed gives the same network", async () => {
  const times = (seed: number) =>
    runTest(async (t) => {
      const { client, server, closeAll } = await connected(
        new SimulatedNetwork({ latency: [0, 1], seed }),
      );
      const log: number[] = [];
      for (let index = 0; index < 5; index++) {
        await client.write(bytes("x"));
        await server.read();
        log.push(t.now);
      }
      closeAll();
      return log;
    });

  assert.deepEqual(await times(1), await times(1));
  assert.notDeepEqual(await times(1), await times(2));
});

test("a server and its clients are explored together, in virtual time", async () => {
  const explored = await testing.explore(
    async () => {
      const network = new SimulatedNetwork({ latency: 0.01 });
      const listener = await network.host("server").listen(7);
      await asyncio.taskGroup(async (group) => {
        group.createTask(async () => {
          for (let count = 0; count < 2; count++) {
            const stream = await listener.accept();
            group.createTask(async () => {
              for (
                let chunk = await stream.read();
                chunk !== undefined;
                chunk = await stream.read()
              )
                await stream.write(chunk);
              stream.close();
            });
          }
          listener.close();
        });
        for (const name of ["a", "b"]) {
          group.createTask(async () => {
            const stream = await network.host(name).connect({ host: "server", port: 7 });
            await stream.write(bytes(name.repeat(3)));
            stream.writeEof();
            let echo = "";
            for (let chunk = await stream.read(); chunk !== undefined; chunk = await stream.read())
              echo += text(chunk);
            stream.close();
            assert.equal(echo, name.repeat(3));
          });
        }
      });
    },
    { iterations: 300, seconds: Number.POSITIVE_INFINITY },
  );

  assert.ok(explored.distinct > 100);
});

test("an accepted connection is closed wherever the server is cancelled", async () => {
  await testing.cancelSweep(async () => {
    const network = new SimulatedNetwork({ latency: 0.01 });
    const listener = await network.host("server").listen(7);
    const open: asyncio.ByteStream[] = [];
    try {
      await asyncio.gather(
        async () => {
          const stream = await listener.accept();
          open.push(stream);
          await stream.read();
        },
        async () => {
          const stream = await network.host("client").connect({ host: "server", port: 7 });
          open.push(stream);
          await stream.write(bytes("x"));
        },
      );
    } finally {
      listener.close();
      for (const stream of open) stream.abort();
    }
  });
});

test("refuses what it cannot use", async () => {
  assert.throws(() => new SimulatedNetwork({ loss: 2 }), RangeError);
  assert.throws(() => new SimulatedNetwork({ latency: Number.NaN }), RangeError);
  assert.throws(() => new SimulatedNetwork({ seed: 0.5 }), RangeError);
  // @ts-expect-error
  assert.throws(() => new SimulatedNetwork().host(5), TypeError);
  await assert.rejects(new SimulatedNetwork().host("a").listen(70_000), RangeError);
});
