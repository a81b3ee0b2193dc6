import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { html } from "../../farm/site.ts";
import type { HeaderList } from "../../src/contract/headers.ts";
import type { FetchOptions } from "../../src/contract/options.ts";
import type { FetchResult } from "../../src/contract/result.ts";
import {
  directivesOf,
  freshened,
  initialAge,
  isFresh,
  isGoodIfError,
  isStorable,
  lifetimeOf,
} from "../../src/fetch/cache-policy.ts";
import type { Fetcher } from "../../src/fetch/fetcher.ts";
import { PageCache } from "../../src/fetch/page-cache.ts";
import { failure, withFetcher } from "../support/farm.ts";

const list = (headers: Readonly<Record<string, string>>): HeaderList => Object.entries(headers);
const control = (value: string, more = {}): HeaderList =>
  list({ "cache-control": value, date: "Mon, 01 Jan 2024 00:00:00 GMT", ...more });

describe("what may be kept (RFC 9111, 3)", () => {
  const cases: readonly (readonly [string, number, HeaderList, HeaderList, boolean])[] = [
    ["fresh for a minute", 200, control("max-age=60"), [], true],
    ["nothing said, nothing to ask with", 200, [], [], false],
    ["a tag to ask with", 200, list({ etag: '"a"' }), [], true],
    ["no-store", 200, control("no-store, max-age=60"), [], false],
    ["private", 200, control("private, max-age=60"), [], false],
    ["no-store asked for", 200, control("max-age=60"), control("no-store"), false],
    ["credentials", 200, control("max-age=60"), list({ authorization: "x" }), false],
    ["public, but credentials", 200, control("public, max-age=60"), list({ cookie: "x" }), false],
    ["sets a cookie", 200, control("max-age=60", { "set-cookie": "a=1" }), [], false],
    ["depends on everything", 200, control("max-age=60", { vary: "*" }), [], false],
    ["a part", 206, control("max-age=60"), [], false],
    ["not found, and says so for a minute", 404, control("max-age=60"), [], true],
    ["an error, and says so for a minute", 500, control("max-age=60"), [], true],
    ["an error with a tag", 500, list({ etag: '"a"' }), [], false],
    ["stale at once, with a tag", 200, control("max-age=0", { etag: '"a"' }), [], true],
    ["stale at once", 200, control("max-age=0"), [], false],
  ];
  for (const [name, status, headers, sent, expected] of cases)
    test(`${name}: ${expected ? "yes" : "no"}`, () => {
      assert.equal(isStorable(status, headers, sent), expected);
    });
});

describe("for how long it is fresh (4.2)", () => {
  const date = "Mon, 01 Jan 2024 00:00:00 GMT";
  const cases: readonly (readonly [string, HeaderList, number])[] = [
    ["max-age", control("max-age=60"), 60],
    ["s-maxage wins", control("max-age=60, s-maxage=10"), 10],
    ["in quotes", control('max-age="60"'), 60],
    ["in capitals", control("MAX-AGE=60"), 60],
    ["no number", control("max-age=soon"), 0],
    ["negative", control("max-age=-1"), 0],
    ["the first of two", control("max-age=10, max-age=20"), 10],
    ["expires", list({ date, expires: "Mon, 01 Jan 2024 00:01:00 GMT" }), 60],
    ["expires in the past", list({ date, expires: "Sun, 31 Dec 2023 00:00:00 GMT" }), 0],
    ["expires: 0", list({ date, expires: "0" }), 0],
    [
      "max-age wins over expires",
      control("max-age=5", { expires: "Tue, 02 Jan 2024 00:00:00 GMT" }),
      5,
    ],
    ["a tenth of its age", list({ date, "last-modified": "Sun, 31 Dec 2023 23:50:00 GMT" }), 60],
    ["but a day at most", list({ date, "last-modified": "Sun, 01 Jan 2000 00:00:00 GMT" }), 86_400],
    ["nothing said", list({ date }), 0],
  ];
  for (const [name, headers, expected] of cases)
    test(name, () => assert.equal(lifetimeOf(200, headers), expected));

  test("its age counts from where it came from, and what the way took", () => {
    const then = Date.parse(date) / 1000;
    assert.equal(initialAge(list({ date }), then, then), 0);
    assert.equal(initialAge(list({ date }), then + 10, then + 12), 12);
    assert.equal(initialAge(list({ date, age: "100" }), then, then + 2), 102);
    assert.equal(initialAge(list({ age: "no" }), then, then + 2), 2);
  });

  test("no-cache is never fresh, and stale-if-error is good for longer", () => {
    assert.equal(isFresh(200, control("max-age=60"), 59), true);
    assert.equal(isFresh(200, control("max-age=60"), 60), false);
    assert.equal(isFresh(200, control("max-age=60, no-cache"), 1), false);
    assert.equal(isGoodIfError(200, control("max-age=60, stale-if-error=60"), 100), true);
    assert.equal(isGoodIfError(200, control("max-age=60, stale-if-error=60"), 121), false);
    const strict = control("max-age=60, stale-if-error=60, must-revalidate");
    assert.equal(isGoodIfError(200, strict, 100), false);
  });

  test("directives may be spelt in any way that the grammar allows", () => {
    const found = directivesOf([
      ["cache-control", 'max-age = "5" ,, No-Cache="a, b"'],
      ["cache-control", "public"],
    ]);
    assert.deepEqual(
      [...found],
      [
        ["max-age", "5"],
        ["no-cache", "a, b"],
        ["public", ""],
      ],
    );
  });

  test("a 304 changes headers, but not those of the body", () => {
    const kept = list({ etag: "1", "content-length": "5", "cache-control": "max-age=1" });
    const news = list({ "cache-control": "max-age=9", "content-length": "0" });
    assert.deepEqual(freshened(kept, news), [
      ["etag", "1"],
      ["content-length", "5"],
      ["cache-control", "max-age=9"],
    ]);
  });
});

