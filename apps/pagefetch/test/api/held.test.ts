/** The budget for bytes of bodies: what it refuses, what goes on without it, and what it gets back. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { once } from "asyncio-ts/patterns";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { html, pause } from "../../farm/site.ts";
import type { HeldBytes } from "../../src/contract/held.ts";
import { q, type World, withApi } from "../support/api.ts";

let farm: Farm;
before(async () => {
  farm = await openFarm({
    "wide.farm.test": (ask) => html(ask, "漢".repeat(Number(ask.url.pathname.slice(1)))),
    "later.farm.test": async (ask) => {
      if (await pause(0.3, ask.gone)) html(ask, "<p>later</p>");
    },
  });
});
after(() => farm.close());

const MIB = 2 ** 20;
const page = (bytes: number): string => `http://pages.farm.test/bytes/${bytes}`;

/** Set whenever a hold ends that was the last one with bytes. Holds are watched from now on. */
function watch(held: HeldBytes): asyncio.Event {
  const event = new asyncio.Event();
  const open = held.open.bind(held);
  held.open = (owner) => {
    const hold = open(owner);
    event.clear();
    const end = hold.end.bind(hold);
    hold.end = () => {
      end();
      if (held.total === 0) event.set();
    };
    return hold;
  };
  return event;
}

/** The holds of the next `count` requests, whose connection opens them before anything of theirs. */
function nextHolds(held: HeldBytes, count: number) {
  const holds = Array.from({ length: count }, () => {
    return { ended: new asyncio.Event(), isLarge: new asyncio.Event(), most: 0 };
  });
  let opened = 0;
  const open = held.open.bind(held);
  held.open = (owner) => {
    const hold = open(owner);
    const seen = holds[opened++];
    if (seen === undefined) return hold;
    const [tryAdd, end] = [hold.tryAdd.bind(hold), hold.end.bind(hold)];
    hold.tryAdd = (bytes) => {
      const fits = tryAdd(bytes);
      seen.most = Math.max(seen.most, hold.bytes);
      if (seen.most > MIB) seen.isLarge.set();
      return fits;
    };
    hold.end = () => {
      end();
      seen.ended.set();
    };
    return hold;
  };
  return holds;
}

/** Runs `body` with a service that may hold one MiB. `taken` bytes of it are taken from the start. */
async function withLittle(taken: number, body: (world: World) => Promise<void>): Promise<void> {
  const limited = async (world: World): Promise<void> => {
    await world.ask(`/?url=${q(page(1))}`); // its host's robots.txt is known then
    const other = world.service.held.open();
    other.add(taken);
    try {
      await body(world);
    } finally {
      other.end();
    }
  };
  await withApi(farm, limited, { maxHeldBytes: MIB });
}

async function assertOverloaded(response: Response): Promise<void> {
  const { error } = (await response.json()) as { error: { code: string; limit: unknown } };
  assert.deepEqual([response.status, error.code], [503, "overloaded"]);
  assert.deepEqual(error.limit, { name: "maxHeldBytes", value: MIB });
  assert.equal(response.headers.get("retry-after"), "1");
}

