import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { type NameServer, openNameServer } from "../../farm/name-server.ts";
import { PageError } from "../../src/contract/errors.ts";
import { Egress } from "../../src/egress/egress.ts";
import { dnsResolver, zoneResolver } from "../../src/egress/resolve.ts";
import { run } from "../support/farm.ts";

let server: NameServer;
before(async () => {
  server = await openNameServer({
    "both.test": ["192.0.2.1", "192.0.2.2", "2001:db8::1"],
    "four.test": ["192.0.2.4"],
    "six.test": ["2001:db8::6"],
    "empty.test": [],
    "fails.test": "fails",
    "silent.test": "silent",
    "evil.test": ["93.184.216.34", "::ffff:7f00:1"],
  });
});
after(() => server.close());

describe("the resolver of the machine's name servers", () => {
  test("asks for both kinds of addresses", async () => {
    const resolve = dnsResolver([server.address]);
    await run(async () => {
      const found = [...(await resolve("both.test"))].sort();
      assert.deepEqual(found, ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
      assert.deepEqual(await resolve("four.test"), ["192.0.2.4"]);
      assert.deepEqual(await resolve("six.test"), ["2001:db8::6"]);
    });
  });

  test("no such name, and a name without an address, are no addresses", async () => {
    const resolve = dnsResolver([server.address]);
    await run(async () => {
      assert.deepEqual(await resolve("nobody.test"), []);
      assert.deepEqual(await resolve("empty.test"), []);
    });
  });

  test("a server that fails is a failure", async () => {
    const resolve = dnsResolver([server.address]);
    await assert.rejects(
      run(() => resolve("fails.test")),
      { code: "ESERVFAIL" },
    );
  });

  test("an answer is kept, and who asks meanwhile asks once", async () => {
    const resolve = dnsResolver([server.address]);
    server.asked.length = 0;
    await run(async () => {
      await asyncio.gather(...Array.from({ length: 10 }, () => () => resolve("four.test")));
      await resolve("four.test");
    });
    assert.deepEqual(server.asked, ["four.test", "four.test"]); // one for each kind
  });

  test("an answer that is good for no time is not kept", async () => {
    const hasty = await openNameServer({ "a.test": ["192.0.2.1"] }, 0);
    const resolve = dnsResolver([hasty.address]);
    await run(async () => {
      await resolve("a.test");
      await resolve("a.test");
    });
    assert.equal(hasty.asked.length, 4);
    await hasty.close();
  });

  test("a caller that gives up does not wait for the server, and the question ends", async () => {
    const resolve = dnsResolver([server.address]);
    const began = performance.now();
    await assert.rejects(
      run(() => asyncio.timeout(0.05, () => resolve("silent.test"))),
      asyncio.TimeoutError,
    );
    assert.ok(performance.now() - began < 2000);
    const open = process.getActiveResourcesInfo().filter((name) => name.includes("QUERY"));
    assert.deepEqual(open, []);
  });

  test("one bad answer condemns the name", async () => {
    const egress = new Egress({ resolver: dnsResolver([server.address]) });
    await assert.rejects(
      run(() => egress.resolve(new URL("http://evil.test/"))),
      (error) => error instanceof PageError && error.code === "blocked_address",
    );
  });
});

describe("a zone", () => {
  test("knows names, those below them, and asks another one for the rest", async () => {
    const zone = { "a.test": ["1"], "*.a.test": ["2"], "x.a.test": ["3"] };
    const resolve = zoneResolver(zone, async (name) => [`other ${name}`]);
    const names = ["a.test", "b.a.test", "c.b.a.test", "x.a.test", "ba.test"];
    const found = await Promise.all(names.map(resolve));
    assert.deepEqual(found.flat(), ["1", "2", "2", "3", "other ba.test"]);
    assert.deepEqual(await zoneResolver(zone)("b.test"), []);
  });
});