describe("through the pipeline", () => {
  let farm: Farm;
  let isDown = false;
  /** Set when the first request has come to held.farm.test. */
  const held = new asyncio.Event();
  before(async () => {
    farm = await openFarm({
      "varied.farm.test": (ask) =>
        html(ask, `<p>${ask.request.headers["accept-language"]}</p>`, 200, {
          "cache-control": "max-age=60",
          vary: "Accept-Language",
        }),
      "held.farm.test": (ask) => {
        if (ask.count === 1)
          held.set(); // and no answer
        else html(ask, "<p>here</p>", 200, { "cache-control": "max-age=60" });
      },
      "failing.farm.test": (ask) => {
        if (isDown) ask.socket.resetAndDestroy();
        else html(ask, "<p>up</p>", 200, { "cache-control": "max-age=10, stale-if-error=100" });
      },
    });
  });
  after(() => farm.close());

  /** Seconds that the cache's clock is ahead. */
  let ahead = 0;
  function withCache<T>(body: (get: Get, fetcher: Fetcher) => Promise<T>): Promise<T> {
    farm.reset();
    ahead = 0;
    const cache = new PageCache({ now: () => Date.now() / 1000 + ahead });
    return withFetcher(
      farm,
      (fetcher) =>
        body(
          (url, options) => fetcher.fetch(url, { cache: "use", retries: 0, ...options }),
          fetcher,
        ),
      { cache },
    );
  }
  type Get = (url: string, options?: FetchOptions) => Promise<FetchResult>;

  const fresh = "http://pages.farm.test/cache?control=max-age%3D60";

  test("a fresh page is not asked for again, and says how old it is", async () => {
    await withCache(async (get) => {
      assert.equal((await get(fresh)).cache, "miss");
      ahead = 30;
      const hit = await get(fresh);
      assert.deepEqual([hit.cache, hit.text()], ["hit", "<p>answer 1</p>"]);
      assert.match(hit.headers.find(([name]) => name === "age")?.[1] ?? "", /^3\d$/);
      assert.deepEqual([hit.attempts, hit.received, farm.seen.length], [[], 0, 1]);
      assert.equal(hit.hops.length, 1);
    });
  });

  test("an old one is asked for", async () => {
    await withCache(async (get) => {
      await get(fresh);
      ahead = 61;
      assert.equal((await get(fresh)).text(), "<p>answer 2</p>");
    });
  });

  test("one that is older than the caller wants is asked for", async () => {
    await withCache(async (get) => {
      await get(fresh);
      ahead = 30;
      assert.equal((await get(fresh, { maxAge: 10 })).text(), "<p>answer 2</p>");
    });
  });

  test("nothing is kept, and nothing is used, unless it is asked for", async () => {
    await withCache(async (get) => {
      assert.equal((await get(fresh, { cache: "off" })).cache, "off");
      await get(fresh, { cache: "read" });
      assert.equal((await get(fresh, { cache: "write" })).text(), "<p>answer 3</p>");
      assert.equal((await get(fresh, { cache: "write" })).text(), "<p>answer 4</p>");
      assert.equal((await get(fresh, { cache: "read" })).text(), "<p>answer 4</p>");
    });
  });

  test("a page with a tag is asked about, and the connection stays good", async () => {
    await withCache(async (get, fetcher) => {
      const url = "http://pages.farm.test/cache?control=no-cache&etag=a";
      await get(url);
      const again = await get(url);
      assert.deepEqual(
        [again.cache, again.status, again.text()],
        ["revalidated", 200, "<p>answer 1</p>"],
      );
      assert.equal(again.attempts[0]?.status, 304);
      assert.equal(fetcher.idle, 1);
    });
  });

  test("what depends on a header is kept by it", async () => {
    await withCache(async (get) => {
      const ask = (language: string) =>
        get("http://varied.farm.test/", { headers: { "accept-language": language } });
      await ask("de");
      await ask("en");
      const [de, en] = [await ask("de"), await ask("en")];
      assert.deepEqual([de.cache, de.text(), en.text()], ["hit", "<p>de</p>", "<p>en</p>"]);
    });
  });

  test("what was asked for with credentials is not shared", async () => {
    await withCache(async (get) => {
      await get(fresh, { headers: { authorization: "Bearer x" } });
      assert.equal((await get(fresh)).cache, "miss");
      const own = await get(fresh, { headers: { cookie: "a=1" } });
      assert.deepEqual([own.cache, own.text()], ["off", "<p>answer 3</p>"]);
    });
  });

  test("a host that is down leaves what it allowed to be used", async () => {
    await withCache(async (get) => {
      const url = "http://failing.farm.test/";
      await get(url);
      isDown = true;
      ahead = 50;
      const stale = await get(url);
      assert.deepEqual(
        [stale.cache, stale.text(), stale.attempts[0]?.failure],
        ["stale", "<p>up</p>", "reset"],
      );
      ahead = 200;
      assert.equal((await failure(get(url))).code, "reset");
      isDown = false;
    });
  });

  test("a POST makes what is kept of the URL old", async () => {
    await withCache(async (get) => {
      await get(fresh);
      await get(fresh, { method: "POST", body: "x" });
      assert.equal((await get(fresh)).cache, "miss");
    });
  });

  test("a page that was not read to its end is not kept", async () => {
    await withCache(async (get, fetcher) => {
      const url = "http://varied.farm.test/half";
      await fetcher.open(url, { cache: "use" }, async () => {});
      assert.equal((await get(url)).cache, "miss");
    });
  });

  describe("many who ask at the same time", () => {
    const together = <T>(count: number, call: () => Promise<T>): Promise<T[]> =>
      asyncio.gather(Array.from({ length: count }, () => call));
    const outcomes = (pages: readonly FetchResult[]) => pages.map(({ cache }) => cache).sort();

    test("ask once, and only the first one pays", async () => {
      await withCache(async (get) => {
        const pages = await together(5, () => get(fresh));
        assert.deepEqual(outcomes(pages), ["hit", "hit", "hit", "hit", "miss"]);
        assert.equal(farm.seen.length, 1);
        const paid = pages.filter(({ attempts }) => attempts.length > 0);
        assert.equal(paid.length, 1);
      });
    });

    test("each ask for what cannot be kept, and for what differs", async () => {
      await withCache(async (get) => {
        await together(3, () => get("http://pages.farm.test/cache?control=no-store"));
        assert.equal(farm.seen.length, 3);
        const languages = ["de", "en"].map(
          (language) => () => get(fresh, { headers: { "accept-language": language } }),
        );
        assert.deepEqual(outcomes(await asyncio.gather(languages)), ["miss", "miss"]);
      });
    });

    test("do not lose the page with the first one, who leaves", async () => {
      await withCache(async (get) => {
        const slow = "http://held.farm.test/";
        const first = asyncio.createTask(() => get(slow));
        await held.wait();
        const others = asyncio.createTask(() => together(3, () => get(slow)));
        await asyncio.sleep(0);

        first.cancel();
        await asyncio.wait([first]);

        assert.deepEqual(outcomes(await others), ["hit", "hit", "miss"]);
        assert.equal(farm.seen.length, 2);
      });
    });
  });

  test("memory is bounded", () => {
    const cache = new PageCache({ memory: 100_000 });
    const headers = control("max-age=60");
    for (let count = 0; count < 100; count++) {
      const bytes = new Uint8Array(9000);
      cache.put(`http://a.test/${count}`, [], { status: 200, statusText: "", headers, bytes }, 0);
    }
    assert.ok(cache.size <= 100_000);
    assert.equal(cache.find("http://a.test/0", []), undefined);
    assert.ok(cache.find("http://a.test/99", []));
    const large = new Uint8Array(50_000);
    cache.put("http://a.test/x", [], { status: 200, statusText: "", headers, bytes: large }, 0);
    assert.equal(cache.find("http://a.test/x", []), undefined);
  });
});
