// Behaviours of asyncio's cancellation that no other test pins; docs/parity.md has them all.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CancelledError, createTask, currentTask, Future, gather, sleep } from "../../src/index.ts";
import { onBothLoops } from "../both-loops.ts";
import { rejection, virtual } from "../virtual.ts";

test(
  "a timeout written by hand with cancel and uncancel leaves its task as it was (S40)",
  virtual(async (loop) => {
    const task = createTask(async () => {
      const self = currentTask();
      const handle = loop.callLater(1, () => self?.cancel());
      const error = await rejection(sleep(10));
      handle.cancel();

      const isOurs = error instanceof CancelledError && self?.uncancel() === 0;
      return [isOurs, self?.cancelling(), await sleep(100, "goes on")];
    });

    assert.deepEqual(await task, [true, 0, "goes on"]);
    assert.equal(loop.time(), 101);
  }),
);

test(
  "a timeout written by hand sees by the count that somebody else has cancelled too (S40)",
  virtual(async (loop) => {
    const task = createTask(async () => {
      const self = currentTask();
      loop.callLater(1, () => self?.cancel());
      await rejection(sleep(10));
      return self?.uncancel();
    });
    loop.callLater(1, () => task.cancel("somebody else"));

    assert.equal(await task, 1);
  }),
);

for (const first of ["task", "future"]) {
  onBothLoops(
    `cancelling a task and the future that it awaits, the ${first} first, is one cancellation (S43)`,
    async () => {
      const future = new Future<void>();
      let delivered = 0;
      const task = createTask(async () => {
        for (const operation of [async () => await future, () => sleep(0.001)]) {
          await operation().catch(() => delivered++);
        }
      });
      await sleep(0); // on the real loop it is on its way to the future

      for (const each of first === "task" ? [task, future] : [future, task]) each.cancel();
      await task;

      assert.deepEqual([delivered, future.cancelled()], [1, true]);
    },
  );
}

test(
  "an awaiter can tell its own cancellation from that of what it awaits (S46)",
  virtual(async () => {
    const inner = createTask(() => sleep(10));
    const outer = createTask(async () => {
      const error = (await rejection(inner)) as CancelledError;
      return [currentTask()?.cancelling(), error.scope === currentTask()?.scope];
    });
    const cancelled = createTask(async () => {
      const error = (await rejection(sleep(10))) as CancelledError;
      return [currentTask()?.cancelling(), error.scope === currentTask()?.scope];
    });
    await sleep(1);

    inner.cancel();
    cancelled.cancel();

    assert.deepEqual(
      [await outer, await cancelled],
      [
        [0, false],
        [1, true],
      ],
    );
  }),
);

test(
  "a gather that has failed passes no cancellation on to the siblings (S54)",
  virtual(async () => {
    const sibling = createTask(() => sleep(5, "sibling"));
    const task = createTask(async () => {
      await rejection(gather(sibling, () => Promise.reject(new Error("first"))));
      await sleep(10);
    });
    await sleep(1);

    task.cancel();

    assert.ok((await rejection(task)) instanceof CancelledError);
    assert.equal(await sibling, "sibling");
  }),
);
