import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { type Farm, openFarm } from "../farm/farm.ts";
import { html } from "../farm/site.ts";
import { type FetchOptions, fetchPage, openFetcher, type Solver } from "../src/index.ts";
import { createPoliteness } from "../src/politeness/politeness.ts";
import { egressTo, failure, run } from "./support/farm.ts";

const challenge = `<!doctype html><html><head><title>Just a moment...</title></head><body>
<div id="challenge-error-text">Enable JavaScript and cookies to continue</div>
<script src="/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1"></script></body></html>`;

let farm: Farm;
before(async () => {
  farm = await openFarm({
    "guarded.farm.test": (ask) => {
      if (ask.request.headers.cookie?.includes("passed=1") === true) html(ask, "<p>in</p>");
      else html(ask, challenge, 403, { server: "cloudflare" });
    },
  });
});
after(() => farm.close());

async function getAll(urls: readonly string[], options?: FetchOptions) {
  const politeness = createPoliteness({ domain: { interval: 0.2, inFlight: 2 } });
  const pages = await run(async () => {
    using fetcher = openFetcher({ egress: egressTo(farm), politeness });
    const pages = [];
    for (const url of urls) pages.push(await fetcher.fetch(url, options));
    return pages;
  });
  await farm.waitQuiet();
  return pages;
}

test("robots.txt is asked, and a site has its time between two requests", async () => {
  farm.reset();
  const url = "http://partly.robots.test/x";
  const [first, second] = await getAll([url, url]);

  assert.equal(first?.hops[0]?.robots.verdict, "allowed");
  const asked = farm.seen.map(({ path }) => path);
  assert.deepEqual(asked, ["/robots.txt", "/x", "/x"]);
  // The crawl-delay of two seconds is the longer one.
  assert.ok((second?.politeWait ?? 0) > 1.5, `${second?.politeWait}`);
  const [agent = ""] = farm.seen.map(({ headers }) => headers["user-agent"]);
  assert.match(agent, /pagefetch/);
});

test("cookies stay with their session", async () => {
  const urls = ["http://pages.farm.test/cookie?a=1", "http://pages.farm.test/echo"];
  const [, kept] = await getAll(urls, { session: "s" });
  const [, other] = await getAll(urls);
  assert.match(kept?.text() ?? "", /a=1/);
  assert.doesNotMatch(other?.text() ?? "", /a=1/);
});

test("a redirect that sets a cookie finds it at the next hop", async () => {
  const [page] = await getAll(["http://redirect.farm.test/own-cookie"]);
  assert.match(page?.text() ?? "", /own=1/);
  const [other] = await getAll(["http://redirect.farm.test/cross"]);
  assert.doesNotMatch(other?.text() ?? "", /from=redirect/);
});

test("a challenge is no page", async () => {
  const error = await failure(getAll(["http://guarded.farm.test/"]));
  assert.deepEqual([error.code, error.details.answer?.status], ["captcha", 403]);
  assert.equal(error.details.attempts?.length, 1);
  assert.match(error.details.vendor ?? "", /cloudflare/i);
});

test("the operator's solver is asked once, for the hosts that it names", async () => {
  const asked: string[] = [];
  const solver = (hosts: readonly string[], value: string): Solver => ({
    hosts: new Set(hosts),
    async solve({ url, verdict, route }) {
      asked.push(`${url.hostname} ${verdict.kind} ${route}`);
      return { setCookies: [`passed=${value}; Path=/`] };
    },
  });
  const get = (solver: Solver) =>
    run(async () => {
      using fetcher = openFetcher({
        egress: egressTo(farm),
        politeness: createPoliteness({ domain: { interval: 0, inFlight: 2 } }),
        solver,
      });
      return await fetcher.fetch("http://guarded.farm.test/");
    });

  assert.equal((await get(solver(["guarded.farm.test"], "1"))).text(), "<p>in</p>");
  assert.equal((await failure(get(solver(["guarded.farm.test"], "0")))).code, "captcha");
  assert.equal((await failure(get(solver(["example.com"], "1")))).code, "captcha");
  assert.deepEqual(
    asked.map((line) => line.replace("captcha", "challenge")),
    ["guarded.farm.test challenge direct", "guarded.farm.test challenge direct"],
  );
});

test("a browser is not claimed", async () => {
  const error = await failure(getAll(["http://example.com/"], { identity: "browser" }));
  assert.equal(error.code, "unsupported_parameter");
});

test("`fetchPage` refuses the network of the machine it runs on", async () => {
  for (const url of ["http://127.0.0.1/", "http://localhost:80/", "http://[::1]/"])
    assert.equal((await failure(asyncio.run(() => fetchPage(url)))).code, "blocked_address");
});

test("nothing has knocked at the canary", () => assert.equal(farm.canaryHits, 0));
