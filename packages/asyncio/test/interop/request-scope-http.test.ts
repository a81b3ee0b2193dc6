// Requests on the servers of Node, with real clients.

import assert from "node:assert/strict";
import { once } from "node:events";
import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { connect, createServer as createHttp2Server, type Http2ServerResponse } from "node:http2";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import {
  CancelledError,
  ContextVar,
  Event,
  Future,
  requestScope,
  run,
  sleep,
} from "../../src/index.ts";
import { runFixture } from "../child.ts";
import { rejection } from "../virtual.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** A server whose handlers are request scopes; what they end with goes to `ended`. */
async function serving(
  handler: Handler,
  use: (port: number) => Promise<void>,
  ended: (error: unknown) => void = () => {},
): Promise<void> {
  const server = createServer((request, response) => {
    requestScope({ request, response }, () => handler(request, response)).catch((error) => {
      ended(error);
      if (!response.headersSent) response.statusCode = 500;
      response.end();
    });
  });
  await usingServer(server, use);
}

async function usingServer(server: Server, use: (port: number) => Promise<void>): Promise<void> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await use((server.address() as AddressInfo).port);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

function get(port: number, path: string, agent?: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    httpRequest({ port, path, host: "127.0.0.1", ...(agent && { agent }) }, (response) =>
      text(response).then(resolve, reject),
    )
      .on("error", reject)
      .end();
  });
}

test("requests that are under way together see their own variables", async () => {
  const tenant = new ContextVar<string>("tenant");
  await run(async () => {
    const bothSet = new Event();
    let set = 0;
    const handler: Handler = async (request, response) => {
      tenant.set(request.url ?? "");
      if (++set === 2) bothSet.set();
      await bothSet.wait();
      response.end(tenant.get());
    };

    await serving(handler, async (port) => {
      const answers = await Promise.all([get(port, "/ann"), get(port, "/bob")]);

      assert.deepEqual(answers, ["/ann", "/bob"]);
    });
  });
});

test("a client that leaves ends the waits of its request, and of no other", async () => {
  await run(async () => {
    const isWaiting = new Event();
    const goOn = new Event();
    const ended = new Future<unknown>();
    const handler: Handler = async (request, response) => {
      isWaiting.set();
      await (request.url === "/leaves" ? sleep(3600) : goOn.wait());
      response.end("answered");
    };

    await serving(
      handler,
      async (port) => {
        const staying = get(port, "/stays");
        const leaving = httpRequest({ port, path: "/leaves", host: "127.0.0.1" });
        leaving.on("error", () => {}).end();
        await isWaiting.wait();
        isWaiting.clear();
        await isWaiting.wait();

        leaving.destroy();

        const error = await ended;
        assert.ok(error instanceof CancelledError && error.source === "abort");
        assert.match(error.message, /the client has left before the response was finished/);
        goOn.set();
        assert.equal(await staying, "answered");
      },
      (error) => ended.setResult(error),
    );
  });
});

test("many requests on one connection leave nothing behind on it", async () => {
  await run(async () => {
    const counts = new Set<number>();
    const handler: Handler = async (request, response) => {
      counts.add(
        request.socket
          .eventNames()
          .reduce((sum, name) => sum + request.socket.listenerCount(name), 0),
      );
      await sleep(0);
      assert.equal(response.listenerCount("close"), 1); // ours
      response.end("answered");
      setImmediate(() => assert.equal(response.listenerCount("close"), 0));
    };
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });

    await serving(handler, async (port) => {
      for (let count = 0; count < 50; count++) await get(port, "/", agent);
    });

    agent.destroy();
    assert.equal(counts.size, 1);
  });
});

test("a failure goes to whoever called, and the server answers", async () => {
  await run(async () => {
    const failure = new Error("expected");
    const seen: unknown[] = [];

    await serving(
      () => Promise.reject(failure),
      async (port) => {
        await get(port, "/");
      },
      (error) => seen.push(error),
    );

    assert.deepEqual(seen, [failure]);
  });
});

test("a stream of node:http2 that its client closes is a client that leaves", async () => {
  await run(async () => {
    const isWaiting = new Event();
    const ended = new Future<unknown>();
    const server = createHttp2Server((request, response: Http2ServerResponse) => {
      const body = async (): Promise<void> => {
        isWaiting.set();
        if (request.url === "/leaves") await sleep(3600);
        response.end("answered");
      };
      requestScope({ request, response }, body).catch((error) => ended.setResult(error));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const leaving = session.request({ ":path": "/leaves" });
    await isWaiting.wait();

    leaving.close(8); // CANCEL

    assert.ok((await ended) instanceof CancelledError);
    assert.equal(await text(session.request({ ":path": "/stays" })), "answered");
    session.close();
    server.close();
  });
});

test("a server that outlives its run is served on", async () => {
  const tenant = new ContextVar<string>("tenant", { default: "nobody" });
  const handler: Handler = async (request, response) => {
    const before = tenant.get();
    tenant.set(request.url ?? "");
    await sleep(0.001);
    response.end(`${before} ${tenant.get()}`);
  };
  const server = createServer((request, response) => {
    void requestScope({ request, response }, () => handler(request, response));
  });

  await run(async () => {
    tenant.set("main");
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });

  const { port } = server.address() as AddressInfo;
  assert.deepEqual(await Promise.all([get(port, "/ann"), get(port, "/bob")]), [
    "main /ann",
    "main /bob",
  ]);
  server.close();
  server.closeAllConnections();
});

test("SIGTERM lets the requests that run end, cancels those that take too long, and the process dies by it", async () => {
  const { signal, stdout, stderr } = await runFixture("requests", "a server that is stopped");

  assert.equal(stderr, "");
  assert.deepEqual(stdout.trimEnd().split("\n"), [
    "main closes the server",
    "/quick: answered",
    "/slow: shutdown",
    "the ticker has ended",
  ]);
  assert.equal(signal, "SIGTERM");
});

test("a client that had left before its request could begin costs nothing", async () => {
  await run(async () => {
    let begun = 0;
    const outcomes: Promise<unknown>[] = [];
    const isClosed = new Event();
    const server = createServer((request, response) => {
      response.on("close", () => {
        outcomes.push(rejection(requestScope({ request, response }, async () => begun++)));
        isClosed.set();
      });
      request.socket.destroy();
    });

    await usingServer(server, async (port) => {
      await rejection(get(port, "/"));
      await isClosed.wait();
    });

    assert.ok((await outcomes[0]) instanceof CancelledError);
    assert.equal(begun, 0);
  });
});
