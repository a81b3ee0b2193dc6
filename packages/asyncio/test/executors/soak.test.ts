// Random jobs, cancellations, crashes and recycling: every job settles once, and nothing grows. Two
// seconds long; `npm run soak -- executors` takes ten minutes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  type Executor,
  ProcessPoolExecutor,
  ThreadPoolExecutor,
  WorkerLostError,
} from "../../src/executors.ts";
import { CancelledError, moveOnAfter, run, taskGroup } from "../../src/index.ts";
import { collectGarbage } from "../gc.ts";
import { board, jobs } from "./pools.ts";
import "./leftovers.ts";

const seconds = Number(process.env.EXECUTORS_SECONDS ?? 2);
const parts = 4;
const seed = Number(process.env.EXECUTORS_SEED ?? 1);

/** Numbers from 0 to 1 that a seed decides. */
function randomFrom(start: number): () => number {
  let state = start >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Tally {
  started: number;
  settled: number;
}

/** One job, whatever it is; gives when it has settled. */
async function one(pool: Executor, random: () => number, tally: Tally): Promise<void> {
  const kind = random();
  const patience = random() * 0.02;
  const stop = random() < 0.5 ? "keep" : "replace";
  tally.started++;
  try {
    if (kind < 0.5) assert.equal(await pool.run(jobs.add, 1, 2), 3);
    else if (kind < 0.7) await moveOnAfter(patience, () => pool.run(jobs.nap, 3600));
    else if (kind < 0.85) {
      const endless = jobs.backtrack.with({ stop, stopDelay: 0 });
      await moveOnAfter(patience, () => pool.run(endless, board()));
    } else if (kind < 0.9) {
      for await (const n of pool.stream(jobs.numbers, 100, board())) if (n === 20) break;
    } else if (kind < 0.93) await pool.run(jobs.exit, 1);
    else if (kind < 0.96) {
      const job = pool.submit(jobs.nap, patience);
      if (random() < 0.5) job.cancel();
      await job;
    } else await pool.map(jobs.same, [1, 2, 3]).toArray();
  } catch (error) {
    const isExpected = error instanceof WorkerLostError || error instanceof CancelledError;
    if (!isExpected) throw error;
  }
  tally.settled++;
}

/** What grows where something is left behind, after a collection. */
async function inUse(): Promise<{ heapMb: number; threads: number; residentMb: number }> {
  await collectGarbage();
  const { heapUsed, rss } = process.memoryUsage();
  const [, threads = ""] =
    /^Threads:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  const mb = (bytes: number): number => Math.round(bytes / 1_048_576);
  return { heapMb: mb(heapUsed), threads: Number(threads), residentMb: mb(rss) };
}

const pools = { threads: ThreadPoolExecutor, processes: ProcessPoolExecutor };
for (const [kind, Pool] of Object.entries(pools)) {
  test(`random jobs in ${kind} settle once each, and nothing grows (seed ${seed})`, async () => {
    const random = randomFrom(seed);
    const tally: Tally = { started: 0, settled: 0 };
    const samples: Awaited<ReturnType<typeof inUse>>[] = [];
    let [most, replaced] = [0, 0];
    await run(async () => {
      // At most one processor's worth: the machine may have other things to do.
      await using pool = new Pool({ maxWorkers: 2, maxTasksPerWorker: 50, idle: 1 });
      await pool.run(jobs.add, 1, 2);
      const startedAt = performance.now();
      for (let part = 1; part <= parts; part++) {
        while (performance.now() < startedAt + (part * seconds * 500) / parts) {
          await taskGroup(async (group) => {
            for (let n = 0; n < 20; n++) group.createTask(() => one(pool, random, tally));
          });
          most = Math.max(most, pool.stats().workers.length);
        }
        samples.push(await inUse());
      }
      ({ replaced } = pool.stats());
    });

    assert.equal(tally.settled, tally.started);
    assert.ok(most <= 6, `${most} workers at a time`);
    const [first, last] = [samples[0], samples.at(-1)];
    const told = JSON.stringify(samples);
    assert.ok((last?.heapMb ?? 0) - (first?.heapMb ?? 0) < 20, `the heap has grown: ${told}`);
    assert.ok((last?.threads ?? 0) - (first?.threads ?? 0) <= 6, `threads are left: ${told}`);
    console.log(
      `figures: ${kind}: ${tally.settled} jobs, at most ${most} workers, ${replaced} replaced; in use: ${told}`,
    );
  });
}
