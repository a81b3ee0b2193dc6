import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { cancelSweep, explore } from "asyncio-ts/testing";
import type { Outcome, Route } from "../../src/contract/parts.ts";
import { parseProxies } from "../../src/proxies/parse.ts";
import { createProxies, type ProxiesOptions } from "../../src/proxies/proxies.ts";
import { createSessions } from "../../src/sessions/sessions.ts";
import { virtual } from "../support/virtual.ts";

interface Ask {
  readonly proxy?: string;
  readonly host?: string;
  readonly country?: string;
  readonly session?: string;
  readonly avoid?: readonly string[];
}

const ok: Outcome = { status: 200, latency: 0.1 };
const burnt: Outcome = { failure: "proxy_failed" };

/** Numbers from 0 to below 1, the same ones each time. */
function numbers(): () => number {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

function world(lists: Readonly<Record<string, string>>, options?: Partial<ProxiesOptions>) {
  const pools = Object.entries(lists).map(([name, list]) => ({
    name,
    proxies: parseProxies(list, name),
  }));
  const proxies = createProxies({ pools, random: numbers(), ...options });
  const sessions = createSessions();
  const route = async (ask: Ask = {}): Promise<Route> =>
    await proxies.route({
      url: new URL(`https://${ask.host ?? "www.example.org"}/`),
      proxy: ask.proxy ?? "auto",
      country: ask.country,
      session: sessions.open(ask.session),
      avoid: ask.avoid ?? [],
    });
  /** Goes so often, each time with this outcome, and tells by which proxies. */
  const go = async (times: number, outcome: Outcome | ((id: string) => Outcome), ask?: Ask) => {
    const ids: string[] = [];
    for (let n = 0; n < times; n++) {
      const taken = await route(ask);
      ids.push(taken.id);
      taken.end(typeof outcome === "function" ? outcome(taken.id) : outcome);
    }
    return ids;
  };
  return { proxies, route, go };
}

const three = "http://a.example id=a country=de\nhttp://b.example id=b\nhttp://c.example id=c";

describe("which way", () => {
  test(
    "is the direct one without pools, and where it is asked for",
    virtual(async () => {
      assert.deepEqual(await world({}).go(2, ok), ["direct", "direct"]);
      assert.deepEqual(await world({ p: three }).go(1, ok, { proxy: "direct" }), ["direct"]);
    }),
  );

  test(
    "is a proxy of the pool that is asked for, each of them in turn by chance",
    virtual(async () => {
      const ids = await world({ p: three }).go(60, ok, { proxy: "p" });
      assert.deepEqual([...new Set(ids)].sort(), ["a", "b", "c"]);
    }),
  );

  test(
    "is one in the country that is asked for",
    virtual(async () => {
      const { go, route } = world({ p: three });
      assert.deepEqual([...new Set(await go(20, ok, { country: "DE" }))], ["a"]);
      await assert.rejects(route({ country: "fr" }), { code: "bad_request" });
      await assert.rejects(route({ proxy: "direct", country: "de" }), { code: "bad_request" });
      await assert.rejects(route({ proxy: "q" }), {
        code: "bad_request",
        message: 'expected "auto", "direct" or the name of a pool, got "q"',
      });
    }),
  );

  test(
    "is refused for a session whose way is in another country",
    virtual(async () => {
      const { go, route } = world({ p: three });
      const elsewhere = { code: "bad_request", message: /open another session/ };
      assert.deepEqual(await go(1, ok, { proxy: "direct", session: "s" }), ["direct"]);
      assert.deepEqual(await go(1, ok, { country: "de", session: "t" }), ["a"]);
      await assert.rejects(route({ country: "de", session: "s" }), elsewhere);
      assert.deepEqual(await go(1, ok, { country: "DE", session: "t" }), ["a"]);
    }),
  );

  test(
    "is another one for the next attempt",
    virtual(async () => {
      const { go, route } = world({ p: three });
      assert.deepEqual([...new Set(await go(20, ok, { proxy: "p", avoid: ["a", "b"] }))], ["c"]);
      await assert.rejects(route({ proxy: "p", avoid: ["a", "b", "c"] }), {
        code: "proxy_failed",
        message: /has been tried/,
      });
    }),
  );

  test(
    "is the faster and emptier of two",
    virtual(async () => {
      const { go } = world({ p: three });
      const ids = await go(300, (id) => ({ status: 200, latency: id === "a" ? 8 : 0.1 }), {
        proxy: "p",
      });
      const slow = ids.filter((id) => id === "a").length;
      assert.ok(slow < 70, String(slow));
    }),
  );
});

describe("whose fault it is", () => {
  test(
    "decides: refusals of the target never burn a proxy",
    virtual(async () => {
      const { go, proxies } = world({ p: "http://a.example id=a" });
      for (const status of [403, 429, 500, 503]) await go(20, { status }, { proxy: "p" });
      await go(20, { status: 403, failure: "blocked" }, { proxy: "p" });
      assert.equal(proxies.list()[0]?.failing, 0);
      assert.deepEqual(await go(1, ok, { proxy: "p" }), ["a"]);
    }),
  );

  test(
    "of a proxy lets it rest, longer each time, and one request tries it again",
    virtual(async (loop) => {
      const { go, route, proxies } = world({ p: "http://a.example id=a" });
      await go(3, burnt, { proxy: "p" });
      await assert.rejects(route({ proxy: "p" }), (error) => {
        assert.ok(error instanceof Error && "details" in error);
        assert.deepEqual(error.details, { phase: "proxy", retryAfter: 30 });
        return true;
      });
      await asyncio.sleep(30);
      const probe = await route({ proxy: "p" });
      await assert.rejects(route({ proxy: "p" }), { code: "proxy_failed" });
      probe.end(burnt);
      assert.equal(proxies.list()[0]?.restsFor, 60);
      await asyncio.sleep(60);
      await go(1, ok, { proxy: "p" });
      assert.equal(proxies.list()[0]?.restsFor, 0);
      assert.equal(loop.time(), 90);
    }),
  );

  test(
    "that a site cannot be reached counts for the proxy at this site alone",
    virtual(async () => {
      const { go, route } = world({ p: "http://a.example id=a" });
      await go(3, { failure: "connect_failed" }, { proxy: "p" });
      await assert.rejects(route({ proxy: "p" }), { code: "proxy_failed" });
      assert.deepEqual(await go(1, ok, { proxy: "p", host: "other.example" }), ["a"]);
    }),
  );

  test(
    "is nobody's if the request was cancelled",
    virtual(async () => {
      const { go } = world({ p: "http://a.example id=a" });
      await go(9, { failure: "proxy_failed", cancelled: true }, { proxy: "p" });
      assert.deepEqual(await go(1, ok, { proxy: "p" }), ["a"]);
    }),
  );
});

describe("tiers", () => {
  const lists = { cheap: "http://a.example id=a", dear: "http://b.example id=b cost=9" };

  test(
    "begin with the cheapest, rise at failures to reach a site, and come down again",
    virtual(async () => {
      const { go } = world(lists);
      const failing = (id: string): Outcome =>
        id === "direct" ? { failure: "connect_failed" } : ok;
      const ids = await go(40, failing);
      assert.equal(ids[0], "direct");
      assert.equal(ids[1], "a");
      assert.ok(ids.slice(2).includes("direct"), "the direct way is tried again");
      assert.ok(!ids.includes("b"));
      assert.deepEqual([...new Set((await go(60, ok)).slice(-20))], ["direct"]);
    }),
  );

  test(
    "do not rise for a refusal: what a site does not give is not asked for by another way",
    virtual(async () => {
      const ids = await world(lists).go(50, { status: 403, failure: "blocked" });
      assert.deepEqual([...new Set(ids)], ["direct"]);
    }),
  );

  test(
    "are chosen for each site",
    virtual(async () => {
      const { go } = world(lists);
      await go(1, { failure: "reset" });
      assert.deepEqual(await go(1, ok), ["a"]);
      assert.deepEqual(await go(1, ok, { host: "other.example" }), ["direct"]);
    }),
  );

  test(
    "give way to the dearer pool where all of one rest",
    virtual(async () => {
      const { go } = world(lists, { directFirst: false });
      await go(3, burnt, { proxy: "cheap" });
      assert.deepEqual(await go(1, ok), ["b"]);
    }),
  );
});

describe("a session", () => {
  test(
    "stays with its proxy",
    virtual(async () => {
      const { go } = world({ p: three });
      const ids = await go(20, ok, { proxy: "p", session: "ann" });
      assert.equal(new Set(ids).size, 1);
    }),
  );

  test(
    "refuses another pool, and the direct way",
    virtual(async () => {
      const { go, route } = world({ p: three, q: "http://d.example id=d" });
      await go(1, ok, { proxy: "q", session: "ann" });
      await go(1, ok, { proxy: "direct", session: "bob" });
      const elsewhere = (parameter: string, message: RegExp) => ({
        code: "bad_request",
        details: { parameter },
        message,
      });
      for (const proxy of ["p", "direct"])
        await assert.rejects(
          route({ proxy, session: "ann" }),
          elsewhere("proxy", /goes by "q", .* not by "(?:p|direct)"; open another session/),
        );
      await assert.rejects(
        route({ proxy: "q", session: "bob" }),
        elsewhere("proxy", /goes by "direct", .* not by "q"; .*leave `proxy` out/),
      );
      assert.deepEqual(await go(2, ok, { proxy: "q", session: "ann" }), ["d", "d"]);
      assert.deepEqual(await go(1, ok, { session: "ann" }), ["d"]);
      assert.deepEqual(await go(1, ok, { proxy: "direct", session: "bob" }), ["direct"]);
    }),
  );

  test(
    "that two requests begin at once has one way",
    virtual(async () => {
      const { proxies, route } = world({
        p: "http://a.example id=a max=1\nhttp://b.example id=b max=1",
      });
      const busy = [await route({ proxy: "p" }), await route({ proxy: "p" })];
      const lines = [1, 2].map(() =>
        asyncio.createTask(async () => {
          const taken = await route({ proxy: "p", session: "ann" });
          await asyncio.sleep(1);
          taken.end(ok);
          return taken.id;
        }),
      );
      await asyncio.sleep(0);
      for (const one of busy) one.end(ok);
      const ids = await asyncio.gather(lines);
      assert.equal(new Set(ids).size, 1);
      assert.deepEqual(
        proxies.list().map(({ inFlight }) => inFlight),
        [0, 0],
      );
    }),
  );

  test(
    "does not move to another address when its proxy rests",
    virtual(async () => {
      const { go, route } = world({ p: three });
      await go(3, burnt, { proxy: "p", session: "ann" });
      await assert.rejects(route({ proxy: "p", session: "ann" }), { code: "proxy_failed" });
    }),
  );
});

describe("places", () => {
  test(
    "are waited for where all are taken",
    virtual(async (loop) => {
      const { route } = world({ p: "http://a.example id=a max=2" });
      await asyncio.gather(
        [1, 2, 3, 4].map(() => async () => {
          const taken = await route({ proxy: "p" });
          await asyncio.sleep(5);
          taken.end(ok);
        }),
      );
      assert.equal(loop.time(), 10);
    }),
  );

  test("are never lost, in any order of the schedule", async () => {
    await explore(
      async () => {
        const { route, proxies } = world({ p: "http://a.example id=a max=1" });
        await asyncio.gather(
          [1, 2, 3].map(() => async () => {
            const taken = await route({ proxy: "p" });
            try {
              assert.equal(proxies.list()[0]?.inFlight, 1);
              await asyncio.sleep(0.1);
            } finally {
              taken.end(ok);
            }
          }),
        );
        assert.equal(proxies.list()[0]?.inFlight, 0);
      },
      { iterations: 60 },
    );
  });

  test("are never lost by a cancellation", async () => {
    await cancelSweep(async () => {
      const { route, proxies } = world({ p: "http://a.example id=a max=1" });
      const visit = async (): Promise<void> => {
        const taken = await route({ proxy: "p" });
        try {
          await asyncio.sleep(0.1);
        } finally {
          taken.end({ cancelled: true });
        }
      };
      try {
        await asyncio.gather([visit, visit]);
      } finally {
        assert.equal(proxies.list()[0]?.inFlight, 0);
      }
    });
  });

  test(
    "are given back once",
    virtual(async () => {
      const taken = await world({ p: three }).route({ proxy: "p" });
      taken.end(ok);
      assert.throws(() => taken.end(ok), /ended already/);
    }),
  );
});

test("pools that cannot be told apart are refused", () => {
  const proxies = parseProxies("http://a.example id=a");
  assert.throws(() => createProxies({ pools: [{ name: "auto", proxies }] }), /"auto"/);
  assert.throws(() => createProxies({ pools: [{ name: "a b", proxies }] }), /word/);
  assert.throws(() => createProxies({ pools: [{ name: "p", proxies: [] }] }), /empty/);
  const twice = [
    { name: "p", proxies },
    { name: "q", proxies },
  ];
  assert.throws(() => createProxies({ pools: twice }), /two proxies have the id "a"/);
});

test("what is listed has no address and no password in it", () => {
  const pools = [{ name: "p", proxies: parseProxies("http://ann:hunter2@a.example:81") }];
  assert.doesNotMatch(JSON.stringify(createProxies({ pools }).list()), /hunter2|a\.example|ann/);
});
