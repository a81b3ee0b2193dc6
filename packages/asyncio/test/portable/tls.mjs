// TLS on every runtime: what is under it is the runtime's own node:tls. What a runtime cannot do is
// said in docs/guide/streams-and-servers.md, and left out here by name.

import { readFileSync } from "node:fs";
import * as asyncio from "asyncio-ts";
import { checkInRun as check, equal, failureOf, summarise } from "./harness/checks.mjs";

const text = (bytes) => new TextDecoder().decode(bytes);
const pem = (name) => readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url), "utf8");
const certificate = (name) => ({ cert: pem(name), key: pem(`${name}-key`) });
const ca = pem("ca");

const echo = async (reader, writer) => {
  for await (const line of reader) await writer.write(line);
};

/**
 * Starts a server, and gives `body` a function that connects to it. (Node 20 has no `await using`.)
 */
async function serving(handler, tls, body) {
  const server = await asyncio.startServer(handler, { host: "127.0.0.1", tls });
  const opened = [];
  const open = async (options) => {
    const { port } = server.sockets[0];
    const connection = await asyncio.openConnection("127.0.0.1", port, { tls: options });
    opened.push(connection);
    return connection;
  };
  try {
    await body(open, server);
  } finally {
    for (const connection of opened) await connection[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  }
}

await check("lines are echoed under TLS", () =>
  serving(echo, certificate("server"), async (open) => {
    const { reader, writer } = await open({ ca, serverHostname: "localhost" });
    await writer.write("one\n");
    equal(text(await reader.readLine()), "one\n");
    equal(writer.getExtraInfo("peercert").subject.CN, "localhost");
  }),
);

await check("much goes both ways under TLS", () => {
  const size = 1024 * 1024;
  return serving(
    async (reader, writer) => {
      const all = await reader.readExactly(size);
      await writer.write(all);
    },
    certificate("server"),
    async (open) => {
      const { reader, writer } = await open({ ca, serverHostname: "localhost" });
      writer.write(new Uint8Array(size).fill(7));
      const back = await reader.readExactly(size);
      equal(
        back.every((byte) => byte === 7),
        true,
      );
    },
  );
});

await check("the end of one side is not that of the other", () =>
  serving(
    async (reader, writer) => {
      const question = await reader.read();
      await writer.write(`${question.length} bytes`);
    },
    certificate("server"),
    async (open) => {
      const { reader, writer } = await open({ ca, serverHostname: "localhost" });
      await writer.write("question");
      writer.writeEof();
      equal(text(await reader.read()), "8 bytes");
    },
  ),
);

// Deno does not tell what is wrong with a certificate that has expired.
const isDeno = "Deno" in globalThis;
const codes = {
  expired: isDeno ? "UNABLE_TO_VERIFY_LEAF_SIGNATURE" : "CERT_HAS_EXPIRED",
  self: "DEPTH_ZERO_SELF_SIGNED_CERT",
  unknown: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  elsewhere: "ERR_TLS_CERT_ALTNAME_INVALID",
};
for (const [name, code] of Object.entries(codes))
  await check(`a certificate that is ${name} is refused`, () =>
    serving(echo, certificate(name), async (open) => {
      const error = await failureOf(open({ ca, serverHostname: "localhost" }));
      equal(error.code, code);
    }),
  );

await check("the protocol is agreed on", () =>
  serving(echo, { ...certificate("server"), alpnProtocols: ["h2", "http/1.1"] }, async (open) => {
    const { writer } = await open({
      ca,
      serverHostname: "localhost",
      alpnProtocols: ["http/1.1", "h2"],
    });
    equal(["h2", "http/1.1"].includes(writer.getExtraInfo("alpnProtocol")), true);
  }),
);

await check("a server shows the certificate for the name", () =>
  serving(
    echo,
    { ...certificate("server"), certificates: { "blue.test": certificate("blue") } },
    async (open) => {
      const { writer } = await open({ ca, serverHostname: "blue.test" });
      equal(writer.getExtraInfo("peercert").subject.CN, "blue.test");
    },
  ),
);

await check("names compare without case, and without the dot at their end", () =>
  serving(
    echo,
    { ...certificate("server"), certificates: { "Blue.test.": certificate("blue") } },
    async (open) => {
      for (const serverHostname of ["blue.test", "BLUE.test", "blue.test.", "LOCALHOST."]) {
        const { writer } = await open({ ca, serverHostname });
        const expected = serverHostname === "LOCALHOST." ? "localhost" : "blue.test";
        equal(writer.getExtraInfo("peercert").subject.CN, expected);
      }
    },
  ),
);

await check("a client shows its certificate", () =>
  serving(
    async (_reader, writer) => {
      await writer.write(writer.getExtraInfo("peercert").subject.CN);
    },
    { ...certificate("server"), ca, requestCert: true },
    async (open) => {
      const { reader } = await open({ ca, serverHostname: "localhost", ...certificate("client") });
      equal(text(await reader.read()), "alice");
    },
  ),
);

for (const [what, ours, theirs] of [
  ["a client without a certificate", ca, {}],
  ["a client with a certificate of an unknown issuer", pem("other-ca"), certificate("client")],
])
  await check(`${what} gets no handler`, () => {
    let handled = 0;
    return serving(
      async () => {
        handled++;
      },
      { ...certificate("server"), ca: ours, requestCert: true },
      async (open, server) => {
        const asking = async () => {
          const { reader } = await open({ ca, serverHostname: "localhost", ...theirs });
          await reader.read();
        };
        await asking().catch(() => {});
        await server.shutdown(5);
        equal([handled, server.failedHandshakes], [0, 1]);
      },
    );
  });

await check("startTls upgrades both sides", async () => {
  const server = await asyncio.startServer(
    async (reader, writer) => {
      equal(text(await reader.readLine()), "STARTTLS\n");
      writer.write("go ahead\n");
      await writer.startTls(certificate("server"));
      await writer.write(`secure ${text(await reader.readLine())}`);
    },
    { host: "127.0.0.1" },
  );
  const [reader, writer] = await asyncio.openConnection("127.0.0.1", server.sockets[0].port);
  try {
    await writer.write("STARTTLS\n");
    equal(text(await reader.readLine()), "go ahead\n");
    await writer.startTls({ ca, serverHostname: "localhost" });
    await writer.write("hello\n");
    equal(text(await reader.readLine()), "secure hello\n");
  } finally {
    await writer[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  }
});

await check("startTls takes what was read ahead of the handshake", async () => {
  const server = await asyncio.startServer(
    async (reader, writer) => {
      equal(text(await reader.readLine()), "STARTTLS\n");
      await writer.startTls(certificate("server"));
      await writer.write(`secure ${text(await reader.readLine())}`);
    },
    { host: "127.0.0.1" },
  );
  const [reader, writer] = await asyncio.openConnection("127.0.0.1", server.sockets[0].port);
  try {
    writer.write("STARTTLS\n");
    await writer.startTls({ ca, serverHostname: "localhost" });
    await writer.write("hello\n");
    equal(text(await reader.readLine()), "secure hello\n");
  } finally {
    await writer[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  }
});

await check("a handshake has a deadline", async () => {
  const server = await asyncio.startServer((reader) => reader.read(), { host: "127.0.0.1" });
  const { port } = server.sockets[0];
  const opening = asyncio.openConnection("127.0.0.1", port, { tls: { ca, handshakeDelay: 0.05 } });
  const error = await failureOf(opening);
  equal(error instanceof asyncio.TimeoutError, true);
  await server.shutdown(5);
});

await check("garbage before a handshake disturbs nobody", () =>
  serving(echo, certificate("server"), async (open, server) => {
    const { port } = server.sockets[0];
    const [reader, writer] = await asyncio.openConnection("127.0.0.1", port);
    await writer.write("GET / HTTP/1.1\r\n\r\n");
    await reader.read().catch(() => {});
    await writer[Symbol.asyncDispose]();
    const connection = await open({ ca, serverHostname: "localhost" });
    await connection.writer.write("still here\n");
    equal(text(await connection.reader.readLine()), "still here\n");
    equal(server.failedHandshakes, 1);
  }),
);

await check("a client that ends in the middle of a handshake is let go", () =>
  serving(echo, certificate("server"), async (_open, server) => {
    const { port } = server.sockets[0];
    const [reader, writer] = await asyncio.openConnection("127.0.0.1", port);
    writer.writeEof();
    await reader.read().catch(() => {});
    await writer[Symbol.asyncDispose]();
    await server.shutdown(5);
    equal(server.failedHandshakes, 1);
  }),
);

await check("abort under TLS ends both sides", () => {
  let ending;
  return serving(
    async (reader, writer) => {
      await writer.write("hello\n");
      ending = await reader.read().then(
        () => "end",
        (error) => error.code,
      );
    },
    certificate("server"),
    async (open, server) => {
      const { reader, writer } = await open({ ca, serverHostname: "localhost" });
      await reader.readLine();
      writer.abort();
      await server.shutdown(5);
      equal(ending, isDeno ? "end" : "ECONNRESET");
    },
  );
});

summarise();
