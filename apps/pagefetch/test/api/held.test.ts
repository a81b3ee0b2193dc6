/** The budget for bytes of bodies: what it refuses, what goes on without it, and what it gets back. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { once } from "asyncio-ts/patterns";
import { type Farm, openFarm } from "../../farm/farm.ts";
import type { HeldBytes } from "../../src/contract/held.ts";
import { q, type World, withApi } from "../support/api.ts";

let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(() => farm.close());

const MIB = 2 ** 20;
const page = (bytes: number): string => `http://pages.farm.test/bytes/${bytes}`;

/** Set whenever a hold ends that was the last one with bytes. Holds are watched from now on. */
function watch(held: HeldBytes): asyncio.Event {
  const event = new asyncio.Event();
  const open = held.open.bind(held);
  held.open = () => {
    const hold = open();
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

/** A service that holds one MiB at most, of which somebody holds `taken` bytes while `body` runs. */
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

  test("are never more than the budget, and some of many that do not fit come through", () =>
    withApi(
      farm,
      async ({ post, service: { held } }) => {
        let most = 0;
        const open = held.open.bind(held);
        held.open = () => {
          const hold = open();
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
