// Datagram endpoints: on a simulated network in virtual time, and on sockets of the loopback
// interface.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  createDatagramEndpoint,
  createTask,
  type Datagram,
  type DatagramEndpoint,
  type DatagramEndpointOptions,
  gather,
  InvalidStateError,
  moveOnAfter,
  run,
  sleep,
  type TaskGroup,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { openEndpoint } from "../../src/net/datagram.ts";
import type { DatagramReceiver } from "../../src/streams/network.ts";
import { cancelSweep, explore, LeakError, runTest, SimulatedNetwork } from "../../src/testing.ts";
import { conforms } from "../conformance.ts";
import { rejection, virtual } from "../virtual.ts";

const text = ({ bytes }: Datagram): string => new TextDecoder().decode(bytes);
const codeOf = async (promise: Promise<unknown>): Promise<unknown> =>
  ((await rejection(promise)) as { code?: unknown }).code;
const loopback: DatagramEndpointOptions = { local: { host: "127.0.0.1" } };

/** Two hosts, and an endpoint on each: the one of `b` is connected to that of `a`. */
async function pair(
  network: SimulatedNetwork,
  options: DatagramEndpointOptions = {},
): Promise<[a: DatagramEndpoint, b: DatagramEndpoint]> {
  const a = await network
    .host("a")
    .run(() => createDatagramEndpoint({ local: { port: 7 }, ...options }));
  const b = await network.host("b").run(() => createDatagramEndpoint({ remote: a.address }));
  return [a, b];
}

