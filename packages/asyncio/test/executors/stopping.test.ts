// Jobs that are cancelled: when the await has ended, nothing of the job runs any more.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { setEnvironmentData } from "node:worker_threads";
import { callback, type ExecutorJob, module, ThreadPoolExecutor } from "../../src/executors.ts";
import {
  CancelledError,
  createTask,
  getRunningLoop,
  HostLoop,
  InvalidStateError,
  moveOnAfter,
  run,
  sleep,
  TimeoutError,
  timeout,
} from "../../src/index.ts";
import { collectReports, rejection } from "../virtual.ts";
import { begun, board, isQuiet, jobs, threads } from "./pools.ts";
import "./leftovers.ts";

/** `npm run soak -- executors` sets a thousand. */
const rounds = Number(process.env.EXECUTORS_ROUNDS ?? 20);

type OnBoard = Extract<keyof typeof jobs, "spin" | "backtrack" | "blocked" | "spinInWasm">;
const endless: readonly OnBoard[] = ["spin", "backtrack", "blocked", "spinInWasm"];

const deaf = { stop: "keep", stopDelay: 0.01 } as const;
const nothing = callback(() => {}, { sync: true });
for (const [name, start] of [
  ["looks", (pool, at) => pool.submit(jobs.spinDeaf.with(deaf), at)],
  ["calls back", (pool, at) => pool.submit(jobs.callDeaf.with(deaf), at, nothing)],
] satisfies [string, (pool: ThreadPoolExecutor, at: Int32Array) => ExecutorJob<never>][]) {
  test(
    `a job that ${name} and goes on is cut off, and its worker is kept`,
    threads(async (pool) => {
      for (let round = 1; round <= 3; round++) {
        const at = board();
        const job = start(pool, at);
        await begun(at);
        job.cancel();
        await rejection(job);

        assert.ok(await isQuiet(at));
        assert.deepEqual([await pool.run(jobs.countCalls), pool.stats().replaced], [round, 0]);
      }
    }),
  );
}

for (const stop of ["keep", "replace"] as const) {
  describe(`a job that never ends, stopped with "${stop}" (1)`, () => {
    for (const name of endless) {
      test(
        `${name}: has ended when the await ends, and the next job runs (S196)`,
        threads(async (pool) => {
          await pool.run(jobs.countCalls);
          const at = board();
          const job = pool.submit(jobs[name].with({ stop, stopDelay: 0 }), at);
          await begun(at);
          job.cancel("enough");
          const error = await rejection(job);

          assert.ok(error instanceof CancelledError);
          assert.equal(error.reason, "enough");
          assert.ok(await isQuiet(at));
          const isKept = stop === "keep";
          assert.equal(await pool.run(jobs.countCalls), isKept ? 2 : 1);
          assert.equal(pool.stats().replaced, isKept ? 0 : 1);
        }),
      );
    }
  });
}

describe("a job that is asked to end", () => {
  test(
    "hears it in a loop that checks, and its finally blocks run (4)",
    threads(async (pool) => {
      const at = board();
      const job = pool.submit(jobs.spinChecked.with({ stopDelay: 3600 }), at);
      await begun(at);
      job.cancel();
      await rejection(job);

      assert.equal(Atomics.load(at, 1), 1);
      assert.ok(await isQuiet(at));
      assert.equal(pool.stats().replaced, 0);
    }),
  );

  test(
    "hears it in a wait (4)",
    threads(async (pool) => {
      const at = board();
      const job = createTask(() => pool.run(jobs.sleepAndSay.with({ stopDelay: 3600 }), at));
      await begun(at);
      job.cancel();
      const error = await rejection(job);

      assert.ok(error instanceof CancelledError);
      assert.equal(Atomics.load(at, 1), 1);
    }),
  );

  test(
    "and goes on all the same, is stopped when its time is over (4)",
    threads(async (pool) => {
      const at = board();
      const job = pool.submit(jobs.swallow.with({ stopDelay: 0.05, stop: "keep" }), at);
      await begun(at);
      job.cancel();
      await rejection(job);

      assert.equal(job.cancelled(), true);
      assert.equal(pool.stats().replaced, 1); // it sits in a wait, so there is nothing to interrupt
      assert.equal(await pool.run(jobs.add, 1, 2), 3);
    }),
  );

  test(
    "gives its value all the same, and that wins (3)",
    threads(async (pool) => {
      const at = board();
      const job = pool.submit(jobs.valueInTheLastMoment, at);
      await begun(at);
      job.cancel();

      assert.equal(await job, "value");
    }),
  );

  test(
    "takes its time with wait",
    threads(async (pool) => {
      const at = board();
      const slow = jobs.native.with({ stop: "wait", stopDelay: 0 });
      const job = pool.submit(slow, at, 5);
      await begun(at);
      job.cancel();

      assert.equal(await job, 2_500_001);
    }),
  );

  test(
    "inside a native call, ends with it, and its thread is replaced (2)",
    threads(async (pool) => {
      const at = board();
      const job = pool.submit(jobs.native.with({ stop: "keep", stopDelay: 0 }), at, 8);
      await begun(at);
      job.cancel();
      await rejection(job).catch(() => {}); // or it was through

      assert.equal(await pool.run(jobs.add, 1, 2), 3);
    }),
  );

  test(
    "while it waits for a worker, never begins (3)",
    threads(async (pool) => {
      const [first, second] = [board(), board()];
      const running = pool.submit(jobs.sleepAndSay, first);
      await begun(first);
      const waiting = pool.submit(jobs.sleepAndSay, second);
      waiting.cancel();
      await rejection(waiting);
      running.cancel();
      await rejection(running);
      await pool.run(jobs.add, 1, 1);

      assert.equal(Atomics.load(second, 0), 0);
    }),
  );

  test(
    "by a deadline, gives a TimeoutError to whoever has set it",
    threads(async (pool) => {
      await pool.run(jobs.add, 1, 1);
      const at = board();
      const cutOff = timeout(null, async (limit) => {
        const job = pool.submit(jobs.sleepAndSay, at);
        await begun(at);
        limit.reschedule(getRunningLoop().time());
        await job;
      });
      const error = await rejection(cutOff);

      assert.ok(error instanceof TimeoutError);
      assert.equal(Atomics.load(at, 1), 1);
    }),
  );

  test(
    "takes the tasks along that it has left behind",
    threads(async (pool) => {
      const at = board();
      await pool.run(jobs.leaveTasks, at);

      assert.equal(Atomics.load(at, 1), 1);
    }),
  );
});

