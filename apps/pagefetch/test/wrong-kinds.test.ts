/**
 * Each option of the doors for programs is given values of wrong kinds, one after the other: each is
 * refused by name at the call, and nothing is asked of anybody.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { check } from "../src/cli/config.ts";
import { checked } from "../src/fetch/check.ts";
import { createClient, Fetcher, openFetcher } from "../src/index.ts";
import { run } from "./support/farm.ts";

const KINDS: Readonly<Record<string, unknown>> = {
  null: null,
  NaN: Number.NaN,
  "-1": -1,
  "1.5": 1.5,
  Infinity: Number.POSITIVE_INFINITY,
  "10n": 10n,
  true: true,
  '""': "",
  text: "no such thing",
  "{}": {},
  "[]": [],
  Promise: Promise.resolve(1),
  function: () => 1,
  symbol: Symbol("s"),
};

/** A call with the value that it gets, and the kinds that are right there. */
type Call = readonly [name: string, call: (value: never) => unknown, ...right: string[]];

/** What the call makes of each wrong kind, where that is no `refusal`. */
async function unrefused(calls: readonly Call[], refusal: RegExp): Promise<string[]> {
  const found: string[] = [];
  for (const [name, call, ...right] of calls)
    for (const [kind, value] of Object.entries(KINDS)) {
      if (right.includes(kind)) continue;
      try {
        found.push(`${name} with ${kind}: ${inspect(await call(value as never))}`);
      } catch (error) {
        const { code = "", name: errorName, message } = error as Error & { code?: string };
        const told = `${errorName} ${code} ${message}`;
        if (!refusal.test(told)) found.push(`${name} with ${kind}: ${told}`);
      }
    }
  return found;
}

const url = "http://example.com/";

/** Null is not set. */
const options = (
  call: (options: never) => unknown,
  withBody: (body: unknown) => object,
  ...headers: string[]
): readonly Call[] => {
  const one = (name: string, ...right: string[]): Call => [
    name,
    (value) => call({ [name]: value } as never),
    "null",
    ...right,
  ];
  return [
    ["options", call, "{}"],
    one("method"),
    one("headers", "{}", ...headers),
    ["body", (body) => call(withBody(body) as never), "null", '""', "text"],
    one("timeout", "1.5"),
    one("attemptTimeout", "1.5"),
    one("connectTimeout", "1.5"),
    one("headersTimeout", "1.5"),
    one("retries"),
    one("retryUnsafe", "true"),
    one("maxBytes"),
    one("maxRedirects"),
    one("allowDowngrade", "true"),
    one("robots"),
    one("identity"),
    one("proxy"),
    one("country"),
    one("session"),
    one("cache"),
    ["maxAge", (maxAge) => call({ maxAge, cache: "use" } as never), "null", "1.5", "Infinity"],
    one("signal"),
  ];
};

test("a fetch refuses each option of a wrong kind by its name", async () => {
  const calls: readonly Call[] = [
    ["url", (value) => checked(value)],
    ...options(
      (given) => checked(url, given),
      (body) => ({ method: "POST", body }),
      "[]",
    ),
    ["a header", (value) => checked(url, { headers: { x: value } }), '""', "text"],
    ["onProgress", (onProgress) => checked(url, { onProgress }), "null", "function"],
  ];
  assert.deepEqual(await unrefused(calls, /^PageError bad_request/), []);
});

test("so does the client, before it asks the service", () =>
  run(async () => {
    const client = createClient({ base: "http://127.0.0.1:1", key: "K" });
    const calls: readonly Call[] = [
      ["url", (value) => client(value)],
      ...options(
        (given) => client(url, given),
        (body) => ({ method: "POST", body }),
      ),
      ["output", (output) => client(url, { output }), "null"],
      ["extract", (extract) => client(url, { extract }), "null", "{}"],
      ["onProgress", (onProgress) => client(url, { onProgress } as never)],
    ];
    const refusal = /^PageError (?:bad_request|unknown_parameter)/;
    assert.deepEqual(await unrefused(calls, refusal), []);
    const making: readonly Call[] = [
      ["createClient", (value) => createClient(value)],
      ["base", (base) => createClient({ base, key: "K" })],
      ["key", (key) => createClient({ base: url, key })],
    ];
    assert.deepEqual(await unrefused(making, /^TypeError {2}`createClient` expects/), []);
  }));

test("so does what makes a Fetcher", async () => {
  const one = (name: string, ...right: string[]): Call => [
    name,
    (value) => new Fetcher({ [name]: value }).close(),
    ...right,
  ];
  const calls: readonly Call[] = [
    ["Fetcher", (value) => new Fetcher(value).close(), "{}", "function"],
    ["openFetcher", (value) => openFetcher(value).close(), "{}"],
    ...["egress", "politeness", "proxies", "sessions", "identities"].map((name) => one(name)),
    ...["classifier", "solver", "cache", "held"].map((name) => one(name)),
    one("robots", "function"),
    one("random", "function"),
    one("idleTime", "1.5", "Infinity"),
    one("mostIdle", "1.5", "Infinity"),
  ];
  assert.deepEqual(await unrefused(calls, /^TypeError {2}a Fetcher expects/), []);
});

test("so does the configuration", async () => {
  const one = (name: string, ...right: string[]): Call => [
    name,
    (value) => check({ [name]: value }),
    ...right,
  ];
  const empty = ["{}", "Promise"]; // JSON has no promises
  const calls: readonly Call[] = [
    ["configuration", check as (value: never) => unknown, ...empty],
    one("host", "text"),
    one("port"),
    one("store", "text"),
    one("publicUrl"),
    one("drain", "1.5"),
    one("maxRunning"),
    one("maxHeldBytes"),
    one("processes"),
    one("render"),
    one("queryKeys", "true"),
    one("identity", ...empty),
    one("politeness", ...empty),
    one("pools", "[]"),
    one("directFirst", "true"),
    one("allow", "[]"),
    one("deny", "[]"),
    one("refuse", "[]"),
    one("allowProxies", "[]"),
    one("ports"),
    one("rules", '""', "text"),
    one("claimCommand"),
  ];
  assert.deepEqual(await unrefused(calls, /^ConfigError {2}configuration: /), []);
});