describe("the bytes that the service holds", () => {
  test("are those of a page that is given whole: one that does not fit is overloaded", () =>
    withLittle(0, async ({ ask, post }) => {
      await assertOverloaded(await post("/v1/fetch", { url: page(2 * MIB) }));
      await assertOverloaded(await ask(`/?json=1&url=${q(page(2 * MIB))}`));
      await assertOverloaded(await ask(`/?output=text&url=${q(page(2 * MIB))}`));
      await assertOverloaded(
        await post("/v1/extract", { url: page(2 * MIB), httpResponseBody: true }),
      );
      assert.equal((await post("/v1/fetch", { url: page(100_000) })).status, 200);
    }));

  test("are those of all requests together", () =>
    withLittle(900_000, async ({ post, service }) => {
      await assertOverloaded(await post("/v1/fetch", { url: page(200_000) }));
      assert.equal((await post("/v1/fetch", { url: page(20_000) })).status, 200);
      assert.equal(service.held.total, 900_000);
    }));

  test("leave room for other keys, whatever one of them holds", () =>
    withLittle(0, async ({ key, newKey, post, service }) => {
      const other = await newKey();
      const greedy = service.held.open(key.split("_")[1]);
      while (greedy.tryAdd(1000));
      await assertOverloaded(await post("/v1/fetch", { url: page(20_000) }));
      const body = { url: page(1), headers: { "x-long": "x".repeat(3000) } };
      await assertOverloaded(await post("/v1/fetch", body)); // its requests count, too
      const status = async (): Promise<number> =>
        (await post("/v1/fetch", { url: page(20_000) }, other)).status;
      assert.equal(await status(), 200);
      greedy.end();
      assert.equal((await post("/v1/fetch", { url: page(20_000) })).status, 200);
    }));

  test("are never more than the budget, and some of many that do not fit come through", () =>
    withApi(
      farm,
      async ({ post, service: { held } }) => {
        let most = 0;
        const open = held.open.bind(held);
        held.open = (owner) => {
          const hold = open(owner);
          const tryAdd = hold.tryAdd.bind(hold);
          hold.tryAdd = (bytes) => {
            const fits = tryAdd(bytes);
            most = Math.max(most, held.total);
            return fits;
          };
          return hold;
        };
        const statuses = await asyncio.gather(
          Array.from({ length: 20 }, () => async () => {
            const response = await post("/v1/fetch", { url: page(4 * MIB) });
            await response.arrayBuffer();
            return response.status;
          }),
        );
        assert.ok(most > 8 * MIB && most <= 16 * MIB, `${most}`);
        assert.ok(statuses.includes(200));
        assert.ok(statuses.every((status) => status === 200 || status === 503));
      },
      { maxHeldBytes: 16 * MIB },
    ));

  test("are also those of an answer that is made of the page", () =>
    withLittle(0, async ({ post }) => {
      // The page fits, and the page with its text in base64 does not.
      await assertOverloaded(await post("/v1/fetch", { url: page(600_000), output: "raw" }));
    }));

  test("are not those of a page that is sent on while it comes", () =>
    withLittle(MIB, async ({ ask }) => {
      const response = await ask(`/?url=${q(page(3 * MIB))}`);
      assert.equal(response.status, 200);
      assert.equal((await response.arrayBuffer()).byteLength, 3 * MIB);
    }));

  test("are those of a request's body, which is refused while it comes", () =>
    withLittle(MIB - 1000, async ({ ask, post }) => {
      const echo = `/?url=${q("http://pages.farm.test/echo")}`;
      const response = await ask(echo, { method: "POST", body: "x".repeat(2000) });
      await assertOverloaded(response);
      const json = { url: page(1), headers: { "x-long": "x".repeat(2000) } };
      await assertOverloaded(await post("/v1/fetch", json));
    }));

  test("cost a page its place in the cache, and not its caller", () =>
    withLittle(MIB - 1000, async ({ ask, service }) => {
      const path = `/?cache=use&url=${q("http://pages.farm.test/cache?control=max-age%3D60")}`;
      const other = service.held.open();
      other.add(1000);
      const outcome = async (): Promise<string | null> => {
        const response = await ask(path);
        await response.arrayBuffer();
        assert.equal(response.status, 200);
        return response.headers.get("x-fetch-cache");
      };
      assert.deepEqual([await outcome(), await outcome()], ["miss", "miss"]);
      other.end();
      assert.deepEqual([await outcome(), await outcome()], ["miss", "hit"]);
    }));

  test("are given back result by result of a batch, and a result that does not fit says so", () =>
    withLittle(0, async ({ post }) => {
      const requests = Array.from({ length: 8 }, (_, n) => ({
        url: page(n === 3 ? 2 * MIB : 150_000),
      }));
      const response = await post("/v1/batch", { requests, concurrency: 1 });
      const { results } = (await response.json()) as {
        results: { status?: number; error?: { code: string } }[];
      };
      const told = results.map(({ status, error }) => error?.code ?? status);
      assert.deepEqual(told, [200, 200, 200, "overloaded", 200, 200, 200, 200]);
    }));

  test("are given back by a client that reads nothing of its answer, when its time is over", async () => {
    const batch = { requests: Array.from({ length: 8 }, () => ({ url: page(2 * MIB) })) };
    const json = JSON.stringify(batch);
    const asks = [
      `GET /?json=1&url=${q(page(8 * MIB))} HTTP/1.1\r\nContent-Length: 0\r\n`,
      `POST /v1/batch HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: ${json.length}\r\n`,
    ];
    const readsNothing = async ({ address, key, service }: World): Promise<void> => {
      for (const [index, head] of asks.entries()) {
        const [hold] = nextHolds(service.held, 1);
        const { hostname, port } = new URL(address);
        const socket = connect(Number(port), hostname);
        socket.on("error", () => {}); // it is reset
        socket.write(`${head}Host: a\r\nAuthorization: Bearer ${key}\r\n\r\n`);
        if (index === 1) socket.write(json);
        await hold?.ended.wait();
        assert.ok((hold?.most ?? 0) > MIB);
        socket.destroy();
      }
    };
    await withApi(farm, readsNothing, {}, { sendTimeout: 0.1 });
  });

  test("are given back by an answer that stands behind another one, when its client leaves", () =>
    withApi(farm, async ({ address, key, service }) => {
      const holds = nextHolds(service.held, 2);
      const { hostname, port } = new URL(address);
      const socket = connect(Number(port), hostname);
      const head = `Host: a\r\nAuthorization: Bearer ${key}\r\n\r\n`;
      const [first, second] = ["http://slow.farm.test/", page(2 * MIB)].map(
        (url) => `GET /?json=1&url=${q(url)} HTTP/1.1\r\n${head}`,
      );
      socket.write(`${first}${second}`);
      await holds[1]?.isLarge.wait();
      socket.destroy();
      for (const { ended } of holds) await ended.wait();
    }));

  test("are waited for with a client whose page takes longer than that", () =>
    withApi(
      farm,
      async ({ ask }) => {
        const path = `/?json=1&url=${q("http://later.farm.test/")}`;
        assert.equal((await ask(path)).status, 200);
      },
      {},
      { sendTimeout: 0.1 },
    ));

  test("are those of a text as it is sent, and not its letters", () =>
    withLittle(MIB - 10_000, async ({ post }) => {
      // 6,000 bytes, and as many in the answer, besides its other fields.
      await assertOverloaded(await post("/v1/fetch", { url: "http://wide.farm.test/2000" }));
      const { status } = await post("/v1/fetch", { url: "http://wide.farm.test/500" });
      assert.equal(status, 200);
    }));

  test("are told by a metric, while a client reads slowly, and are 0 when it has left", () =>
    withApi(farm, async ({ address, key, service }) => {
      const held = async (): Promise<number> => {
        const text = await service.metrics.registry.metrics();
        return Number(/^pagefetch_held_bytes (\d+)$/m.exec(text)?.[1]);
      };
      const allGiven = watch(service.held);
      const { hostname, port } = new URL(address);
      const socket = connect(Number(port), hostname);
      socket.write(
        `GET /?json=1&url=${q(page(8 * MIB))} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${key}\r\n\r\n`,
      );
      await once(socket, "readable"); // and nothing is read: what is sent stays where it is
      assert.ok((await held()) > 8 * MIB, String(await held()));
      allGiven.clear(); // others have ended before
      socket.destroy();
      await allGiven.wait();
      assert.equal(await held(), 0);
    }));
});

test("nothing has knocked at the canary", () => assert.equal(farm.canaryHits, 0));