describe("a datagram endpoint in virtual time", () => {
  test(
    "sends a copy, taken in the call, and receives whole datagrams with their sender",
    virtual(async () => {
      const [a, b] = await pair(new SimulatedNetwork({ latency: 0.5 }));
      const bytes = new Uint8Array([1, 2, 3]);
      void b.send(bytes);
      bytes.fill(9);
      await b.send("äß");

      const first = await a.receive();
      const second = await a.receive();

      assert.deepEqual(first, { bytes: new Uint8Array([1, 2, 3]), from: b.address });
      assert.equal(text(second), "äß");
      a.close();
      b.close();
    }),
  );

  test(
    "keeps `queueSize` datagrams, drops what comes on top, and counts it",
    virtual(async () => {
      const [a, b] = await pair(new SimulatedNetwork(), { queueSize: 2 });
      for (const word of ["one", "two", "three", "four"]) await b.send(word);

      const kept = [text(await a.receive()), text(await a.receive())];
      await b.send("five");

      assert.deepEqual([kept, a.dropped, text(await a.receive())], [["one", "two"], 2, "five"]);
      a.close();
      b.close();
    }),
  );

  test(
    "is iterated until it is closed",
    virtual(async () => {
      const [a, b] = await pair(new SimulatedNetwork());
      const words: string[] = [];
      const reader = createTask(async () => {
        for await (const datagram of a) words.push(text(datagram));
      });
      for (const word of ["one", "two"]) await b.send(word);
      await sleep(1);
      a.close();
      await reader;

      assert.deepEqual(words, ["one", "two"]);
      b.close();
    }),
  );

  test(
    "connected, hears from its remote address alone",
    virtual(async () => {
      const network = new SimulatedNetwork();
      const [a, b] = await pair(network);
      const c = await network.host("c").run(() => createDatagramEndpoint());
      await c.send("from c", b.address);
      await a.send("from a", b.address);

      assert.equal(text(await b.receive()), "from a");
      for (const endpoint of [a, b, c]) endpoint.close();
    }),
  );

  test(
    "connected to a port where nobody listens, learns it from `receive`, and can be used further",
    virtual(async () => {
      const network = new SimulatedNetwork({ latency: 1 });
      const [a, b] = await pair(network);
      a.close();
      await b.send("one");
      await b.send("two");
      const codes = [await codeOf(b.receive())];
      await sleep(10); // the news about the second comes later, and stays here
      codes.push(await codeOf(b.receive()));
      const again = await network
        .host("a")
        .run(() => createDatagramEndpoint({ local: { port: 7 } }));
      await again.send("hello", b.address);

      assert.deepEqual(codes, ["ECONNREFUSED", "ECONNREFUSED"]);
      assert.equal(text(await b.receive()), "hello");
      again.close();
      b.close();
    }),
  );

  test("loses datagrams, the same ones for the same seed", async () => {
    const arrivedWith = async (seed: number): Promise<string[]> => {
      const words: string[] = [];
      await runTest(async () => {
        const [a, b] = await pair(new SimulatedNetwork({ loss: 0.5, seed }));
        for (let count = 0; count < 20; count++) await b.send(String(count));
        await moveOnAfter(1, async () => {
          for await (const datagram of a) words.push(text(datagram));
        });
        a.close();
        b.close();
      });
      return words;
    };
    const words = await arrivedWith(1);

    assert.ok(words.length > 0 && words.length < 20, String(words));
    assert.deepEqual(await arrivedWith(1), words);
  });

  test(
    "a send waits for nothing across a partition: the datagram is lost",
    virtual(async () => {
      const network = new SimulatedNetwork();
      const [a, b] = await pair(network);
      network.partition("a", "b");
      await b.send("lost");
      network.heal("a", "b");
      await b.send("arrives");

      assert.equal(text(await a.receive()), "arrives");
      a.close();
      b.close();
    }),
  );

  test(
    "tells by ENETDOWN that its host has crashed",
    virtual(async () => {
      const network = new SimulatedNetwork();
      const [a, b] = await pair(network);
      network.crash("a");

      assert.deepEqual(
        [await codeOf(a.receive()), await codeOf(a.send("x", b.address))],
        ["ENETDOWN", "ENETDOWN"],
      );
      a.close();
      b.close();
    }),
  );

  test(
    "sends to everybody where `broadcast` allows it, else EACCES",
    virtual(async () => {
      const network = new SimulatedNetwork();
      const [a, b] = await pair(network);
      const all = { host: "255.255.255.255", port: 7 };
      const c = await network.host("c").run(() => createDatagramEndpoint({ broadcast: true }));
      await c.send("everybody", all);

      assert.equal(text(await a.receive()), "everybody");
      assert.equal(await codeOf(a.send("x", all)), "EACCES");
      for (const endpoint of [a, b, c]) endpoint.close();
    }),
  );

  test(
    "localhost is the host that the code runs on",
    virtual(async () => {
      await new SimulatedNetwork().host("a").run(async () => {
        const local = { host: "127.0.0.1", port: 7 };
        const server = await createDatagramEndpoint({ local });
        const client = await createDatagramEndpoint({ remote: { host: "localhost", port: 7 } });
        await client.send("near");
        const { bytes, from } = await server.receive();
        await server.send(bytes, from);

        assert.equal(text(await client.receive()), "near");
        for (const endpoint of [client, server]) endpoint.close();
      });
    }),
  );

  test(
    "a port that is taken is EADDRINUSE, another host's address EADDRNOTAVAIL",
    virtual(async () => {
      const network = new SimulatedNetwork();
      const [a, b] = await pair(network);
      const open = (local: DatagramEndpointOptions["local"]) =>
        network.host("a").run(() => createDatagramEndpoint({ local }));

      assert.equal(await codeOf(open({ port: 7 })), "EADDRINUSE");
      assert.equal(await codeOf(open({ host: "b" })), "EADDRNOTAVAIL");
      a.close();
      b.close();
    }),
  );

  test(
    "closed, drops what was not received; receive and send say so",
    virtual(async () => {
      const [a, b] = await pair(new SimulatedNetwork());
      await b.send("unread");
      const waiting = createTask(() => b.receive());
      await sleep(1);
      a.close();
      b.close();
      const errors = [
        await rejection(waiting),
        await rejection(a.receive()),
        await rejection(a.send("x", b.address)),
      ];

      for (const error of errors) assert.ok(error instanceof InvalidStateError);
      assert.match(String(errors[1]), /`endpoint\.receive` found datagram endpoint a:7 closed$/);
      await a.waitClosed();
    }),
  );

  test("a test that leaves it open is told its name", async () => {
    const error = await rejection(
      runTest(async () => {
        const [, b] = await pair(new SimulatedNetwork());
        b.close();
      }),
    );

    assert.ok(error instanceof LeakError);
    assert.match(error.message, /datagram endpoint a:7/);
  });
});

