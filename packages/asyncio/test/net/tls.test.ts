import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { rejection } from "../virtual.ts";
import { ca, certificate } from "./certificates.ts";
import { bareServer, closing, codeOf, echo, local, serve, server, text } from "./tls-servers.ts";

const { createTask, openConnection, run, startServer } = asyncio;

describe("a connection by TLS", () => {
  test("echoes, and tells what it is", () =>
    run(async () => {
      const { server, open } = await serve(echo);

      await using connection = await open();
      const { reader, writer } = connection;
      await writer.write("hello\n");

      assert.equal(text(await reader.readLine()), "hello\n");
      assert.equal(writer.getExtraInfo("tlsVersion"), "TLSv1.3");
      assert.match(writer.getExtraInfo("cipher")?.name ?? "", /^TLS_/);
      assert.equal(writer.getExtraInfo("peercert")?.subject.CN, "localhost");
      assert.equal(writer.getExtraInfo("serverHostname"), "localhost");
      assert.equal(writer.getExtraInfo("alpnProtocol"), undefined);
      assert.equal(writer.getExtraInfo("peername")?.port, server.sockets[0].port);
      assert.equal(writer.getExtraInfo("sockname")?.host, local);
      assert.equal(writer.getExtraInfo("socket")?.constructor.name, "TLSSocket");
      await server[Symbol.asyncDispose]();
    }));

  const isNode = !("Deno" in globalThis || "Bun" in globalThis);
  const skip = isNode ? false : "this is what Node alone has";

  test("reads into one memory, and copies what is small out together", { skip }, () =>
    run(async () => {
      const { server, open } = await serve(echo);

      await using connection = await open();
      const { reader, writer } = connection;
      await writer.write("hello\n");
      const chunk = await reader.read(6);

      assert.deepEqual([text(chunk), chunk.buffer.byteLength], ["hello\n", 8192]);
      await server[Symbol.asyncDispose]();
    }),
  );

  test("`tls: true` trusts the roots of the host, which do not know ours", () =>
    run(async () => {
      const { server, port } = await serve(echo);

      const code = await codeOf(openConnection("localhost", port, { family: 4, tls: true }));

      assert.equal(code, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
      await server[Symbol.asyncDispose]();
    }));

  test("the certificate has to be for the host, an address too", () =>
    run(async () => {
      const { server, port } = await serve(echo);

      const [, writer] = await openConnection(local, port, { tls: { ca } });

      assert.equal(writer.getExtraInfo("serverHostname"), local);
      writer.close();
      await server[Symbol.asyncDispose]();
    }));

  test("megabytes go both ways at once", () =>
    run(async () => {
      const { server, open } = await serve(async (reader, writer) => {
        for await (const chunk of reader.chunks()) await writer.write(chunk);
        writer.writeEof();
      });
      const bytes = new Uint8Array(4 * 1024 * 1024).map((_, index) => index % 251);

      await using connection = await open();
      const { reader, writer } = connection;
      const [back] = await asyncio.gather(
        () => reader.read(),
        async () => {
          for (let at = 0; at < bytes.length; at += 100_000)
            await writer.write(bytes.subarray(at, at + 100_000));
          writer.writeEof();
        },
      );

      assert.equal(Buffer.compare(back, bytes), 0);
      await server[Symbol.asyncDispose]();
    }));

  test("the end of one side is not that of the other", () =>
    run(async () => {
      const { server, open } = await serve(async (reader, writer) => {
        const question = text(await reader.read());
        await writer.write(`the question was ${question}`);
      });

      await using connection = await open();
      await connection.writer.write("why?");
      connection.writer.writeEof();

      assert.equal(text(await connection.reader.read()), "the question was why?");
      await server[Symbol.asyncDispose]();
    }));

  test("close lets everything leave that was written", () =>
    run(async () => {
      let received = 0;
      const { server, open } = await serve(async (reader) => {
        for await (const chunk of reader.chunks()) received += chunk.length;
      });

      const [, writer] = await open();
      void writer.write(new Uint8Array(3_000_000));
      writer.close();
      await writer.waitClosed();
      await server.shutdown(10);

      assert.equal(received, 3_000_000);
    }));

  test("abort resets it, and its operations fail", () =>
    run(async () => {
      let ending: unknown;
      const { server, open } = await serve(async (reader, writer) => {
        await writer.write("hello\n");
        ending = await codeOf(reader.read());
      });

      const [reader, writer] = await open();
      await reader.readLine();
      writer.abort();
      await server.shutdown(10);

      assert.equal(ending, "ECONNRESET");
      assert.equal(await codeOf(reader.read()), "ECONNABORTED");
    }));

  test("abort leaves no handle, whatever is on its way", () =>
    run(async () => {
      const { server, open } = await serve(echo);
      const sockets = () =>
        process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length;
      const before = sockets();
      const moments: ((connection: asyncio.Connection) => unknown)[] = [
        () => {},
        ({ writer }) => void writer.write(new Uint8Array(1000)),
        ({ writer }) => void writer.write(new Uint8Array(1_000_000)),
        async ({ reader, writer }) => {
          await writer.write("hello\n");
          await reader.read(1);
        },
        ({ writer }) => {
          void writer.write(new Uint8Array(1_000_000));
          writer.close();
        },
        ({ writer }) => writer.writeEof(),
        async ({ writer }) => {
          void writer.write(new Uint8Array(1000));
          writer.close();
          await asyncio.sleep(0);
        },
      ];

      for (const moment of moments) {
        const connection = await open();
        await moment(connection);
        connection.writer.abort();
        await connection.writer.waitClosed();
      }

      await server.shutdown(10);
      for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate); // handles close in their own time
      assert.equal(sockets(), before);
    }));

  test("a client that resets the connection after its request leaves nothing waiting", () =>
    run(async () => {
      const outcome = Promise.withResolvers<unknown[]>();
      const { server, open } = await serve(async (reader, writer) => {
        const read = await codeOf(reader.readExactly(100_000));
        const written = await codeOf(writer.write("an answer"));
        outcome.resolve([read, written]);
      });

      const { writer } = await open();
      void writer.write(new Uint8Array(1000));
      writer.abort();

      // Node says that the client has ended in good order, and never passes on what is written.
      assert.deepEqual(await outcome.promise, ["ECONNRESET", "ECONNRESET"]);
      await server.shutdown(10);
    }));

  test("works over a Unix socket", { skip: process.platform === "win32" }, () =>
    run(async () => {
      const path = join(tmpdir(), `asyncio-ts-tls-${process.pid}.sock`);
      await using _server = await asyncio.startUnixServer(echo, path, { tls: server });

      await using connection = await asyncio.openUnixConnection(path, {
        tls: { ca, serverHostname: "localhost" },
      });
      await connection.writer.write("hello\n");

      assert.equal(text(await connection.reader.readLine()), "hello\n");
    }),
  );
});

