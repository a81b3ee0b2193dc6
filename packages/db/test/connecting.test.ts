import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { ConnectError, ConnectionLostError, sql } from "../src/index.ts";
import { connect } from "../src/postgres.ts";

/** Runs `body` with a server that lets everybody in, and says nothing more after that. */
async function withMuteServer(
  version: string,
  body: (
    url: string,
    connectionsClosed: () => Promise<unknown>,
    hangUp: () => void,
  ) => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>();
  const closed: Promise<void>[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    closed.push(new Promise((resolve) => socket.once("close", () => resolve())));
    socket.once("data", () => {
      const ok = message("R", Buffer.alloc(4));
      const about = message("S", Buffer.from(`server_version\0${version}\0`));
      const key = message("K", Buffer.alloc(8, 1));
      socket.write(Buffer.concat([ok, about, key, message("Z", Buffer.from("I"))]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  try {
    await asyncio.run(() =>
      body(
        `postgres://u@127.0.0.1:${port}/d`,
        () => asyncio.timeout(5, () => asyncio.cancellable(() => Promise.all(closed))),
        () => {
          for (const socket of sockets) socket.end();
        },
      ),
    );
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

// The settings of a session and the question for its role come after the server has let one in.
for (const [version, target] of [
  ["15.0", "any"],
  ["13.0", "read-write"],
] as const)
  test(
    `PostgreSQL ${version} goes silent while a session that is ${target} is set up`,
    {
      timeout: 20_000,
    },
    () =>
      withMuteServer(version, async (url, connectionsClosed) => {
        const error: unknown = await connect(url, {
          connectTimeout: 0.3,
          acquire: 10,
          target,
        }).catch((error: unknown) => error);
        assert.ok(error instanceof ConnectError, String(error));
        assert.equal(error.code, "ERR_DATABASE_UNREACHABLE");
        assert.match(error.message, /has not answered in time/);
        await connectionsClosed();
      }),
  );

test("a server that is too old is told by its version", { timeout: 20_000 }, () =>
  withMuteServer("11.22", async (url, connectionsClosed) => {
    const error: unknown = await connect(url, { acquire: 10 }).catch((error: unknown) => error);
    assert.ok(error instanceof ConnectError, String(error));
    assert.equal(error.code, "ERR_DATABASE_SERVER_TOO_OLD");
    assert.match(error.message, /is PostgreSQL 11\.22; 12 is the oldest that is supported/);
    await connectionsClosed();
  }),
);

test("a server that hangs up without a word is told as that", { timeout: 20_000 }, async () => {
  const server = createServer((socket) => socket.once("data", () => socket.end()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await asyncio.run(async () => {
    const error: unknown = await connect(`postgres://u@127.0.0.1:${port}/d`).catch(
      (error: unknown) => error,
    );
    assert.ok(error instanceof ConnectError, String(error));
    assert.equal(error.code, "ERR_DATABASE_UNREACHABLE");
    assert.match(error.message, /has closed the connection before it has let us in/);
  });
  await new Promise((resolve) => server.close(resolve));
});

test("one that hangs up in a query, too", { timeout: 20_000 }, () =>
  withMuteServer("13.0", async (url, _closed, hangUp) => {
    const db = await connect(url);
    const query = db.query(sql`select 1`).catch((error: unknown) => error);
    hangUp();
    const error = await query;
    assert.ok(error instanceof ConnectionLostError, String(error));
    assert.equal(error.message, "the connection to the database is lost: the server has closed it");
    await db.close();
  }),
);

test("a call that is cancelled meanwhile leaves no connection", { timeout: 20_000 }, () =>
  withMuteServer("15.0", async (url, connectionsClosed) => {
    const { cancelled } = await asyncio.moveOnAfter(0.3, () => connect(url));
    assert.ok(cancelled);
    await connectionsClosed();
  }),
);
