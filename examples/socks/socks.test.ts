import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { Program } from "../program.ts";
import { needs, runTool } from "../servers.ts";
import { type SocksOptions, type SocksSummary, serveSocks } from "./socks.ts";

const { openConnection, startServer } = asyncio;

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);
const bytes = (string: string) => [...new TextEncoder().encode(string)];

interface World {
  readonly network: testing.SimulatedNetwork;
  readonly summaries: SocksSummary[];
  connect(): Promise<asyncio.Connection>;
  /** Sends these bytes, and gives all that comes until the proxy ends the connection. */
  ask(...request: readonly (number | string)[]): Promise<number[]>;
}

/** Answers when the question has ended. */
const reverse: asyncio.ConnectionHandler = async (reader, writer) => {
  await writer.write([...text(await reader.read())].reverse().join(""));
};

/** A client, a proxy and a target, each on its host. */
async function proxying(
  body: (world: World) => Promise<void>,
  options: Partial<SocksOptions> & testing.NetworkOptions = {},
): Promise<void> {
  const { chunks, highWaterMark, latency, loss, seed, ...socksOptions } = options;
  const network = new testing.SimulatedNetwork({ chunks, highWaterMark, latency, loss, seed });
  const summaries: SocksSummary[] = [];
  const handler = serveSocks({
    requestSeconds: 10,
    connectSeconds: 5,
    idleSeconds: 60,
    onEnd: (summary) => summaries.push(summary),
    ...socksOptions,
  });
  await network.host("target").run(async () => {
    const serve = () => startServer(reverse, { port: 80 });
    await using _target = await serve();
    await using _four = await network.host("192.0.2.7").run(serve);
    await using _six = await network.host("2001:db8:0:0:0:0:0:1").run(serve);
    await network.host("proxy").run(async () => {
      await using server = await startServer(handler, { port: 1080 });
      await network.host("client").run(async () => {
        const connect = () => openConnection("proxy", 1080);
        const ask = async (...request: readonly (number | string)[]) => {
          await using connection = await connect();
          const parts = request.map((part) => (typeof part === "string" ? bytes(part) : [part]));
          await connection.writer.write(Uint8Array.from(parts.flat()));
          connection.writer.writeEof();
          return [...(await connection.reader.read())];
        };
        await body({ network, summaries, connect, ask });
      });
      await server.shutdown(1);
    });
  });
}

const hello = [5, 1, 0] as const;
const toTarget = [5, 1, 0, 3, 6, "target", 0, 80] as const;
const granted = (answer: readonly number[]) => {
  assert.deepEqual(answer.slice(0, 6), [5, 0, 5, 0, 0, 1]);
  return text(Uint8Array.from(answer.slice(12)));
};
const httpHead = "CONNECT target:80 HTTP/1.1\r\nHost: target:80\r\n";

