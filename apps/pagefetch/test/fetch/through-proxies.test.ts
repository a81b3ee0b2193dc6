import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { type FarmProxy, openProxy, type ProxyFault } from "../../farm/proxies.ts";
import type { FetchOptions } from "../../src/contract/options.ts";
import type { Session } from "../../src/contract/parts.ts";
import { parseProxies } from "../../src/proxies/parse.ts";
import { createProxies, type ManagedProxies } from "../../src/proxies/proxies.ts";
import { failure, withFetcher } from "../support/farm.ts";

let farm: Farm;
const proxies: FarmProxy[] = [];
before(async () => {
  farm = await openFarm();
});
after(async () => {
  for (const proxy of proxies) await proxy.close();
  await farm.close();
});

/** A pool of proxies that fail in these ways, one after the other. */
async function poolOf(...faults: readonly ProxyFault[]): Promise<ManagedProxies> {
  const lines: string[] = [];
  for (const [at, fault] of faults.entries()) {
    const from = `127.0.2.${at + 1}`;
    const portOf = farm.portOf.bind(farm);
    const proxy = await openProxy({
      protocol: at % 2 === 0 ? "http" : "socks5",
      fault,
      from,
      portOf,
    });
    proxies.push(proxy);
    lines.push(`${at % 2 === 0 ? "http" : "socks5"}://127.0.3.1:${proxy.port}`);
  }
  const pool = { name: "pool", proxies: parseProxies(lines.join("\n")) };
  return createProxies({ pools: [pool], directFirst: false, random: () => 0 });
}

function get(pool: ManagedProxies, url: string, options?: FetchOptions) {
  return withFetcher(farm, (fetcher) => fetcher.fetch(url, { proxy: "pool", ...options }), {
    proxies: pool,
  });
}

const echo = "http://pages.farm.test/echo";

test("a proxy that fails is left for another one, at once, and the target sees who came", async () => {
  const pool = await poolOf("bad-gateway", "unauthorized", "none");
  const page = await get(pool, echo);

  assert.equal(JSON.parse(page.text()).client, "127.0.2.3");
  const failures = page.attempts.map(({ failure }) => failure);
  assert.equal(failures.at(-1), undefined);
  assert.ok(failures.slice(0, -1).every((failure) => failure === "proxy_failed"));
  const ways = page.attempts.map(({ via }) => via);
  assert.equal(new Set(ways).size, ways.length);
  assert.doesNotMatch(JSON.stringify(page.attempts), /127\.0\.3/);
});

test("when all of them fail, that is told", async () => {
  const pool = await poolOf("closes", "garbage");
  const error = await failure(get(pool, echo));
  assert.equal(error.code, "proxy_failed");
});

test("a refusal of the target is no fault of the proxy", async () => {
  const pool = await poolOf("none");
  await failure(get(pool, "http://limits.farm.test/429?after=9999"));
  assert.equal((await get(pool, "http://pages.farm.test/status/403")).status, 403);
  assert.ok(pool.list().every(({ restsFor }) => restsFor === 0));
  assert.equal((await get(pool, echo)).status, 200);
});

test("a tunnel that breaks off in a page is tried again", async () => {
  const pool = await poolOf("truncates", "none");
  const page = await get(pool, "http://pages.farm.test/bytes/20000");
  assert.equal(page.bytes.length, 20_000);
});

test("where there is no other proxy, the same one is tried again", async () => {
  const pool = await poolOf("none");
  const page = await get(pool, "http://flaky.farm.test/1?how=reset&key=one-proxy");
  assert.deepEqual(
    page.attempts.map(({ via, failure }) => [via, failure]),
    [
      ["proxy-1", "reset"],
      ["proxy-1", undefined],
    ],
  );
});

test("a session stays with its proxy", async () => {
  const pool = await poolOf("none", "none");
  const session: Session = {
    name: "s",
    routeId: undefined,
    cookiesFor: () => undefined,
    setCookies: () => {},
  };
  const page = await withFetcher(
    farm,
    (fetcher) =>
      fetcher.fetch("http://flaky.farm.test/1?how=reset&key=session", {
        proxy: "pool",
        session: "s",
      }),
    { proxies: pool, sessions: { open: () => session } },
  );
  assert.equal(new Set(page.attempts.map(({ via }) => via)).size, 1);
  assert.equal(page.attempts.length, 2);
});

test("a forbidden host is forbidden through a proxy, too", async () => {
  const pool = await poolOf("none");
  const error = await failure(get(pool, "http://inside.farm.test/"));
  assert.equal(error.code, "blocked_address");
  const onward = await failure(get(pool, "http://redirect.farm.test/inside"));
  assert.equal(onward.code, "blocked_address");
  assert.equal(farm.canaryHits, 0);
});

test("a pool that nobody knows is refused by name", async () => {
  const pool = await poolOf("none");
  const error = await failure(get(pool, echo, { proxy: "other" }));
  assert.deepEqual([error.code, error.details.parameter], ["bad_request", "proxy"]);
});
