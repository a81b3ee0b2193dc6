// Random jobs, cancellations, crashes and recycling: every job settles once, and nothing grows. Two
// seconds long; `npm run soak -- executors` takes ten minutes.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Executor,
  ProcessPoolExecutor,
  ThreadPoolExecutor,
  WorkerLostError,
} from "../../src/executors.ts";
import { CancelledError, moveOnAfter, run, taskGroup } from "../../src/index.ts";
import { board, jobs } from "./pools.ts";

const seconds = Number(process.env.EXECUTORS_SECONDS ?? 2);
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

const pools = { threads: ThreadPoolExecutor, processes: ProcessPoolExecutor };
for (const [kind, Pool] of Object.entries(pools)) {
  test(`random jobs in ${kind} settle once each, and nothing grows (seed ${seed})`, async () => {
    const random = randomFrom(seed);
    const tally: Tally = { started: 0, settled: 0 };
    let most = 0;
    const before = process.memoryUsage().heapUsed;
    await run(async () => {
      await using pool = new Pool({ maxWorkers: 2, maxTasksPerWorker: 50, idle: 1 });
      await pool.run(jobs.add, 1, 2);
      const end = performance.now() + (seconds * 1000) / 2;
      while (performance.now() < end) {
        await taskGroup(async (group) => {
          for (let n = 0; n < 20; n++) group.createTask(() => one(pool, random, tally));
        });
        most = Math.max(most, pool.stats().workers.length);
      }
    });

    assert.equal(tally.settled, tally.started);
    assert.ok(most <= 6, `${most} workers at a time`);
    const grown = (process.memoryUsage().heapUsed - before) / 1_048_576;
    assert.ok(grown < 100, `the heap has grown by ${grown.toFixed(0)} MB`);
    console.log(`${kind}: ${tally.settled} jobs, at most ${most} workers`);
  });
}
