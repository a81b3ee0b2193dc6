import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { type Farm, openFarm } from "../../farm/farm.ts";
import type { FetchOptions } from "../../src/contract/options.ts";
import { failure, run, withFetcher } from "../support/farm.ts";

let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(() => farm.close());

function get(url: string, options?: FetchOptions) {
  return withFetcher(farm, (fetcher) => fetcher.fetch(url, options));
}

const once = { retries: 0 } as const;

describe("bodies that are more than they seem", () => {
  for (const kind of ["gzip", "br", "zstd", "deflate", "gzip/gzip", "br/gzip"])
    test(`100 MiB in ${kind} end at the limit, with flat memory`, async () => {
      await get(`http://bombs.farm.test/page/gzip`); // what is loaded once is loaded
      const url = `http://bombs.farm.test/${kind}?size=100`;
      await get(url, { ...once, maxBytes: 1000 }).catch(() => {}); // the farm has it now
      const before = process.memoryUsage().rss;
      let most = before;
      const watch = setInterval(() => {
        most = Math.max(most, process.memoryUsage().rss);
      }, 5);

      const error = await failure(get(url, { ...once, maxBytes: 50 * 2 ** 20 }));
      clearInterval(watch);

      assert.equal(error.code, "too_large");
      assert.equal(error.details.phase, "body");
      const grown = (most - before) / 2 ** 20;
      assert.ok(grown < 60, `${grown.toFixed(0)} MiB more`);
    });

  test("a page that only compresses well comes through", async () => {
    for (const kind of ["gzip", "br", "zstd", "deflate", "deflate/gzip"])
      assert.equal((await get(`http://bombs.farm.test/page/${kind}`)).bytes.length, 20_000, kind);
    assert.equal((await get("http://bombs.farm.test/raw")).text(), "<p>raw</p>");
  });

  test("three layers, an unknown one, and a lie are refused by name", async () => {
    for (const path of ["page/gzip/gzip/gzip", "odd", "lie"]) {
      const error = await failure(get(`http://bombs.farm.test/${path}`));
      assert.equal(error.code, "unsupported_content", path);
      assert.equal(error.details.attempts?.length, 1);
    }
  });

  test("a body without end ends at the limit", async () => {
    const error = await failure(get("http://endless.farm.test/body", { maxBytes: 2 ** 20 }));
    assert.equal(error.code, "too_large");
    assert.deepEqual(error.details.limit, { name: "maxBytes", value: 2 ** 20 });
  });

  test("a length that is too much is not even read", async () => {
    const error = await failure(get("http://pages.farm.test/bytes/20000", { maxBytes: 100 }));
    assert.equal(error.code, "too_large");
  });
});

describe("hosts that take their time", () => {
  test("each phase has its own deadline, and is told", async () => {
    const cases = [
      ["http://slow.farm.test/head", { headersTimeout: 0.05 }, "headers", "headersTimeout"],
      ["http://slow.farm.test/body", { attemptTimeout: 1 }, "body", "attemptTimeout"],
      ["http://drip.farm.test/", { timeout: 1 }, "body", "timeout"],
      ["http://endless.farm.test/interim", { headersTimeout: 0.1 }, "headers", "headersTimeout"],
    ] as const;
    for (const [url, options, phase, limit] of cases) {
      const error = await failure(get(url, { ...once, ...options }));
      assert.equal(error.code, "timeout");
      assert.deepEqual([error.details.phase, error.details.limit?.name], [phase, limit], url);
    }
  });

  test("headers without end are too large", async () => {
    const error = await failure(get("http://endless.farm.test/headers", once));
    assert.equal(error.code, "too_large");
  });

  test("a caller that gives up has nothing left when its wait is over", async () => {
    const unlimited = { maxBytes: 2 ** 30 }; // a fast machine has ten megabytes before the caller goes
    const urls = [
      "http://slow.farm.test/head",
      "http://slow.farm.test/body",
      "http://drip.farm.test/",
      "http://endless.farm.test/body",
      "http://endless.farm.test/headers",
      "https://slow.farm.test/head",
      "https://drip.farm.test/",
    ];
    for (const url of urls) {
      await assert.rejects(
        withFetcher(farm, (fetcher) => asyncio.timeout(0.1, () => fetcher.fetch(url, unlimited))),
        (error) => error instanceof asyncio.TimeoutError || url.includes("headers"),
      );
    }
  });

  test("an abort signal ends it with its reason", async () => {
    const reason = new Error("the client has gone");
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 50);
    const work = get("http://slow.farm.test/head", { signal: controller.signal });
    await assert.rejects(work, (error) => error === reason);
  });
});

