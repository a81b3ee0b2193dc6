// What is asked without waiting, cancel-and-wait, labels, and signals of combinators.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  CancelScope,
  createTask,
  currentTask,
  effectiveDeadline,
  gather,
  getRunningLoop,
  isCancelled,
  moveOnAfter,
  race,
  sleep,
  sleepUntil,
  throwIfCancelled,
  timeout,
  timeoutAt,
  wait,
} from "../../src/index.ts";
import { conforms, conformsJoin } from "../conformance.ts";
import { rejection, virtual } from "../virtual.ts";

conforms("sleepUntil", { wakes: "own" }, () => ({
  begin: () => sleepUntil(getRunningLoop().time() + 1),
  delay: 1,
  value: undefined,
}));

conformsJoin("gather, with a signal", async (work) => {
  const { signal } = new AbortController();
  return (await gather([work], { signal }))[0];
});

describe("cancelAndWait", () => {
  test(
    "cancels, waits until it has ended, and throws nothing of the task's",
    virtual(async () => {
      const log: string[] = [];
      const task = createTask(async () => {
        await sleep(3600).catch(() => sleep(1));
        log.push("cleaned up");
        throw new Error("seen");
      });
      await sleep(0);

      await task.cancelAndWait("enough");

      assert.deepEqual([log, task.done()], [["cleaned up"], true]);
      await task.cancelAndWait(); // it has ended
    }),
  );

  test(
    "cancelled meanwhile, it rejects when the task has ended",
    virtual(async () => {
      const task = createTask(() => sleep(3600).finally(() => sleep(5)));
      await sleep(0);
      const started = getRunningLoop().time();

      const moved = await moveOnAfter(1, () => task.cancelAndWait());

      assert.deepEqual([moved.cancelled, getRunningLoop().time() - started], [true, 5]);
      assert.ok(task.cancelled());
    }),
  );

  test(
    "a task cannot wait for itself",
    virtual(async () => {
      const task = createTask(async () => {
        const error = await rejection(currentTask()?.cancelAndWait() as Promise<void>);
        return String(error);
      });
      assert.match(await task, /InvalidStateError: .* awaits itself/);
    }),
  );
});

describe("am I cancelled?", () => {
  test(
    "isCancelled tells and delivers nothing; throwIfCancelled delivers",
    virtual(async () => {
      const scope = new CancelScope();
      const log: unknown[] = [];
      await scope.run(async () => {
        throwIfCancelled();
        log.push(isCancelled());
        scope.cancel("enough");
        log.push(isCancelled(), effectiveDeadline());
        try {
          throwIfCancelled();
        } catch (error) {
          log.push(error instanceof CancelledError && error.reason, isCancelled());
          await sleep(1); // it was delivered: there is time to clean up
          throw error;
        }
      });
      assert.deepEqual(log, [false, true, Number.NEGATIVE_INFINITY, "enough", false]);
      assert.ok(scope.cancelled);
    }),
  );

  test(
    "a deadline that has passed counts, also if no timer has fired yet",
    virtual(async (loop) => {
      const deadlines: number[] = [];
      const moved = await moveOnAfter(5, async () => {
        deadlines.push(effectiveDeadline() - loop.time());
        await sleep(5 - 1e-9);
        deadlines.push(effectiveDeadline() - loop.time() > 0 ? 1 : 0);
        await sleep(3600);
      });
      assert.deepEqual([moved.cancelled, deadlines], [true, [5, 1]]);
      assert.equal(effectiveDeadline(), Number.POSITIVE_INFINITY);
    }),
  );
});

test(
  "a timeout says what it was for",
  virtual(async (loop) => {
    const label = "loading the profile";
    const late = (): Promise<void> => sleep(9);
    assert.match(
      String(await rejection(timeout(3, late, { label }))),
      /TimeoutError: `timeout` cancelled the body: the deadline of 3 s for loading the profile has/,
    );
    assert.match(
      String(await rejection(timeoutAt(loop.time() + 1, late, { label }))),
      /the deadline for loading the profile has passed/,
    );
  }),
);

test(
  "without a deadline, nothing is cut off",
  virtual(async () => {
    const moved = await moveOnAfter(null, () => sleep(9, "x"));
    assert.deepEqual(moved, { cancelled: false, value: "x" });
  }),
);

test(
  "sleepUntil a time that has passed waits one iteration; NaN is refused",
  virtual(async (loop) => {
    const order: string[] = [];
    const other = createTask(async () => order.push("other"));
    await sleepUntil(loop.time() - 5);
    order.push("here");
    await other;
    assert.deepEqual(order, ["other", "here"]);
    assert.ok((await rejection(sleepUntil(Number.NaN))) instanceof RangeError);
  }),
);

describe("a signal cancels, and its reason comes out as it is", () => {
  const calls: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    gather: (signal) => gather([() => sleep(3600), () => sleep(7200)], { signal }),
    race: (signal) => race([() => sleep(3600), () => sleep(7200)], { signal }),
    wait: async (signal) => {
      const waited = createTask(() => sleep(3600));
      try {
        return await wait([waited], { signal });
      } finally {
        assert.equal(waited.done(), false); // it is not the call's
        await waited.cancelAndWait();
      }
    },
  };
  for (const [name, call] of Object.entries(calls)) {
    test(
      name,
      virtual(async () => {
        const controller = new AbortController();
        const calling = rejection(call(controller.signal));
        await sleep(1);
        controller.abort("closing time");
        assert.equal(await calling, "closing time");

        assert.equal(await rejection(call(AbortSignal.abort("before"))), "before");
      }),
    );
  }

  test(
    "and is let go of when the call has ended",
    virtual(async () => {
      const { signal } = new AbortController();
      assert.deepEqual(await gather([async () => 1], { signal }), [1]);
      assert.equal(await race([async () => 2], { signal }), 2);
      assert.equal(await race([async () => 3]), 3);
    }),
  );
});
