import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { secureStream } from "../../src/net/connection.ts";
import { nodeNetwork } from "../../src/net/node-network.ts";
import * as testing from "../../src/testing.ts";
import { rejection } from "../virtual.ts";
import { ca, certificate } from "./certificates.ts";
import {
  bareServer,
  closing,
  codeOf,
  echo,
  type Handler,
  local,
  serve,
  server,
  text,
} from "./tls-servers.ts";

const { createTask, openConnection, run, startServer } = asyncio;

describe("a handshake", () => {
  test("has a deadline, and leaves no socket", () =>
    run(async () => {
      const bare = await bareServer(() => {});

      const opening = openConnection(local, bare.port, { tls: { handshakeDelay: 0.02 } });

      const error = await rejection(opening);
      assert.ok(error instanceof asyncio.TimeoutError);
      assert.match(
        error.message,
        /^the TLS handshake with 127\.0\.0\.1:\d+ has not ended within 0\.02 s\. Does the peer speak TLS there\? `handshakeDelay` is the time it gets$/,
      );
      await closing(bare.sockets[0] as Socket);
      bare.close();
    }));

  test("of a client that says nothing ends at the deadline of the server", () =>
    run(async () => {
      const { server: started, port } = await serve(echo, { ...server, handshakeDelay: 0.02 });

      const socket = connect(port, local);
      socket.on("error", () => {});
      await closing(socket);

      await started.shutdown(10);
      assert.equal(started.failedHandshakes, 1);
    }));

  test("that begins with garbage is counted, and disturbs nobody", () =>
    run(async () => {
      const { server: started, port, open } = await serve(echo);
      await using connection = await open();

      for (const garbage of [
        "GET / HTTP/1.1\r\n\r\n",
        "\0\0\0\0\0\0\0\0\0\0\0\0",
        "\x16\x03\x01zz",
      ]) {
        const socket = connect(port, local, () => socket.end(garbage));
        socket.on("error", () => {});
        socket.resume();
        await closing(socket);
      }

      await connection.writer.write("still here\n");
      assert.equal(text(await connection.reader.readLine()), "still here\n");
      assert.equal(started.failedHandshakes, 3);
      connection.writer.close();
      await started.shutdown(10);
    }));

  test("with a server that does not speak TLS says so", () =>
    run(async () => {
      const bare = await bareServer((socket) => socket.write("220 mail.test ESMTP\r\n"));

      await assert.rejects(openConnection(local, bare.port, { tls: true }), {
        message:
          /expected TLS, but the server has sent something else\. Is it the right port, and is TLS to begin at once\? If not, use `writer\.startTls` \[/,
      });
      bare.close();
    }));

  test("with a server that hangs up says so", () =>
    run(async () => {
      const bare = await bareServer((socket) => socket.once("data", () => socket.destroy()));

      await assert.rejects(openConnection(local, bare.port, { tls: true }), {
        code: "ECONNRESET",
        message:
          /the server has closed the connection in the middle\. Does it speak TLS on this port\? \[/,
      });
      bare.close();
    }));

  test("with a client that ends its side fails at once", () =>
    run(async () => {
      const { server: started, port } = await serve(echo);

      for (const beginning of ["", "\x16\x03\x01"]) {
        const socket = connect({ port, host: local, allowHalfOpen: true });
        socket.on("error", () => {});
        socket.resume();
        socket.end(beginning);
        await closing(socket);
      }

      await started.shutdown(10);
      assert.equal(started.failedHandshakes, 2);
    }));

  test("that is reset in the middle fails alone", () =>
    run(async () => {
      const { server: started, port, open } = await serve(echo);

      const socket = connect(port, local);
      socket.on("error", () => {});
      await once(socket, "connect");
      socket.write("\x16\x03\x01");
      socket.resetAndDestroy();
      await closing(socket);

      await using connection = await open();
      await connection.writer.write("hello\n");
      assert.equal(text(await connection.reader.readLine()), "hello\n");
      assert.equal(started.failedHandshakes, 1);
      await started[Symbol.asyncDispose]();
    }));

  test("cancelled in the middle leaves no socket", () =>
    run(async () => {
      const hello = Promise.withResolvers<void>();
      const bare = await bareServer((socket) => socket.once("data", () => hello.resolve()));

      const opening = createTask(() => openConnection(local, bare.port, { tls: true }));
      await hello.promise;
      opening.cancel();

      await assert.rejects(opening, asyncio.CancelledError);
      const [socket] = bare.sockets;
      await closing(socket as Socket);
      bare.close();
    }));

  test("cancelled in the step in which TCP has connected leaves no socket", () =>
    run(async () => {
      const bare = await bareServer(() => {});
      let socket: unknown;

      const opening = createTask(async () => {
        const stream = await nodeNetwork.connect({ host: local, port: bare.port });
        socket = stream.extra?.("socket");
        opening.cancel();
        await secureStream("`openConnection`", stream, {});
      });

      await assert.rejects(opening, asyncio.CancelledError);
      assert.equal((socket as Socket).destroyed, true);
      await closing(socket as Socket);
      bare.close();
    }));

  test("cancelled at any step leaves no socket on either side", () =>
    run(async () => {
      let cut = 0;
      const { server: started, open } = await serve(async (reader) => {
        await reader.read().catch((error) => {
          if (error instanceof asyncio.CancelledError) cut++;
        });
      });
      let connected = 0;

      for (let steps = 0; steps < 40; steps++) {
        const opening = createTask(() => open({ shutdownDelay: 0 }));
        for (let step = 0; step < steps; step++) await new Promise(setImmediate);
        opening.cancel();
        try {
          const [, writer] = await opening;
          connected++;
          await writer[Symbol.asyncDispose]();
        } catch (error) {
          assert.ok(error instanceof asyncio.CancelledError, String(error));
        }
      }

      while (started.connections > 0) await asyncio.sleep(0); // for ever, if a socket is left that is open
      await started.shutdown(0);
      assert.equal(cut, 0);
      assert.ok(connected > 0 && connected < 40, `${connected} of 40`);
    }));

  test("is cancelled with its server", () =>
    run(async () => {
      const { server: started, port } = await serve(echo);
      const socket = connect(port, local);
      socket.on("error", () => {});
      await once(socket, "connect");
      while (started.connections === 0) await asyncio.sleep(0);

      const closed = closing(socket);
      await started.shutdown(0);

      await closed;
      assert.deepEqual([started.connections, started.failedHandshakes], [0, 0]);
    }));

  test("ends when the server aborts its clients", () =>
    run(async () => {
      const { server: started, port } = await serve(echo);
      const socket = connect(port, local);
      socket.on("error", () => {});
      await once(socket, "connect");
      socket.write("\x16\x03\x01");
      while (started.connections === 0) await asyncio.sleep(0);

      const closed = closing(socket);
      started.abortClients();

      await closed;
      await started.shutdown(10);
    }));
});

describe("startTls", () => {
  /** A protocol that begins in plain text, as SMTP does. */
  const upgrading: Handler = async (reader, writer) => {
    for await (const line of reader) {
      const command = text(line).trim();
      if (command === "STARTTLS") {
        void writer.write("220 go ahead\n");
        await writer.startTls(server);
      } else
        await writer.write(`${writer.getExtraInfo("cipher") ? "secure" : "plain"} ${command}\n`);
    }
  };

  async function servePlain(handler: Handler) {
    const started = await startServer(handler, { host: local });
    return { server: started, port: started.sockets[0].port };
  }

  test("upgrades a connection on both sides", () =>
    run(async () => {
      const { server: started, port } = await servePlain(upgrading);
      await using connection = await openConnection("localhost", port, { family: 4 });
      const { reader, writer } = connection;
      const ask = async (line: string) => {
        await writer.write(`${line}\n`);
        return text(await reader.readLine());
      };

      assert.equal(await ask("one"), "plain one\n");
      assert.equal(await ask("STARTTLS"), "220 go ahead\n");
      await writer.startTls({ ca });

      assert.equal(writer.getExtraInfo("serverHostname"), "localhost");
      assert.equal(await ask("two"), "secure two\n");
      await started[Symbol.asyncDispose]();
    }));

  test("flushes what was written before", () =>
    run(async () => {
      const size = 3_000_000;
      const { server: started, port } = await servePlain(async (reader, writer) => {
        const plain = await reader.readExactly(size);
        await writer.startTls(server);
        await writer.write(`${plain.length} then ${text(await reader.readLine())}`);
      });
      await using connection = await openConnection(local, port);
      const { reader, writer } = connection;

      void writer.write(new Uint8Array(size));
      await writer.startTls({ ca });
      await writer.write("secure\n");

      assert.equal(text(await reader.readLine()), "3000000 then secure\n");
      assert.equal(writer.bytesWritten, size + "secure\n".length);
      await started[Symbol.asyncDispose]();
    }));

  /**
   * Forwards to `port`; what the client sends first is kept back until there are `bytes` of it, and
   * comes in one piece.
   */
  async function gathering(port: number, bytes: number) {
    return await bareServer((socket) => {
      const onward = connect(port, local);
      onward.on("error", () => socket.destroy());
      socket.on("close", () => onward.destroy());
      onward.pipe(socket);
      const kept: Buffer[] = [];
      socket.on("data", function gather(chunk) {
        kept.push(chunk);
        const all = Buffer.concat(kept);
        if (all.length < bytes) return;
        socket.off("data", gather);
        onward.write(all);
        socket.pipe(onward);
      });
    });
  }

  test("S151: what the reader has read ahead of the handshake belongs to it", () =>
    run(async () => {
      let ahead = 0;
      const { server: started, port } = await servePlain(async (reader, writer) => {
        // It takes one byte after the other: all that came with it is in the reader or below.
        assert.equal(text(await reader.readUntil("\n")), "STARTTLS\n");
        ahead++;
        await writer.startTls(server);
        await writer.write(`secure ${text(await reader.readLine())}`);
      });
      const proxy = await gathering(port, "STARTTLS\n".length + 100);
      await using connection = await openConnection(local, proxy.port);
      const { reader, writer } = connection;

      await writer.write("STARTTLS\n");
      await writer.startTls({ ca });
      await writer.write("hello\n");

      assert.equal(text(await reader.readLine()), "secure hello\n");
      assert.equal(ahead, 1);
      writer.close();
      proxy.close();
      await started[Symbol.asyncDispose]();
    }));

  test("S151: what somebody has put before the handshake is never taken for secure", () =>
    run(async () => {
      const commands: string[] = [];
      const { server: started, port } = await servePlain(async (reader, writer) => {
        for await (const line of reader) {
          commands.push(text(line));
          if (text(line) === "STARTTLS\n") {
            assert.match((await codeOf(writer.startTls(server))) as string, /^ERR_SSL_/);
            commands.push("no TLS");
          }
        }
      });
      const socket = connect(port, local, () => socket.write("STARTTLS\nDELETE EVERYTHING\n"));
      socket.on("error", () => {});
      socket.resume();
      await closing(socket);

      assert.deepEqual(commands, ["STARTTLS\n", "no TLS"]);
      await started[Symbol.asyncDispose]();
    }));

  test("a reader that waits, a writer that writes, and a second call are errors", () =>
    run(async () => {
      const bare = await bareServer(() => {});
      const [reader, writer] = await openConnection(local, bare.port);

      const reading = createTask(() => reader.readLine(), { name: "the reader" });
      await asyncio.sleep(0);
      await assert.rejects(writer.startTls({ ca }), {
        name: "InvalidStateError",
        message: /`writer\.startTls` was called by .* while task "the reader" is reading/,
      });
      reading.cancel();
      await asyncio.wait([reading]);

      const upgrading = createTask(() => writer.startTls({ ca }));
      await asyncio.sleep(0);
      await assert.rejects(writer.write("now?"), {
        name: "InvalidStateError",
        message: /`writer\.write` was called while `startTls` is at work/,
      });
      await assert.rejects(writer.startTls({ ca }), { name: "InvalidStateError" });
      await assert.rejects(reader.read(), { name: "InvalidStateError" });
      writer.abort();
      await assert.rejects(upgrading, { code: "ECONNABORTED" });
      await assert.rejects(reader.read(), { code: "ECONNABORTED" });
      bare.close();
    }));

  test("after close, or without a socket, it is an error", () =>
    run(async () => {
      const bare = await bareServer(() => {});
      const [, writer] = await openConnection(local, bare.port);
      writer.close();
      await assert.rejects(writer.startTls({ ca }), {
        message: "`writer.startTls` was called after `close`. TLS needs both directions",
      });
      bare.close();

      const [near] = testing.memoryStreamPair();
      await assert.rejects(new asyncio.StreamWriter(near).startTls(), {
        message: /`writer\.startTls` was called on a stream in memory, which carries plain bytes/,
      });
    }));

  test("with a peer that has ended its side, it fails at once", () =>
    run(async () => {
      let code: unknown;
      const { server: started, port } = await servePlain(async (reader, writer) => {
        await reader.read();
        code = await codeOf(writer.startTls(server));
      });
      const socket = connect({ port, host: local, allowHalfOpen: true });
      socket.on("error", () => {});
      socket.resume();
      socket.end("STARTTLS\n");
      await closing(socket);

      await started.shutdown(10);
      assert.equal(code, "ECONNRESET");
    }));

  test("cancelled while it flushes, nothing has happened; in the handshake, the connection is lost", () =>
    run(async () => {
      const hello = Promise.withResolvers<void>();
      const bare = await bareServer((socket) => socket.once("data", () => hello.resolve()));
      const [reader, writer] = await openConnection(local, bare.port);

      const early = createTask(() => writer.startTls({ ca }));
      early.cancel();
      await assert.rejects(early, asyncio.CancelledError);
      assert.equal(writer.isClosing(), false);

      const upgrading = createTask(() => writer.startTls({ ca }));
      await hello.promise;
      upgrading.cancel();
      await assert.rejects(upgrading, asyncio.CancelledError);
      assert.equal(writer.isClosing(), true);
      await assert.rejects(reader.read(), { code: "ECONNABORTED" });
      await writer.waitClosed();
      bare.close();
    }));

  test("on a connection that has TLS, there is TLS in TLS", () =>
    run(async () => {
      const { server: started, open } = await serve(async (reader, writer) => {
        await writer.startTls(certificate("blue"));
        await writer.write(`inside: ${text(await reader.readLine())}`);
      });
      await using connection = await open();
      const { reader, writer } = connection;

      await writer.startTls({ ca, serverHostname: "blue.test" });
      await writer.write("hello\n");

      assert.equal(text(await reader.readLine()), "inside: hello\n");
      assert.equal(writer.getExtraInfo("peercert")?.subject.CN, "blue.test");
      await started[Symbol.asyncDispose]();
    }));
});
