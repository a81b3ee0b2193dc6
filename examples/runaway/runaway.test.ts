// The service: checks that never end are stopped, and leave their worker free. Once on real
// sockets.

import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { ThreadPoolExecutor } from "asyncio-ts/executors";
import { Checker, serve } from "./runaway.ts";

const endless = ["^(a+)+$", `${"a".repeat(60)}b`] as const;

test("a check that does not end is stopped, and its thread takes the next one", async () => {
  await asyncio.run(async () => {
    await using pool = new ThreadPoolExecutor({ maxWorkers: 1 });
    const [patient, hasty] = [new Checker(pool, 3600), new Checker(pool, 0.1)];

    assert.equal(await patient.check("^a+$", "aaa"), "it matches");
    assert.match(await hasty.check(...endless), /had not ended after 0\.1 s, and was stopped/);
    assert.equal(await patient.check("^b+$", "aaa"), "it does not match");
    assert.match(await patient.check("(", "aaa"), /Invalid regular expression/);
    assert.deepEqual(
      [patient.counters, hasty.counters.tooLong],
      [{ matched: 1, unmatched: 1, wrong: 1, tooLong: 0, left: 0 }, 1],
    );
    assert.equal(pool.stats().replaced, 0);
  });
});

test("a client that leaves stops its check", async () => {
  await asyncio.run(async () => {
    await using pool = new ThreadPoolExecutor({ maxWorkers: 1 });
    const checker = new Checker(pool, 3600);
    const server = serve(checker).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/check`;
    const ask = ([pattern, text]: readonly [string, string], signal?: AbortSignal) =>
      fetch(`${url}?${new URLSearchParams({ pattern, text })}`, signal ? { signal } : {});

    const leaving = new AbortController();
    const left = ask(endless, leaving.signal).catch(() => "left");
    while (pool.stats().running === 0) await asyncio.sleep(0.005);
    leaving.abort();

    assert.equal(await left, "left");
    assert.equal(await (await ask(["^a+$", "aaa"])).text(), "it matches");
    assert.equal(checker.counters.left, 1);
    server.close();
    server.closeAllConnections();
  });
});
