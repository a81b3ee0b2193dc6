// Crawlee's HttpCrawler. Nothing is written to disk, and the concurrency is there from the start.

import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { Configuration, HttpCrawler, LogLevel, log } from "@crawlee/http";

const plan = JSON.parse(process.argv[2]);
const say = (json) => console.log(JSON.stringify(json));
log.setLevel(LogLevel.OFF);
const config = new Configuration({ persistStorage: false });

const handlers = Array.from({ length: plan.count }, (_, n) => [
  `${plan.base.ticks}/${n}`,
  `${plan.base.never}/?n=${n}`,
]).flat();

/** A page that is asked for ten times a second; a page that never ends does not come this far. */
async function tick({ request, sendRequest }) {
  for (;;) {
    await sendRequest({ url: request.url });
    await delay(100);
  }
}

const together = { minConcurrency: handlers.length, maxConcurrency: handlers.length };
const scenarios = {
  async load() {
    const times = [];
    const begins = new Map();
    let began;
    const crawler = new HttpCrawler(
      {
        minConcurrency: plan.concurrency,
        maxConcurrency: plan.concurrency,
        preNavigationHooks: [
          ({ request }) => {
            began ??= performance.now();
            begins.set(request.url, performance.now());
          },
        ],
        requestHandler({ request, body }) {
          if (String(body).length !== 20_000) throw new Error("not the page");
          times.push(performance.now() - begins.get(request.url));
        },
      },
      config,
    );
    await crawler.run(Array.from({ length: plan.count }, (_, n) => `${plan.base.load}/?n=${n}`));
    const seconds = (performance.now() - began) / 1000;
    say({ seconds, times, rss: process.resourceUsage().maxRSS });
  },
  async timeout() {
    const crawler = new HttpCrawler(
      {
        ...together,
        navigationTimeoutSecs: 1,
        requestHandlerTimeoutSecs: 1,
        maxRequestRetries: 0,
        requestHandler: tick,
      },
      config,
    );
    await crawler.run(handlers);
  },
  async cancel() {
    const crawler = new HttpCrawler(
      { ...together, maxRequestRetries: 0, requestHandler: tick },
      config,
    );
    const all = crawler.run(handlers);
    await once(process.stdin, "data");
    await crawler.teardown(); // "to stop it immediately"
    await all;
  },
  async polite() {
    const crawler = new HttpCrawler({ requestHandler() {} }, config);
    await crawler.run(plan.urls);
  },
};

await scenarios[plan.scenario]();
say({ ended: true });
setInterval(() => {}, 1000); // until it is killed
