/** Parameters of one call that cannot all be meant. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { q, type World, withApi as withWorld } from "../support/api.ts";

let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(() => farm.close());

const withApi = (body: (world: World) => Promise<void>): Promise<void> => withWorld(farm, body);

describe("parameters that say two things, or say them where nobody looks", () => {
  const page = q("http://pages.farm.test/echo");

  test("are refused by name", () =>
    withApi(async ({ ask, post }) => {
      const send = (path: string) => ask(path, { method: "POST", body: "x" });
      const bee = "/api/v1?render_js=false&return_page_markdown=true";
      const zyte = { url: "http://example.com/", httpRequestMethod: "POST" };
      const referers = {
        url: "http://example.com/",
        requestHeaders: { referer: "http://a.test/" },
        customHttpRequestHeaders: [{ name: "Referer", value: "http://b.test/" }],
      };
      const told = [
        await ask(`${bee}&url=${page}&return_page_text=true`),
        await ask(`/api/v1?render_js=false&url=${page}&return_page_text=1&extract_rules={"a":"p"}`),
        await post("/v1/extract", { ...zyte, httpRequestText: "a", httpRequestBody: "Yg==" }),
        await send(`/?url=${page}&method=PUT`),
        await send(`/?url=${page}&body=y`),
        await ask(`/?url=${page}&method=POST`, { method: "HEAD" }),
        await post("/v1/extract", { ...referers, httpResponseBody: true }),
        await ask(`/?url=${page}&headers=5&use_headers=true`),
        await ask(`/?url=${page}&use_headers=true&headers=null`),
        await send(`/?url=${page}&method=GET`),
        await post("/v1/fetch?output=text", { url: "http://example.com/" }),
        await post("/v1/batch?concurrency=2", { requests: [] }),
      ];
      assert.deepEqual(
        told.map(({ status, headers }) => `${status} ${headers.get("x-fetch-error")}`),
        [
          ...Array(6).fill("400 bad_request"),
          "400 unsupported_parameter",
          ...Array(3).fill("400 bad_request"),
          ...Array(2).fill("400 unknown_parameter"),
        ],
      );
      assert.match(
        await (told[9] as Response).text(),
        /this call, POST\. Leave it out, or call by/,
      );
      assert.match(await (told[0] as Response).text(), /say two things of `output`/);
    }));

  test("are added up where they are cookies, and one content type is sent", () =>
    withApi(async ({ ask, post, newKey }) => {
      const answer = await post("/v1/extract", {
        url: "http://pages.farm.test/echo",
        httpResponseBody: true,
        customHttpRequestHeaders: [{ name: "Cookie", value: "a=1" }],
        requestCookies: [{ name: "b", value: "2" }],
      });
      const { httpResponseBody } = (await answer.json()) as { httpResponseBody: string };
      assert.match(Buffer.from(httpResponseBody, "base64").toString(), /"a=1; b=2"/);

      const own = q(JSON.stringify({ "Content-Type": "text/plain" }));
      const echo = await ask(`/?url=${page}&headers=${own}`, {
        method: "POST",
        body: "x",
        headers: { "content-type": "application/json" },
        key: await newKey({ scopes: ["fetch", "unsafe"] }),
      });
      assert.equal(echo.status, 200);
      assert.doesNotMatch(await echo.text(), /application\/json/);
    }));

  test("are taken where they ask for what is done anyway, and for nothing else", () =>
    withApi(async ({ ask, post }) => {
      const url = "http://pages.farm.test/echo";
      const codes = async (answers: Promise<Response>[]): Promise<(string | null)[]> =>
        (await Promise.all(answers)).map(({ headers }) => headers.get("x-fetch-error"));
      const bee = (more: string) => ask(`/api/v1?render_js=false&url=${page}&${more}`);
      const scraper = (more: string) => ask(`/scraperapi?url=${page}&${more}`);
      const zyte = (more: object) => post("/v1/extract", { url, httpResponseBody: true, ...more });
      const taken = [
        ...["block_ads", "block_resources", "return_page_source"].flatMap((name) => [
          bee(`${name}=true`),
          bee(`${name}=false`),
        ]),
        bee("wait=0"),
        bee("cookies="),
        scraper("binary_target=false"),
        ...["product", "article", "pageContent", "serp", "responseCookies", "screenshot"].map(
          (name) => zyte({ [name]: false }),
        ),
        zyte({ actions: [], tags: null, customAttributes: {}, networkCapture: [] }),
        zyte({ requestHeaders: {}, customHttpRequestHeaders: [] }),
      ];
      assert.deepEqual(await codes(taken), Array(taken.length).fill(null));
      const refused = [
        ...["block_ads=flase", "wait=100", "wait=", "own_proxy=", "return_page_source=x"].map(bee),
        scraper("binary_target=maybe"),
        ...["product", "responseCookies"].map((name) => zyte({ [name]: true })),
        zyte({ httpResponseBody: false }),
        zyte({ actions: [{ action: "click" }] }),
        zyte({ customHttpRequestHeaders: [{ value: "x" }] }),
        zyte({
          requestCookies: [
            { name: "a", value: "1" },
            { name: "a", value: "2" },
          ],
        }),
      ];
      const unsupported = Array(refused.length).fill("unsupported_parameter");
      assert.deepEqual(await codes(refused), unsupported);

      const answer = await zyte({ requestCookies: [], httpResponseHeaders: false });
      const { httpResponseBody, httpResponseHeaders } = (await answer.json()) as {
        httpResponseBody: string;
        httpResponseHeaders?: unknown;
      };
      assert.equal(httpResponseHeaders, undefined);
      assert.doesNotMatch(Buffer.from(httpResponseBody, "base64").toString(), /cookie/i);
    }));

  test("are taken where they agree, and a header that is given wins over one that is forwarded", () =>
    withApi(async ({ ask }) => {
      const given = q(JSON.stringify({ "X-Own": "given" }));
      const headers = { "x-own": "forwarded", "x-other": "forwarded" };
      for (const order of [`use_headers=true&headers=${given}`, `headers=${given}&use_headers=1`]) {
        const echo = await (await ask(`/?url=${page}&${order}`, { headers })).text();
        assert.match(echo, /given/, order);
        assert.match(echo, /"x-other","forwarded"/, order);
        assert.doesNotMatch(echo, /"x-own","forwarded"/i, order);
      }
      const agreed = await ask(`/?url=${page}&method=POST`, { method: "POST", body: "x" });
      assert.notEqual(agreed.headers.get("x-fetch-error"), "bad_request");
      assert.equal((await ask(`/?url=${page}&method=GET`, { method: "HEAD" })).status, 200);
    }));
});
