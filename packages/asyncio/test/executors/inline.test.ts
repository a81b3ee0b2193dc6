// Jobs on the loop of a test: time is virtual, and their order is searched.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  callback,
  InlineExecutor,
  NotSendableError,
  WorkerModuleError,
} from "../../src/executors.ts";
import { CancelledError, createTask, getRunningLoop, sleep } from "../../src/index.ts";
import { cancelSweep, explore, runTest } from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { rejection } from "../virtual.ts";
import { asksAtATime, jobs, leavesMeanwhile } from "./pools.ts";
import "./leftovers.ts";

await InlineExecutor.load(jobs);

test("runs jobs in virtual time, so many at a time", async () => {
  await runTest(async () => {
    const loop = getRunningLoop();
    await using executor = new InlineExecutor({ maxWorkers: 2 });
    const start = loop.time();
    await executor.map(jobs.nap, [10, 10, 10, 10]).toArray();

    assert.equal(loop.time() - start, 20);
    assert.equal(await executor.run(jobs.add, 1, 2), 3);
    assert.equal(executor.stats().completed, 5);
  });
});

onBothLoops("a consumer that leaves a stream ends its job at once", async (loop) => {
  await using executor = new InlineExecutor();
  const began = loop.time();
  for (let most = 1; most <= 40; most++) {
    let seen = 0;
    for await (const _item of executor.stream(jobs.numbers, 1000, new Int32Array(4)))
      if (++seen === most) break;
  }

  assert.ok(loop.time() - began < 4, "it took a grace period");
});

test("copies what goes there and back, and refuses what cannot be sent", async () => {
  await runTest(async () => {
    await using executor = new InlineExecutor();
    const list = [1];
    const copy = await executor.run(jobs.same, list);

    assert.deepEqual([copy, copy === list], [[1], false]);
    assert.ok((await rejection(executor.run(jobs.unsendable))) instanceof NotSendableError);
    for (const job of [
      executor.run(jobs.numbers, 1, new Int32Array(1)),
      executor.run(jobs.failAt, 1),
    ])
      assert.match(
        String(await rejection(job)),
        /^NotSendableError: result .* a generator\. Ask for/,
      );
    const closing = { on: [() => {}] };
    assert.ok((await rejection(executor.run(jobs.same, closing))) instanceof NotSendableError);
    const nothing = (jobs as unknown as Record<string, typeof jobs.refuse>).nothing;
    assert.ok((await rejection(executor.run(nothing as never))) instanceof WorkerModuleError);
  });
});

test("cancels a job, waits for its end, and gives its errors as workers do", async () => {
  await runTest(async () => {
    await using executor = new InlineExecutor();
    const job = createTask(() => executor.run(jobs.nap, 3600));
    await sleep(1);
    job.cancel();

    assert.ok((await rejection(job)) instanceof CancelledError);
    const error = (await rejection(executor.run(jobs.fail))) as TypeError;
    assert.deepEqual([error instanceof TypeError, error.name], [true, "OwnError"]);
  });
});

test("has progress, streams, callbacks and the names of jobs", async () => {
  await runTest(async () => {
    await using executor = new InlineExecutor({ name: "inline" });
    const job = executor.submit(jobs.steps, 2);
    const steps: unknown[] = [];
    for await (const step of job.progress) steps.push(step);
    const items: number[] = [];
    for await (const n of executor.stream(jobs.numbers, 100, new Int32Array(4))) {
      items.push(n);
      if (n === 30) break;
    }
    const double = callback(async (n: number) => sleep(1, n * 2));

    assert.deepEqual([steps, await job], [[{ step: 1 }, { step: 2 }], "done"]);
    assert.equal(items.length, 31);
    assert.equal(await executor.run(jobs.ask, double), 41);
    assert.deepEqual(await executor.run(jobs.job), { id: "inline-4", attempt: 1 });
  });
});

test("a stream gives each item to one of those who ask for it at a time, and may be left meanwhile", async () => {
  await runTest(async () => {
    await using executor = new InlineExecutor();
    await asksAtATime(executor.stream(jobs.numbers, 3, new Int32Array(4)));
    await leavesMeanwhile(executor.stream(jobs.numbers, 3, new Int32Array(4)));
  });
});

test("a program with jobs is explored", async () => {
  await explore(
    async () => {
      await using executor = new InlineExecutor({ maxWorkers: 2 });
      const sums = await Promise.all([
        executor.run(jobs.add, 1, 1),
        executor.run(jobs.nap, 1),
        executor.run(jobs.add, 2, 2),
      ]);

      assert.deepEqual(sums, [2, undefined, 4]);
    },
    { iterations: 100 },
  );
});

test("a program with jobs is cancelled everywhere", async () => {
  await cancelSweep(async () => {
    await using executor = new InlineExecutor();
    const job = executor.submit(jobs.nap, 1);
    await executor.run(jobs.add, 1, 1);
    await executor.map(jobs.nap, [1, 2]).toArray();
    await job;
  });
});
