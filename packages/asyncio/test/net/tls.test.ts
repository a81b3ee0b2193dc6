import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import * as asyncio from "../../src/index.ts";
import { secureStream } from "../../src/net/connection.ts";
import { nodeNetwork } from "../../src/net/node-network.ts";
import * as testing from "../../src/testing.ts";
import { collectReports, rejection } from "../virtual.ts";
import { ca, certificate, otherCa } from "./certificates.ts";

const { createTask, openConnection, run, startServer } = asyncio;

const text = (chunk: Uint8Array | undefined) => new TextDecoder().decode(chunk);
const server = certificate("server");
const local = "127.0.0.1";

type Handler = asyncio.ConnectionHandler;

/** Sends every line back. */
const echo: Handler = async (reader, writer) => {
  for await (const line of reader) await writer.write(line);
};

/** Serves by TLS on this machine, and gives a function that connects to it. */
async function serve(handler: Handler, tls: asyncio.ServerTlsOptions = server) {
  const started = await startServer(handler, { host: local, tls });
  const { port } = started.sockets[0];
  const open = (options: asyncio.ClientTlsOptions = {}) =>
    openConnection({ host: local, port, tls: { ca, serverHostname: "localhost", ...options } });
  return { server: started, port, open };
}

/** A server of the host's own, which does with its sockets what it is told. */
async function bareServer(onSocket: (socket: Socket) => void) {
  const sockets: Socket[] = [];
  const bare = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    onSocket(socket);
    socket.resume();
  }).listen(0, local);
  await once(bare, "listening");
  const { port } = bare.address() as { port: number };
  const close = () => {
    for (const socket of sockets) socket.destroy();
    bare.close();
  };
  return { port, sockets, close };
}

/** Waits until a socket of the host has closed, whatever the error. */
const closing = (socket: Socket) =>
  new Promise<void>((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", () => resolve());
  });

/** The code of what `promise` rejects with. */
const codeOf = async (promise: Promise<unknown>) =>
  ((await rejection(promise)) as { code?: unknown }).code;

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

