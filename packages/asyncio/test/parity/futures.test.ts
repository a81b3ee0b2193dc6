// Behaviours of asyncio's futures and tasks that no other test pins; docs/parity.md has them all.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createTask, Future, run, sleep } from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

test(
  "a done callback that was added three times is called three times (S2)",
  virtual(async () => {
    const future = new Future<void>();
    let calls = 0;
    const callback = (): void => void calls++;
    for (let count = 0; count < 3; count++) future.addDoneCallback(callback);

    future.setResult();
    await sleep(0);

    assert.equal(calls, 3);
  }),
);

test(
  "setException takes a class as it is, and makes no error of it (S6)",
  virtual(async () => {
    const future = new Future<void>();

    future.setException(RangeError);

    assert.equal(future.exception(), RangeError);
    assert.equal(await rejection(future), RangeError);
  }),
);

test("a pending future that nobody awaits is silent, a pending task ends with the run (S8)", async () => {
  const loop = new VirtualLoop();
  const reports = collectReports(loop);
  const ended: string[] = [];

  await run(
    async () => {
      new Future<void>();
      createTask(() => sleep(3600).finally(() => ended.push("task")));
      await sleep(0);
    },
    { loop },
  );

  assert.deepEqual([ended, reports], [["task"], []]);
});

test("a future of another loop can be awaited (S19)", async () => {
  const value = await run(async () => {
    const future = new Future<string>();
    setTimeout(() => future.setResult("from outside"), 1);
    return await run(async () => await future);
  });

  assert.equal(value, "from outside");
});

test(
  "names that are no strings become strings (S24)",
  virtual(async () => {
    const task = createTask(() => sleep(0), { name: 7 as unknown as string });

    assert.equal(task.getName(), "7");
    task.setName(8 as unknown as string);
    assert.equal(task.getName(), "8");
    await task;
  }),
);

test("cancel of a task that has failed answers false, and is no look at its failure (S45)", async () => {
  const loop = new VirtualLoop();
  const reports = collectReports(loop);
  const failure = new Error("expected");
  let answer: boolean | undefined;

  await run(
    async () => {
      const task = createTask(() => Promise.reject(failure));
      await sleep(1);
      answer = task.cancel();
    },
    { loop },
  );

  assert.equal(answer, false);
  assert.deepEqual(
    reports.map(({ exception }) => exception),
    [failure],
  );
});

test(
  "a task that has ended by a cancellation stays so whatever uncancel does (S39)",
  virtual(async () => {
    const task = createTask(() => sleep(10));
    await sleep(0);
    task.cancel();
    await rejection(task);

    const counts = [task.uncancel(), task.uncancel()];

    assert.deepEqual([counts, task.cancelled()], [[0, 0], true]);
  }),
);
