import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import * as asyncio from "../../src/index.ts";
import { collectReports, rejection } from "../virtual.ts";
import { ca, certificate, otherCa } from "./certificates.ts";
import { codeOf, echo, type Handler, local, serve, server, text } from "./tls-servers.ts";

const { openConnection, run } = asyncio;

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