describe("certificates", () => {
  const refused: Record<string, [code: string, message: RegExp]> = {
    expired: [
      "CERT_HAS_EXPIRED",
      /: the certificate of localhost has expired: it was valid until Fri, 01 Jan 2021 00:00:00 GMT, and here it is .* GMT\. It has to be renewed, unless this clock is wrong \[CERT_HAS_EXPIRED\]$/,
    ],
    future: [
      "CERT_NOT_YET_VALID",
      /: the certificate of localhost is not yet valid: it will be from Wed, 01 Jan 2110 00:00:00 GMT, and here it is .* GMT\. Is this clock right\? \[/,
    ],
    self: [
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      /: the certificate of localhost is self-signed \(localhost\), and not among those that are trusted\. If you trust it, pass it in `ca` \[/,
    ],
    unknown: [
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      /: the certificate of localhost was issued by an unknown issuer \(root of somebody else\)\. Pass the certificate of the issuer in `ca`, or have the server send the whole chain \[/,
    ],
    elsewhere: [
      "ERR_TLS_CERT_ALTNAME_INVALID",
      /: the certificate of the server is not for localhost, but for elsewhere\.test, www\.elsewhere\.test\. Connect to one of these, or pass it as `serverHostname` \[/,
    ],
    purpose: [
      "INVALID_PURPOSE",
      /: the certificate of localhost was not issued for this purpose \(localhost\): its extended key usage has to allow server authentication \[/,
    ],
  };
  for (const [name, [code, message]] of Object.entries(refused)) {
    test(`one that is ${name} is refused, and the error says why`, () =>
      run(async () => {
        const { server, open } = await serve(echo, certificate(name));

        const error = (await rejection(open())) as Error & { code: string };

        assert.equal(error.code, code);
        assert.match(error.message, /^the TLS handshake with 127\.0\.0\.1:\d+ has failed: /);
        assert.match(error.message, message);
        assert.equal((error.cause as { code: string }).code, code);
        await server[Symbol.asyncDispose]();
      }));

    test(`one that is ${name} is taken if nobody is to check`, () =>
      run(async () => {
        const { server, open } = await serve(echo, certificate(name));

        await using connection = await open({ rejectUnauthorized: false });
        await connection.writer.write("whoever you are\n");

        assert.equal(text(await connection.reader.readLine()), "whoever you are\n");
        await server[Symbol.asyncDispose]();
      }));
  }

  test("a server shows the certificate for the name that it is asked for", () =>
    run(async () => {
      const { server: started, open } = await serve(echo, {
        ...server,
        certificates: { "blue.test": certificate("blue"), "*.green.test": certificate("green") },
      });
      const shownFor = async (serverHostname: string) => {
        const [, writer] = await open({ serverHostname });
        const name = writer.getExtraInfo("peercert")?.subject.CN;
        writer.close();
        return name;
      };

      assert.equal(await shownFor("blue.test"), "blue.test");
      assert.equal(await shownFor("very.green.test"), "green.test");
      assert.equal(await shownFor("localhost"), "localhost");
      assert.equal(
        await codeOf(open({ serverHostname: "red.test" })),
        "ERR_TLS_CERT_ALTNAME_INVALID",
      );
      await started[Symbol.asyncDispose]();
    }));

  test("the name of a host compares without case, and without the dot at its end", () =>
    run(async () => {
      const { server: started, port } = await serve(
        async (_reader, writer) => {
          await writer.write(writer.getExtraInfo("serverHostname") ?? "none");
        },
        {
          certificates: { "Blue.TEST.": certificate("blue"), "*.Green.test": certificate("green") },
        },
      );
      const shownFor = async (host: string, serverHostname?: string) => {
        const resolver = async () => [local];
        const tls = { ca, serverHostname };
        const [reader, writer] = await openConnection({ host, port, resolver, tls });
        const asked = text(await reader.read());
        writer.close();
        return [writer.getExtraInfo("peercert")?.subject.CN, asked];
      };

      assert.deepEqual(await shownFor("blue.test."), ["blue.test", "blue.test"]);
      assert.deepEqual(await shownFor("BLUE.Test"), ["blue.test", "blue.test"]);
      assert.deepEqual(await shownFor(local, "Very.Green.Test."), [
        "green.test",
        "very.green.test",
      ]);
      await started[Symbol.asyncDispose]();
    }));

  test("a server finds its certificate for a client that asks in another case", () =>
    run(async () => {
      const { server: started, port } = await serve(echo, {
        ...server,
        certificates: { "blue.test": certificate("blue"), "*.green.test": certificate("green") },
      });
      const shownFor = async (servername: string) => {
        const socket = connectTls({ port, host: local, servername, rejectUnauthorized: false });
        await once(socket, "secureConnect");
        const { subject } = socket.getPeerCertificate();
        socket.destroy();
        return subject.CN;
      };

      assert.deepEqual(
        await asyncio.gather(
          () => shownFor("BLUE.test"),
          () => shownFor("very.GREEN.test"),
          () => shownFor("a.very.green.test"),
          () => shownFor("xblue.test"),
        ),
        ["blue.test", "green.test", "localhost", "localhost"],
      );
      await started[Symbol.asyncDispose]();
    }));

  test("a handler learns the name that the client has asked for", () =>
    run(async () => {
      const { server: started, open } = await serve(
        async (_reader, writer) => {
          await writer.write(writer.getExtraInfo("serverHostname") ?? "none");
        },
        { certificates: { "blue.test": certificate("blue") } },
      );

      await using connection = await open({ serverHostname: "blue.test" });

      assert.equal(text(await connection.reader.read()), "blue.test");
      await started[Symbol.asyncDispose]();
    }));

  test("a server without a certificate for a name refuses, and both sides say so", () =>
    run(
      async () => {
        const reports = collectReports(asyncio.getRunningLoop());
        const { server: started, open } = await serve(echo, {
          certificates: { "blue.test": certificate("blue") },
        });

        await assert.rejects(open({ serverHostname: "red.test" }), {
          message:
            /the server has no certificate for this name, or the sides have no cipher in common/,
        });

        await started.shutdown(10);
        assert.equal(started.failedHandshakes, 1);
        assert.equal(reports.length, 1);
        assert.match(
          String(reports[0]?.exception),
          /there is no certificate for the name that the client asks for/,
        );
      },
      { debug: true },
    ));
});

describe("client certificates", () => {
  const strict: asyncio.ServerTlsOptions = { ...server, ca, requestCert: true };
  const greet: Handler = async (_reader, writer) => {
    await writer.write(`hello ${writer.getExtraInfo("peercert")?.subject.CN}`);
  };

  test("a server sees who the client is", () =>
    run(async () => {
      const { server, open } = await serve(greet, strict);

      await using connection = await open(certificate("client"));

      assert.equal(text(await connection.reader.read()), "hello alice");
      await server[Symbol.asyncDispose]();
    }));

  test("a client without one is refused, and its handler never runs", () =>
    run(async () => {
      let handled = 0;
      const { server, open } = await serve(async () => void handled++, strict);

      const asking = async () => {
        await using connection = await open();
        await connection.reader.read();
      };
      // Under TLS 1.3 the client is through before the server has looked.
      const error = (await rejection(asking())) as Error & { code: string };
      await server.shutdown(10);

      assert.match(error.code, /CERTIFICATE_REQUIRED/);
      assert.match(error.message, /the server asks for a certificate\. Pass `cert` and `key`/);
      assert.deepEqual([handled, server.failedHandshakes], [0, 1]);
    }));

  test("one of an unknown issuer is refused, and the server says why", () =>
    run(
      async () => {
        const reports = collectReports(asyncio.getRunningLoop());
        const { server, open } = await serve(greet, { ...strict, ca: otherCa });

        const asking = async () => {
          await using connection = await open(certificate("client"));
          return text(await connection.reader.read());
        };
        const answer = await asking().catch((error) => error.code);
        await server.shutdown(10);

        assert.ok(answer === "" || answer === "ECONNRESET", answer);
        assert.equal(server.failedHandshakes, 1);
        assert.match(
          String(reports[0]?.exception),
          /the chain of the certificate of the client ends in a root that is not trusted/,
        );
      },
      { debug: true },
    ));

  test("without `rejectUnauthorized` the handler decides", () =>
    run(async () => {
      const { server, open } = await serve(greet, { ...strict, rejectUnauthorized: false });

      await using connection = await open();

      assert.equal(text(await connection.reader.read()), "hello undefined");
      await server[Symbol.asyncDispose]();
    }));
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
          /`serverHostname` to be a name, got 7/,
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
