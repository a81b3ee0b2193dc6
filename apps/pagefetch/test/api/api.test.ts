/** The HTTP API over real connections, with the farm as its internet. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { html } from "../../farm/site.ts";
import { exampleDomain } from "../../farm/sites/plain.ts";
import type { Config } from "../../src/cli/config.ts";
import { codeOf, q, usageOf, type World, withApi as withWorld, written } from "../support/api.ts";

const captcha =
  '<html><body><h1>One more step</h1><div class="h-captcha"></div><script src="https://js.hcaptcha.com/1/api.js"></script></body></html>';
let farm: Farm;
before(async () => {
  farm = await openFarm({ "guarded.farm.test": (ask) => html(ask, captcha, 403) });
});
after(() => farm.close());

const withApi = (body: (world: World) => Promise<void>, config?: Config): Promise<void> =>
  withWorld(farm, body, config);

describe("GET /", () => {
  test("gives the page byte for byte, with the target's status and our receipts", () =>
    withApi(async ({ address, key }) => {
      const response = await asyncio.fetch(
        `${address}/?key=${key}&url=${q("http://example.com/")}`,
      );
      assert.equal(response.status, 200);
      assert.equal(await response.text(), exampleDomain);
      assert.equal(response.headers.get("x-fetch-status"), "200");
      assert.equal(response.headers.get("x-fetch-final-url"), "http://example.com/");
      assert.match(response.headers.get("x-fetch-robots") ?? "", /^allowed/);
      assert.match(response.headers.get("x-fetch-identity") ?? "", /^bot pagefetch/);
      assert.match(response.headers.get("content-security-policy") ?? "", /sandbox/);
      const missing = await asyncio.fetch(
        `${address}/?auth_key=${key}&url=${q("http://pages.farm.test/status/404")}`,
      );
      assert.equal(missing.status, 404);
    }));

  test("a status that HTTP does not have is told, and is an error of the server", () =>
    withApi(async ({ ask }) => {
      for (const more of ["", "&output=text", "&json=1"]) {
        const response = await ask(`/?url=${q("http://pages.farm.test/status/799")}${more}`);
        assert.equal(response.status, more === "&json=1" ? 200 : 502);
        if (more === "&json=1")
          assert.equal(((await response.json()) as { status: number }).status, 799);
        else assert.equal(response.headers.get("x-fetch-status"), "799");
      }
    }));

  test("gives other forms", () =>
    withApi(async ({ ask }) => {
      const url = q("http://example.com/");
      const markdown = await ask(`/?url=${url}&output=markdown`);
      assert.match(await markdown.text(), /^# Example Domain/m);
      assert.match(markdown.headers.get("content-type") ?? "", /markdown/);
      const links = (await (await ask(`/?url=${url}&output=links`)).json()) as { url: string }[];
      assert.equal(links[0]?.url, "https://www.iana.org/domains/example");
      const rules = q(JSON.stringify({ title: "h1" }));
      const found = await ask(`/?url=${url}&extract=${rules}`);
      assert.deepEqual(await found.json(), { title: "Example Domain" });
      const whole = (await (await ask(`/?url=${url}&json=1&output=text`)).json()) as {
        content: string;
        cost: number;
      };
      assert.match(whole.content, /^Example Domain\n/);
      assert.equal(whole.cost, 1);
    }));

  test("HEAD asks the site by HEAD", () =>
    withApi(async ({ ask }) => {
      const answer = await ask(`/?url=${q("http://pages.farm.test/status/404")}`, {
        method: "HEAD",
      });
      const { headers } = answer;
      assert.deepEqual([answer.status, headers.get("x-fetch-status")], [404, "404"]);
      assert.equal(await answer.text(), "");
    }));

  test("without parameters is the documentation", () =>
    withApi(async ({ ask }) => {
      const page = await (await ask("/", { key: null })).text();
      assert.match(page, /curl/);
      assert.match(page, /too_many_redirects/);
      assert.match(page, /<code>timeout<\/code><\/td><td>Seconds for all of it/);
      const schema = (await (await ask("/openapi.json", { key: null })).json()) as {
        paths: Record<string, unknown>;
      };
      assert.ok(schema.paths["/v1/fetch"]);
    }));

  test("a large page comes with the speed of its reader", () =>
    withApi(async ({ ask }) => {
      const response = await ask(`/?url=${q("http://pages.farm.test/bytes/3000000")}`);
      let size = 0;
      for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>)
        size += piece.length;
      assert.equal(size, 3_000_000);
    }));

  test("a body that ends in the middle does not look whole", () =>
    withApi(async ({ ask }) => {
      await assert.rejects(async () => {
        const response = await ask(`/?url=${q("http://endless.farm.test/body")}&max_bytes=100000`);
        if (response.status !== 200) throw new Error(await codeOf(response));
        await response.arrayBuffer();
      });
    }));
});

describe("failures are told by code", () => {
  const table: [path: string, status: number, code: string][] = [
    ["/?url=notaurl", 400, "bad_request"],
    ["/?url=ftp%3A%2F%2Fexample.com", 400, "bad_request"],
    ["/?output=text", 400, "bad_request"],
    ["/?url=http%3A%2F%2Fexample.com%2F&colour=red", 400, "unknown_parameter"],
    ["/?url=http%3A%2F%2Fexample.com%2F&timeout=-1", 400, "bad_request"],
    ["/?url=http%3A%2F%2Fexample.com%2F&timeout=", 400, "bad_request"],
    ["/?url=http%3A%2F%2Fexample.com%2F&render=true", 400, "unsupported_parameter"],
    ["/?url=http%3A%2F%2Fexample.com%2F&render=always", 400, "unsupported_parameter"],
    ["/?url=http%3A%2F%2Fexample.com%2F&render=flase", 400, "unsupported_parameter"],
    ["/?url=http%3A%2F%2Fexample.com%2F&json=maybe", 400, "bad_request"],
    ["/api/v1?url=http%3A%2F%2Fexample.com%2F&render_js=flase", 400, "unsupported_parameter"],
    ["/?url=http%3A%2F%2Fexample.com%2F&identity=browser", 400, "unsupported_parameter"],
    ["/?url=http%3A%2F%2Fexample.com%2F&robots=ignore", 403, "policy_denied"],
    ["/?url=http%3A%2F%2Fexample.com%2F&method=DELETE", 403, "policy_denied"],
    ["/?url=http%3A%2F%2F127.0.0.1%2F", 403, "blocked_address"],
    ["/?url=http%3A%2F%2Finside.farm.test%2F", 403, "blocked_address"],
    ["/?url=http%3A%2F%2Fredirect.farm.test%2Finside", 403, "blocked_address"],
    ["/?url=http%3A%2F%2Fnowhere.farm.test%2F", 502, "dns_failed"],
    ["/?url=http%3A%2F%2Fguarded.farm.test%2F", 424, "captcha"],
    ["/?url=http%3A%2F%2Fdrip.farm.test%2F&timeout=0.5", 504, "timeout"],
    ["/?url=http%3A%2F%2Fexample.com%2F&extract=%7B", 400, "bad_request"],
    [
      "/?url=http%3A%2F%2Fexample.com%2F&extract=%7B%22a%22%3A%22%2F%2Fh1%22%7D",
      400,
      "bad_request",
    ],
    ["/?url=http%3A%2F%2Fexample.com%2F&extract=%7B%22a%22%3A%22h1%5B%22%7D", 400, "bad_request"],
    ["/?url=http%3A%2F%2Fexample.com%2F&output=extract", 400, "bad_request"],
    [
      "/?url=http%3A%2F%2Fexample.com%2F&output=raw&extract=%7B%22a%22%3A%22p%22%7D",
      400,
      "bad_request",
    ],
    ["/?url=http%3A%2F%2Fexample.com%2F&max_age=5", 400, "bad_request"],
    ["/?url=http%3A%2F%2Fexample.com%2F&proxy=nowhere", 400, "bad_request"],
    ["/?url=http%3A%2F%2Fexample.com%2F&country=de", 400, "bad_request"],
    // The last one: it closes the whole domain of the farm.
    [
      "/?url=http%3A%2F%2Flimits.farm.test%2F429%3Fafter%3D400%26times%3D9&timeout=3",
      424,
      "target_rate_limited",
    ],
  ];
  test("on every path of the table", () =>
    withApi(async ({ ask }) => {
      for (const [path, status, code] of table) {
        const whole = code === "timeout" ? `${path}&json=1` : path;
        const response = await ask(whole);
        assert.equal(response.status, status, path);
        assert.equal(response.headers.get("x-fetch-error"), code, path);
        assert.equal(await codeOf(response), code, path);
      }
      assert.equal(farm.canaryHits, 0);
    }));

  test("keys, rates, budgets", () =>
    withApi(async ({ ask, newKey }) => {
      const path = `/?url=${q("http://example.com/")}`;
      assert.equal(await codeOf(await ask(path, { key: null })), "unauthorized");
      assert.equal(await codeOf(await ask(path, { key: "pf_nothing" })), "unauthorized");
      const slow = await newKey({ rate: 0.01, burst: 1 });
      assert.equal((await ask(path, { key: slow })).status, 200);
      const limited = await ask(path, { key: slow });
      assert.equal(limited.status, 429);
      assert.ok(Number(limited.headers.get("retry-after")) > 50);
      assert.equal(await codeOf(limited), "rate_limited");
      const poor = await newKey({ budget: 2 });
      await (await ask(path, { key: poor })).text();
      await (await ask(path, { key: poor })).text();
      assert.equal(await codeOf(await ask(path, { key: poor })), "over_budget");
      const narrow = await newKey({ concurrency: 1 });
      const seen = farm.seen.length;
      const hanging = asyncio.createTask(() =>
        ask(`/?url=${q("http://slow.farm.test/")}&timeout=20`, { key: narrow }),
      );
      await farm.waitSeen(seen + 1);
      assert.equal(await codeOf(await ask(path, { key: narrow })), "concurrency_limited");
      hanging.cancel();
      await asyncio.wait([hanging]);
      const unscoped = await newKey({ scopes: ["fetch"] });
      assert.equal(await codeOf(await ask("/v1/usage", { key: unscoped })), "policy_denied");
    }));

  test("bodies that are none", () =>
    withApi(async ({ ask, post }) => {
      const bad = await ask("/v1/fetch", { method: "POST", body: "{" });
      assert.equal(await codeOf(bad), "bad_request");
      assert.equal(await codeOf(await post("/v1/fetch", { url: 5 })), "bad_request");
      assert.equal(await codeOf(await post("/v1/fetch", [])), "bad_request");
      const strange = await post("/v1/fetch", { url: "http://example.com/", proxy_url: "x" });
      assert.equal(await codeOf(strange), "unknown_parameter");
      const own = await ask(`/?url=${q("http://example.com/")}&outptu=text`);
      assert.match(await own.text(), /there is no parameter `outptu`/);
      for (const render of ["never", "auto", "false"])
        assert.equal((await ask(`/?url=${q("http://example.com/")}&render=${render}`)).status, 200);
      assert.equal(await codeOf(await post("/v1/batch", { requests: [] })), "bad_request");
      const flat = { url: "http://example.com/", json: false };
      assert.match(await (await post("/v1/fetch", flat)).text(), /"bad_request".*always.*"json"/);
      const batch = await post("/v1/batch", { requests: [flat] });
      assert.match(await batch.text(), /"bad_request".*"parameter":"json"/);
      assert.equal((await ask("/nothing")).status, 404);
    }));
});

describe("POST /v1/fetch and its kin", () => {
  test("a fetch gives all receipts", () =>
    withApi(async ({ post }) => {
      const response = await post("/v1/fetch", { url: "http://redirect.farm.test/cross" });
      const answer = (await response.json()) as {
        status: number;
        hops: unknown[];
        attempts: { via: string }[];
        received: number;
      };
      assert.equal(answer.status, 200);
      assert.equal(answer.hops.length, 2);
      assert.equal(answer.attempts.length, 2);
      assert.ok(answer.received > 100);
    }));

  test("a body that is no UTF-8 is refused, and not sent as something else", () =>
    withApi(async ({ ask, post }) => {
      const body = Uint8Array.of(0x61, 0xff);
      const path = `/?url=${q("http://pages.farm.test/echo")}`;
      const answers = [
        await ask(path, { method: "POST", body }),
        await post("/v1/extract", {
          url: "http://pages.farm.test/echo",
          httpRequestMethod: "POST",
          httpRequestBody: Buffer.from(body).toString("base64"),
        }),
        await post("/v1/extract", { url: "http://example.com/", httpRequestBody: "no base64" }),
      ];
      assert.deepEqual(await Promise.all(answers.map(codeOf)), [
        "bad_request",
        "unsupported_parameter",
        "unsupported_parameter",
      ]);
    }));

  test("a session has a name that the pipeline takes, with its key in front", () =>
    withApi(async ({ post }) => {
      const get = (session: string) => post("/v1/fetch", { url: "http://example.com/", session });
      assert.equal((await get("s".repeat(80))).status, 200);
      for (const session of ["", "a b", "s".repeat(81)])
        assert.equal(await codeOf(await get(session)), "bad_request");
    }));

  test("a batch gives each its own end", () =>
    withApi(async ({ post }) => {
      const requests = [
        { url: "http://example.com/", output: "text" },
        { url: "http://127.0.0.1/" },
        { url: "http://pages.farm.test/status/404" },
      ];
      const { results } = (await (await post("/v1/batch", { requests })).json()) as {
        results: { status?: number; error?: { code: string } }[];
      };
      assert.deepEqual(
        results.map(({ status, error }) => status ?? error?.code),
        [200, "blocked_address", 404],
      );
    }));

  test("usage adds up what the ledger has: a row for each request", () =>
    withApi(async ({ ask, service }) => {
      for (const host of ["example.com", "nowhere.farm.test", "example.com"]) {
        await (await ask(`/?url=${q(`http://${host}/`)}`)).text();
      }
      await written(service);
      const usage = (await (await ask("/v1/usage")).json()) as Record<string, unknown>;
      assert.equal(usage.requests, 3);
      assert.equal(usage.pages, 2);
      assert.deepEqual(usage.failures, { dns_failed: 1 });
      for (const from of ["soon", "-271821-04-20", "%2B275760-09-13"])
        assert.equal(await codeOf(await ask(`/v1/usage?from=${from}`)), "bad_request");
    }));

  test("health, readiness and metrics need no key and tell no host", () =>
    withApi(async ({ ask, service }) => {
      await (await ask(`/?url=${q("http://example.com/")}`)).text();
      await written(service);
      assert.equal((await ask("/healthz", { key: null })).status, 200);
      assert.equal((await ask("/readyz", { key: null })).status, 200);
      const metrics = await (await ask("/metrics", { key: null })).text();
      assert.match(metrics, /pagefetch_requests_total\{outcome="ok"\} 1/);
      assert.doesNotMatch(metrics, /example\.com/);
      service.beginShutdown();
      assert.equal((await ask("/readyz", { key: null })).status, 503);
      const refused = await ask(`/?url=${q("http://example.com/")}`);
      assert.equal(await codeOf(refused), "shutting_down");
      assert.equal((await ask("/healthz", { key: null })).status, 200);
    }));

  test("keys are claimed only where the operator sends the links", () =>
    withApi(async ({ post }) => {
      const refused = await post("/v1/keys/claim", { address: "a@b.example" }, null);
      assert.equal(await codeOf(refused), "policy_denied");
    }));
});

describe("programs of other services", () => {
  test("are served where they change their address alone", () =>
    withApi(async ({ ask, key, address }) => {
      const url = q("http://pages.farm.test/status/503");
      const bee = await ask(
        `/api/v1?api_key=${key}&render_js=false&url=${q("http://example.com/")}`,
        {
          key: null,
        },
      );
      assert.equal(bee.status, 200);
      assert.equal(bee.headers.get("spb-resolved-url"), "http://example.com/");
      const failed = await ask(`/api/v1?api_key=${key}&render_js=false&timeout=20000&url=${url}`, {
        key: null,
      });
      assert.equal(failed.status, 500, await failed.clone().text());
      const rendered = await ask(`/api/v1?api_key=${key}&url=${url}`, { key: null });
      assert.equal(await codeOf(rendered), "unsupported_parameter");
      const scraper = await ask(
        `/scraperapi?keep_headers=true&url=${q("http://pages.farm.test/echo")}`,
        {
          key: null,
          headers: { "x-sapi-api_key": key, "x-own": "1" },
        },
      );
      assert.equal(scraper.headers.get("sa-statuscode"), "200");
      assert.match(await scraper.text(), /x-own/);
      const basic = `Basic ${Buffer.from(`${key}:`).toString("base64")}`;
      const zyte = await asyncio.fetch(`${address}/v1/extract`, {
        method: "POST",
        headers: { authorization: basic, "content-type": "application/json" },
        body: JSON.stringify({
          url: "http://example.com/",
          httpResponseBody: true,
          echoData: { a: 1 },
        }),
      });
      const answer = (await zyte.json()) as Record<string, unknown>;
      assert.equal(answer.statusCode, 200);
      assert.deepEqual(answer.echoData, { a: 1 });
      assert.equal(
        Buffer.from(String(answer.httpResponseBody), "base64").toString(),
        exampleDomain,
      );
    }));

  test("may be told that nothing is rendered here", () =>
    withApi(
      async ({ ask, key }) => {
        const answer = await ask(`/api/v1?api_key=${key}&url=${q("http://example.com/")}`, {
          key: null,
        });
        assert.equal(answer.status, 200);
      },
      { render: "never" },
    ));
});

describe("nothing outlives its request", () => {
  test("a client that leaves ends its fetch, at the farm as well", () =>
    withApi(async ({ address, key, service }) => {
      const { hostname, port } = new URL(address);
      for (const target of [
        "http://slow.farm.test/",
        "http://drip.farm.test/",
        "http://endless.farm.test/body",
      ]) {
        const seen = farm.seen.length;
        const socket = connect(Number(port), hostname);
        socket.on("error", () => undefined);
        socket.write(
          `GET /?url=${q(target)}&timeout=60 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${key}\r\n\r\n`,
        );
        await farm.waitSeen(seen + 1);
        socket.destroy();
        await service.waitIdle();
        await farm.waitQuiet();
      }
      const usage = await usageOf({ service, key });
      assert.deepEqual({ ...usage.failures }, { cancelled: 3 });
    }));

  test("a shutdown gives requests their time, and ends those that need more", async () => {
    const ends: string[] = [];
    await withApi(async ({ ask }) => {
      const seen = farm.seen.length;
      asyncio.createTask(async () => {
        const path = `/?url=${q("http://slow.farm.test/")}&timeout=50`;
        await ask(path).then(
          () => ends.push("answered"),
          () => ends.push("cut"),
        );
      });
      await farm.waitSeen(seen + 1);
    });
    assert.deepEqual(farm.open, 0);
  });
});

test("planted secrets are in no answer, metric or report", () =>
  withApi(async ({ ask, post, service }) => {
    const secret = "hunter2-planted";
    const asks: Promise<Response>[] = [
      ask(`/?url=${q(`http://ann:${secret}@example.com/`)}`),
      ask(`/?url=${q("http://example.com/")}&key=${secret}`, { key: null }),
      post("/v1/fetch", { url: "http://example.com/", headers: { "x-\n": secret } }),
      post("/v1/fetch", { url: "http://nowhere.farm.test/", headers: { authorization: secret } }),
      post("/v1/fetch", { url: "http://example.com/", headers: { host: secret } }),
    ];
    for (const response of await Promise.all(asks)) {
      assert.ok(response.status >= 400);
      const seen = `${await response.text()} ${JSON.stringify([...response.headers])}`;
      assert.doesNotMatch(seen, new RegExp(secret));
    }
    assert.doesNotMatch(await service.metrics.registry.metrics(), new RegExp(secret));
  }));