describe("wrong arguments of datagrams", () => {
  for (const [what, options, message] of [
    ["what is no object", null, /expects an object of options, got null\. Leave it out/],
    [
      "a queue that is no number",
      { queueSize: "3" },
      /`queueSize`, a whole number of 1 or more, got "3"$/,
    ],
    [
      "a buffer too large",
      { receiveBufferSize: 2 ** 31 },
      /`receiveBufferSize` from 1 to 2,147,483,647 bytes, got 2147483648$/,
    ],
    ["a buffer of nothing", { sendBufferSize: 0 }, /`sendBufferSize` from 1 to .*, got 0$/],
    ["a buffer that is no number", { sendBufferSize: "9" }, /`sendBufferSize` to be a number of/],
    ["a local address that is none", { local: null }, /`local` to be an address, .*, got null$/],
    ["a host that is no name", { local: { host: 5 } }, /`host` of type string, got 5$/],
    ["a queue of 0", { queueSize: 0 }, /`queueSize`, a whole number of 1 or more, got 0$/],
    ["a remote address without a port", { remote: { host: "a" } }, /`remote\.port` to be a number/],
    ["a port too high", { local: { port: 70_000 } }, /`local\.port` from 0 to 65,535, got 70000$/],
    ["a family of its own", { family: 5 }, /`family` to be 4 or 6, got 5$/],
  ] as const) {
    test(`${what} rejects`, async () => {
      await assert.rejects(createDatagramEndpoint(options as never), { message });
    });
  }

  test(
    "an address to send to is needed without a remote one, and refused with one",
    virtual(async () => {
      const [a, b] = await pair(new SimulatedNetwork());

      await assert.rejects(a.send("x"), /an address to send to, got undefined\. Give one, or open/);
      await assert.rejects(b.send("x", b.address), /expects no address but a:7, got "b:/);
      await assert.rejects(a.send(5 as never, b.address), /a Uint8Array or a string, got 5$/);
      a.close();
      b.close();
    }),
  );
});

describe("datagrams on real sockets", () => {
  test("go there and back, connected and not", async () => {
    await run(async () => {
      await using server = await createDatagramEndpoint(loopback);
      await using client = await createDatagramEndpoint({ remote: server.address });
      await client.send("ping");
      const ping = await server.receive();
      await server.send(`${text(ping)}, pong`, ping.from);

      const pong = await client.receive();

      assert.equal(text(pong), "ping, pong");
      assert.deepEqual([pong.from, pong.bytes.constructor], [server.address, Uint8Array]);
    });
  });

  test("a connected socket learns by ECONNREFUSED that nobody listens", async () => {
    await run(async () => {
      const gone = await createDatagramEndpoint(loopback);
      await using client = await createDatagramEndpoint({ remote: gone.address });
      gone.close();
      await gone.waitClosed();
      await client.send("anybody?");

      const code = await codeOf(client.receive());

      assert.equal(code, "ECONNREFUSED");
    });
  });

  test("one that is too long is refused by EMSGSIZE, and the next one goes out", async () => {
    await run(async () => {
      await using server = await createDatagramEndpoint(loopback);
      await using client = await createDatagramEndpoint({ remote: server.address });
      const code = await codeOf(client.send(new Uint8Array(70_000)));
      await client.send("short");

      assert.deepEqual([code, text(await server.receive())], ["EMSGSIZE", "short"]);
    });
  });

  test("an address that is taken is EADDRINUSE", async () => {
    await run(async () => {
      await using first = await createDatagramEndpoint(loopback);

      assert.equal(await codeOf(createDatagramEndpoint({ local: first.address })), "EADDRINUSE");
    });
  });

  test("sockets that ask for it share an address", async () => {
    await run(async () => {
      const shared: DatagramEndpointOptions = { ...loopback, reuseAddress: true };
      await using first = await createDatagramEndpoint(shared);
      await using second = await createDatagramEndpoint({ ...shared, local: first.address });

      assert.deepEqual(second.address, first.address);
    });
  });

  test("sending to everybody has to be allowed", async () => {
    await run(async () => {
      await using endpoint = await createDatagramEndpoint();

      assert.equal(
        await codeOf(endpoint.send("x", { host: "255.255.255.255", port: 9 })),
        "EACCES",
      );
    });
  });

  test("work over IPv6", async () => {
    await run(async () => {
      await using server = await createDatagramEndpoint({ local: { host: "::1" } });
      await using client = await createDatagramEndpoint({ remote: server.address });
      await client.send("six");

      assert.equal(text(await server.receive()), "six");
      const error = await rejection(client.send("x", { host: "::1", port: 1 }));
      assert.match(String(error), /expects no address but \[::1\]:\d+, got "\[::1\]:1"/);
    });
  });

  test("close waits until what was sent has left", async () => {
    await run(async () => {
      await using server = await createDatagramEndpoint(loopback);
      const client = await createDatagramEndpoint({ remote: server.address });
      for (let count = 0; count < 20; count++) void client.send(String(count));
      client.close();
      await client.waitClosed();
      const words: string[] = [];
      for (let count = 0; count < 20; count++) words.push(text(await server.receive()));

      assert.deepEqual(
        words,
        Array.from({ length: 20 }, (_, index) => String(index)),
      );
    });
  });

  test("abort tells who waits until something was sent", async () => {
    await run(async () => {
      const endpoint = await createDatagramEndpoint(loopback);
      const sent = rejection(endpoint.send("lost", { host: "localhost", port: 9 }));
      endpoint.abort();

      const error = await sent;
      assert.ok(error instanceof InvalidStateError);
      assert.match(error.message, /^`endpoint\.send` found datagram endpoint .* closed$/);
      await endpoint.waitClosed();
    });
  });

  test("buffers have the size that is asked for, or what the system makes of it", async () => {
    await run(async () => {
      const sizes = { receiveBufferSize: 65_536, sendBufferSize: 2 ** 31 - 1 };
      await using server = await createDatagramEndpoint({ ...loopback, ...sizes });
      await using client = await createDatagramEndpoint({ remote: server.address });
      await client.send("it fits");

      assert.equal(text(await server.receive()), "it fits");
    });
  });

  test("a cancelled receive takes nothing, and holds nothing", async () => {
    await run(async () => {
      await using server = await createDatagramEndpoint(loopback);
      await using client = await createDatagramEndpoint({ remote: server.address });
      const first = createTask(() => server.receive());
      await sleep(0);
      first.cancel();
      await client.send("for the second");

      assert.equal(text(await server.receive()), "for the second");
      assert.ok((await rejection(first)) instanceof CancelledError);
    });
  });

  test("opening one can be cancelled: there is no socket then", async () => {
    await run(async () => {
      const opening = createTask(() => createDatagramEndpoint(loopback), { eagerStart: true });
      opening.cancel();

      assert.ok((await rejection(opening)) instanceof CancelledError);
    });
    assert.deepEqual(await openSockets(), []);
  });

  test("a cancelled scope closes it without waiting", async () => {
    await run(async () => {
      await assert.rejects(
        timeout(0.01, async () => {
          await using server = await createDatagramEndpoint(loopback);
          await server.receive();
        }),
        { name: "TimeoutError" },
      );
    });
    assert.deepEqual(await openSockets(), []);
  });

  test("what is left open is closed when the run ends", async () => {
    let left: DatagramEndpoint | undefined;
    await run(async () => {
      left = await createDatagramEndpoint(loopback);
      void left.receive();
    });

    assert.equal(left?.isClosing(), true);
    assert.deepEqual(await openSockets(), []);
  });

  test("virtual time stands still while one is waited for", async () => {
    await runTest(async (t) => {
      await using server = await createDatagramEndpoint(loopback);
      await using client = await createDatagramEndpoint({ remote: server.address });
      const received = timeout(1, () => server.receive());
      await client.send("in time");
      await received;

      assert.equal(t.now, 0);
    });
  });
});

/** Once the host has had its time to close them. */
async function openSockets(): Promise<string[]> {
  for (let hops = 0; hops < 3; hops++) await new Promise((resolve) => setImmediate(resolve));
  return process.getActiveResourcesInfo().filter((kind) => kind.startsWith("UDP"));
}

let endpoint: DatagramEndpoint | undefined;
let arrived = 0;
let receiver: DatagramReceiver | undefined;
const port = {
  address: { host: "here", port: 1 },
  isOutside: false,
  send: () => true,
  close: (closed: () => void) => closed(),
};
conforms(
  "DatagramEndpoint.receive",
  {
    wakes: "one",
    hasFastPath: true,
    within: async (check) => {
      const open = async (inbox: DatagramReceiver) => {
        receiver = inbox;
        return port;
      };
      endpoint = await openEndpoint(open, 1000);
      await check();
      endpoint.close();
    },
  },
  () => ({
    begin: async () => (await endpoint?.receive())?.bytes,
    complete() {
      const bytes = new Uint8Array([++arrived]);
      receiver?.arrived({ bytes, from: port.address });
      return bytes;
    },
  }),
);

describe("a client and a server of datagrams, together", () => {
  /** Answers each datagram with its length, until it is cancelled. */
  async function serve(): Promise<void> {
    await using server = await createDatagramEndpoint({ local: { port: 7 } });
    for await (const { bytes, from } of server) await server.send(`${bytes.length}`, from);
  }

  /** Asks again until there is an answer. */
  async function ask(question: string): Promise<string> {
    await using client = await createDatagramEndpoint({ remote: { host: "a", port: 7 } });
    for (;;) {
      await client.send(question);
      const answer = await moveOnAfter(1, () => client.receive().catch(notYetThere));
      if (!answer.cancelled && answer.value !== undefined) return text(answer.value);
    }
  }

  /** The server may be later than its clients. */
  async function notYetThere(error: { code?: unknown }): Promise<undefined> {
    if (error.code !== "ECONNREFUSED") throw error;
    await sleep(1);
  }

  /** Two clients of one server; gives their answers. */
  async function conversation(network: SimulatedNetwork): Promise<string[]> {
    network.host("a");
    return await taskGroup(async (group: TaskGroup<string[]>) => {
      group.createTask(() => network.host("a").run(serve));
      const answers = ["x", "yyy"].map((question, index) =>
        group.createTask(() => network.host(`client ${index}`).run(() => ask(question))),
      );
      group.cancel(await gather(...answers));
      return await sleep(3600, []);
    });
  }

  test("answers arrive under every schedule", async () => {
    const found = await explore(
      async () => {
        const answers = await conversation(new SimulatedNetwork({ latency: 0.1 }));
        assert.deepEqual(answers, ["1", "3"]);
      },
      { iterations: 200, seed: 1, seconds: Number.POSITIVE_INFINITY },
    );

    assert.ok(found.schedules >= 50, String(found.schedules));
  });

  test("answers arrive although datagrams get lost", async () => {
    for (let seed = 1; seed <= 20; seed++)
      await runTest(async () => {
        const network = new SimulatedNetwork({ latency: [0.01, 0.4], loss: 0.4, seed });
        assert.deepEqual(await conversation(network), ["1", "3"]);
      });
  });

  test("cancelled at any wait, they leave no socket behind", async () => {
    await cancelSweep(async () => {
      await conversation(new SimulatedNetwork({ latency: 0.1 }));
    });
  });
});
