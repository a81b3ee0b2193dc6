import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server as NodeServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";

const { openConnection, openUnixConnection, run, startServer, startUnixServer } = asyncio;

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);

const echo: asyncio.ConnectionHandler = async (reader, writer) => {
  for await (const line of reader) await writer.write(line);
};

function inTemporaryFolder(body: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "asyncio-"));
    try {
      await run(() => body(folder));
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

describe("openConnection", () => {
  test("a connection that was left open ends with its run, after what was written", async () => {
    const peer = createServer();
    const received = new Promise<string>((resolve) => {
      peer.on("connection", (socket) => {
        let all = "";
        socket.on("data", (chunk) => {
          all += chunk;
        });
        socket.on("close", () => resolve(all));
      });
    });
    await new Promise<void>((resolve) => peer.listen(0, "127.0.0.1", resolve));
    const { port } = peer.address() as { port: number };

    await run(async () => {
      const [, writer] = await openConnection("127.0.0.1", port);
      await writer.write("last words");
    });

    assert.equal(await received, "last words");
    peer.close();
  });

  test("gives reader and writer, by place and by name", async () => {
    await run(async () => {
      await using server = await startServer(echo, "127.0.0.1", 0);
      const { port } = server.sockets[0];
      const [reader, writer] = await openConnection("127.0.0.1", port);
      const second = await openConnection({ host: "127.0.0.1", port });

      assert.ok(reader instanceof asyncio.StreamReader);
      assert.ok(writer instanceof asyncio.StreamWriter);
      assert.deepEqual([...second], [second.reader, second.writer]);

      writer.close();
      second.writer.close();
    });
  });

  test("finds a host by its name", async () => {
    await run(async () => {
      await using server = await startServer(echo, "127.0.0.1", 0);
      await using connection = await openConnection("localhost", server.sockets[0].port, {
        family: 4,
      });
      await connection.writer.write("x\n");
      assert.equal(text(await connection.reader.readLine()), "x\n");
    });
  });

  test("passes `limit` and the water marks on", async () => {
    await run(async () => {
      await using server = await startServer(echo, { host: "127.0.0.1" });
      const { port } = server.sockets[0];
      await using connection = await openConnection("127.0.0.1", port, { limit: 3 });
      connection.writer.write("too long\n");

      assert.equal(connection.reader.limit, 3);
      await assert.rejects(connection.reader.readLine(), asyncio.LimitOverrunError);
      await assert.rejects(openConnection("127.0.0.1", port, { limit: 0 }), RangeError);
      await assert.rejects(openConnection("127.0.0.1", port, { lowWaterMark: -1 }), RangeError);
    });
  });

  test("tells the addresses of both ends, also after the end", async () => {
    await run(async () => {
      await using server = await startServer(echo, { host: "127.0.0.1" });
      const { port } = server.sockets[0];
      const { writer } = await openConnection("127.0.0.1", port, {
        localAddress: { host: "127.0.0.2" },
      });

      assert.equal(writer.getExtraInfo("sockname")?.host, "127.0.0.2");
      assert.notEqual(writer.getExtraInfo("socket"), undefined);
      writer.close();
      await writer.waitClosed();
      assert.deepEqual(writer.getExtraInfo("peername"), { host: "127.0.0.1", port });
    });
  });

  test("keeps the host's code where nobody listens, and where there is no host", async () => {
    await run(async () => {
      const server = await startServer(echo, { host: "127.0.0.1" });
      const { port } = server.sockets[0];
      server.close();

      await assert.rejects(openConnection("127.0.0.1", port), { code: "ECONNREFUSED" });
      await assert.rejects(openConnection("no-such-host.invalid", 80), (error) =>
        ["ENOTFOUND", "EAI_AGAIN"].includes((error as NodeJS.ErrnoException).code ?? ""),
      );
    });
  });

  test("refuses what it cannot use", async () => {
    await run(async () => {
      // @ts-expect-error
      await assert.rejects(openConnection(80), TypeError);
      // @ts-expect-error
      await assert.rejects(openConnection("127.0.0.1"), TypeError);
      await assert.rejects(openConnection("127.0.0.1", 1.5), RangeError);
      await assert.rejects(openConnection("", 80), RangeError);
      for (const port of [Number.NaN, 0.5, -1])
        await assert.rejects(openConnection("127.0.0.1", 80, { localAddress: { port } }), {
          name: "RangeError",
          message: /`localAddress.port` to be a port from 0 to 65,535, got/,
        });
      const localAddress = { host: 1 as unknown as string };
      await assert.rejects(openConnection("127.0.0.1", 80, { localAddress }), TypeError);
      for (const answer of [{}, undefined, null, 1]) {
        const resolver = async () => [answer as string];
        await assert.rejects(openConnection("name", 80, { resolver }), {
          name: "TypeError",
          message: /`resolver` expects to give addresses/,
        });
      }
      // @ts-expect-error
      await assert.rejects(openUnixConnection(1), TypeError);
    });
  });

  test("names of hosts have no NUL, wherever they come from", async () => {
    const host = "localhost\0.example.org";
    const resolver = async () => [host];
    const network = new testing.SimulatedNetwork();
    const check = async () => {
      const calls = [
        () => openConnection(host, 80),
        () => openConnection("localhost", 80, { localAddress: { host } }),
        () => openConnection("localhost", 80, { resolver }),
        () => openConnection("localhost", 80, { tls: { serverHostname: host } }),
        () => startServer(echo, host, 0),
        () => startServer(echo, ["127.0.0.1", host], 0),
        () => asyncio.createDatagramEndpoint({ local: { host } }),
        () => asyncio.createDatagramEndpoint({ remote: { host, port: 9 } }),
      ];
      for (const call of calls)
        await assert.rejects(call, { name: "RangeError", message: /without a NUL, got/ });
      await using endpoint = await asyncio.createDatagramEndpoint();
      await assert.rejects(endpoint.send("x", { host, port: 9 }), RangeError);
    };
    await run(check);
    await run(() => network.host("a").run(check), { loop: new testing.VirtualLoop() });
  });

  test("cancelled, there is no connection", async () => {
    const network = new testing.SimulatedNetwork({ latency: 1 });
    await testing.runTest(async (t) => {
      await using server = await network.host("server").run(() => startServer(echo, { port: 80 }));
      const connect = () => network.host("client").run(() => openConnection("server", 80));

      await assert.rejects(asyncio.timeout(1.5, connect), asyncio.TimeoutError);

      await asyncio.sleep(3);
      assert.equal(server.connections, 0);
      assert.equal(t.now, 4.5);
    });
  });

  test("disposing a connection closes it", async () => {
    await run(async () => {
      const ended: string[] = [];
      await using server = await startServer(
        async (reader) => {
          ended.push(text(await reader.read()));
        },
        { host: "127.0.0.1" },
      );
      {
        await using connection = await openConnection("127.0.0.1", server.sockets[0].port);
        connection.writer.write("all of it");
      }
      server.close();
      await server.waitClosed();

      assert.deepEqual(ended, ["all of it"]);
    });
  });
});

describe("Unix sockets", () => {
  test(
    "are served and connected to by path",
    inTemporaryFolder(async (folder) => {
      const path = join(folder, "socket");
      await using server = await startUnixServer(echo, path);
      await using connection = await openUnixConnection(path);
      const { reader, writer } = connection;
      await writer.write("x\n");

      assert.equal(text(await reader.readLine()), "x\n");
      assert.deepEqual(server.sockets, [{ host: "", port: 0, path }]);
      assert.equal(writer.getExtraInfo("peername")?.path, path);
    }),
  );

  test(
    "are removed on close (S149)",
    inTemporaryFolder(async (folder) => {
      const path = join(folder, "socket");
      const server = await startUnixServer(echo, path);
      assert.equal(existsSync(path), true);

      server.close();

      assert.equal(existsSync(path), false);
      await assert.rejects(openUnixConnection(path), { code: "ENOENT" });
    }),
  );

  test(
    "are left alone on close when they belong to another by then (S149)",
    inTemporaryFolder(async (folder) => {
      const path = join(folder, "socket");
      const first = await startUnixServer(echo, path);
      await using _second = await startUnixServer(echo, path);

      first.close();
      await first.waitClosed();

      await using connection = await openUnixConnection(path);
      await connection.writer.write("still there\n");
      assert.equal(text(await connection.reader.readLine()), "still there\n");
    }),
  );

  test(
    "are kept with `cleanupSocket: false` (S149)",
    inTemporaryFolder(async (folder) => {
      const path = join(folder, "socket");
      const server = await startUnixServer(echo, path, { cleanupSocket: false });

      server.close();
      await server.waitClosed();

      assert.equal(existsSync(path), true);
    }),
  );

  test(
    "are removed also when their path is relative, and the program has changed its directory",
    inTemporaryFolder(async (folder) => {
      const before = process.cwd();
      try {
        process.chdir(folder);
        const starting = startUnixServer(echo, "socket");
        process.chdir(before);
        const server = await starting;
        assert.equal(existsSync(join(folder, "socket")), true);

        server.close();

        assert.equal(existsSync(join(folder, "socket")), false);
      } finally {
        process.chdir(before);
      }
    }),
  );

  test(
    "replace what a server that crashed has left, and nothing else",
    inTemporaryFolder(async (folder) => {
      const path = join(folder, "socket");
      writeFileSync(path, "a file");
      await assert.rejects(startUnixServer(echo, path), { code: "EADDRINUSE" });
    }),
  );

  test(
    "that cannot be bound are named in the error",
    inTemporaryFolder(async (folder) => {
      const path = join(folder, "no", "such");

      await assert.rejects(startUnixServer(echo, path), {
        code: "ENOENT",
        message: `listen ENOENT ${path}`,
        address: path,
      });
    }),
  );

  test(
    "take no name that something else has",
    inTemporaryFolder(async (folder) => {
      const drawn = [0.123456789, 0.123456789, 0.987654321];
      const { random } = Math;
      writeFileSync(join(folder, `.${(0.123456789).toString(36).slice(2, 10)}`), "a file");
      const path = join(folder, "socket");
      Math.random = () => drawn.shift() ?? 0;

      try {
        await using _server = await startUnixServer(echo, path);
        await using connection = await openUnixConnection(path);
        await connection.writer.write("x\n");
        assert.equal(text(await connection.reader.readLine()), "x\n");
      } finally {
        Math.random = random;
      }

      assert.deepEqual(drawn, []);
    }),
  );

  test("have paths of a length that the system takes", { skip: process.platform === "win32" }, () =>
    run(async () => {
      for (const path of ["", "x".repeat(108), "\u00e4".repeat(54)]) {
        await assert.rejects(startUnixServer(echo, path), RangeError);
        await assert.rejects(openUnixConnection(path), RangeError);
      }
    }),
  );

  test(
    "may have paths that are as long as they can be",
    inTemporaryFolder(async (folder) => {
      // No other name fits into its folder.
      const longest = process.platform === "linux" ? 107 : 103;
      const inner = join(folder, "x".repeat(longest - folder.length - 3));
      mkdirSync(inner);
      const path = join(inner, "s");
      const { TMPDIR } = process.env;
      const temporary = mkdtempSync(join(tmpdir(), "t-"));
      process.env.TMPDIR = temporary;
      const first = await startUnixServer(echo, path);
      await using second = await startUnixServer(echo, path);
      first.close();
      await first.waitClosed();

      await using connection = await openUnixConnection(path);
      await connection.writer.write("x\n");
      assert.equal(text(await connection.reader.readLine()), "x\n");
      await second[Symbol.asyncDispose]();
      assert.deepEqual(readdirSync(inner), []);
      const kept = await startUnixServer(echo, path, { cleanupSocket: false });
      await kept[Symbol.asyncDispose]();
      assert.deepEqual(readdirSync(inner), ["s"]);
      assert.deepEqual(readdirSync(temporary), []);
      rmSync(temporary, { recursive: true });
      process.env.TMPDIR = TMPDIR ?? "";
    }),
  );

  test(
    "that are long replace what a server that crashed has left, and nothing else",
    inTemporaryFolder(async (folder) => {
      const longest = process.platform === "linux" ? 107 : 103;
      const inner = join(folder, "x".repeat(longest - folder.length - 3));
      mkdirSync(inner);
      const path = join(inner, "s");
      const crashed = await startUnixServer(echo, path, { cleanupSocket: false });
      await crashed[Symbol.asyncDispose]();
      await using server = await startUnixServer(echo, path);
      await using connection = await openUnixConnection(path);
      await connection.writer.write("x\n");
      assert.equal(text(await connection.reader.readLine()), "x\n");
      await server[Symbol.asyncDispose]();

      writeFileSync(path, "a file");
      await assert.rejects(startUnixServer(echo, path), { code: "EADDRINUSE" });
      assert.equal(readFileSync(path, "utf8"), "a file");
      const missing = join(folder, "y".repeat(longest - folder.length - 3), "s");
      await assert.rejects(startUnixServer(echo, missing), { address: missing });
    }),
  );

  test("are refused with a NUL in them, but for the first character of an abstract name", async () => {
    const network = new testing.SimulatedNetwork();
    const wrong = ["/run/socket\0", "/run/socket\0x", "\0", "\0name\0", "\0a\0b"];
    const check = async () => {
      for (const path of wrong) {
        const expected = { name: "RangeError", message: /expects a path without a NUL/ };
        await assert.rejects(openUnixConnection(path), expected);
        await assert.rejects(startUnixServer(echo, path), expected);
      }
    };
    await run(check);
    await run(() => network.host("a").run(check), { loop: new testing.VirtualLoop() });
  });

  test("may be abstract", { skip: process.platform !== "linux" }, async () => {
    await run(async () => {
      const path = `\0asyncio-ts-${process.pid}`;
      await using _server = await startUnixServer(echo, path);
      await using connection = await openUnixConnection(path);
      await connection.writer.write("x\n");
      assert.equal(text(await connection.reader.readLine()), "x\n");
    });
  });

  test("work on a simulated host, which sees its own only", async () => {
    const network = new testing.SimulatedNetwork();
    await testing.runTest(async () => {
      const path = "/run/socket";
      await network.host("a").run(async () => {
        await using _server = await startUnixServer(echo, path);
        await using connection = await openUnixConnection(path);
        await connection.writer.write("x\n");
        assert.equal(text(await connection.reader.readLine()), "x\n");
        const elsewhere = network.host("b").run(() => openUnixConnection(path));
        await assert.rejects(elsewhere, { code: "ENOENT" });
      });
    });
  });
});

test("a connection to a server of the host's own works the same", async () => {
  await run(async () => {
    const server: NodeServer = createServer((socket) => {
      socket.end("from node:net");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    await using connection = await openConnection("127.0.0.1", port);
    server.close();

    assert.equal(text(await connection.reader.read()), "from node:net");
  });
});