describe("on a simulated network", () => {
  test("connects by name and by address, and half a close goes through", () =>
    testing.runTest(() =>
      proxying(
        async ({ ask, summaries }) => {
          assert.equal(granted(await ask(...hello, ...toTarget, "stressed")), "desserts");
          const address = [0x20, 0x01, 0x0d, 0xb8, ...Array(11).fill(0), 1];
          assert.equal(granted(await ask(...hello, 5, 1, 0, 4, ...address, 0, 80, "ab")), "ba");
          assert.equal(granted(await ask(...hello, 5, 1, 0, 1, 192, 0, 2, 7, 0, 80, "ab")), "ba");
          await asyncio.sleep(1);
          const [first] = summaries;
          assert.deepEqual(
            { ...first, client: "", seconds: 0 },
            {
              client: "",
              target: { host: "target", port: 80 },
              sent: 8,
              received: 8,
              seconds: 0,
              ending: "done",
            },
          );
        },
        { chunks: "bytes", latency: 0.01 },
      ),
    ));

  test("CONNECT of HTTP is spoken on the same port", () =>
    testing.runTest(() =>
      proxying(
        async ({ ask }) => {
          const answer = text(Uint8Array.from(await ask(`${httpHead}\r\nstressed`)));
          assert.equal(answer, "HTTP/1.1 200 Connected\r\n\r\ndesserts");
        },
        { chunks: "bytes" },
      ),
    ));

  test("names and passwords, in both protocols", () =>
    testing.runTest(() =>
      proxying(
        async ({ ask, summaries }) => {
          const logIn = (password: string) => [5, 2, 0, 2, 1, 3, "ada", password.length, password];
          const right = await ask(...logIn("secret"), ...toTarget, "ab");
          assert.deepEqual(right.slice(0, 6), [5, 2, 1, 0, 5, 0]);
          assert.equal(text(Uint8Array.from(right.slice(14))), "ba");
          assert.deepEqual(await ask(...logIn("wrong"), ...toTarget), [5, 2, 1, 1]);
          assert.deepEqual(await ask(...hello, ...toTarget), [5, 0xff]);

          const authorization = `Proxy-Authorization: Basic ${btoa("ada:secret")}\r\n`;
          const http = async (head: string) =>
            text(Uint8Array.from(await ask(`${httpHead}${head}\r\n`)));
          assert.match(await http(""), /^HTTP\/1\.1 407 /);
          assert.match(await http(authorization), /^HTTP\/1\.1 200 /);
          await asyncio.sleep(1);
          assert.deepEqual(
            summaries.map(({ ending }) => ending),
            ["done", "has no right password", "offers no way in", "has no right password", "done"],
          );
        },
        { users: new Map([["ada", "secret"]]) },
      ),
    ));

  test("why there is no connection is said in the client's own protocol", () =>
    testing.runTest(() =>
      proxying(
        async ({ ask, network }) => {
          const answer = async (name: string, port: number) => [
            (await ask(...hello, 5, 1, 0, 3, name.length, name, 0, port))[3],
            text(Uint8Array.from(await ask(`CONNECT ${name}:${port} HTTP/1.1\r\n\r\n`))).slice(
              9,
              12,
            ),
          ];
          assert.deepEqual(await answer("target", 81), [5, "502"]);
          assert.deepEqual(await answer("nowhere", 80), [4, "502"]);
          assert.deepEqual(await answer("target", 22), [2, "403"]);
          network.partition("proxy", "target");
          assert.deepEqual(await answer("target", 80), [6, "504"]);
        },
        { allows: ({ port }) => port !== 22 },
      ),
    ));

  test("what is no request is refused, and disturbs nobody", () =>
    testing.runTest(() =>
      proxying(async ({ ask, summaries }) => {
        assert.deepEqual(await ask("GET / HTTP/1.1\r\n\r\n"), []);
        assert.deepEqual(await ask(4, 1, 0, 80, 127, 0, 0, 1, 0), []);
        assert.deepEqual(await ask(5, 0), [5, 0xff]);
        assert.deepEqual((await ask(...hello, 5, 2, 0, 1, 1, 2, 3, 4, 0, 80)).slice(3, 4), [7]);
        assert.deepEqual((await ask(...hello, 5, 1, 0, 9)).slice(3, 4), [8]);
        assert.deepEqual((await ask(...hello, 5, 1, 0, 3, 3, "a\0b", 0, 80)).slice(3, 4), [8]);
        assert.deepEqual((await ask(...hello, 5, 1, 0, 3, 0, 0, 80)).slice(3, 4), [8]);
        assert.match(
          text(Uint8Array.from(await ask("CONNECT a HTTP/1.1\r\n\r\n"))),
          /^HTTP\/1\.1 400 /,
        );
        await assert.rejects(ask("C".repeat(100_000)), { code: "ECONNRESET" });
        await assert.rejects(ask(...hello, 5, 1), { code: "ECONNRESET" });
        await asyncio.sleep(1);
        assert.equal(summaries.length, 10);
        assert.ok(summaries.every(({ ending }) => ending !== "done"));
      }),
    ));

  test("who takes too long to say what it wants is given up", () =>
    testing.runTest((t) =>
      proxying(async ({ connect, summaries }) => {
        await using connection = await connect();
        for (const byte of hello) {
          await connection.writer.write(Uint8Array.of(byte));
          await asyncio.sleep(3);
        }
        assert.deepEqual([...(await connection.reader.readExactly(2))], [5, 0]);

        await assert.rejects(connection.reader.read(), { code: "ECONNRESET" });

        assert.equal(t.now, 10);
        assert.equal(summaries[0]?.ending, "no request in 10 s");
      }),
    ));

  const conversation = () =>
    proxying(async ({ ask }) => {
      assert.equal(granted(await ask(...hello, ...toTarget, "ab")), "ba");
    });

  test("a conversation goes well under every schedule", async () => {
    const found = await testing.explore(conversation, { iterations: 100, seconds: 30 });

    assert.ok(found.distinct > 20, String(found.distinct));
  });

  test("wherever it is cancelled, nothing is left", async () => {
    const found = await testing.cancelSweep(conversation, { depth: 1, seconds: 10 });

    assert.ok(found.places > 10, String(found.places));
  });
});

