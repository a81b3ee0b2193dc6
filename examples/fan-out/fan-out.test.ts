import assert from "node:assert/strict";
import { on, once } from "node:events";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { WebSocket as WsClient } from "ws";
import { Program } from "../program.ts";
import { needs, runTool } from "../servers.ts";
import { Hub, type HubOptions } from "./hub.ts";

interface World {
  readonly hub: Hub;
  readonly network: testing.SimulatedNetwork;
  readonly server: asyncio.Server;
}

/** A hub on a simulated network; the body runs on another host. */
async function fanning(
  body: (world: World) => Promise<void>,
  options: Partial<HubOptions> & testing.NetworkOptions = {},
): Promise<void> {
  const { chunks, highWaterMark, latency, loss, seed, ...hubOptions } = options;
  const network = new testing.SimulatedNetwork({ chunks, highWaterMark, latency, loss, seed });
  const hub = new Hub({
    outbox: 3,
    pingSeconds: 30,
    maxBytes: 100,
    requestSeconds: 10,
    ...hubOptions,
  });
  await network.host("hub").run(async () => {
    await using server = await asyncio.startServer(hub.serve, { port: 80, highWaterMark });
    await network.host("clients").run(() => body({ hub, network, server }));
  });
}

/**
 * The streams of Node under `ws` work in ticks of their own, of which the virtual clock knows
 * nothing: it stands still only while somebody waits for work from outside. This gives them time to
 * do what they have to do now.
 */
function settle(): Promise<void> {
  return asyncio.cancellable(async () => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  });
}

/**
 * A client of the package `ws`, over a connection of ours. Not one of our sockets: those are what
 * is tested.
 */
class Client implements AsyncDisposable {
  readonly socket: WsClient;
  /** The code with which it was closed. */
  readonly closed: Promise<number>;
  readonly #messages: AsyncIterator<unknown[]>;

  private constructor(socket: WsClient) {
    this.socket = socket;
    this.#messages = on(socket, "message", { close: ["close"] });
    this.closed = new Promise((resolve) => socket.on("close", resolve));
  }

  static async connect(path: string): Promise<Client> {
    const connection = await asyncio.openConnection("hub", 80);
    const socket = new WsClient(`ws://hub${path}`, {
      createConnection: () => asyncio.toNodeStream(connection) as never, // all that is asked of it
      perMessageDeflate: false,
    });
    const client = new Client(socket);
    socket.on("error", () => {}); // it is closed then
    await asyncio.cancellable(() => once(socket, "open"));
    return client;
  }

  say(message: string): void {
    this.socket.send(message);
  }

