import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { PageError } from "../../src/contract/errors.ts";
import type { FetchOptions } from "../../src/contract/options.ts";
import type { RobotsFetch, RobotsResponse } from "../../src/contract/parts.ts";
import { createRobots } from "../../src/robots/robots.ts";
import { failure, withFetcher } from "../support/farm.ts";

const closed = "User-agent: *\nDisallow: /\n";

function answer(status: number, text = "", cacheControl?: string): RobotsResponse {
  const headers = cacheControl === undefined ? [] : [["cache-control", cacheControl] as const];
  const bytes = new TextEncoder().encode(text);
  return { status, headers, bytes, sent: 100, received: 200 };
}

/** Gives `answers` one after the other, the last one for ever; notes when it was asked. */
function scripted(...answers: (RobotsResponse | PageError)[]): RobotsFetch & { at: number[] } {
  const at: number[] = [];
  const get: RobotsFetch = async () => {
    at.push(asyncio.getRunningLoop().time());
    await asyncio.sleep(1);
    const [next] = answers.length > 1 ? answers.splice(0, 1) : answers;
    if (next instanceof PageError || next === undefined) throw next;
    return next;
  };
  return Object.assign(get, { at });
}

const page = new URL("http://a.test/page");

describe("what an answer means", () => {
  const cases = [
    [200, closed, "disallowed", undefined],
    [200, "", "allowed", "no line is about it"],
    [204, "", "allowed", "no line is about it"],
    [404, closed, "allowed", "there is no robots.txt (404)"],
    [403, closed, "allowed", "there is no robots.txt (403)"],
    [410, "", "allowed", "there is no robots.txt (410)"],
    [429, "", "disallowed", "robots.txt cannot be read (429)"],
    [500, "", "disallowed", "robots.txt cannot be read (500)"],
    [503, "", "disallowed", "robots.txt cannot be read (503)"],
  ] as const;
  for (const [status, text, verdict, because] of cases)
    test(`${status} ${JSON.stringify(text)} is ${verdict}`, async () => {
      await testing.runTest(async () => {
        const { receipt } = await createRobots(scripted(answer(status, text))).check(page, "x");
        assert.deepEqual([receipt.verdict, receipt.because], [verdict, because]);
      });
    });

  test("a host that cannot be reached fails as it would for the page", async () => {
    await testing.runTest(async () => {
      const down = new PageError("connect_failed", "down");
      const robots = createRobots(scripted(down));
      await assert.rejects(robots.check(page, "x"), (error) => error === down);
    });
  });

  test("redirects that go nowhere are no file", async () => {
    await testing.runTest(async () => {
      const round = new PageError("too_many_redirects", "round");
      const { receipt } = await createRobots(scripted(round)).check(page, "x");
      assert.equal(receipt.verdict, "allowed");
    });
  });

  test("the file itself may always be asked for", async () => {
    await testing.runTest(async () => {
      const robots = createRobots(scripted(answer(503)));
      const url = new URL("http://a.test/robots.txt");
      assert.equal((await robots.check(url, "x")).receipt.verdict, "allowed");
    });
  });
});

describe("how long it is kept", () => {
  const hour = 3600;
  const cases = [
    [undefined, hour],
    ["max-age=10", 300],
    ["public, max-age=7200", 2 * hour],
    ["max-age=99999999", 24 * hour],
    ["no-cache", 300],
    ["no-store, max-age=7200", 300],
  ] as const;
  for (const [cacheControl, seconds] of cases)
    test(`${cacheControl}: ${seconds} s`, async () => {
      await testing.runTest(async () => {
        const get = scripted(answer(200, closed, cacheControl));
        const robots = createRobots(get);
        await robots.check(page, "x");
        await asyncio.sleep(seconds - 2);
        await robots.check(page, "x");
        assert.equal(get.at.length, 1);
        await asyncio.sleep(3);
        await robots.check(page, "x");
        assert.equal(get.at.length, 2);
      });
    });

  test("an old file is used for a day if no new one is to be had, and no longer", async () => {
    await testing.runTest(async () => {
      const get = scripted(answer(200, closed, "max-age=300"), answer(503));
      const robots = createRobots(get);
      await robots.check(page, "x");
      for (let passed = 0; passed < 24 * hour; passed += hour / 2) {
        const { receipt } = await robots.check(page, "x");
        assert.equal(receipt.line, 2);
        await asyncio.sleep(hour / 2);
      }
      await asyncio.sleep(hour);
      const { receipt } = await robots.check(page, "x");
      assert.equal(receipt.because, "robots.txt cannot be read (503)");
    });
  });

  test("a host that has come back is asked within minutes", async () => {
    await testing.runTest(async () => {
      const robots = createRobots(scripted(answer(503), answer(404)));
      assert.equal((await robots.check(page, "x")).receipt.verdict, "disallowed");
      await asyncio.sleep(301);
      assert.equal((await robots.check(page, "x")).receipt.verdict, "allowed");
    });
  });

  test("memory is bounded: the origins that were used least recently go", async () => {
    await testing.runTest(async () => {
      const get = scripted(answer(200, `# ${"x".repeat(1000)}\n${closed}`));
      const robots = createRobots(get, { memory: 10_000 });
      for (let host = 0; host < 20; host++)
        await robots.check(new URL(`http://h${host}.test/`), "x");
      await robots.check(new URL("http://h19.test/"), "x");
      assert.equal(get.at.length, 20);
      await robots.check(new URL("http://h0.test/"), "x");
      assert.equal(get.at.length, 21);
    });
  });
});