describe("on real sockets", () => {
  /** A web server of one page, of our own: what is tested are the proxy and its client. */
  const web: asyncio.ConnectionHandler = async (reader, writer) => {
    await reader.readUntil("\r\n\r\n");
    await writer.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
  };

  async function withProgram(
    args: readonly string[],
    body: (program: Program, proxy: string, web: string) => Promise<void>,
  ): Promise<void> {
    await asyncio.run(async () => {
      await using server = await startServer(web, "127.0.0.1", 0);
      const program = new Program("socks/main.ts", "--listen", "127.0.0.1:0", ...args);
      try {
        const proxy = `127.0.0.1:${await program.port()}`;
        await body(program, proxy, `http://localhost:${server.sockets[0].port}/`);
        assert.deepEqual(await program.end("SIGINT"), { code: null, signal: "SIGINT", stderr: "" });
      } finally {
        program.child.kill("SIGKILL");
      }
    });
  }

  const curl = (...args: string[]) =>
    runTool("curl", ["--silent", "--show-error", "--noproxy", "", "-4", ...args]);

  test("curl goes through by name, by address, and by CONNECT", needs("curl"), () =>
    withProgram([], async (program, proxy, url) => {
      for (const way of [
        ["--socks5-hostname", proxy],
        ["--socks5", proxy],
        ["--proxytunnel", "--proxy", `http://${proxy}`],
      ]) {
        assert.deepEqual(await curl(...way, url), { returncode: 0, stdout: "hello", stderr: "" });
        assert.match(await program.line(), /^127.* to (localhost|127.*):\d+ sent \d+ B, .*: done$/);
      }
    }),
  );

  test("curl is asked for its name, and told what it may not", needs("curl"), () =>
    withProgram(["--user", "ada:s:cret", "--ports", "1"], async (_program, proxy, url) => {
      const refused = await curl("--socks5-hostname", proxy, url);
      assert.equal(refused.returncode, 97);
      const wrong = await curl("--proxy-user", "ada:x", "--socks5-hostname", proxy, url);
      assert.equal(wrong.returncode, 97);
      const elsewhere = await curl("--proxy-user", "ada:s:cret", "--socks5-hostname", proxy, url);
      assert.match(elsewhere.stderr, /\(2\)/); // not allowed by the rules
      const http = ["--proxytunnel", "--proxy", `http://${proxy}`];
      assert.match((await curl(...http, url)).stderr, /407/);
      assert.match((await curl("--proxy-user", "ada:s:cret", ...http, url)).stderr, /403/);
    }),
  );
});

test("wrong arguments end with a sentence", async () => {
  for (const args of [
    ["--user", "ada"],
    ["--ports", "http"],
    ["--idle", "long"],
  ]) {
    const { code, stderr } = await new Program("socks/main.ts", ...args).end();
    assert.equal(code, 2);
    assert.match(stderr, /^[^\n]+\n\nUsage: /);
  }
});
