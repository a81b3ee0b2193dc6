/**
 * Random clients of one service, for as long as PAGEFETCH_SECONDS says: they ask for whatever the
 * farm has, leave when they like, and the proxies fail in turns. In the first quarter the service
 * is killed from time to time, and begins again with the store that it had. After that it lives,
 * and its descriptors and its memory are looked at whenever all clients rest. The figures are
 * printed. `npm run soak -- pagefetch` runs it for ten minutes.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { openFarm } from "../../farm/farm.ts";
import { type FarmProxy, openProxy, type ProxyFault } from "../../farm/proxies.ts";
import { html, pause } from "../../farm/site.ts";
import { createClient, ServiceError } from "../../src/client/client.ts";
import { type ErrorCode, errorKinds, PageError } from "../../src/contract/errors.ts";
import { withStore } from "../../src/store/store.ts";
import { run } from "../support/farm.ts";
import { type Measure, openService, type ServiceProcess } from "../support/service-process.ts";

const seconds = Number(process.env.PAGEFETCH_SECONDS ?? 6);
const seed = Number(process.env.PAGEFETCH_SEED ?? 1);
const CLIENTS = 20;
/** What a service has when all of it is at work: processes that parse, connections of its store. */
const PARSERS = 2;
const STORE = 4;

/** Numbers from 0 up to 1 that come again with the seed (mulberry32). */
function randomFrom(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const ordinary = [
  "http://example.com/",
  "http://www.example.com/",
  "http://pages.farm.test/bytes/20000",
  "http://pages.farm.test/bytes/2000000",
  "http://pages.farm.test/status/404",
  "http://redirect.farm.test/chain/3",
  "http://later.farm.test/",
  "http://partly.robots.test/",
];
const odd = [
  "http://redirect.farm.test/loop",
  "http://redirect.farm.test/inside",
  "http://flaky.farm.test/1?how=reset",
  "http://flaky.farm.test/1?how=short",
  "http://slow.farm.test/body",
  "http://drip.farm.test/",
  "http://endless.farm.test/body",
  "http://bombs.farm.test/br",
  "http://nowhere.farm.test/",
  "http://closed.robots.test/",
];
const urls = [...ordinary, ...ordinary, ...ordinary, ...odd];
const outputs = ["raw", "raw", "raw", "html", "text", "links"] as const;
const faults: readonly ProxyFault[] = [
  "none",
  "none",
  "refuses",
  "bad-gateway",
  "silent",
  "garbage",
  "closes",
  "truncates",
];

const skip = process.platform !== "linux" && "it looks into /proc";

test(
  `clients that leave, proxies that fail, a service that is killed (seed ${seed})`,
  {
    skip,
  },
  () => run(soak),
);

async function soak(): Promise<void> {
  const random = randomFrom(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T; // none is empty
  const folder = mkdtempSync(join(tmpdir(), "pagefetch-soak-"));
  const farm = await openFarm({
    "later.farm.test": async (ask) =>
      void ((await pause(0.2, ask.gone)) && html(ask, "<p>now</p>")),
  });
  const proxies = await Promise.all(
    (["http", "https", "socks5", "http"] as const).map((protocol, index) =>
      openProxy({
        protocol,
        from: `127.0.2.${index + 1}`,
        portOf: farm.portOf.bind(farm),
        zone: farm.zone,
      }),
    ),
  );
  const list = join(folder, "proxies.txt");
  writeFileSync(list, proxies.map((proxy, at) => lineOf(proxy, at)).join(""));
  const pace = { interval: 0, inFlight: 1000 };
  const config = {
    store: join(folder, "store.db"),
    politeness: { domain: pace, address: pace, maxInterval: 0 },
    pools: [{ name: "farm", file: list }],
    allowProxies: ["127.0.3.0/24"],
    directFirst: true,
    drain: 2,
  };
  const ends = new Map<string, number>();
  const count = (end: string): void => void ends.set(end, (ends.get(end) ?? 0) + 1);
  const measures: Look[] = [];
  let kills = 0;
  let service = await openService(farm, config);
  const clock = asyncio.getRunningLoop();

  async function oneCall(): Promise<void> {
    const client = createClient({ base: service.address, key: service.key });
    const options = {
      timeout: 0.2 + random() * 3,
      output: pick(outputs),
      proxy: pick(["auto", "direct", "farm"]),
      cache: pick(["off", "off", "use"] as const),
      ...(random() < 0.2 ? { session: pick(["a", "b", "c"]) } : {}),
    };
    const patience = random() < 0.3 ? random() : 30;
    const call = await asyncio.moveOnAfter(patience, async () => {
      try {
        await client(pick(urls), options);
        count("page");
      } catch (error) {
        if (error instanceof PageError) return count(error.code);
        if (error instanceof ServiceError) return count("no service");
        throw error;
      }
    });
    if (call.cancelled) count("left");
  }

  /** All clients at work for `length` seconds; the proxies change meanwhile. */
  async function work(length: number): Promise<void> {
    const until = clock.time() + length;
    await asyncio.taskGroup(async (group) => {
      for (let n = 0; n < CLIENTS; n++) {
        group.createTask(async () => {
          while (clock.time() < until) await oneCall();
        });
      }
      group.createTask(async () => {
        while (clock.time() < until) {
          pick(proxies).fault = pick(faults);
          await asyncio.sleep(0.1);
        }
      });
    });
  }

  /**
   * More pages to parse and more questions to the store than it serves at a time. What becomes of
   * them depends on how busy the machine is.
   */
  async function wakeAll(): Promise<void> {
    const client = createClient({ base: service.address, key: service.key });
    const headers = { authorization: `Bearer ${service.key}` };
    const page = async (): Promise<void> => {
      await client("http://pages.farm.test/bytes/200000", { output: "text", timeout: 30 });
    };
    const sums = async (): Promise<void> => {
      await (await asyncio.fetch(`${service.address}/v1/usage`, { headers })).text();
    };
    const calls = [...Array(6).fill(page), ...Array(24).fill(sums)];
    await asyncio.gather(calls, { returnExceptions: true });
  }

  /**
   * Looks at what is left when nothing runs and no connection is kept any more, neither here nor
   * there. What the service makes by need, and ends when it has not needed it for a minute, is
   * there at each look: so two looks differ by what was left behind, and by nothing else.
   */
  async function rest(): Promise<void> {
    await asyncio.timeout(120, async () => {
      for (;;) {
        await wakeAll();
        await farm.waitQuiet(); // kept connections go after four seconds
        while (service.measure().connections > 0) await asyncio.sleep(0.05);
        const heap = await service.heap();
        const measure = { ...service.measure(), heap };
        const connections = measure.files.filter((path) => path === config.store).length;
        if (measure.children !== PARSERS || connections !== STORE) continue;
        measures.push(measure);
        return;
      }
    });
  }

  try {
    const began = clock.time();
    while (clock.time() - began < seconds / 4) {
      const busy = asyncio.createTask(() => work(1.5));
      await asyncio.sleep(0.5 + random());
      await service.end("SIGKILL");
      kills++;
      service = await openService(farm, config);
      await busy;
    }
    const before = usedIds(service);
    await work(Math.min(seconds / 4, 20));
    await rest();
    do {
      await work(Math.min(seconds / 8, 20));
      await rest();
    } while (clock.time() - began < seconds);
    const served = await (await asyncio.fetch(`${service.address}/metrics`)).text();
    const outcomes = Object.fromEntries(
      [...served.matchAll(/^pagefetch_requests_total\{outcome="(.*)"\} (\d+)$/gm)].map(
        ([, outcome, number]) => [outcome, Number(number)] as [string, number], // both are there
      ),
    );
    const requests = Object.values(outcomes).reduce((sum, number) => sum + number, 0);
    const { signal, last } = await service.end("SIGTERM");

    assert.equal(signal, "SIGTERM", service.said());
    assert.deepEqual(JSON.parse(last), { sockets: 0, running: 0 });
    assert.doesNotMatch(service.said(), /has failed|cannot be written/);
    assert.equal(farm.canaryHits, 0);
    for (const end of ends.keys()) {
      const isKnown = Object.hasOwn(errorKinds, end as ErrorCode);
      assert.ok(isKnown || ["page", "left", "no service"].includes(end), end);
    }
    await withStore({ url: config.store }, async ({ ledger }) => {
      const usage = await ledger.usage(before, new Date(0), new Date("2999-01-01"));
      const { pages: ok, failures } = usage;
      assert.deepEqual({ ...(ok > 0 && { ok }), ...failures }, outcomes, "a row for each request");
    });
    tell(measures, ends, kills, requests);
    const [first, ...others] = measures;
    assert.ok(first !== undefined);
    for (const { descriptors } of others) {
      assert.ok(descriptors <= first.descriptors, JSON.stringify(measures));
    }
    // What leaks grows from look to look. All caches have what they can have at the second one.
    const end = measures.at(-1) ?? first;
    const most = (of: "heap" | "memory", looks: number): number =>
      Math.max(...measures.slice(0, looks).map((look) => look[of]));
    assert.ok(end.heap < most("heap", 2) * 1.1 + 4, JSON.stringify(measures));
    // Allocators keep what they had at their busiest moment, which may come later.
    assert.ok(end.memory < most("memory", 3) * 1.3 + 20, JSON.stringify(measures));
  } finally {
    await asyncio.shield(async () => {
      await service.end("SIGKILL");
      await Promise.all(proxies.map((proxy) => proxy.close()));
      await farm.close();
      rmSync(folder, { recursive: true });
    });
  }
}

interface Look extends Measure {
  readonly heap: number;
}

function lineOf({ host, port }: FarmProxy, at: number): string {
  const protocol = ["http", "https", "socks5", "http"][at];
  return `${protocol}://${host}:${port} id=p${at}\n`;
}

function usedIds({ key }: ServiceProcess): string {
  return key.split("_")[1] ?? "";
}

function tell(
  measures: readonly Look[],
  ends: ReadonlyMap<string, number>,
  kills: number,
  requests: number,
): void {
  const memory = measures.map((one) => one.memory.toFixed(0)).join(" ");
  const heap = measures.map((one) => one.heap.toFixed(1)).join(" ");
  const descriptors = measures.map((one) => one.descriptors).join(" ");
  const sorted = [...ends].sort(([, one], [, other]) => other - one);
  const calls = sorted.map(([end, number]) => `${end} ${number}`).join(", ");
  console.log(
    `figures: pagefetch, ${kills} kills, then ${requests} requests; MiB ${memory}, of these in the heap ${heap}; descriptors ${descriptors}; all calls: ${calls}`,
  );
}
