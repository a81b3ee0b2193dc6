/** A request from admission to ledger, in virtual time: what fetches, parses and stores is in memory. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { runTest } from "asyncio-ts/testing";
import type { FetchRequest } from "../../src/api/schema.ts";
import { Service, type ServiceParts } from "../../src/api/service.ts";
import { PageError } from "../../src/contract/errors.ts";
import { HeldBytes } from "../../src/contract/held.ts";
import type { FetchResult } from "../../src/contract/result.ts";
import type { Key } from "../../src/store/keys.ts";

const key: Key = {
  id: "k",
  name: "test",
  scopes: ["fetch"],
  rate: 10,
  burst: 10,
  concurrency: 10,
  budget: null,
  address: null,
  created: new Date(0),
  revoked: null,
};
const url = "http://a.example/";

/** Pages come after 20 s; a parser takes `parsing` seconds. `codes` has what the ledger was told. */
function world(parsing: number) {
  const codes: (string | null)[] = [];
  const page = { status: 200, finalUrl: url, seconds: 20, attempts: [], hops: [] };
  const fetch = async (): Promise<FetchResult> => {
    await asyncio.sleep(20);
    return { ...page, text: () => "<p>a</p>" } as unknown as FetchResult; // what the service asks of it
  };
  const record = async ({ code }: { code: string | null }): Promise<boolean> => {
    codes.push(code);
    return true;
  };
  const parts = {
    fetcher: { fetch, idle: 0, held: new HeldBytes() },
    outputs: { text: () => asyncio.sleep(parsing, "a") },
    store: { ledger: { record, statistics: () => ({ isWell: true }) } },
  };
  return { codes, service: new Service(parts as unknown as ServiceParts) };
}

describe("the time of a request", () => {
  const request: FetchRequest = { url, output: "text", timeout: 30 };

  test("is also that of the parser", () =>
    runTest(async () => {
      const { service, codes } = world(9);
      assert.equal(await service.fetch(key, request, ({ content }) => content), "a");
      assert.deepEqual(codes, [null]);
    }));

  test("ends a page that waits for its parser, and says so", () =>
    runTest(async () => {
      const { service, codes } = world(1000);
      const answer = service.fetch(key, request, () => {});
      await assert.rejects(answer, {
        code: "timeout",
        message: "`timeout` of 30 s has passed in phase consume",
        details: {
          phase: "consume",
          limit: { name: "timeout", value: 30 },
          attempts: [],
          hops: [],
          url,
        },
      });
      assert.equal(asyncio.getRunningLoop().time(), 30);
      assert.deepEqual(codes, ["timeout"]);
    }));
});

test("a selector that is none is told before the page is fetched", () =>
  runTest(async () => {
    const { service } = world(0);
    const answer = service.fetch(key, { url, extract: { title: "h1:not(" } }, () => {});
    await assert.rejects(answer, {
      code: "bad_request",
      message: /^extract\.title: expected a CSS selector, got "h1:not\("/,
      details: { parameter: "extract" },
    });
    assert.equal(asyncio.getRunningLoop().time(), 0);
  }));

test("rules that nothing is taken out by, and an age that nothing is held against", () =>
  runTest(async () => {
    const { service } = world(0);
    const extract = { title: "h1" };
    for (const output of ["raw", "html", "text", "markdown", "links"] as const)
      await assert.rejects(
        service.fetch(key, { url, extract, output }, () => {}),
        {
          code: "bad_request",
          message: `\`extract\` needs output=extract, and the output is ${output}: leave one of them out`,
          details: { parameter: "extract" },
        },
      );
    for (const cache of ["off", "write", undefined] as const)
      await assert.rejects(
        service.fetch(key, { url, max_age: 5, cache }, () => {}),
        { code: "bad_request", details: { parameter: "max_age" } },
      );
    assert.equal(asyncio.getRunningLoop().time(), 0);
  }));

test("an answer that cannot be made is a failure, for the ledger as well", () =>
  runTest(async () => {
    const { service, codes } = world(0);
    const answer = service.fetch(key, { url, output: "text" }, () => {
      throw new PageError("overloaded", "too many bytes");
    });
    await assert.rejects(answer, { code: "overloaded" });
    assert.deepEqual(codes, ["overloaded"]);
  }));
