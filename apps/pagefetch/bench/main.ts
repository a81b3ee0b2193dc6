/**
 * What the pipeline costs: pages through a Fetcher against the same pages by bare undici, one after
 * the other in one run; how fast a cancellation is; and what thousands of hosts that never answer
 * cost. The farm runs in a process of its own.
 *
 *     node apps/pagefetch/bench/main.ts [--quick]
 */

import * as asyncio from "asyncio-ts";
import { Agent, request } from "undici";
import { Fetcher } from "../src/fetch/fetcher.ts";
import { type FarmProcess, openFarmProcess } from "./farm-process.ts";

const quick = process.argv.includes("--quick");
const pages = quick ? 500 : 4000;
const rounds = quick ? 1 : 5;
const tarpits = quick ? 200 : 5000;
const concurrency = 64;
const page = "http://pages.farm.test/bytes/20000";

interface Round {
  readonly perSecond: number;
  readonly p99: number;
}

type Get = () => Promise<number>;

/** Gets `count` pages, so many at a time. */
async function load(count: number, get: Get): Promise<Round> {
  const times: number[] = [];
  let left = count;
  const began = performance.now();
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const at = performance.now();
      if ((await get()) !== 20_000) throw new Error("not the page");
      times.push(performance.now() - at);
    }
  };
  await asyncio.gather(...Array.from({ length: concurrency }, () => worker));
  const seconds = (performance.now() - began) / 1000;
  return { perSecond: count / seconds, p99: quantile(times, 0.99) };
}

/**
 * Asks at a steady rate for two seconds, whether answers come or not, in turns by each of `gets`:
 * what the machine does meanwhile happens to all of them. The p99 of each, in milliseconds.
 */
async function steady(perSecond: number, gets: readonly Get[]): Promise<readonly number[]> {
  const times = gets.map(() => [] as number[]);
  const began = performance.now();
  await asyncio.taskGroup(async (group) => {
    for (let count = 0; count < perSecond * (quick ? 0.2 : 2); count++) {
      const due = began + (count * 1000) / perSecond;
      if (due > performance.now()) await asyncio.sleep((due - performance.now()) / 1000);
      const turn = count % gets.length;
      group.createTask(async () => {
        const at = performance.now();
        await gets[turn]?.();
        times[turn]?.push(performance.now() - at);
      });
    }
  });
  return times.map((some) => quantile(some, 0.99));
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

const median = (values: readonly number[]): number => quantile(values, 0.5);

async function throughput(farm: FarmProcess): Promise<void> {
  const address = farm.zone["pages.farm.test"]?.[0] ?? "";
  const agent = new Agent({ connections: concurrency, pipelining: 1 });
  const url = `http://${address}:${farm.port}/bytes/20000`;
  const bare = async (): Promise<number> => {
    const headers = { host: "pages.farm.test" };
    const { body } = await request(url, { dispatcher: agent, headers });
    return (await body.arrayBuffer()).byteLength;
  };
  using fetcher = new Fetcher({ egress: farm.egress() });
  const ours = async (): Promise<number> => (await fetcher.fetch(page)).bytes.length;
  await load(200, bare);
  await load(200, ours);
  const found = { bare: [] as Round[], ours: [] as Round[] };
  for (let round = 0; round < rounds; round++) {
    found.bare.push(await load(pages, bare));
    found.ours.push(await load(pages, ours));
  }
  const quarter = median(found.ours.map((one) => one.perSecond)) / 4;
  const added: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const [least = 0, most = 0] = await steady(quarter, [bare, ours]);
    added.push(most - least);
  }
  await agent.close();
  const ratios = found.ours.map(
    ({ perSecond }, at) => perSecond / (found.bare[at]?.perSecond ?? 1),
  );
  for (const [name, all] of Object.entries(found)) {
    const perSecond = median(all.map((one) => one.perSecond)).toFixed(0);
    const p99 = median(all.map((one) => one.p99)).toFixed(1);
    console.log(`${name}: ${perSecond} pages/s, p99 ${p99} ms`);
  }
  console.log(`ours / bare undici: ${median(ratios).toFixed(2)}`);
  const rate = quarter.toFixed(0);
  console.log(
    `at ${rate} pages/s: p99 is ${median(added).toFixed(1)} ms above that of bare undici`,
  );
}

/** From the cancellation to the next turn of the host after the end of the call. */
async function cancelling(farm: FarmProcess): Promise<void> {
  using fetcher = new Fetcher({ egress: farm.egress() });
  const times: number[] = [];
  for (let round = 0; round < (quick ? 20 : 300); round++) {
    const task = asyncio.createTask(() => fetcher.fetch("http://drip.farm.test/"));
    await asyncio.sleep(0.01);
    const at = performance.now();
    task.cancel();
    await task.catch(() => {});
    await asyncio.cancellable(() => new Promise<void>((resolve) => setImmediate(resolve)));
    times.push(performance.now() - at);
  }
  console.log(
    `cancel to quiet: p50 ${median(times).toFixed(2)} ms, p99 ${quantile(times, 0.99).toFixed(2)} ms`,
  );
}

async function tarpitting(farm: FarmProcess): Promise<void> {
  using fetcher = new Fetcher({ egress: farm.egress() });
  const before = process.memoryUsage().rss;
  const result = await asyncio.moveOnAfter(60, async () => {
    await asyncio.taskGroup(async (group) => {
      for (let count = 0; count < tarpits; count++) {
        group.createTask(() =>
          fetcher.fetch("http://drip.farm.test/?every=1", { attemptTimeout: 600, timeout: 600 }),
        );
        if (count % 50 === 49) await asyncio.sleep(0.01);
      }
      await asyncio.sleep(quick ? 1 : 4);
      const rss = process.memoryUsage().rss / 2 ** 20;
      const sockets = process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap");
      console.log(
        `${tarpits} tarpits at once: ${sockets.length} sockets, ${rss.toFixed(0)} MiB, of these ${(before / 2 ** 20).toFixed(0)} before`,
      );
      group.cancel();
    });
  });
  // The host tells of closed sockets in its next turn.
  await asyncio.cancellable(() => new Promise<void>((resolve) => setImmediate(resolve)));
  const left = process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap");
  console.log(
    `after cancelling them: ${left.length} sockets${result.cancelled ? " (by the clock)" : ""}`,
  );
}

await asyncio.run(async () => {
  const farm = await openFarmProcess();
  try {
    console.log(`Node ${process.version}, ${concurrency} at a time, pages of 20,000 bytes`);
    await tarpitting(farm); // first, as memory is not given back
    await throughput(farm);
    await cancelling(farm);
  } finally {
    await farm.close();
  }
});
