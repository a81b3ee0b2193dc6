/** The pipeline, as a program would use it. A failed handler is one that has ended. */

import * as asyncio from "asyncio-ts";
import { once } from "asyncio-ts/patterns";
import { zoneResolver } from "../../src/egress/resolve.ts";
import { machineWire } from "../../src/egress/wire.ts";
import { Egress, openFetcher } from "../../src/index.ts";
import { createPoliteness } from "../../src/politeness/politeness.ts";
import type { Plan } from "./plan.ts";

const plan = JSON.parse(process.argv[2] ?? "{}") as Plan; // by compare.ts
const { zone, range, port } = plan.farm;
const say = (json: object): void => console.log(JSON.stringify(json));

const egress = new Egress({
  resolver: zoneResolver(zone),
  wire: machineWire(() => port),
  allow: [range],
});
const pace = { interval: 0, inFlight: 1000 };
const politeness = createPoliteness({ domain: pace, address: pace, maxInterval: 0 });
const isPolite = plan.scenario === "polite";
const fetcher = openFetcher(isPolite ? { egress } : { egress, politeness });

async function load(): Promise<void> {
  const places = new asyncio.Semaphore(plan.concurrency);
  const times: number[] = [];
  const began = performance.now();
  const pages = Array.from({ length: plan.count }, (_, n) => async () => {
    using _place = await places.acquire();
    const at = performance.now();
    const page = await fetcher.fetch(`http://load.farm.test/?n=${n}`);
    if (page.text().length !== 20_000) throw new Error("not the page");
    times.push(performance.now() - at);
  });
  await asyncio.gather(pages);
  const seconds = (performance.now() - began) / 1000;
  say({ seconds, times, rss: process.resourceUsage().maxRSS });
}

async function tick(n: number): Promise<void> {
  for (;;) {
    await fetcher.fetch(`http://ticks.farm.test/${n}`);
    await asyncio.sleep(0.1);
  }
}

async function read(n: number): Promise<void> {
  await fetcher.fetch(`http://never.farm.test/?n=${n}`);
}

const handlers = Array.from({ length: plan.count }, (_, n) => [
  () => tick(n),
  () => read(n),
]).flat();
const scenarios = {
  load,
  async timeout() {
    const limited = handlers.map((handler) => () => asyncio.timeout(1, handler));
    await asyncio.gather(limited, { returnExceptions: true });
  },
  async cancel() {
    const all = asyncio.createTask(() => asyncio.gather(handlers));
    await once(process.stdin, "data");
    all.cancel();
    await asyncio.wait([all]);
  },
  async polite() {
    await asyncio.gather(
      plan.urls.map((url) => () => fetcher.fetch(url)),
      { returnExceptions: true },
    );
  },
};

await asyncio.run(async () => {
  await scenarios[plan.scenario]();
  say({ ended: true });
});
setInterval(() => {}, 1000); // until it is killed
