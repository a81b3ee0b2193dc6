/** The service as a process: signals under load, and a machine that runs out of descriptors. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { html, numberOf, pause, type Site } from "../../farm/site.ts";
import { createClient, ServiceError } from "../../src/client/client.ts";
import { PageError } from "../../src/contract/errors.ts";
import { withStore } from "../../src/store/store.ts";
import { run } from "../support/farm.ts";
import { openService } from "../support/service-process.ts";

/** `?after=2`: silence before that. */
const later: Site = async (ask) => {
  if (ask.url.pathname === "/robots.txt") return html(ask, "none", 404);
  if (await pause(numberOf(ask.url, "after", 0), ask.gone)) html(ask, "<p>at last</p>");
};
const folder = mkdtempSync(join(tmpdir(), "pagefetch-"));
let farm: Farm;
before(async () => {
  farm = await openFarm({ "later.farm.test": later });
});
after(async () => {
  await farm.close();
  rmSync(folder, { recursive: true });
});

const fast = { interval: 0, inFlight: 1000 };
const politeness = { domain: fast, address: fast, maxInterval: 0 };
const skip = process.platform !== "linux" && "it looks into /proc";

/** How a call has ended: a status, a code, or "cut". */
async function endOf(call: Promise<{ readonly status: number }>): Promise<number | string> {
  try {
    return (await call).status;
  } catch (error) {
    if (error instanceof PageError) return error.code;
    if (error instanceof ServiceError) return "cut";
    throw error;
  }
}

test("SIGTERM under load answers who can be, cuts the rest, and leaves nothing", { skip }, () =>
  run(async () => {
    const store = join(folder, "term.db");
    const service = await openService(farm, { politeness, store, drain: 5 });
    try {
      const client = createClient({ base: service.address, key: service.key });
      await client("http://later.farm.test/"); // robots.txt is known from here on
      farm.reset();
      const ask = (url: string) => asyncio.createTask(() => endOf(client(url, { timeout: 60 })));
      const short = Array.from({ length: 20 }, () => ask("http://later.farm.test/?after=1"));
      const long = Array.from({ length: 20 }, () => ask("http://later.farm.test/?after=50"));
      await farm.waitSeen(40);

      const { signal, last } = await service.end("SIGTERM");

      assert.equal(signal, "SIGTERM");
      assert.deepEqual(JSON.parse(last), { sockets: 0, running: 0 }, service.said());
      assert.deepEqual(new Set(await asyncio.gather(short)), new Set([200]));
      assert.deepEqual(new Set(await asyncio.gather(long)), new Set(["cut"]));
    } finally {
      await service.end("SIGKILL");
    }
    await farm.waitQuiet();
    await withStore({ url: store }, async ({ ledger }) => {
      const id = service.key.split("_")[1] ?? "";
      const usage = await ledger.usage(id, new Date(0), new Date("2999-01-01"));
      assert.deepEqual([usage.requests, usage.pages], [41, 21]);
      assert.deepEqual({ ...usage.failures }, { cancelled: 20 });
    });
  }),
);

test("256 descriptors are too few for 300 requests, and the service survives it", { skip }, () =>
  run(async () => {
    const service = await openService(farm, { politeness, drain: 1 }, { descriptors: 256 });
    try {
      const client = createClient({ base: service.address, key: service.key });
      await client("http://later.farm.test/");
      const before = service.measure().connections;

      const ends = await asyncio.gather(
        Array.from(
          { length: 300 },
          () => () => endOf(client("http://later.farm.test/?after=1", { timeout: 20 })),
        ),
      );

      const kinds = new Set(ends);
      assert.ok(kinds.has(200), String([...kinds]));
      assert.ok(kinds.size > 1, "the limit was not met");
      for (const end of kinds) {
        assert.ok(end === 200 || end === "cut" || /^(connect|dns)_failed$|^reset$/.test(`${end}`));
      }
      // Connections are kept for four seconds, on both sides. Other descriptors stay for a minute:
      // those of the threads that read the store, of which a busy machine needs more.
      const patience = asyncio.getRunningLoop().time() + 60;
      while (service.measure().connections > before + 4) {
        assert.ok(asyncio.getRunningLoop().time() < patience, "connections are left");
        await asyncio.sleep(0.2);
      }
      assert.equal((await client("http://example.com/")).status, 200);

      // Whoever was answered is in the ledger, with the first and the last call.
      const headers = { authorization: `Bearer ${service.key}` };
      const answered = ends.filter((end) => end !== "cut");
      const pages = answered.filter((end) => end === 200);
      for (;;) {
        const answer = await asyncio.fetch(`${service.address}/v1/usage`, { headers });
        const usage = (await answer.json()) as { requests: number; pages: number };
        if (usage.requests >= answered.length + 2) {
          assert.ok(usage.pages >= pages.length + 2, JSON.stringify(usage));
          break;
        }
        const late = asyncio.getRunningLoop().time() > patience + 20;
        assert.ok(!late, `${JSON.stringify(usage)} ${service.said()}`);
        await asyncio.sleep(0.2); // a writer that has failed tries again within five seconds
      }
    } finally {
      await service.end("SIGKILL");
    }
    await farm.waitQuiet();
  }),
);
