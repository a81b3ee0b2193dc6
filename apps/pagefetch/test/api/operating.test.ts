/** What the operator and the owners of sites see of a service. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { codeOf, q, withApi, written } from "../support/api.ts";

let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(() => farm.close());

describe("/debug/tasks", () => {
  test("shows what a request does, and nothing of it when its client has left", () =>
    withApi(farm, async ({ ask, newKey, service }) => {
      const debug = await newKey({ scopes: ["debug"] });
      const list = async (): Promise<string> =>
        await (await ask("/debug/tasks", { key: debug })).text();
      const idle = await list();
      const secret = "hunter2-planted";
      const seen = farm.seen.length;
      const hanging = asyncio.createTask(() =>
        ask(`/?url=${q(`http://slow.farm.test/?token=${secret}`)}&timeout=50`),
      );
      await farm.waitSeen(seen + 1);
      const busy = await list();
      hanging.cancel();
      await asyncio.wait([hanging]);
      await written(service); // its task waits for its row

      assert.match(busy, /^\d+ tasks\n/);
      assert.ok(busy.split("\n").length > idle.split("\n").length, busy);
      assert.doesNotMatch(busy, new RegExp(secret));
      const after = await list();
      assert.equal(after.split("\n").length, idle.split("\n").length, after);
    }));

  test("needs a key with the scope", () =>
    withApi(farm, async ({ ask }) => {
      assert.equal(await codeOf(await ask("/debug/tasks")), "policy_denied");
      assert.equal(await codeOf(await ask("/debug/tasks", { key: null })), "unauthorized");
    }));
});

describe("owners of sites", () => {
  test("read at /contact who asks, and what keeps it away", () =>
    withApi(
      farm,
      async ({ ask }) => {
        const page = await ask("/contact", { key: null });
        const text = await page.text();
        assert.equal(page.status, 200);
        assert.match(text, /<code>annbot<\/code>.*<b>ann@b\.example<\/b>/);
        assert.match(text, /User-agent: annbot\nDisallow: \//);
      },
      { identity: { product: "annbot", contact: "ann@b.example" } },
    ));

  test("are left alone if the operator refuses their host: also by those who ignore robots.txt", () =>
    withApi(
      farm,
      async ({ ask, newKey }) => {
        const key = await newKey({ scopes: ["fetch", "ignore_robots"] });
        const get = (url: string) => ask(`/?url=${q(url)}&robots=ignore`, { key });
        for (const url of ["http://pages.farm.test/", "http://PAGES.farm.test./"])
          assert.equal(await codeOf(await get(url)), "policy_denied");
        assert.equal((await get("http://example.com/")).status, 200);
        assert.equal(await codeOf(await get("http://redirect.farm.test/cross")), "policy_denied");
      },
      { refuse: ["Pages.Farm.test"] },
    ));
});
