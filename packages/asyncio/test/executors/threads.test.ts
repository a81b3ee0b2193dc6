// Pools of threads: what they run, for whom, and how many at a time.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BrokenExecutorError, module, ThreadPoolExecutor, toThread } from "../../src/executors.ts";
import {
  createTask,
  getRunningLoop,
  InvalidStateError,
  QueueFull,
  run,
  timeout,
} from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { rejection } from "../virtual.ts";
import { asksAtATime, begun, board, jobs, leavesMeanwhile, threads } from "./pools.ts";
import "./leftovers.ts";

test(
  "a stream gives each item to one of those who ask for it at a time, and may be left meanwhile",
  threads(async (pool) => {
    const at = board();
    await asksAtATime(pool.stream(jobs.numbers, 3, at));
    await leavesMeanwhile(pool.stream(jobs.numbers, 3, at));
  }),
);

describe("run", () => {
  test(
    "gives what the function returns",
    threads(async (pool) => {
      const results = await Promise.all([
        pool.run(jobs.add, 1, 2),
        pool.run(jobs.same, "text \ud800"),
        pool.run(jobs.same, undefined),
        pool.run(jobs.same, null),
        pool.run(jobs.same, -0),
        pool.run(jobs.same, true),
        pool.run(jobs.same, { deep: [new Map([["a", 1n]])] }),
        pool.run(jobs.same, "x".repeat(10_000)),
        pool.run(jobs.nap, 0.001),
      ]);

      assert.deepEqual(results, [
        3,
        "text \ud800",
        undefined,
        null,
        -0,
        true,
        { deep: [new Map([["a", 1n]])] },
        "x".repeat(10_000),
        undefined,
      ]);
    }),
  );

  test(
    "gives the results of thousands of small jobs to those who have asked",
    threads(
      async (pool) => {
        const counts = Array.from({ length: 5000 }, (_, n) => n);

        const sums = await Promise.all(counts.map((n) => pool.run(jobs.add, n, 1)));

        assert.deepEqual(
          sums,
          counts.map((n) => n + 1),
        );
      },
      { maxWorkers: 2 },
    ),
  );

  test(
    "runs a job in the context of its caller, as far as that is shared (S187)",
    threads(async (pool) => {
      const { trace } = await import("./jobs.ts");
      const loop = getRunningLoop();
      const told = await createTask(async () => {
        trace.set("request-7");
        return [
          await pool.run(jobs.readTrace),
          await loop.runInExecutor(pool, jobs.readTrace),
          await pool.submit(jobs.readTrace),
        ];
      });

      assert.deepEqual(
        [...told, await pool.run(jobs.readTrace)],
        ["request-7", "request-7", "request-7", "none"],
      );
    }),
  );

  test(
    "tells the job how much time is left",
    threads(async (pool) => {
      const left = await timeout(3600, () => pool.run(jobs.left));

      assert.ok(left > 3000 && left <= 3600, `${left}`);
      assert.equal(await pool.run(jobs.left), Number.POSITIVE_INFINITY);
    }),
  );

  test(
    "hands a job over that was behind a long one, as soon as a thread is free",
    threads(
      async (pool) => {
        await Promise.all(Array.from({ length: 200 }, () => pool.run(jobs.add, 1, 1)));
        const at = board();
        const long = createTask(() => pool.run(jobs.sleepAndSay, at));
        const short = Array.from({ length: 50 }, (_, n) => pool.run(jobs.add, n, 1));

        assert.equal((await Promise.all(short)).length, 50);
        long.cancel();
        await rejection(long);
      },
      { maxWorkers: 2 },
    ),
  );

  test("works from several runs and in virtual time, which holds still meanwhile", async () => {
    const loop = new VirtualLoop();
    const took = await run(
      async () => {
        const start = loop.time();
        assert.equal(await toThread(jobs.nap, 0.02), undefined);
        return loop.time() - start;
      },
      { loop },
    );

    assert.equal(took, 0);
  });
});

describe("the default executor", () => {
  test("is there for each run, and ends with it (S183)", async () => {
    const { dependents } = await import("../../src/interop/dependents.ts");
    await run(async () => {
      assert.equal(await toThread(jobs.add, 1, 2), 3);
      assert.equal(await getRunningLoop().runInExecutor(null, jobs.add, 2, 2), 4);
      assert.equal(dependents.size, 1);
    });

    assert.equal(dependents.size, 0);
  });
});

describe("submit", () => {
  test(
    "gives a task, which tells its progress",
    threads(async (pool) => {
      const job = pool.submit(jobs.steps, 3);
      const steps: unknown[] = [];
      for await (const step of job.progress) steps.push(step);

      assert.deepEqual(steps, [{ step: 1 }, { step: 2 }, { step: 3 }]);
      assert.equal(await job, "done");
      assert.deepEqual(await pool.submit(jobs.job), { id: `${pool.name}-2`, attempt: 1 });
    }),
  );

  test(
    "refuses a job when too many wait, and run waits",
    threads(
      async (pool) => {
        const at = board();
        const first = pool.submit(jobs.sleepAndSay, at);
        await begun(at);
        const second = pool.submit(jobs.add, 1, 1);
        const third = pool.run(jobs.add, 2, 2);

        assert.throws(() => pool.submit(jobs.add, 3, 3), QueueFull);
        first.cancel();
        await rejection(first);
        assert.deepEqual([await second, await third], [2, 4]);
      },
      { maxWorkers: 1, maxQueue: 1 },
    ),
  );
});