test(
  "ten thousand jobs that wait are cancelled at once",
  threads(async (pool) => {
    const at = board();
    const first = pool.submit(jobs.sleepAndSay, at);
    await begun(at);
    const moved = await moveOnAfter(0, async () => {
      await Promise.all(Array.from({ length: 10_000 }, () => pool.run(jobs.add, 1, 1)));
    });

    assert.deepEqual([moved.cancelled, pool.stats().queued], [true, 0]);
    first.cancel();
    await rejection(first);
  }),
);

test(
  "a thread that is interrupted again and again settles each job once (16)",
  threads(async (pool) => {
    await pool.run(jobs.countCalls);
    let stopped = 0;
    for (let round = 0; round < rounds; round++) {
      const at = board();
      const endless = jobs.backtrack.with({ stop: "keep", stopDelay: 0 });
      const job = pool.submit(endless, at);
      // Some are cancelled before they begin, some at any time, some in the loop.
      if (round % 3 === 1) await sleep(0.003);
      if (round % 3 === 2) await begun(at);
      job.cancel();
      await rejection(job);
      assert.equal(await pool.run(jobs.add, round, 1), round + 1);
      if (job.cancelled()) stopped++;
    }

    assert.deepEqual([stopped, pool.stats().replaced], [rounds, 0]);
  }),
);

test("a job that cannot be handed to a thread any more gives an error at once", async () => {
  await run(async () => {
    const reports = collectReports(getRunningLoop());
    const pool = new ThreadPoolExecutor({ maxWorkers: 1 });
    await pool.shutdown();

    assert.ok((await rejection(pool.run(jobs.add, 1, 1))) instanceof InvalidStateError);
    assert.deepEqual(reports, []);
  });
});

test("a job that is cancelled while its module is loading never begins, and its thread is kept", async () => {
  const at = board();
  setEnvironmentData("slow-start", at);
  const slow = module<typeof import("./slow-start.ts")>(
    new URL("./slow-start.ts", import.meta.url),
  );
  await threads(async (pool) => {
    const spun = board();
    const job = pool.submit(slow.spin.with({ stop: "keep", stopDelay: 0 }), spun);
    await begun(at);
    job.cancel();
    await delay(5); // the thread does not answer meanwhile
    Atomics.store(at, 1, 1);
    Atomics.notify(at, 1);
    await rejection(job);

    assert.deepEqual([job.cancelled(), pool.stats().replaced], [true, 0]);
    assert.deepEqual([Atomics.load(spun, 0), await pool.run(slow.countCalls)], [0, 1]);
  })();
});

test(
  "a job that is cancelled while its module waits for something never begins",
  threads(async (pool) => {
    const slow = module<typeof import("./waiting-start.ts")>(
      new URL("./waiting-start.ts", import.meta.url),
    );
    const at = board();
    setEnvironmentData("waiting-start", at);
    const job = pool.submit(slow.spin.with({ stopDelay: 3600 }), board());
    await begun(at);
    job.cancel();
    await rejection(job);

    assert.deepEqual([job.cancelled(), await pool.run(jobs.add, 1, 2)], [true, 3]);
    assert.equal(pool.stats().replaced, 0);
  }),
);

// In virtual time the run waits for the job, since time holds still while it runs.
test("what a job gives or asks when its run has ended is for nobody, and the pool goes on", async () => {
  const pool = new ThreadPoolExecutor({ maxWorkers: 1 }); // belongs to no run
  const at = board();
  const loop = new HostLoop();
  const reports = collectReports(loop);
  let asked = 0;
  const ask = callback(async () => void asked++);

  const given = await run(
    async () => {
      const job = pool.submit(jobs.askWhenWoken.with({ stopDelay: 3600 }), at, ask);
      await begun(at);
      return [job];
    },
    { loop, shutdownDelay: 0.01 },
  );
  Atomics.store(at, 2, 1);
  Atomics.notify(at, 2);
  const next = await run(() => pool.run(jobs.add, 1, 2));
  await pool.shutdown();

  assert.deepEqual([given[0]?.cancelled(), next, pool.stats().replaced], [true, 3, 0]);
  assert.deepEqual([asked, Atomics.load(at, 1)], [0, 1]);
  assert.equal(reports.length, 1);
  assert.match(reports[0]?.message ?? "", /^a task has not ended .* job .* \(askWhenWoken\)/s);
});
