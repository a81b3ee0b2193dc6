// Interruptions in a program whose first threads have gone. A file of its own: the host counts
// threads from the beginning of the process, and a session from the beginning of the session.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ThreadPoolExecutor } from "../../src/executors.ts";
import { createTask, run } from "../../src/index.ts";
import { rejection } from "../virtual.ts";
import { begun, board, jobs, threads } from "./pools.ts";
import "./leftovers.ts";

test("the first interruption hits the thread of the job after other threads have gone", async () => {
  await run(async () => {
    await using earlier = new ThreadPoolExecutor({ maxWorkers: 2, minWorkers: 2 });
    await earlier.run(jobs.add, 1, 2);
  });

  await threads(
    async (pool) => {
      const [waiting, endless] = [board(), board()];
      const other = createTask(() => pool.run(jobs.sleepAndSay, waiting));
      await begun(waiting);
      const job = pool.submit(jobs.backtrack.with({ stop: "keep", stopDelay: 0 }), endless);
      await begun(endless);
      job.cancel();
      await rejection(job);

      assert.deepEqual([pool.stats().replaced, other.done()], [0, false]);
      other.cancel();
      await rejection(other);
      assert.equal(Atomics.load(waiting, 1), 1);
      assert.deepEqual(await pool.map(jobs.same, [1, 2, 3, 4]).toArray(), [1, 2, 3, 4]);
    },
    { maxWorkers: 2 },
  )();
});
