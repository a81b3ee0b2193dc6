// What goes wrong in the same way in threads and in processes. The numbers are those of the hard
// cases in the research; the others are in the files beside this one.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  BrokenExecutorError,
  callback,
  type ExecutorJob,
  type ExecutorOptions,
  module,
  type ProcessPoolExecutor,
  type ThreadPoolExecutor,
  WorkerLostError,
} from "../../src/executors.ts";
import { createTask, DeadlockError, Event, moveOnAfter, sleep } from "../../src/index.ts";
import { rejection } from "../virtual.ts";
import { jobs, processes, threads } from "./pools.ts";
import "./leftovers.ts";

type Body = (pool: ThreadPoolExecutor | ProcessPoolExecutor) => Promise<void>;

/** The job has said that it has begun. */
async function hasBegun(job: ExecutorJob<unknown>): Promise<void> {
  await job.progress[Symbol.asyncIterator]().next();
}

for (const [kind, inPool] of [
  ["threads", threads],
  ["processes", processes],
] as [string, (body: Body, options?: ExecutorOptions) => () => Promise<void>][]) {
  describe(`in ${kind}, a job`, () => {
    test(
      "inside a native call ends with it, or with its worker (2)",
      inPool(async (pool) => {
        const job = pool.submit(jobs.parse.with({ stopDelay: 0 }), 8);
        await hasBegun(job);
        job.cancel();
        await rejection(job).catch(() => {}); // or it was through

        assert.equal(await pool.run(jobs.add, 1, 2), 3);
      }),
    );

    test(
      "that is cancelled, and has an answer all the same, gives it (3)",
      inPool(async (pool) => {
        const job = pool.submit(jobs.answerLate);
        await hasBegun(job);
        const waiting = pool.submit(jobs.countCalls); // never begins
        waiting.cancel();
        job.cancel();

        assert.equal(await job, "value");
        await rejection(waiting);
        assert.deepEqual([waiting.cancelled(), await pool.run(jobs.countCalls)], [true, 1]);
      }),
    );

    test(
      "that swallows every cancellation is stopped with its worker (4)",
      inPool(async (pool) => {
        const job = pool.submit(jobs.swallowAll.with({ stopDelay: 0 }));
        await hasBegun(job);
        job.cancel();
        await rejection(job);

        assert.deepEqual([job.cancelled(), await pool.run(jobs.countCalls)], [true, 1]);
      }),
    );

    test(
      "is lost by a rejection that nobody sees, with the reason (5)",
      inPool(async (pool) => {
        const error = await rejection(pool.run(jobs.rejectUnseen));

        assert.ok(error instanceof WorkerLostError, String(error));
        assert.match(String((error.cause as Error).message), /seen by nobody/);
        assert.equal(await pool.run(jobs.add, 1, 2), 3);
      }),
    );

    test(
      "that needs its very pool is a deadlock with a name (11)",
      inPool(async (pool) => {
        const nested = callback(async (n: number) => pool.run(jobs.add, n, 1));
        const error = await rejection(pool.run(jobs.ask, nested));

        assert.ok(error instanceof DeadlockError, String(error));
        assert.equal(await pool.run(jobs.add, 1, 2), 3);
      }),
    );

    test(
      "that calls back synchronously hears of a cancellation, and waits for a busy loop (12)",
      inPool(async (pool) => {
        const called = new Event();
        const never = callback(
          async (n: number) => {
            called.set();
            return await sleep(3600, n);
          },
          { sync: true },
        );
        const busy = callback(
          (n: number) => {
            for (const end = performance.now() + 20; performance.now() < end; );
            return n;
          },
          { sync: true },
        );
        const cancelled = createTask(() =>
          pool.run(jobs.askSync.with({ stopDelay: 3600 }), never as never),
        );
        await called.wait();
        cancelled.cancel();
        await rejection(cancelled);

        assert.deepEqual([cancelled.cancelled(), pool.stats().replaced], [true, 0]);
        assert.equal(await pool.run(jobs.askSync, busy), 21);
      }),
    );

    test(
      "whose stream is left or cancelled ends by itself, and its finally runs (13)",
      inPool(async (pool) => {
        const at = new Int32Array(4);
        for await (const n of pool.stream(jobs.numbers, 1e9, at)) if (n === 40) break;
        assert.equal(await pool.run(jobs.countStreamsEnded), 1);
        const got = new Event();
        const reading = createTask(async () => {
          for await (const _ of pool.stream(jobs.numbers, 1e9, at)) {
            got.set();
            await sleep(3600);
          }
        });
        await got.wait();
        reading.cancel();
        await rejection(reading);

        assert.deepEqual([await pool.run(jobs.countStreamsEnded), pool.stats().replaced], [2, 0]);
      }),
    );

    test(
      "finds a worker beside those that are replaced after each (17)",
      inPool(
        async (pool) => {
          const fewest: number[] = [];
          const counts = await Promise.all(
            Array.from({ length: 6 }, async () => {
              const count = await pool.run(jobs.countCalls);
              fewest.push(pool.stats().workers.filter(({ state }) => state !== "ending").length);
              return count;
            }),
          );

          assert.deepEqual(counts, [1, 1, 1, 1, 1, 1]);
          assert.ok(Math.min(...fewest) >= 2, `${fewest}`);
        },
        { maxWorkers: 2, minWorkers: 2, maxTasksPerWorker: 1 },
      ),
    );

    test(
      "is refused by a pool that cannot set its workers up (8)",
      inPool(
        async (pool) => {
          const errors = [await rejection(pool.run(jobs.add, 1, 1))];
          errors.push(await rejection(pool.run(jobs.add, 1, 1)));

          for (const error of errors) {
            assert.ok(error instanceof BrokenExecutorError, String(error));
            assert.ok(error.cause instanceof RangeError);
          }
        },
        { maxWorkers: 1, initializer: jobs.refuse },
      ),
    );

    test(
      "is refused by a pool whose modules are not there (8)",
      inPool(
        async (pool) => {
          const error = await rejection(pool.run(jobs.add, 1, 1));

          assert.ok(error instanceof BrokenExecutorError, String(error));
          assert.match(error.message, /does not load/);
        },
        { maxWorkers: 1, warm: [module<object>(new URL("./missing.ts", import.meta.url))] },
      ),
    );
  });
}

for (const stop of ["keep", "replace"] as const)
  test(
    `a buffer is moved when its job begins, and not while it waits behind one that is stopped with "${stop}" (14)`,
    threads(async (pool) => {
      const endless = createTask(() =>
        moveOnAfter(0.1, () => pool.run(jobs.spin.with({ stop, stopDelay: 0 }), new Int32Array(4))),
      );
      const [kept, moved] = [new ArrayBuffer(10), new ArrayBuffer(20)];
      const left = pool.submit(jobs.same.with({ transfer: [kept] }), kept);
      const run = createTask(() => pool.run(jobs.same.with({ transfer: [moved] }), moved));
      await sleep(0.01);
      left.cancel();
      await rejection(left);
      assert.deepEqual([kept.byteLength, moved.byteLength], [10, 20]);
      await endless;

      assert.deepEqual([((await run) as ArrayBuffer).byteLength, moved.byteLength], [20, 0]);
      assert.equal(kept.byteLength, 10);
    }),
  );