describe("application protocols", () => {
  test("the first one of the server that the client has is spoken", () =>
    run(async () => {
      const { server: started, open } = await serve(
        async (_reader, writer) => {
          await writer.write(writer.getExtraInfo("alpnProtocol") ?? "none");
        },
        { ...server, alpnProtocols: ["h2", "http/1.1"] },
      );

      await using both = await open({ alpnProtocols: ["http/1.1", "h2"] });
      assert.equal(both.writer.getExtraInfo("alpnProtocol"), "h2");
      assert.equal(text(await both.reader.read()), "h2");
      await using none = await open();
      assert.equal(text(await none.reader.read()), "none");
      await started[Symbol.asyncDispose]();
    }));

  test("none in common ends the handshake", () =>
    run(async () => {
      const { server: started, open } = await serve(echo, { ...server, alpnProtocols: ["h2"] });

      await assert.rejects(open({ alpnProtocols: ["irc"] }), {
        message: /the sides have no application protocol in common; `alpnProtocols` here: irc \[/,
      });

      await started.shutdown(10);
      assert.equal(started.failedHandshakes, 1);
    }));

  test("no version of TLS in common ends the handshake", () =>
    run(async () => {
      const { server: started, open } = await serve(echo, { ...server, minVersion: "TLSv1.3" });

      await assert.rejects(open({ maxVersion: "TLSv1.2" }), {
        message: /the sides have no version of TLS in common; .*`maxVersion` TLSv1\.2/,
      });

      await started.shutdown(10);
      assert.equal(started.failedHandshakes, 1);
    }));
});

describe("wrong options", () => {
  test("are refused before anything is opened", () =>
    run(async () => {
      const refusals: [() => Promise<unknown>, RegExp][] = [
        [
          () => startServer(echo, { tls: {} }),
          /`startServer` expects a server's TLS options to have `cert` and `key`, or `certificates`, got an object/,
        ],
        [
          () => openConnection(local, 1, { tls: { handshakeDelay: Number.NaN } }),
          /`openConnection` expects `handshakeDelay` in seconds, got NaN/,
        ],
        [
          () => openConnection(local, 1, { tls: { alpnProtocols: "h2" as unknown as string[] } }),
          /`alpnProtocols` to be an array of names, got "h2"/,
        ],
        [
          () => openConnection(local, 1, { tls: { serverHostname: 7 as unknown as string } }),
          /`serverHostname` of type string, got 7/,
        ],
      ];
      for (const [call, message] of refusals) await assert.rejects(call(), { message });
    }));

  test("a server whose certificate cannot be used does not start", () =>
    run(async () => {
      const other = certificate("client");
      const wrong: asyncio.ServerTlsOptions[] = [
        { cert: "no certificate", key: "no key" },
        { cert: server.cert, key: "no key" },
        { cert: server.cert, key: other.key },
        { ...server, certificates: { "example.org": { cert: "no certificate", key: "no key" } } },
      ];

      for (const tls of wrong) {
        const error = (await rejection(startServer(echo, { host: local, tls }))) as Error;
        assert.match(String((error as NodeJS.ErrnoException).code), /^ERR_OSSL_/);
        assert.match(error.message, /^`startServer` cannot use the certificate and the key/);
        assert.ok(error.cause instanceof Error);
      }
    }));

  test("a certificate that cannot be read is an error of the host, and leaves no socket", () =>
    run(async () => {
      const bare = await bareServer(() => {});

      const opening = openConnection(local, bare.port, {
        tls: { cert: "no certificate", key: "no key" },
      });

      await assert.rejects(opening, { code: /^ERR_OSSL_/ });
      const [socket] = bare.sockets;
      if (socket !== undefined) await closing(socket);
      bare.close();
    }));

  test("TLS on a simulated network is an error that says so", async () => {
    await testing.runTest(async () => {
      const network = new testing.SimulatedNetwork();
      const listener = await network.host("server").listen(443);
      const accepted = createTask(() => listener.accept());

      await assert.rejects(
        network.host("client").run(() => openConnection("server", 443, { tls: true })),
        {
          name: "InvalidStateError",
          message:
            "`openConnection` was called with `tls` on a simulated network, which carries plain bytes. Leave `tls` out",
        },
      );
      (await accepted).close();
      listener.close();
    });
  });
});
