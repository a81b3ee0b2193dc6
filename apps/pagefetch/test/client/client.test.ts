/** The client against the service, over real connections. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { once } from "asyncio-ts/patterns";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { exampleDomain } from "../../farm/sites/plain.ts";
import { type ClientPage, createClient, ServiceError } from "../../src/client/client.ts";
import { usageOf, withApi } from "../support/api.ts";
import { failure, run } from "../support/farm.ts";

let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(() => farm.close());

test("a page comes with its bytes, its text and its receipts", () =>
  withApi(farm, async ({ address: base, key }) => {
    const client = createClient({ base: `${base}/`, key });

    const page = await client("http://example.com/");

    assert.equal(page.text(), exampleDomain);
    assert.equal(Buffer.from(page.content).toString(), exampleDomain);
    assert.equal(page.status, 200);
    assert.equal(page.finalUrl, "http://example.com/");
    assert.equal(page.robots.verdict, "allowed");
    assert.equal(page.attempts.length, 1);
    assert.deepEqual([page.cost, page.charset, page.cache], [1, "UTF-8", "off"]);
    assert.equal(typeof page.politeWait, "number");
    assert.match(page.id, /^[\w-]{36}$/);
  }));

test("a page in another charset is the text that was meant", () =>
  withApi(farm, async ({ address: base, key }) => {
    const client = createClient({ base, key });

    const page = await client("http://charset.farm.test/meta-gbk");
    const danger = await client("http://charset.farm.test/replacement");

    assert.match(page.text(), /你好/);
    assert.equal(danger.text(), "\ufffd");
  }));

test("the output decides what the content is", () =>
  withApi(farm, async ({ address: base, key }) => {
    const client = createClient({ base, key });
    const url = "http://example.com/";

    const markdown: ClientPage<"markdown"> = await client(url, { output: "markdown" });
    const links = await client(url, { output: "links" });
    const extracted = await client(url, { output: "extract", extract: { title: "h1" } });

    assert.match(markdown.content, /^# Example Domain/m);
    assert.equal(markdown.text(), markdown.content);
    assert.equal(links.content[0]?.url, "https://www.iana.org/domains/example");
    assert.deepEqual(extracted.content, { title: "Example Domain" });
    assert.equal(extracted.text(), '{"title":"Example Domain"}');
    const beside = await failure(client(url, { output: "text", extract: { title: "h1" } }));
    assert.deepEqual([beside.code, beside.details.parameter], ["bad_request", "extract"]);
  }));

test("options and headers arrive, by their names in the library", () =>
  withApi(farm, async ({ address: base, key }) => {
    const client = createClient({ base, key });
    const options = { headers: { "x-own": "1" }, attemptTimeout: 5, maxBytes: 100_000 };

    const page = await client("http://pages.farm.test/echo", options);

    assert.match(page.text(), /"x-own","1"/);
    const small = await failure(client("http://pages.farm.test/bytes/5000", { maxBytes: 1000 }));
    assert.deepEqual([small.code, small.details.limit?.value], ["too_large", 1000]);
  }));

test("failures are those of the pipeline, with all that is known of them", () =>
  withApi(farm, async ({ address: base, key }) => {
    const client = createClient({ base, key });

    const blocked = await failure(client("http://inside.farm.test/"));
    const late = await failure(client("http://slow.robots.test/", { timeout: 0.3 }));
    const limited = await failure(
      client("http://limits.farm.test/429?after=400&times=9", { timeout: 5 }),
    );
    const strange = await failure(createClient({ base, key: "pf_x" })("http://example.com/"));
    const unknown = await failure(client("http://example.com/", { colour: "red" } as object));

    assert.deepEqual([blocked.code, blocked.fault], ["blocked_address", "policy"]);
    assert.deepEqual([late.code, late.details.phase], ["timeout", "robots"]);
    assert.equal(limited.code, "target_rate_limited");
    assert.ok((limited.details.retryAfter ?? 0) > 300);
    assert.equal(limited.details.answer?.status, 429);
    assert.equal(strange.code, "unauthorized");
    assert.deepEqual([unknown.code, unknown.details.parameter], ["unknown_parameter", "colour"]);
  }));

test("a call that is cancelled ends its fetch, over there as well", () =>
  withApi(farm, async (world) => {
    const client = createClient({ base: world.address, key: world.key });
    const seen = farm.seen.length;
    const call = asyncio.createTask(() => client("http://slow.farm.test/"));
    await farm.waitSeen(seen + 1);

    call.cancel();
    await asyncio.wait([call]);
    await world.service.waitIdle();

    assert.equal(call.cancelled(), true);
    await farm.waitQuiet();
    assert.deepEqual({ ...(await usageOf(world)).failures }, { cancelled: 1 });
  }));

test("a signal ends a call with its reason", () =>
  withApi(farm, async ({ address: base, key }) => {
    const client = createClient({ base, key });
    const controller = new AbortController();
    const seen = farm.seen.length;
    const call = client("http://slow.farm.test/", { signal: controller.signal });
    const ended = assert.rejects(call, /enough/);
    await farm.waitSeen(seen + 1);

    controller.abort(new Error("enough"));

    await ended;
  }));

test("what answers and is no pagefetch is a ServiceError, without the key in it", () =>
  run(async () => {
    const answers = [
      [502, "<h1>Bad gateway</h1>"],
      [200, "null"],
      [200, '{"content":"x"}'],
      [500, '{"error":{"code":"failed"}}'],
      [302, ""],
    ] as const;
    let turn = 0;
    const server = createServer((_request, response) => {
      const [status, body] = answers[turn++] ?? [200, ""];
      response.writeHead(status, { location: "http://elsewhere.invalid/" }).end(body);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      const client = createClient({ base, key: "hunter2" });
      const told: unknown[] = [];
      for (const _ of answers) {
        const error = await client("http://example.com/").then(
          () => undefined,
          (reason: unknown) => reason,
        );
        assert.ok(error instanceof ServiceError, String(error));
        assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /hunter2/);
        told.push(error.status);
      }
      assert.deepEqual(told, [502, 200, 200, 500, undefined]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
    await assert.rejects(createClient({ base, key: "x" })("http://example.com/"), ServiceError);
  }));

test("a base and a key that make no sense are refused at once", () => {
  for (const base of ["", "example.com", "ftp://example.com", "http://ann:pw@example.com"]) {
    assert.throws(() => createClient({ base, key: "k" }), TypeError, base);
  }
  for (const key of ["", "a\nb", "ü"]) {
    assert.throws(() => createClient({ base: "http://a.example", key }), TypeError);
  }
});
