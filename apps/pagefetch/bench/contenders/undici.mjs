// undici with p-limit: the signal is handed to each request by hand.

import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import pLimit from "p-limit";
import { Agent, request } from "undici";

const plan = JSON.parse(process.argv[2]);
const say = (json) => console.log(JSON.stringify(json));
const dispatcher = new Agent({ connections: 128 });

async function get(url, signal) {
  const { body } = await request(url, { dispatcher, signal });
  return await body.text();
}

async function tick(n, signal) {
  for (;;) {
    await get(`${plan.base.ticks}/${n}`, signal);
    await delay(100);
  }
}

const read = (n, signal) => get(`${plan.base.never}/?n=${n}`, signal);
const handlers = Array.from({ length: plan.count }, (_, n) => [
  (signal) => tick(n, signal),
  (signal) => read(n, signal),
]).flat();

const scenarios = {
  async load() {
    const limit = pLimit(plan.concurrency);
    const times = [];
    const began = performance.now();
    const pages = Array.from({ length: plan.count }, (_, n) =>
      limit(async () => {
        const at = performance.now();
        const page = await get(`${plan.base.load}/?n=${n}`);
        if (page.length !== 20_000) throw new Error("not the page");
        times.push(performance.now() - at);
      }),
    );
    await Promise.all(pages);
    const seconds = (performance.now() - began) / 1000;
    say({ seconds, times, rss: process.resourceUsage().maxRSS });
  },
  async timeout() {
    const limit = pLimit(handlers.length);
    await Promise.allSettled(
      handlers.map((handler) => limit(() => handler(AbortSignal.timeout(1000)))),
    );
  },
  async cancel() {
    const limit = pLimit(handlers.length);
    const controller = new AbortController();
    const all = Promise.allSettled(
      handlers.map((handler) => limit(() => handler(controller.signal))),
    );
    await once(process.stdin, "data");
    controller.abort();
    limit.clearQueue();
    await all;
  },
  async polite() {
    const limit = pLimit(5);
    await Promise.allSettled(plan.urls.map((url) => limit(() => get(url))));
  },
};

await scenarios[plan.scenario]();
say({ ended: true });
setInterval(() => {}, 1000); // until it is killed
