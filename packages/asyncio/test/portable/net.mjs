// Streams, connections and servers on every runtime: what is under them is the runtime's own
// node:net.

import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import * as asyncio from "asyncio-ts";
import { checkInRun as check, equal, failureOf, summarise } from "./harness/checks.mjs";

const text = (bytes) => new TextDecoder().decode(bytes);

/**
 * Starts a server with `handler`, and gives `body` a connection to it. (Node 20 has no `await
 * using`.)
 */
async function connected(handler, body) {
  const server = await asyncio.startServer(handler, { host: "127.0.0.1" });
  const connection = await asyncio.openConnection("127.0.0.1", server.sockets[0].port);
  try {
    await body(connection, server);
  } finally {
    await connection[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  }
}

await check("messages are parsed, and lines are text", () =>
  connected(
    async (reader, writer) => {
      const word = (input) => {
        const length = Number(input.readUntil(":", { encoding: "utf-8" }));
        return input.readExactly(length, { encoding: "utf-8" });
      };
      for (;;) {
        const words = await reader.parse((input) => input.all(word));
        if (words === undefined) return;
        await writer.write(`${words.join("+")}\r\n`);
      }
    },
    async ({ reader, writer }) => {
      await writer.write("3:one4:");
      await asyncio.sleep(0.02);
      await writer.write("zw\u00f6");
      equal(await reader.readLine({ encoding: "utf-8" }), "one");
      equal(await reader.readLine({ encoding: "utf-8" }), "zw\u00f6");
      writer.writeEof();
      equal(await reader.readLine({ encoding: "utf-8" }), undefined);
    },
  ),
);

await check(
  "a handler is cancelled when its client leaves, and reads go on while it is watched",
  async () => {
    const ended = new asyncio.Event();
    const server = await asyncio.startServer(
      async (reader, writer, connection) => {
        equal(connection.reader === reader, true);
        for (let count = 0; count < 3; count++) await writer.write(await reader.readLine());
        try {
          await asyncio.sleep(3600);
        } finally {
          ended.set();
        }
      },
      { host: "127.0.0.1", cancelOnEof: true },
    );
    const { reader, writer } = await asyncio.openConnection("127.0.0.1", server.sockets[0].port);
    for (const line of ["a\n", "b\n", "c\n"]) {
      await writer.write(line);
      equal(text(await reader.readLine()), line);
    }
    writer.close();
    await ended.wait();
    server.close();
    await server.waitClosed();
  },
);

await check("a connection that a deadline closes tells what it has not sent", () =>
  connected(
    () => asyncio.sleep(3600),
    async ({ writer }) => {
      const use = async () => {
        void writer.write(new Uint8Array(20_000_000));
        await writer[Symbol.asyncDispose]();
        return "sent";
      };
      equal((await failureOf(asyncio.timeout(0.05, use))) instanceof asyncio.TimeoutError, true);
    },
  ),
);

await check("lines are echoed, and the end is seen", () =>
  connected(
    async (reader, writer) => {
      for await (const line of reader) await writer.write(line);
      await writer.write("end");
    },
    async ({ reader, writer }) => {
      await writer.write("one\ntwo\n");
      writer.writeEof();
      equal(text(await reader.read()), "one\ntwo\nend");
      equal(reader.atEof(), true);
    },
  ),
);

await check("a NUL in the middle of a name or a path is refused", async () => {
  for (const host of ["localhost\0.example.org", "127.0.0.1\0"]) {
    equal((await failureOf(asyncio.openConnection(host, 9))).name, "RangeError");
    equal((await failureOf(asyncio.startServer(async () => {}, host, 0))).name, "RangeError");
  }
  const folder = mkdtempSync("/tmp/asyncio-ts-");
  const path = join(folder, "socket");
  const server = await asyncio.startUnixServer(async () => {}, path);
  for (const wrong of [`${path}\0`, `${path}\0x`, "\0", "\0a\0b"]) {
    equal((await failureOf(asyncio.openUnixConnection(wrong))).name, "RangeError");
    equal((await failureOf(asyncio.startUnixServer(async () => {}, wrong))).name, "RangeError");
  }
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

await check("a Unix server with a path as long as can be removes its own socket only", async () => {
  const folder = mkdtempSync("/tmp/asyncio-ts-");
  const longest = process.platform === "linux" ? 107 : 103;
  const inner = join(folder, "x".repeat(longest - folder.length - 3));
  mkdirSync(inner);
  const path = join(inner, "s");
  const first = await asyncio.startUnixServer(async () => {}, path);
  const second = await asyncio.startUnixServer(
    async (_reader, writer) => {
      writer.write("second");
    },
    path,
    { cleanupSocket: false },
  );
  await first[Symbol.asyncDispose]();
  const connection = await asyncio.openUnixConnection(path);
  equal(text(await connection.reader.read()), "second");
  await connection[Symbol.asyncDispose]();
  await second[Symbol.asyncDispose]();
  equal(readdirSync(inner), ["s"]);
  rmSync(folder, { recursive: true });
});

await check("much is sent through a slow reader, and nothing is lost", () => {
  const size = 4 * 1024 * 1024;
  return connected(
    async (_reader, writer) => {
      const chunk = new Uint8Array(65_536).fill(7);
      for (let sent = 0; sent < size; sent += chunk.length) await writer.write(chunk);
    },
    async ({ reader }) => {
      let received = 0;
      for await (const chunk of reader.chunks()) {
        received += chunk.length;
        await asyncio.sleep(0);
      }
      equal(received, size);
    },
  );
});

await check("a read that is cancelled has taken nothing", () => {
  const isCut = new asyncio.Event();
  return connected(
    async (_reader, writer) => {
      await writer.write("half a ");
      await isCut.wait();
      await writer.write("line\n");
    },
    async ({ reader }) => {
      const cut = await failureOf(asyncio.timeout(0.05, () => reader.readLine()));
      equal(cut instanceof asyncio.TimeoutError, true);
      isCut.set();
      equal(text(await reader.readLine()), "half a line\n");
    },
  );
});

await check("a write that is cancelled says how much has gone out", () =>
  connected(
    async () => {
      await asyncio.sleep(3600); // it does not read
    },
    async ({ writer }) => {
      const size = 64 * 1024 * 1024;
      const big = new Uint8Array(size);
      const error = await failureOf(asyncio.timeout(0.3, () => writer.write(big)));
      const { bytesWritten } = error.cause;
      equal(bytesWritten >= 0 && bytesWritten < size, true);
      writer.abort();
    },
  ),
);

await check("a reset is an error with its code", () =>
  connected(
    async (reader, writer) => {
      await reader.readLine();
      writer.abort();
    },
    async ({ reader, writer }) => {
      await writer.write("go\n");
      equal((await failureOf(reader.readExactly(10))).code, "ECONNRESET");
    },
  ),
);

await check("nobody listening is ECONNREFUSED", async () => {
  const server = await asyncio.startServer(async () => {}, "127.0.0.1", 0);
  server.close();
  const { port } = server.sockets[0];
  equal((await failureOf(asyncio.openConnection("127.0.0.1", port))).code, "ECONNREFUSED");
});

await check("a server drains, and cancels what is left", async () => {
  const log = [];
  const isClosing = new asyncio.Event();
  const begun = new asyncio.Semaphore(0);
  const handler = async (reader, writer) => {
    const isQuick = text(await reader.readLine()) === "quick\n";
    begun.release();
    try {
      await (isQuick ? isClosing.wait() : asyncio.sleep(3600));
      await writer.write("done");
    } catch (error) {
      writer.write("sorry");
      throw error;
    }
  };
  const server = await asyncio.startServer(handler, "127.0.0.1", 0);
  const ask = async (what) => {
    const [reader, writer] = await asyncio.openConnection("127.0.0.1", server.sockets[0].port);
    await writer.write(`${what}\n`);
    log.push(text(await reader.read()));
    writer.close();
  };
  await asyncio.gather(
    () => ask("quick"),
    () => ask("slow"),
    async () => {
      for (const _ of ["quick", "slow"]) await begun.acquire();
      isClosing.set();
      await server.shutdown(1);
    },
  );
  equal(log, ["done", "sorry"]);
  equal(server.connections, 0);
});

await check("an address that refuses is followed by the next", async () => {
  const server = await asyncio.startServer((_reader, writer) => writer.write("here"), {
    host: "127.0.0.1",
  });
  const [reader, writer] = await asyncio.openConnection("example.org", server.sockets[0].port, {
    resolver: async () => ["::1", "127.0.0.1"],
  });
  equal(text(await reader.read()), "here");
  equal(writer.getExtraInfo("peername").host, "127.0.0.1");
  await writer[Symbol.asyncDispose]();
  await server.shutdown(5);
});

summarise();
