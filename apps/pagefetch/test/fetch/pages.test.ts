import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { exampleDomain } from "../../farm/sites/plain.ts";
import type { FetchOptions } from "../../src/contract/options.ts";
import { fetchOnce } from "../../src/fetch/fetcher.ts";
import { egressTo, failure, withFetcher } from "../support/farm.ts";

let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(() => farm.close());

function get(url: string, options?: FetchOptions) {
  return withFetcher(farm, (fetcher) => fetcher.fetch(url, options));
}

async function code(url: string, options?: FetchOptions): Promise<string> {
  return (await failure(get(url, options))).code;
}

describe("pages", () => {
  test("the page that everybody knows, byte for byte", async () => {
    for (const url of ["http://example.com", "https://example.com/"]) {
      const page = await get(url);
      assert.equal(page.text(), exampleDomain);
      assert.equal(page.status, 200);
      assert.deepEqual(page.charset, { name: "UTF-8", source: "header" });
    }
  });

  test("`fetchOnce` needs nothing to be opened or closed", async () => {
    const page = await asyncio.run(
      () => fetchOnce("https://example.com", {}, { egress: egressTo(farm) }),
      { signals: false },
    );
    assert.equal(page.text(), exampleDomain);
    await farm.waitQuiet();
  });

  test("receipts say what was done", async () => {
    const page = await get("https://pages.farm.test/bytes/20000");
    const [attempt] = page.attempts;

    assert.equal(page.bytes.length, 20_000);
    assert.equal(page.attempts.length, 1);
    assert.ok(attempt);
    const { hop, url, via, status, failure, reused } = attempt;
    assert.deepEqual(
      { hop, url, via, status, failure, reused },
      {
        hop: 0,
        url: "https://pages.farm.test/bytes/20000",
        via: "direct",
        status: 200,
        failure: undefined,
        reused: false,
      },
    );
    assert.ok(page.received > 20_000 && page.received < 25_000);
    assert.deepEqual(page.hops, [
      { url: page.finalUrl, method: "GET", status: 200, robots: { verdict: "not asked" } },
    ]);
  });

  test("a connection is used again, also for another path", async () => {
    await withFetcher(farm, async (fetcher) => {
      const first = await fetcher.fetch("https://pages.farm.test/bytes/10");
      const second = await fetcher.fetch("https://pages.farm.test/bytes/11");
      const other = await fetcher.fetch("https://example.com/");
      const reused = [first, second, other].map(({ attempts }) => attempts[0]?.reused);
      assert.deepEqual(reused, [false, true, false]);
      assert.equal(fetcher.idle, 2);
    });
  });

  test("a method, headers and a body arrive as they are", async () => {
    const page = await get("http://pages.farm.test/echo?a=1#fragment", {
      method: "post",
      headers: { "X-One": "1", accept: "text/plain" },
      body: "héllo",
    });
    const seen = JSON.parse(page.text());
    const headers = JSON.stringify(seen.rawHeaders);
    assert.deepEqual([seen.method, seen.path, seen.body], ["POST", "/echo?a=1", "héllo"]);
    assert.match(headers, /"host","pages.farm.test".*"x-one","1"/);
    assert.match(headers, /"accept","text\/plain"/);
    assert.doesNotMatch(headers, /application\/xhtml/);
  });

  test("a HEAD has no body, whatever its length says", async () => {
    const page = await get("http://pages.farm.test/bytes/20000", { method: "HEAD" });
    assert.deepEqual([page.status, page.bytes.length], [200, 0]);
  });

  test("statuses that nobody can cure are pages", async () => {
    for (const status of [200, 201, 204, 400, 401, 403, 404, 410, 418, 451])
      assert.equal((await get(`http://pages.farm.test/status/${status}`)).status, status);
  });

  test("what is left of a body that nobody reads is not", async () => {
    const read = await withFetcher(farm, (fetcher) =>
      fetcher.open("http://endless.farm.test/body", undefined, async (page) => {
        for await (const piece of page) return piece.length;
        return 0;
      }),
    );
    assert.ok(read > 0);
  });

  test("a slow reader slows the host down", async () => {
    await withFetcher(farm, async (fetcher) => {
      let read = 0;
      await fetcher.open("http://endless.farm.test/body", undefined, async (page) => {
        for (let count = 0; count < 10; count++) {
          read += (await page.read())?.length ?? 0;
          await asyncio.sleep(0.01);
        }
      });
      assert.ok(read < 2 ** 20, `${read} bytes in ten reads`);
    });
  });

  test("an error of the caller's function comes out as it is", async () => {
    const mine = new Error("mine");
    const work = withFetcher(farm, (fetcher) =>
      fetcher.open("http://example.com/", undefined, async () => {
        throw mine;
      }),
    );
    await assert.rejects(work, (error) => error === mine);
  });
});

