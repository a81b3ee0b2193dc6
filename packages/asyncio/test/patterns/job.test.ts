import assert from "node:assert/strict";
import { test } from "node:test";
import {
  abortSignal,
  CancelledError,
  cleanup,
  sleep,
  TimeoutError,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { type Job, TaskQueue } from "../../src/patterns.ts";
import { cancelSweep } from "../../src/testing.ts";
import { virtual as inVirtualTime, rejection } from "../virtual.ts";

/** In virtual time; the end of a keeper has its turn. */
const virtual: typeof inVirtualTime = (body) =>
  inVirtualTime(async (loop) => {
    await body(loop);
    await sleep(0);
  });

test(
  "a job whose time is over says so by its name",
  virtual(async (loop) => {
    const queue = new TaskQueue({ timeout: 2 });
    const late = queue.add(() => sleep(10), { name: "late" });

    const error = await rejection(late);

    assert.ok(error instanceof TimeoutError);
    assert.match(error.message, /^job "late" was cancelled: its 2 s are over/);
    assert.ok(error.cause instanceof CancelledError);
    assert.deepEqual([late.cancelled(), queue.statistics().failed, loop.time()], [false, 1, 2]);
  }),
);

test(
  "its time begins when it does, and it may clean up when that is over",
  virtual(async (loop) => {
    const queue = new TaskQueue({ limit: 1, timeout: 2 });
    const first = queue.add(() => sleep(10).finally(() => cleanup(5, () => sleep(1))));
    const second = queue.add(() => sleep(1.5, "in time"));

    assert.ok((await rejection(first)) instanceof TimeoutError);
    assert.equal(loop.time(), 3);
    assert.equal(await second, "in time");
  }),
);

test(
  "one that is cancelled while it cleans up is cancelled",
  virtual(async () => {
    const queue = new TaskQueue();
    const job = queue.add(() => sleep(10).finally(() => cleanup(5, () => sleep(1))), {
      timeout: 1,
    });
    await sleep(1.5);

    job.cancel("enough");

    assert.ok((await rejection(job)) instanceof CancelledError);
    assert.equal(job.cancelled(), true);
  }),
);

test(
  "the deadline of its owner is not its own",
  virtual(async () => {
    const jobs: Job<unknown>[] = [];
    const owning = timeout(1, () =>
      taskGroup(async (owner) => {
        const queue = new TaskQueue({ owner, timeout: 5 });
        jobs.push(queue.add(() => sleep(10)));
      }),
    );

    await assert.rejects(owning, /`timeout` cancelled the body: the deadline of 1 s has passed/);
    assert.deepEqual(
      jobs.map((job) => job.cancelled()),
      [true],
    );
  }),
);

test(
  "one that answers to its deadline with an error of other code has a TimeoutError",
  virtual(async () => {
    const queue = new TaskQueue();
    const foreign = async () => {
      const signal = abortSignal();
      const aborted = new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reject(new Error("AbortError", { cause: signal.reason }));
        });
      });
      await Promise.all([aborted, sleep(10)]);
    };

    const error = await rejection(queue.add(foreign, { timeout: 1 }));

    assert.ok(error instanceof TimeoutError);
  }),
);

test("cancelled anywhere, a job with a deadline leaves no timer and no task", async () => {
  const sweep = await cancelSweep(
    async () => {
      await taskGroup(async (owner) => {
        const queue = new TaskQueue({ limit: 1, owner, timeout: 2 });
        queue.add(() => sleep(10)).addDoneCallback((job) => void job.exception());
        await queue.add(() => sleep(1));
      });
    },
    { schedules: 3, mayReturn: true },
  );
  assert.ok(sweep.complete);
});
