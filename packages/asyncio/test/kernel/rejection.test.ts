import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTask, currentTask, gather, run, sleep, timeout } from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { rejection, virtual } from "../virtual.ts";

const macrotask = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("R11: the stack of a CancelledError shows where the victim was waiting", () => {
  async function victimInner(): Promise<void> {
    await sleep(10);
  }
  async function victimOuter(): Promise<void> {
    await victimInner();
  }

  test(
    "it has the victim's async frames, and not the canceller's",
    virtual(async () => {
      const task = createTask(victimOuter);
      await sleep(0);
      const canceller = createTask(async function theCanceller() {
        task.cancel();
      });

      const { stack = "" } = (await rejection(task)) as Error;
      await canceller;

      assert.match(stack, /CancelledError: cancelled/);
      assert.match(stack, /at async victimInner .*\n.*at async victimOuter /);
      assert.doesNotMatch(stack, /theCanceller|throwCancelled/);
    }),
  );

  test("it has them on a loop in real time as well", async () => {
    const stack = await run(async () => {
      const task = createTask(victimOuter);
      await sleep(0);
      task.cancel();
      return ((await rejection(task)) as Error).stack ?? "";
    });

    assert.match(stack, /at async victimInner .*\n.*at async victimOuter /);
  });

  test(
    "the TimeoutError of a deadline has it as its cause",
    virtual(async () => {
      const error = (await rejection(timeout(1, victimOuter))) as Error;

      assert.match((error.cause as Error).stack ?? "", /at async victimInner .*\n.*victimOuter /);
    }),
  );

  test(
    "an operation rejected at its start shows where it was called",
    virtual(async () => {
      const task = createTask(async () => {
        currentTask()?.cancel();
        await victimOuter();
      });

      const { stack = "" } = (await rejection(task)) as Error;

      assert.match(stack, /at async victimInner .*\n.*at async victimOuter /);
    }),
  );

  /** Cancels 40 tasks at a time, and gives the stacks of their errors. */
  async function burst(): Promise<string[]> {
    const tasks = Array.from({ length: 40 }, () => createTask(victimOuter));
    await sleep(0);
    for (const task of tasks) task.cancel();
    const errors = await gather(tasks, { returnExceptions: true });
    return errors.map((error) => (error as Error).stack ?? "");
  }
  const countStacks = (stacks: readonly string[]) =>
    stacks.filter((stack) => /at async victimInner .*\n.*at async victimOuter /.test(stack)).length;

  test("of a burst the first 32 have one, and the others a line that says so", async () => {
    const limit = Error.stackTraceLimit;
    await macrotask(); // what other tests have cancelled is over
    const stacks = await run(burst);

    assert.equal(countStacks(stacks.slice(0, 32)), 32);
    assert.deepEqual(
      new Set(stacks.slice(32)),
      new Set([
        'CancelledError: cancelled by task "main"\n' +
          "    (stack left out. Many others came just before it. Debug mode keeps all)",
      ]),
    );
    assert.equal(Error.stackTraceLimit, limit);
  });

  test("a burst is over when the host has its turn and nothing is ready", async () => {
    await macrotask();
    const counts = await run(async () => {
      const first = countStacks(await burst());
      const second = countStacks(await burst()); // right behind the first
      await macrotask();
      return [first, second, countStacks(await burst())];
    });

    assert.deepEqual(counts, [32, 0, 32]);
  });

  test("debug mode and virtual loops make all of them", async () => {
    const debugged = await run(burst, { debug: true });
    const simulated = await run(burst, { loop: new VirtualLoop() });

    assert.deepEqual([debugged, simulated].map(countStacks), [40, 40]);
  });

  test("waits of a burst reject in the order in which they were cancelled, as handled ones", async () => {
    const unhandled: unknown[] = [];
    const listener = (reason: unknown) => void unhandled.push(reason);
    process.on("unhandledRejection", listener);
    const order: number[] = [];
    await run(async () => {
      const tasks = Array.from({ length: 100 }, (_, index) =>
        createTask(async () => {
          void sleep(10); // a branch that nobody awaits
          await sleep(10).finally(() => order.push(index));
        }),
      );
      await sleep(0);
      for (const task of tasks) task.cancel();
      await gather(tasks, { returnExceptions: true });
    });
    await macrotask();
    process.off("unhandledRejection", listener);

    assert.deepEqual(
      order,
      Array.from({ length: 100 }, (_, index) => index),
    );
    assert.deepEqual(unhandled, []);
  });
});
