// Behaviours of asyncio's timeouts and task groups that no other test pins; docs/parity.md has them
// all.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CancelledError,
  CancelScope,
  createTask,
  currentTask,
  InvalidStateError,
  sleep,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { rejection, virtual } from "../virtual.ts";

test("a timeout needs no task around it, and each call is a scope of its own (S85)", async () => {
  const body = async (): Promise<string> => "value";

  assert.deepEqual([await timeout(1, body), await timeout(1, body)], ["value", "value"]);
});

test(
  "a CancelScope is for one body (S85)",
  virtual(async () => {
    const scope = new CancelScope();
    await scope.run(async () => {});

    await assert.rejects(
      scope.run(async () => {}),
      InvalidStateError,
    );
  }),
);

test("a task group needs no task around it, and each call is a group of its own (S98)", async () => {
  const body = async (): Promise<string> => "value";

  assert.deepEqual([await taskGroup(body), await taskGroup(body)], ["value", "value"]);
});

test(
  "a group cancels its own scope and not its task: the task's count stays 0 throughout (S99)",
  virtual(async () => {
    const counts: unknown[] = [];
    const noteCount = (): void => void counts.push(currentTask()?.cancelling());
    const failing = (): Promise<never> => Promise.reject(new Error("expected"));
    await rejection(
      taskGroup(async (outer) => {
        outer.createTask(failing);
        const inner = taskGroup(async (group) => {
          group.createTask(failing);
          await sleep(10).finally(noteCount);
        });
        await inner.finally(noteCount);
      }),
    );
    noteCount();

    assert.deepEqual(counts, [0, 0, 0]);
  }),
);

test(
  "a group without children does not wait: what its body has asked for meets the next wait (S101)",
  virtual(async () => {
    const task = createTask(async () => {
      const value = await taskGroup(async () => {
        currentTask()?.cancel();
        return "value";
      });
      return [value, (await rejection(sleep(1))) instanceof CancelledError];
    });

    assert.deepEqual(await task, ["value", true]);
  }),
);
