/** What an answer's headers and the ledger say of a page: the same, whichever way it was sent. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { type FarmProxy, openProxy } from "../../farm/proxies.ts";
import { q, usageOf, withApi } from "../support/api.ts";

const folder = mkdtempSync(join(tmpdir(), "pagefetch-receipts-"));
let farm: Farm;
let proxy: FarmProxy;
before(async () => {
  farm = await openFarm();
  const { zone } = farm;
  const portOf = farm.portOf.bind(farm);
  proxy = await openProxy({ protocol: "http", from: "127.0.2.7", portOf, zone });
});
after(async () => {
  await proxy.close();
  await farm.close();
  rmSync(folder, { recursive: true });
});

const facts = ["attempts", "redirects", "cache"] as const;

function factsOf({ headers }: Response): string {
  return facts.map((fact) => headers.get(`x-fetch-${fact}`)).join(" ");
}

/** As it comes, and whole. */
for (const [way, more] of [
  ["sent on while it comes", ""],
  ["sent when it is whole", "&output=html"],
] as const) {
  describe(`a page that is ${way}`, () => {
    test("tells its redirects, its attempts and where it is from", () =>
      withApi(farm, async (world) => {
        const { ask } = world;
        const fresh = `http://pages.farm.test/cache?control=max-age=60&key=${q(way)}`;
        const seen: string[] = [];
        for (const [url, and] of [
          ["http://example.com/", ""],
          ["http://redirect.farm.test/chain/2", ""],
          [`http://flaky.farm.test/2?key=${q(way)}`, ""],
          [fresh, "&cache=use"],
          [fresh, "&cache=use"],
        ] as const) {
          const answer = await ask(`/?url=${q(url)}${more}${and}`);
          await answer.text();
          seen.push(factsOf(answer));
        }

        assert.deepEqual(seen, ["1 0 off", "3 2 off", "3 0 off", "1 0 miss", "0 0 hit"]);
        const { attempts, cost, requests } = await usageOf(world);
        assert.deepEqual({ attempts, cost, requests }, { attempts: 8, cost: 8, requests: 5 });
      }));

    test("tells what politeness has cost, its own turn included", () =>
      withApi(
        farm,
        async ({ ask }) => {
          const waits = await asyncio.gather(
            ...["a", "b"].map((path) => async () => {
              const answer = await ask(`/?url=${q(`http://pages.farm.test/${path}`)}${more}`);
              await answer.text();
              return Number(answer.headers.get("x-fetch-polite-wait"));
            }),
          );

          assert.ok(Math.max(...waits) > 0.05, `${waits}`);
        },
        { politeness: { domain: { interval: 0.2 }, address: { interval: 0 } } },
      ));

    test("costs what its proxy costs, once", () => {
      const list = join(folder, "proxies.txt");
      writeFileSync(list, `http://${proxy.host}:${proxy.port} id=dear cost=7\n`);
      return withApi(
        farm,
        async (world) => {
          await (await world.ask(`/?url=${q("http://example.com/")}&proxy=dear${more}`)).text();
          const { attempts, cost, received, sent } = await usageOf(world);

          assert.deepEqual([attempts, cost], [1, 7]);
          assert.ok(received > 566 && sent > 0, `${received} ${sent}`);
        },
        { pools: [{ name: "dear", file: list }], allowProxies: ["127.0.3.0/24"] },
      );
    });
  });
}

test("what has come to a client that leaves is in the ledger", () =>
  withApi(farm, async (world) => {
    const { hostname, port } = new URL(world.address);
    const socket = connect(Number(port), hostname);
    socket.on("error", () => undefined);
    const path = `/?url=${q("http://endless.farm.test/body")}`;
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: ${world.key}\r\n\r\n`);
    await new Promise((resolve) => socket.once("data", resolve));
    socket.destroy();
    const { attempts, cost, received, failures } = await usageOf(world);

    assert.deepEqual({ ...failures }, { cancelled: 1 });
    assert.deepEqual([attempts, cost], [1, 1]);
    assert.ok(received > 1000, String(received));
  }));