describe("redirects", () => {
  test("a chain is followed and told", async () => {
    const page = await get("http://redirect.farm.test/chain/3");
    assert.match(page.text(), /end of the chain/);
    assert.deepEqual(
      page.hops.map(({ status }) => status),
      [302, 302, 302, 200],
    );
    assert.equal(page.finalUrl, "http://redirect.farm.test/chain/0");
    assert.equal(page.url, "http://redirect.farm.test/chain/3");
  });

  test("but not for ever", async () => {
    assert.equal(await code("http://redirect.farm.test/loop"), "too_many_redirects");
    const short = { maxRedirects: 2 };
    assert.equal(await code("http://redirect.farm.test/chain/3", short), "too_many_redirects");
    assert.equal((await get("http://redirect.farm.test/chain/2", short)).status, 200);
  });

  for (const place of ["inside", "metadata", "decimal", "mapped"])
    test(`one that leads to ${place} ends there`, async () => {
      const error = await failure(get(`http://redirect.farm.test/${place}`));
      assert.equal(error.code, "blocked_address");
      assert.equal(error.details.hops?.length, 1);
    });

  for (const place of ["bad", "file", "script", "data"])
    test(`one that leads to ${place} is no redirect of HTTP`, async () => {
      assert.equal(await code(`http://redirect.farm.test/${place}`), "unsupported_content");
    });

  test("from https to http is up to the caller", async () => {
    const url = "https://redirect.farm.test/downgrade";
    assert.equal((await get(url)).finalUrl, "http://pages.farm.test/");
    assert.equal(await code(url, { allowDowngrade: false }), "policy_denied");
  });

  test("credentials are for the host they were given for", async () => {
    const headers = { authorization: "Bearer secret", cookie: "a=1", "x-other": "2" };
    const page = await get("http://redirect.farm.test/cross", { headers });
    assert.doesNotMatch(page.text(), /secret|a=1/);
    assert.match(page.text(), /x-other/);
    const same = await get("http://redirect.farm.test/own-cookie", { headers });
    assert.match(same.text(), /secret.*a=1/);
  });

  const methods = [
    [301, "POST", "GET"],
    [302, "POST", "GET"],
    [303, "POST", "GET"],
    [303, "PUT", "GET"],
    [302, "PUT", "PUT"],
    [307, "POST", "POST"],
    [308, "POST", "POST"],
  ] as const;
  for (const [status, method, next] of methods)
    test(`${status} turns ${method} into ${next}`, async () => {
      const to = encodeURIComponent("http://pages.farm.test/echo");
      const page = await get(`http://redirect.farm.test/to?status=${status}&url=${to}`, {
        method,
        body: "x",
        headers: { "content-type": "text/x" },
      });
      const seen = JSON.parse(page.text());
      assert.equal(seen.method, next);
      assert.equal(seen.body, next === "GET" ? "" : "x");
      assert.equal(JSON.stringify(seen.rawHeaders).includes("text/x"), next !== "GET");
    });

  test("a redirect without a place is a page", async () => {
    assert.equal((await get("http://redirect.farm.test/no-location")).status, 302);
    assert.equal((await get("http://redirect.farm.test/many-choices")).status, 300);
  });
});

describe("charsets", () => {
  const greeting = "Grüße, 世界 und Здравствуй";
  const cases = [
    ["utf8", "UTF-8", "header", greeting],
    ["quoted", "UTF-8", "header", greeting],
    ["header-sjis", "Shift_JIS", "header", "日本"],
    ["meta-gbk", "GBK", "meta", "你好"],
    ["meta-late", "windows-1252", "default", "ÄãºÃ"],
    ["bom-wins", "UTF-8", "bom", greeting],
    ["utf16-bom", "UTF-16LE", "bom", greeting],
    ["meta-utf16", "UTF-8", "meta", greeting],
    ["unknown", "windows-1252", "default", "Gün"],
    ["none", "windows-1252", "default", "€“ü"],
    ["replacement", "replacement", "header", "\ufffd"],
    ["wrong", "UTF-8", "header", "\ufffdA"],
  ] as const;
  for (const [path, name, source, text] of cases)
    test(`${path} is ${name} by ${source}`, async () => {
      const page = await get(`http://charset.farm.test/${path}`);
      assert.deepEqual(page.charset, { name, source });
      assert.ok(page.text().includes(text), page.text());
    });
});

test("nothing has knocked at the canary", () => assert.equal(farm.canaryHits, 0));
