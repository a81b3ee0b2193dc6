/**
 * Checks that never end, so many of them, each stopped after 30 ms, with a good one after each: how
 * long all of it takes, and what it costs. The same for a pool of ours and for piscina.
 */

import { performance } from "node:perf_hooks";
import * as asyncio from "asyncio-ts";
import { module, ThreadPoolExecutor } from "asyncio-ts/executors";
import { Piscina } from "piscina";

const file = new URL("./checks.ts", import.meta.url);
const checks = module<typeof import("./checks.ts")>(file);
const bad = { pattern: "^(a+)+$", text: `${"a".repeat(40)}b` };
const good = { pattern: "^a+$", text: "aaa" };
const patienceMs = 30;
const threads = 2;

/** What one side has done. */
export interface Measured {
  readonly name: string;
  readonly seconds: number;
  /** From the end of a runaway to the answer of the good check after it, in milliseconds. */
  readonly goodMs: number;
  readonly threads: number;
}

type Check = (task: { pattern: string; text: string }, patienceMs?: number) => Promise<boolean>;

/** `count` runaways, as many at a time as there are threads. */
async function drive(name: string, count: number, check: Check, made: () => number) {
  const goodMs: number[] = [];
  const lane = async (share: number): Promise<void> => {
    for (let n = 0; n < share; n++) {
      await check(bad, patienceMs).catch(() => {});
      const startedAt = performance.now();
      await check(good);
      goodMs.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: threads }, () => check(good)));
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: threads }, () => lane(count / threads)));
  const seconds = (performance.now() - startedAt) / 1000;
  const median = goodMs.sort((a, b) => a - b)[goodMs.length >> 1] ?? 0;
  return { name, seconds, goodMs: median, threads: made() } satisfies Measured;
}

export async function ours(count: number): Promise<Measured> {
  return asyncio.run(async () => {
    await using pool = new ThreadPoolExecutor({ maxWorkers: threads, minWorkers: threads });
    const stopped = checks.check.with({ stop: "keep", stopDelay: 0 });
    const check: Check = ({ pattern, text }, ms) => {
      const run = () => pool.run(stopped, pattern, text);
      return ms === undefined ? run() : asyncio.timeout(ms / 1000, run);
    };
    return await drive("asyncio-ts", count, check, () => threads + pool.stats().replaced);
  });
}

export async function piscinas(count: number): Promise<Measured> {
  const pool = new Piscina({ filename: file.href, minThreads: threads, maxThreads: threads });
  let made = 0;
  pool.on("workerCreate", () => made++);
  const check: Check = async (task, ms) => {
    const signal = ms === undefined ? null : AbortSignal.timeout(ms);
    return (await pool.run(task, { name: "checkTask", signal })) as boolean;
  };
  try {
    return await drive("piscina", count, check, () => threads + made);
  } finally {
    await pool.destroy();
  }
}
