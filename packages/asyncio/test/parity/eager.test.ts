// Behaviours of asyncio's eager tasks that no other test pins; docs/parity.md has them all.

import assert from "node:assert/strict";
import { test } from "node:test";
import { allTasks, createTask, sleep } from "../../src/index.ts";
import { virtual } from "../virtual.ts";

test(
  "an eager task whose body never waits has run in the call, and is done when its promise tells (S189)",
  virtual(async () => {
    const log: string[] = [];
    const task = createTask(async () => log.push("ran"), { eagerStart: true });

    log.push("createTask returns");
    const doneAtOnce = task.done();
    await sleep(0);

    assert.deepEqual([log, doneAtOnce, task.done()], [["ran", "createTask returns"], false, true]);
  }),
);

test(
  "an eager task is listed during its first step and until it is done (S191)",
  virtual(async () => {
    const counts: number[] = [];
    const task = createTask(async () => counts.push(allTasks().size), { eagerStart: true });

    counts.push(allTasks().size);
    await task;
    counts.push(allTasks().size);

    assert.deepEqual(counts, [2, 2, 1]);
  }),
);

test(
  "cancelling an eager task whose body never waits leaves it its value (S192)",
  virtual(async () => {
    const task = createTask(async () => "value", { eagerStart: true });

    task.cancel();

    assert.equal(await task, "value");
    assert.deepEqual([task.cancelled(), task.cancel()], [false, false]);
  }),
);