describe("answers that are no HTTP", () => {
  const broken = [
    "short",
    "chunk-size",
    "half-chunk",
    "no-http",
    "nothing",
    "bad-header",
    "bad-status",
    "two-lengths",
    "upgrade",
    "reset?at=10",
    "reset?at=70",
    "reset?at=500",
  ];
  for (const path of broken)
    test(`/${path} is a lost connection`, async () => {
      const error = await failure(get(`http://broken.farm.test/${path}`, once));
      assert.equal(error.code, "reset");
    });

  test("what comes behind the length is not read, and the connection is not kept", async () => {
    await withFetcher(farm, async (fetcher) => {
      assert.equal((await fetcher.fetch("http://broken.farm.test/long")).text(), "more");
      assert.equal((await fetcher.fetch("http://broken.farm.test/long")).text(), "more");
    });
  });

  test("an old host that ends the connection ends the page", async () => {
    assert.equal((await get("http://broken.farm.test/old")).text(), "<p>until the end</p>");
  });
});

describe("failures that a second try cures", () => {
  for (const how of ["503", "500", "reset", "short"])
    test(`${how}, tried again`, async () => {
      const failures = how === "short" ? 1 : 2;
      const page = await get(`http://flaky.farm.test/${failures}?how=${how}&key=${Math.random()}`);
      assert.equal(page.status, 200);
      assert.equal(page.attempts.length, failures + 1);
    });

  test("not more often than its class allows, and the last answer is the page", async () => {
    const page = await get("http://flaky.farm.test/9?key=many");
    assert.deepEqual([page.status, page.attempts.length], [503, 3]);
    assert.match(page.text(), /failure 3/);
  });

  test("what may have had an effect is not sent again", async () => {
    const post = { method: "POST", body: "x" };
    const page = await get("http://flaky.farm.test/1?key=post", post);
    assert.deepEqual([page.status, page.attempts.length], [503, 1]);
    const lost = await failure(get("http://flaky.farm.test/1?how=reset&key=post", post));
    assert.deepEqual([lost.code, lost.details.attempts?.length], ["reset", 1]);
    const safe = { ...post, retryUnsafe: true };
    assert.equal((await get("http://flaky.farm.test/1?key=safe", safe)).status, 200);
  });

  test("a host that says when is asked again then", async () => {
    const page = await get("http://limits.farm.test/429?after=0&times=2");
    assert.deepEqual([page.status, page.attempts.length], [200, 3]);
  });

  test("a time that is too long is told instead of waited for", async () => {
    for (const after of ["3600", "99999999999999", new Date(Date.now() + 3600e3).toUTCString()]) {
      const url = `http://limits.farm.test/429?after=${encodeURIComponent(after)}`;
      const error = await failure(get(url, { timeout: 5 }));
      assert.equal(error.code, "target_rate_limited");
      assert.ok((error.details.retryAfter ?? 0) > 3500);
      assert.equal(error.details.answer?.status, 429);
    }
  });

  test("402 is told with the price", async () => {
    const error = await failure(get("http://limits.farm.test/402"));
    assert.equal(error.code, "target_payment_required");
    assert.ok(error.details.answer?.headers.some(([name]) => name === "crawler-price"));
  });

  test("a host that is not there is tried four times", async () => {
    const error = await failure(get("http://nowhere.farm.test/"));
    assert.deepEqual([error.code, error.details.attempts?.length], ["dns_failed", 4]);
  });

  test("retries are a tenth of what is asked, in the long run", async () => {
    const counts = await withFetcher(farm, async (fetcher) => {
      const counts: number[] = [];
      for (let count = 0; count < 30; count++) {
        const page = await fetcher.fetch(`http://flaky.farm.test/9?budget=${count}`);
        counts.push(page.attempts.length);
      }
      return counts;
    });
    const retries = counts.reduce((sum, count) => sum + count - 1, 0);
    assert.ok(retries <= 13, `${retries} retries for 30 requests`);
  });
});

test("a connection that was closed while it was idle costs nothing", async () => {
  await run(async () => {
    await withFetcher(farm, async (fetcher) => {
      await fetcher.fetch("http://pages.farm.test/");
      assert.equal(fetcher.idle, 1);
      const page = await fetcher.fetch("http://pages.farm.test/bytes/5", { retries: 0 });
      assert.equal(page.attempts[0]?.reused, true);
    });
  });
});

test("nothing has knocked at the canary", () => assert.equal(farm.canaryHits, 0));
