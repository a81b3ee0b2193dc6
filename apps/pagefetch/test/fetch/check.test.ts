import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ErrorCode, errorKinds, PageError } from "../../src/contract/errors.ts";
import type { FetchOptions } from "../../src/contract/options.ts";
import { checked } from "../../src/fetch/check.ts";

function refusal(url: unknown, options?: unknown): readonly [ErrorCode, string | undefined] {
  try {
    checked(url as string, options as FetchOptions);
  } catch (error) {
    assert.ok(error instanceof PageError, String(error));
    return [error.code, error.details.parameter];
  }
  return assert.fail("it was taken");
}

const page = "https://example.com/";

describe("URLs that are none", () => {
  const urls = [
    "",
    "example.com",
    "//example.com",
    "http://",
    "http:///",
    "http://[::1",
    "http://a b/",
    "http://a.test:99999/",
    "http://1.2.3.4.5/",
    "http://0x100000000/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:text/html,x",
    "view-source:http://example.com/",
    "http://user:password@example.com/",
    "http://user@example.com/",
    `http://example.com/${"x".repeat(20_000)}`,
    undefined,
    null,
    42,
    {},
  ];
  for (const url of urls)
    test(`${String(url).slice(0, 40)}`, () =>
      assert.deepEqual(refusal(url), ["bad_request", "url"]));
});

describe("options that make no sense", () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ["method", "GE T"],
    ["method", ""],
    ["method", "CONNECT"],
    ["method", "trace"],
    ["method", 5],
    ["body", "x"],
    ["timeout", 0],
    ["timeout", -1],
    ["timeout", Number.NaN],
    ["timeout", Number.POSITIVE_INFINITY],
    ["timeout", "5"],
    ["attemptTimeout", 0],
    ["connectTimeout", {}],
    ["headersTimeout", 1e9],
    ["retries", -1],
    ["retries", 1.5],
    ["retries", 1000],
    ["maxRedirects", "x"],
    ["maxBytes", 0],
    ["maxBytes", 2 ** 40],
    ["maxAge", -1],
    ["robots", "no"],
    ["identity", "chrome"],
    ["cache", true],
    ["proxy", ""],
    ["proxy", "http://u:p@proxy.test:8080"],
    ["session", "a b"],
    ["session", "x".repeat(101)],
    ["country", "DEU"],
    ["country", "1"],
    ["headers", "a: b"],
    ["headers", [["a"]]],
    ["headers", [["a", 1]]],
    ["headers", { "a b": "x" }],
    ["headers", { "": "x" }],
    ["headers", { a: "x\r\nevil: 1" }],
    ["headers", { a: "x\0" }],
    ["headers", { a: "世" }],
    ["headers", { Host: "other.test" }],
    ["headers", { "Content-Length": "5" }],
    ["headers", { "transfer-encoding": "chunked" }],
    ["headers", { connection: "close" }],
    ["headers", { "Proxy-Authorization": "Basic x" }],
    ["headers", Array.from({ length: 101 }, (_, at) => [`h${at}`, "x"])],
  ];
  for (const [name, value] of cases)
    test(`${name}: ${JSON.stringify(value)?.slice(0, 50)}`, () => {
      assert.deepEqual(refusal(page, { [name]: value }), ["bad_request", name]);
    });

  test("an age where no stored page is read", () => {
    for (const cache of [undefined, "off", "write"] as const)
      assert.deepEqual(refusal(page, { maxAge: 60, cache }), ["bad_request", "maxAge"]);
    for (const cache of ["read", "use"] as const)
      assert.equal(checked(page, { maxAge: 60, cache }).maxAge, 60);
    assert.throws(() => checked(page, { maxAge: 0 }), {
      message: '`maxAge` needs a cache that is read, and cache is "off": say "use" or "read"',
    });
  });

  test("one that nobody knows", () => {
    assert.deepEqual(refusal(page, { renderJs: true }), ["unknown_parameter", "renderJs"]);
    assert.deepEqual(refusal(page, { constructor: 1 }), ["unknown_parameter", "constructor"]);
    assert.deepEqual(refusal(page, null), ["bad_request", "options"]);
  });
});

test("what is left out, or undefined, has its default", () => {
  const all = checked(page, { timeout: undefined, headers: undefined });
  assert.deepEqual(
    [all.timeout, all.retries, all.robots, all.identity, all.cache, all.method],
    [60, 4, "obey", "bot", "off", "GET"],
  );
});

test("every code has a status and a fault, and those of others are not ours", () => {
  for (const [code, { status, fault }] of Object.entries(errorKinds)) {
    assert.ok(status >= 400 && status < 600, code);
    assert.equal(fault === "caller" || fault === "policy", status < 424 || status === 429, code);
  }
});