describe("map", () => {
  test(
    "gives the results in the order of the items",
    threads(
      async (pool) => {
        const delays = [0.02, 0.001, 0.01];

        const results = await pool.map(jobs.same, delays).toArray();

        assert.deepEqual(results, delays);
      },
      { maxWorkers: 2 },
    ),
  );
});

describe("workers", () => {
  test(
    "are initialized and warmed before their first job",
    threads(
      async (pool) => {
        assert.equal(await pool.run(jobs.wasPrepared), true);
      },
      { maxWorkers: 1, minWorkers: 1, initializer: jobs.prepare, warm: [jobs] },
    ),
  );

  test("make the pool useless when the initializer fails (8)", async () => {
    await run(async () => {
      await using pool = new ThreadPoolExecutor({ maxWorkers: 2, initializer: jobs.refuse });
      const errors = await Promise.all([
        rejection(pool.run(jobs.add, 1, 1)),
        rejection(pool.run(jobs.add, 1, 1)),
      ]);

      for (const error of errors) {
        assert.ok(error instanceof BrokenExecutorError, String(error));
        assert.ok(error.cause instanceof RangeError);
      }
      assert.ok((await rejection(pool.run(jobs.add, 1, 1))) instanceof BrokenExecutorError);
    });
  });

  test("make it useless when a module that they load first is not there (8)", async () => {
    const missing = module<{ f(): void }>(new URL("./missing.ts", import.meta.url));
    await run(async () => {
      await using pool = new ThreadPoolExecutor({ maxWorkers: 1, warm: [missing] });

      const error = await rejection(pool.run(jobs.add, 1, 1));

      assert.ok(error instanceof BrokenExecutorError);
      assert.match(error.message, /does not load/);
    });
  });

  test(
    "are replaced after so many jobs, and none is lost (17)",
    threads(
      async (pool) => {
        const counts = await Promise.all(
          Array.from({ length: 6 }, () => pool.run(jobs.countCalls)),
        );

        assert.deepEqual(counts, [1, 1, 1, 1, 1, 1]);
        assert.ok(pool.stats().replaced >= 4);
      },
      { maxWorkers: 2, maxTasksPerWorker: 1 },
    ),
  );

  test(
    "are replaced when they use too much memory",
    threads(
      async (pool) => {
        const first = await pool.run(jobs.countCalls);
        await pool.run(jobs.nap, 0.15);
        await pool.run(jobs.nap, 0.15); // the thread looks at its memory now and then

        assert.deepEqual([first, await pool.run(jobs.countCalls)], [1, 1]);
      },
      { maxWorkers: 1, maxMemoryMb: 1 },
    ),
  );

  test(
    "end when they have had nothing to do",
    threads(
      async (pool) => {
        await pool.run(jobs.add, 1, 1);
        while (pool.stats().workers.length > 0) await new Promise((r) => setTimeout(r, 5));

        assert.equal(await pool.run(jobs.add, 1, 1), 2);
      },
      { maxWorkers: 1, idle: 0.01 },
    ),
  );

  test(
    "are told of in stats",
    threads(async (pool) => {
      await pool.run(jobs.add, 1, 1);
      const { queued, running, completed, replaced, workers } = pool.stats();

      assert.deepEqual([queued, running, completed, replaced], [0, 0, 1, 0]);
      assert.deepEqual(
        workers.map(({ state, jobs: done, pid }) => ({ state, done, pid })),
        [{ state: "idle", done: 1, pid: undefined }],
      );
    }),
  );
});

describe("shutdown", () => {
  test("waits for the jobs that were taken, and takes no more", async () => {
    await run(async () => {
      const pool = new ThreadPoolExecutor({ maxWorkers: 1 });
      const job = pool.submit(jobs.add, 1, 2);
      await pool.shutdown();

      assert.equal(job.result(), 3);
      assert.ok((await rejection(pool.run(jobs.add, 1, 1))) instanceof InvalidStateError);
      assert.throws(() => pool.submit(jobs.add, 1, 1), InvalidStateError);
      await pool.shutdown();
    });
  });

  test("cancels what has not begun, if it is asked to", async () => {
    await run(async () => {
      const pool = new ThreadPoolExecutor({ maxWorkers: 1 });
      const at = board();
      const first = pool.submit(jobs.sleepAndSay, at);
      await begun(at);
      const second = pool.submit(jobs.add, 1, 1);
      await pool.shutdown({ wait: false, cancelFutures: true });

      await rejection(second);
      assert.deepEqual([second.cancelled(), first.done()], [true, false]);
      first.cancel();
      await rejection(first);
      await pool.shutdown();
    });
  });

  test("cancelled, cancels all jobs and waits for their end", async () => {
    const at = board();
    await run(async () => {
      const pool = new ThreadPoolExecutor({ maxWorkers: 1 });
      const job = pool.submit(jobs.sleepAndSay, at);
      await begun(at);
      await rejection(timeout(0.01, () => pool.shutdown()));

      assert.deepEqual([job.cancelled(), Atomics.load(at, 1)], [true, 1]);
      assert.equal(pool.stats().workers.length, 0);
    });
  });

  test("is done by the end of the run (15)", async () => {
    const at = board();
    const { dependents } = await import("../../src/interop/dependents.ts");
    await run(async () => {
      const pool = new ThreadPoolExecutor({ maxWorkers: 1 });
      pool.submit(jobs.sleepAndSay, at);
      await begun(at);
    });

    assert.deepEqual([Atomics.load(at, 1), dependents.size], [1, 0]);
  });
});