  /** The next message; undefined when it is closed. */
  async hear(): Promise<string | undefined> {
    const { done, value } = await asyncio.cancellable(() => this.#messages.next());
    return done === true ? undefined : String(value[0]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.terminate();
    await asyncio.cleanup(1, settle);
  }
}

describe("on a simulated network", () => {
  test("what is said on a topic is heard there by all others, and nowhere else", () =>
    testing.runTest(() =>
      fanning(
        async ({ hub }) => {
          await using ada = await Client.connect("/tea");
          await using bob = await Client.connect("/tea");
          await using eve = await Client.connect("/coffee");
          ada.say("hello");
          assert.equal(await bob.hear(), "hello");
          bob.say("good day");
          assert.equal(await ada.hear(), "good day");
          hub.publish("/coffee", "news");
          assert.equal(await eve.hear(), "news");
        },
        { chunks: "bytes" },
      ),
    ));

  test("a slow listener holds nobody up, gets the newest, and is told what it has missed", () =>
    testing.runTest((t) =>
      fanning(
        async ({ hub }) => {
          await using slow = await Client.connect("/tea");
          await using quick = await Client.connect("/tea");
          slow.socket.pause();
          const all = Array.from({ length: 20 }, (_, index) => `${index} ${"x".repeat(80)}`);
          for (const message of all) {
            hub.publish("/tea", message);
            assert.equal(await quick.hear(), message);
          }
          assert.equal(t.now, 0);
          slow.socket.resume();

          const heard: string[] = [];
          while (heard.at(-1) !== all.at(-1)) heard.push((await slow.hear()) ?? assert.fail());

          const [told = "", ...more] = heard.filter((message) => message.startsWith("{"));
          assert.deepEqual(more, []);
          assert.deepEqual(JSON.parse(told), { missed: 20 - (heard.length - 1) });
          assert.deepEqual(heard.slice(-3), all.slice(-3));
        },
        { highWaterMark: 100 },
      ),
    ));

  test("a peer that has lost its network is let go after two times of asking", () =>
    testing.runTest((t) =>
      fanning(async ({ hub, network, server }) => {
        const lost = await Client.connect("/tea");
        await asyncio.sleep(31);
        await settle(); // it answers
        network.partition("clients", "hub");
        server.close();
        await server.waitClosed();
        assert.equal(t.now, 90);
        assert.equal(hub.listeners("/tea"), 0);
        lost.socket.terminate();
      }),
    ));

  test("a message that is too large ends the one who sent it", () =>
    testing.runTest(() =>
      fanning(async ({ hub }) => {
        await using large = await Client.connect("/tea");
        large.say("x".repeat(101));
        assert.equal(await asyncio.cancellable(() => large.closed), 1009);
        await settle();
        assert.equal(hub.listeners("/tea"), 0);
      }),
    ));

  /** Sends this, and gives what comes until the hub ends the connection. */
  async function say(request: string): Promise<string> {
    await using connection = await asyncio.openConnection("hub", 80);
    await connection.writer.write(request);
    return new TextDecoder("latin1").decode(await connection.reader.read());
  }

  const upgrade = [
    "GET /tea HTTP/1.1",
    "Host: hub",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
    "Sec-WebSocket-Version: 13",
    "\r\n",
  ].join("\r\n");

  test("who is no WebSocket is answered as HTTP does", () =>
    testing.runTest((t) =>
      fanning(async () => {
        assert.match(await say("GET / HTTP/1.1\r\nHost: hub\r\n\r\n"), /^HTTP\/1\.1 400 /);
        assert.match(await say(upgrade.replace("GET", "POST")), /^HTTP\/1\.1 405 /);
        assert.match(await say("hello\r\n\r\n"), /^HTTP\/1\.1 400 /);
        assert.match(await say("x".repeat(10_000)), /^HTTP\/1\.1 400 /);
        assert.equal(t.now, 0);
        assert.match(await say("GET"), /^HTTP\/1\.1 400 /);
        assert.equal(t.now, 10);
      }),
    ));

  test("a peer that breaks the protocol is let go, and disturbs nobody", () =>
    testing.runTest(() =>
      fanning(async ({ hub }) => {
        await using ada = await Client.connect("/tea");
        const answer = await say(`${upgrade}\xff\xff\xff\xff`);
        assert.match(answer, /^HTTP\/1\.1 101 /);
        assert.ok(answer.endsWith("\u02c6\u0002\u0003\u00ea"), answer); // closed with 1002: a protocol error
        hub.publish("/tea", "still here");
        assert.equal(await ada.hear(), "still here");
        await settle();
        assert.equal(hub.listeners("/tea"), 1);
      }),
    ));

  test("a peer that vanishes has left", () =>
    testing.runTest(() =>
      fanning(async ({ hub, network }) => {
        const first = await Client.connect("/tea");
        const second = await Client.connect("/tea");
        first.socket.terminate();
        await settle();
        assert.equal(hub.listeners("/tea"), 1);
        network.reset("clients", "hub");
        await settle();
        assert.equal(hub.listeners("/tea"), 0);
        assert.equal(await asyncio.cancellable(() => second.closed), 1006);
      }),
    ));

  test("the end of the server is said, and not waited for", () =>
    testing.runTest((t) =>
      fanning(async ({ server }) => {
        await using ada = await Client.connect("/tea");
        await using deaf = await asyncio.openConnection("hub", 80);
        await deaf.writer.write(upgrade);
        await deaf.reader.readUntil("\r\n\r\n");

        const ending = asyncio.createTask(() => server.shutdown(0));
        assert.equal(await asyncio.cancellable(() => ada.closed), 1001);
        assert.equal(t.now, 0);

        await ending;
        assert.equal(t.now, 1);
      }),
    ));

  const conversation = () =>
    fanning(async () => {
      await using ada = await Client.connect("/tea");
      await using bob = await Client.connect("/tea");
      ada.say("hello");
      assert.equal(await bob.hear(), "hello");
    });

  test("a conversation goes well under every schedule", async () => {
    const found = await testing.explore(conversation, { iterations: 30, seconds: 30 });
    assert.ok(found.distinct > 10, String(found.distinct));
  });

  test("wherever it is cancelled, nothing is left", async () => {
    const found = await testing.cancelSweep(conversation, { depth: 1, seconds: 10 });
    assert.ok(found.places > 20, String(found.places));
  });
});

describe("on real sockets", () => {
  async function withProgram(body: (program: Program, at: string) => Promise<void>): Promise<void> {
    const program = new Program("fan-out/main.ts", "--listen", "127.0.0.1:0");
    try {
      const port = await program.port();
      await asyncio.run(() => body(program, `127.0.0.1:${port}`));
    } finally {
      program.child.kill("SIGKILL");
    }
  }

  test("the host's own WebSocket talks to it; Ctrl-C says good-bye and ends by the signal", () =>
    withProgram(async (program, at) => {
      const [ada, bob] = [new WebSocket(`ws://${at}/tea`), new WebSocket(`ws://${at}/tea`)];
      for (const one of [ada, bob]) await asyncio.cancellable(() => once(one, "open"));
      const heard = once(bob, "message");
      ada.send("caf\u00e9");
      const [{ data }] = await asyncio.cancellable(() => heard);
      assert.equal(data, "caf\u00e9");

      const closed = [ada, bob].map((one) => once(one, "close"));
      const ending = program.end("SIGINT");
      for (const one of closed) {
        const [{ code, reason }] = await asyncio.cancellable(() => one);
        assert.deepEqual({ code, reason }, { code: 1001, reason: "the server goes down" });
      }
      assert.deepEqual(await ending, { code: null, signal: "SIGINT", stderr: "" });
    }));

  test("curl, which is no WebSocket, is told so", needs("curl"), () =>
    withProgram(async (_program, at) => {
      const { stdout } = await runTool("curl", ["--silent", "--include", `http://${at}/tea`]);
      assert.match(stdout, /^HTTP\/1\.1 400 Bad Request\r\n/);
    }),
  );
});

test("wrong arguments end with a sentence", async () => {
  for (const args of [["--outbox", "0"], ["--ping", "0"], ["--fly"]]) {
    const { code, stderr } = await new Program("fan-out/main.ts", ...args).end();
    assert.equal(code, 2);
    assert.match(stderr, /Usage: /);
  }
});
