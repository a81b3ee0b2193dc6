// Tests in virtual time. After each one nothing may be left: no task, no wait, no timer, no report.

import assert from "node:assert/strict";
import { allTasks, currentTask, type EventLoop, type ExceptionContext, run } from "../src/index.ts";
import { VirtualLoop, type VirtualLoopOptions } from "../src/testing.ts";

/**
 * A test body that runs as the main task of a loop in virtual time: `test("...", virtual(async ()
 * => {...}))`.
 */
export function virtual(
  body: (loop: VirtualLoop) => PromiseLike<void>,
  options?: VirtualLoopOptions,
): () => Promise<void> {
  return async () => {
    const loop = new VirtualLoop(options);
    const reports = collectReports(loop);
    const main = async (): Promise<void> => {
      await body(loop);
      assertNothingLeft(loop);
    };

    await run(main, { loop });

    assert.deepEqual(reports, []);
    const { tasks, timers } = loop.statistics();
    assert.deepEqual({ tasks, timers }, { tasks: 0, timers: 0 });
  };
}

/** Called by the only task that may be alive. */
export function assertNothingLeft(loop: EventLoop): void {
  const main = currentTask();
  const others = [...allTasks()].filter((task) => task !== main);
  assert.deepEqual(
    others.map((task) => task.getName()),
    [],
    "tasks are left",
  );
  assert.deepEqual(main?.waitingFor(), [], "waits are left");
  assert.equal(loop.statistics().timers, 0, "timers are left");
}

/**
 * What the exception handler of `loop` is told from now on. Not that a step has taken long, which
 * debug mode reports: how fast the machine is decides no test. One about slow steps sets
 * `slowCallbackDuration` itself, after this.
 */
export function collectReports(loop: EventLoop): ExceptionContext[] {
  const reports: ExceptionContext[] = [];
  loop.slowCallbackDuration = Number.POSITIVE_INFINITY;
  loop.setExceptionHandler((_loop, context) => reports.push(context));
  return reports;
}

/** What `promise` rejects with. */
export async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: `expected a rejection, got ${String(value)}` });
}
