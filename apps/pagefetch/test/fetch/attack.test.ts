import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { type FarmProxy, openProxy } from "../../farm/proxies.ts";
import { redirect } from "../../farm/sites/ways.ts";
import { PageError } from "../../src/contract/errors.ts";
import type { Proxies } from "../../src/contract/parts.ts";
import { zoneResolver } from "../../src/egress/resolve.ts";
import type { Fetcher, FetcherOptions } from "../../src/fetch/fetcher.ts";
import { createRobots } from "../../src/robots/robots.ts";
import { watchedWire, withFetcher } from "../support/farm.ts";

/** Where somebody may want to get by way of us. */
const places = [
  "http://127.0.0.1/",
  "http://127.0.0.1:443/",
  "http://127.1/",
  "http://2130706433/",
  "http://0x7f000001/",
  "http://0177.0.0.1/",
  "http://１２７.0.0.1/",
  "http://127。0。0。1/",
  "http://%31%32%37.0.0.1/",
  "http://127.0.0.1./",
  "http://0/",
  "http://0.0.0.0/",
  "http://localhost/",
  "http://LOCALHOST./",
  "http://a.localhost/",
  "http://[::1]/",
  "http://[::]/",
  "http://[::ffff:127.0.0.1]/",
  "http://[::ffff:7f00:1]/",
  "http://[::127.0.0.1]/",
  "http://[64:ff9b::127.0.0.1]/",
  "http://[2002:7f00:1::]/",
  "http://[fe80::1]/",
  "http://[fd00:ec2::254]/",
  "http://10.0.0.1/",
  "http://172.17.0.1/",
  "http://192.168.0.1/",
  "http://100.100.100.200/",
  "http://169.254.169.254/latest/meta-data/",
  "http://inside.farm.test/",
  "http://mixed.farm.test/",
  "http://mapped.farm.test/",
  "http://private.farm.test/",
  "http://metadata.farm.test/",
  "http://unspecified.farm.test/",
  "http://rebinding.farm.test/",
  "http://pages.farm.test:22/",
  "http://pages.farm.test:25/",
  "http://pages.farm.test:6379/",
  "https://127.0.0.1/",
  "ftp://127.0.0.1/",
  "file:///etc/passwd",
  "gopher://127.0.0.1:6379/_INFO",
  "dict://127.0.0.1:11211/stats",
  "data:text/html,hello",
  "javascript:alert(1)",
] as const;
const refusals = new Set(["blocked_address", "bad_request", "unsupported_content"]);

let farm: Farm;
let proxy: FarmProxy;
before(async () => {
  farm = await openFarm({
    "*.robots.trap": (ask) => {
      const [at = ""] = ask.url.hostname.split(".");
      return redirect(places[Number(at)] ?? "")(ask);
    },
  });
  const portOf = farm.portOf.bind(farm);
  proxy = await openProxy({ protocol: "socks5", from: "127.0.2.1", portOf, zone: farm.zone });
});
after(async () => {
  await proxy.close();
  await farm.close();
});

/** The first answer is the farm, all others are this machine. */
function rebinding(): (name: string) => Promise<readonly string[]> {
  const zone = zoneResolver(farm.zone);
  let isFirst = true;
  return async (name) => {
    if (name !== "rebinding.farm.test") return await zone(name);
    const answer = isFirst ? "127.0.1.1" : "127.0.0.1";
    isFirst = false;
    return [answer];
  };
}

type Way = (fetcher: Fetcher, place: string, at: number) => Promise<unknown>;

const ways: Readonly<Record<string, Way>> = {
  "as a page": (fetcher, place) => fetcher.fetch(place, { retries: 0 }),
  "as a callback": (fetcher, place) =>
    fetcher.fetch(place, { method: "POST", body: "{}", retries: 0 }),
  "by a redirect": (fetcher, place) => {
    const url = `http://redirect.farm.test/to?url=${encodeURIComponent(place)}`;
    return fetcher.fetch(url, { retries: 0 });
  },
  "by a redirect of a callback": (fetcher, place) => {
    const url = `http://redirect.farm.test/to?status=307&url=${encodeURIComponent(place)}`;
    return fetcher.fetch(url, { method: "POST", body: "{}", retries: 0 });
  },
  "while it comes": (fetcher, place) => fetcher.open(place, { retries: 0 }, async () => {}),
};

async function attack(way: Way, options: FetcherOptions = {}): Promise<void> {
  const wire = watchedWire(farm);
  let through = 0;
  await withFetcher(
    farm,
    async (fetcher) => {
      for (const [at, place] of places.entries()) {
        // What the name server says first is the farm: to go there is right, and to go elsewhere is not.
        const isRebinding = place.includes("rebinding");
        const error: unknown = await way(fetcher, place, at).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (isRebinding && (error === undefined || error instanceof PageError)) continue;
        assert.ok(error instanceof PageError, `${place}: ${String(error)}`);
        if (!refusals.has(error.code)) through++;
        assert.ok(refusals.has(error.code), `${place}: ${error.code}, ${error.message}`);
      }
    },
    { ...options, wire, resolver: rebinding() },
  );
  const strangers = wire.dialled.filter(({ address }) => !/^127\.0\.[13]\./.test(address));
  assert.deepEqual([through, strangers, farm.canaryHits], [0, [], 0]);
}

for (const [name, way] of Object.entries(ways)) {
  test(`${name}: 0 of ${places.length} places are reached`, () => attack(way));

  test(`${name}, through a proxy that resolves by itself: 0`, async () => {
    const { host, port } = proxy;
    const upstream = { protocol: "socks5", host, port, resolve: "remote" } as const;
    const proxies: Proxies = {
      route: async () => ({ id: "p", proxy: upstream, end: () => {} }),
    };
    await attack(way, { proxies });
    const inward = proxy.asked.filter((asked) => !/farm\.test:(80|443)$/.test(asked));
    assert.deepEqual(inward, []);
  });
}

test(`by a robots.txt that leads there: 0`, async () => {
  await attack(
    (fetcher, _place, at) => fetcher.fetch(`http://${at}.robots.trap/x`, { retries: 0 }),
    {
      robots: (get) => createRobots(get),
    },
  );
});