test("who asks at the same time asks once, and one of them has the bill", async () => {
  await testing.runTest(async () => {
    const get = scripted(answer(200, closed));
    const robots = createRobots(get);
    const answers = await asyncio.gather(
      ...Array.from({ length: 5 }, () => () => robots.check(page, "x")),
    );
    assert.equal(get.at.length, 1);
    assert.deepEqual(
      answers.map(({ received }) => received),
      [200, 0, 0, 0, 0],
    );
  });
});

test("cancelled anywhere, it leaves nothing, and the next one asks again", async () => {
  await testing.cancelSweep(async () => {
    const robots = createRobots(scripted(answer(200, closed)));
    await asyncio.gather(
      () => robots.check(page, "x"),
      () => robots.check(page, "y"),
    );
  });
});

describe("through the pipeline", () => {
  let farm: Farm;
  before(async () => {
    farm = await openFarm();
  });
  after(() => farm.close());

  const get = (url: string, options?: FetchOptions) =>
    withFetcher(farm, (fetcher) => fetcher.fetch(url, options), {
      robots: (fetch) => createRobots(fetch),
    });

  const open = ["none", "forbidden", "page", "round"];
  for (const name of open)
    test(`${name}.robots.test may be fetched`, async () => {
      const got = await get(`http://${name}.robots.test/x`);
      assert.equal(got.hops[0]?.robots.verdict, "allowed");
      assert.ok(got.received > 300);
    });

  const shut = ["closed", "broken", "away"];
  for (const name of shut)
    test(`${name}.robots.test may not`, async () => {
      const error = await failure(get(`http://${name}.robots.test/x`));
      assert.equal(error.code, "robots_disallowed");
      assert.equal(error.details.phase, "robots");
      const pages = farm.seen.filter(({ site, path }) => site.startsWith(name) && path === "/x");
      assert.deepEqual(pages, []);
    });

  test("the line that forbids is told", async () => {
    assert.equal((await get("http://partly.robots.test/x")).status, 200);
    const error = await failure(get("http://partly.robots.test/private/x"));
    assert.deepEqual(error.details.evidence, ["line 3: /private"]);
  });

  test("a file that leads inside is not read there", async () => {
    const error = await failure(get("http://inside.robots.test/x"));
    assert.equal(error.code, "blocked_address");
    assert.equal(farm.canaryHits, 0);
  });

  test("of a large file the beginning is read", async () => {
    // Its rule stands behind the first 500 KiB.
    const got = await get("http://big.robots.test/x");
    assert.equal(got.hops[0]?.robots.verdict, "allowed");
    assert.ok(got.received < 900 * 1024, `${got.received}`);
  });

  test("so it is of a bomb, which has no rule at its beginning", async () => {
    const got = await get("http://bomb.robots.test/x");
    assert.equal(got.hops[0]?.robots.because, "no line is about it");
  });

  test("each hop is asked for", async () => {
    const to = encodeURIComponent("http://closed.robots.test/x");
    const error = await failure(get(`http://redirect.farm.test/to?url=${to}`));
    assert.equal(error.code, "robots_disallowed");
    assert.equal(error.details.hops?.length, 1);
  });

  test("who may ignore it, ignores it, and that is told", async () => {
    const got = await get("http://closed.robots.test/x", { robots: "ignore" });
    assert.equal(got.hops[0]?.robots.verdict, "ignored");
  });
});
