// Foreign work under every runtime: fetch bound to a scope, work that is joined, and what hosts
// make of an abort.

import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import * as asyncio from "asyncio-ts";
import { check as checkForEver, equal, failureOf, summarise } from "./harness/checks.mjs";

const check = (name, body) => checkForEver(name, () => asyncio.timeout(20, body));

const sockets = new Set();
let connections = 0;
const server = createServer((request, response) => {
  request.on("error", () => {});
  if (request.url === "/never") return;
  if (request.url === "/moved") return response.writeHead(302, { location: "/whole" }).end();
  if (request.url === "/half") return response.write("half");
  if (request.url === "/none") return response.writeHead(204).end();
  if (request.url === "/echo") {
    let body = "";
    request.setEncoding("utf8").on("data", (chunk) => {
      body += chunk;
    });
    return request.on("end", () => response.end(body));
  }
  response.end("whole");
});
server.on("connection", (socket) => {
  connections++;
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket));
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${server.address().port}`;

/** Waits until no request is open. */
async function quiet() {
  while (sockets.size > 0) await delay(2);
}

await check("a response is read in every way", async () => {
  const get = (path) => asyncio.fetch(url + path);
  equal(await (await get("/whole")).text(), "whole");
  equal((await (await get("/whole")).arrayBuffer()).byteLength, 5);
  equal((await (await get("/whole")).blob()).size, 5);
  const moved = await get("/moved");
  equal([moved.redirected, moved.url, await moved.text()], [true, `${url}/whole`, "whole"]);
  const response = await get("/whole");
  equal(await Promise.all([response.clone().text(), response.text()]), ["whole", "whole"]);
  let streamed = "";
  for await (const chunk of (await get("/whole")).body) streamed += new TextDecoder().decode(chunk);
  equal(streamed, "whole");
  equal((await get("/none")).status, 204);
});

await check("connections are used again", async () => {
  const before = connections;
  for (let count = 0; count < 5; count++) {
    await (await asyncio.fetch(`${url}/whole`)).text();
    await delay(2);
  }
  if (connections > before + 1) throw new Error(`${connections - before} connections`);
});

const reads = {
  headers: () => asyncio.fetch(`${url}/never`),
  "text()": async () => (await asyncio.fetch(`${url}/half`)).text(),
  "clone().text()": async () => (await asyncio.fetch(`${url}/half`)).clone().text(),
  "a loop over the body": async () => {
    for await (const _ of (await asyncio.fetch(`${url}/half`)).body);
  },
  "readerFrom(body)": async () => {
    const reader = asyncio.readerFrom((await asyncio.fetch(`${url}/half`)).body);
    while ((await reader.read(10)).length > 0);
  },
};
for (const [what, read] of Object.entries(reads)) {
  await check(`a deadline ends ${what}`, async () => {
    const error = await failureOf(asyncio.timeout(0.05, read));
    equal([error.name, error.cause?.name], ["TimeoutError", "CancelledError"]);
  });
  await check(`a cancellation ends ${what}`, async () => {
    const task = asyncio.createTask(read);
    await asyncio.sleep(0.05);
    task.cancel();
    equal((await failureOf(task)).name, "CancelledError");
  });
}

await check("an unread body ends with its scope", async () => {
  const response = await asyncio.moveOnAfter(60, () => asyncio.fetch(`${url}/half`));
  equal((await failureOf(response.value.text())).name, "InvalidStateError");
  const local = await asyncio.moveOnAfter(60, () => asyncio.fetch("data:,hello"));
  equal((await failureOf(local.value.text())).name, "InvalidStateError");
  const other = await asyncio.moveOnAfter(60, async () => {
    const response = await asyncio.fetch(`${url}/half`);
    await response.body.getReader().read();
    return response;
  });
  equal(other.cancelled, false);
  await quiet();
});

await check("the caller's own signal aborts with its reason", async () => {
  for (const path of ["/never", "/half"]) {
    const controller = new AbortController();
    const work = async () =>
      (await asyncio.fetch(url + path, { signal: controller.signal })).text();
    const running = failureOf(work());
    await asyncio.sleep(0.05);
    controller.abort("own");
    equal(await running, "own");
  }
  await quiet();
});

await check("a body that is sent may be a stream, and ends with the request", async () => {
  let closed = 0;
  const begun = new asyncio.Event();
  const isLeft = new asyncio.Event();
  async function* parts(count) {
    try {
      for (let left = count; left > 0; left--) {
        await asyncio.sleep(0.002);
        yield new TextEncoder().encode("part ");
        if (count > 2) begun.set();
      }
    } finally {
      if (++closed === 3) isLeft.set();
    }
  }
  const post = async (body) =>
    (await asyncio.fetch(`${url}/echo`, { method: "POST", body })).text();
  equal(await post(parts(2)), "part part ");
  equal(await post(asyncio.toWebStream(asyncio.readerFrom(parts(2)))), "part part ");
  equal(closed, 2);
  const endless = asyncio.createTask(() => post(parts(1e6)));
  await begun.wait(); // a generator that has not begun has nothing to close
  endless.cancel();
  equal((await failureOf(endless)).name, "CancelledError");
  await isLeft.wait();
});

await check("a refused connection is the host's own error", async () => {
  const error = await failureOf(asyncio.fetch("http://127.0.0.1:1/"));
  if (!(error instanceof Error) || error.name === "CancelledError") throw error;
});

await check("an AbortError of the host counts as the cancellation that caused it", async () => {
  const work = () => delay(60_000, undefined, { signal: asyncio.abortSignal() });
  equal(await asyncio.moveOnAfter(0.005, work), { cancelled: true });
  const task = asyncio.createTask(work);
  await asyncio.sleep(0.002);
  task.cancel();
  await failureOf(task);
  equal(task.cancelled(), true);
  if (globalThis.Deno !== undefined) return; // its `once` does not tell the cause
  const waiting = () => once(new EventEmitter(), "never", { signal: asyncio.abortSignal() });
  equal(await asyncio.moveOnAfter(0.005, waiting), { cancelled: true });
});

await check("work is joined, or destroyed, before its caller goes on", async () => {
  const log = [];
  const query = (signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => setTimeout(() => reject(new Error("stopped")), 5));
    }).finally(() => log.push("ended"));
  const error = await failureOf(asyncio.timeout(0.05, () => asyncio.joined(query, { grace: 10 })));
  log.push("goes on");
  equal([error.name, error.cause.cause.message], ["TimeoutError", "stopped"]);
  let hangUp;
  const deaf = () =>
    new Promise((_resolve, reject) => {
      hangUp = () => reject(new Error("hung up"));
    });
  const destroyed = await failureOf(
    asyncio.timeout(0.05, () => asyncio.joined(deaf, { grace: 0.005, destroy: () => hangUp() })),
  );
  equal(destroyed.cause.cause.message, "hung up");
  equal(log, ["ended", "goes on"]);
});

await check("a value that comes too late is discarded", async () => {
  const discarded = [];
  await asyncio.run(async () => {
    const isDiscarded = new asyncio.Event();
    let arrive;
    const connecting = new Promise((resolve) => {
      arrive = resolve;
    });
    const task = asyncio.createTask(() =>
      asyncio.cancellable(
        () => {
          setTimeout(() => task.cancel()); // once it waits, however slow the machine is
          return connecting;
        },
        {
          discard(value) {
            discarded.push(value);
            isDiscarded.set();
          },
        },
      ),
    );
    await failureOf(task);
    arrive("connection");
    await isDiscarded.wait();
  });
  equal(discarded, ["connection"]);
});

server.close();
server.closeAllConnections();
summarise();
setTimeout(() => process.exit(), 500).unref?.();
