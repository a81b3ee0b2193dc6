import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  createTask,
  currentTask,
  InvalidStateError,
  moveOnAfter,
  sleep,
  type Timeout,
  TimeoutError,
  taskGroup,
  timeLeft,
  timeout,
  timeoutAt,
} from "../../src/index.ts";
import { rejection, virtual } from "../virtual.ts";

describe("timeout", () => {
  test(
    "gives the value of a body that is in time, and leaves no timer",
    virtual(async (loop) => {
      assert.equal(await timeout(5, () => sleep(1, "value")), "value");
      assert.equal(loop.statistics().timers, 0);
    }),
  );

  test(
    "rejects with a TimeoutError at the deadline",
    virtual(async (loop) => {
      const error = await rejection(timeout(2, () => sleep(5)));

      assert.ok(error instanceof TimeoutError);
      assert.equal(loop.time(), 2);
    }),
  );

  test(
    "waits until the body has cleaned up",
    virtual(async (loop) => {
      await rejection(timeout(2, () => sleep(5).finally(() => {})));
      await rejection(
        timeout(1, async () => {
          try {
            await sleep(5);
          } finally {
            await sleep(3);
          }
        }),
      );

      assert.equal(loop.time(), 6);
    }),
  );

  test(
    "passes the body's own error on",
    virtual(async () => {
      const failure = new Error("expected");

      assert.equal(await rejection(timeout(1, () => Promise.reject(failure))), failure);
    }),
  );

  test(
    "passes on an error that the body throws in answer to the deadline",
    virtual(async () => {
      const failure = new Error("expected");
      const body = (): Promise<unknown> => sleep(5).catch(() => Promise.reject(failure));

      assert.equal(await rejection(timeout(1, body)), failure);
    }),
  );

  test(
    "null and Infinity are no deadline",
    virtual(async () => {
      const deadlines = [null, Number.POSITIVE_INFINITY].map((seconds) =>
        timeout(seconds, async (scope) => [await sleep(1000, scope.when()), timeLeft()]),
      );

      assert.deepEqual(await Promise.all(deadlines), [
        [undefined, Number.POSITIVE_INFINITY],
        [undefined, Number.POSITIVE_INFINITY],
      ]);
    }),
  );

  test(
    "of 0 round a body that never waits succeeds, and has not expired (S78)",
    virtual(async () => {
      let scope: Timeout | undefined;
      const value = await timeout(0, async (given) => {
        scope = given;
        return "value";
      });

      assert.deepEqual([value, scope?.expired()], ["value", false]);
    }),
  );

  test(
    "of 0 or less cancels the first wait",
    virtual(async () => {
      for (const seconds of [0, -1]) {
        const error = await rejection(timeout(seconds, () => sleep(0)));
        assert.ok(error instanceof TimeoutError, String(seconds));
      }
    }),
  );

  test(
    "that expired and was swallowed succeeds, and tells that it has expired (S77)",
    virtual(async () => {
      let scope: Timeout | undefined;
      const value = await timeout(1, (given) => {
        scope = given;
        return sleep(5).catch(() => "swallowed");
      });

      assert.deepEqual([value, scope?.expired()], ["swallowed", true]);
    }),
  );

  test(
    "of several that are due together the outermost raises (S79)",
    virtual(async () => {
      const scopes: Timeout[] = [];
      const log: string[] = [];
      const error = await rejection(
        timeout(1, async (outer) => {
          scopes.push(outer);
          try {
            await timeout(1, async (inner) => {
              scopes.push(inner);
              await sleep(5);
            });
          } catch (passing) {
            log.push((passing as Error).name);
            throw passing;
          }
        }),
      );

      assert.ok(error instanceof TimeoutError);
      assert.deepEqual(log, ["CancelledError"]);
      assert.deepEqual(
        scopes.map((scope) => scope.expired()),
        [true, true],
      );
    }),
  );

  test(
    "of several that are due together the outermost raises, also if the innermost fires first",
    virtual(async () => {
      const log: string[] = [];
      const error = await rejection(
        timeout(100, async (outer) => {
          const inner = timeout(1, () => sleep(5));
          outer.reschedule(1);
          await inner.catch((passing) => {
            log.push(passing.name);
            throw passing;
          });
        }),
      );

      assert.ok(error instanceof TimeoutError);
      assert.deepEqual(log, ["CancelledError"]);
    }),
  );

  test(
    "of several the one that is due raises, and the others stay",
    virtual(async () => {
      const outcome = await timeout(5, async (outer) => {
        const error = await rejection(timeout(1, () => sleep(3)));
        return [(error as Error).name, outer.expired(), await sleep(1, "goes on")];
      });

      assert.deepEqual(outcome, ["TimeoutError", false, "goes on"]);
    }),
  );

  test(
    "does not convert a cancellation from outside (S80)",
    virtual(async () => {
      const task = createTask(() => timeout(5, () => sleep(10)));
      await sleep(1);

      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
    }),
  );

  test(
    "works in a task that is being cancelled (S81)",
    virtual(async () => {
      const task = createTask(async () => {
        await sleep(10).catch(() => {});
        return (await rejection(timeout(1, () => sleep(3)))) instanceof TimeoutError;
      });
      await sleep(1);

      task.cancel();

      assert.equal(await task, true);
    }),
  );

  test(
    "leaves its task uncancelled (S86)",
    virtual(async () => {
      await rejection(timeout(1, () => sleep(3)));

      assert.equal(currentTask()?.cancelling(), 0);
      await sleep(1);
    }),
  );

  test(
    "can be rescheduled while the body runs, and not after (S84)",
    virtual(async (loop) => {
      let scope: Timeout | undefined;
      await rejection(
        timeout(1, async (given) => {
          scope = given;
          given.reschedule(4);
          assert.equal(given.when(), 4);
          await sleep(10).catch((error) => {
            assert.throws(() => given.reschedule(8), InvalidStateError);
            throw error;
          });
        }),
      );

      assert.equal(loop.time(), 4);
      assert.throws(() => scope?.reschedule(10), InvalidStateError);
    }),
  );

  test(
    "can be lifted with null, and set to a time that has passed",
    virtual(async (loop) => {
      assert.equal(
        await timeout(1, async (scope) => {
          scope.reschedule(null);
          return await sleep(5, "value");
        }),
        "value",
      );
      const error = await rejection(
        timeout(100, async (scope) => {
          scope.reschedule(loop.time() - 1);
          await sleep(1);
        }),
      );

      assert.ok(error instanceof TimeoutError);
      assert.equal(loop.time(), 5);
    }),
  );

  test(
    "hits its own branch of a Promise.all only",
    virtual(async (loop) => {
      const log: unknown[] = [];
      const branches = [
        timeout(1, () => sleep(5)).catch((error) => log.push(error.name)),
        sleep(3).then(() => log.push(loop.time())),
      ];

      await Promise.all(branches);

      assert.deepEqual(log, ["TimeoutError", 3]);
    }),
  );
});

describe("timeoutAt, moveOnAfter, timeLeft", () => {
  test(
    "timeoutAt takes a time on the clock of the loop",
    virtual(async (loop) => {
      await sleep(2);

      const error = await rejection(timeoutAt(3, () => sleep(10)));

      assert.ok(error instanceof TimeoutError);
      assert.equal(loop.time(), 3);
    }),
  );

  test(
    "moveOnAfter tells by its result whether the body was cut off",
    virtual(async () => {
      assert.deepEqual(await moveOnAfter(1, () => sleep(5, "late")), { cancelled: true });
      assert.deepEqual(await moveOnAfter(5, () => sleep(1, "value")), {
        cancelled: false,
        value: "value",
      });
    }),
  );

  test(
    "timeLeft is the nearest deadline around, 0 once a cancellation is due",
    virtual(async () => {
      const left = await timeout(10, async () => {
        await sleep(1);
        return [timeLeft(), await timeout(5, async () => timeLeft()), timeLeft()];
      });
      const cancelled = await createTask(async () => {
        currentTask()?.cancel();
        return timeLeft();
      });

      assert.deepEqual([left, cancelled, timeLeft()], [[9, 5, 9], 0, Number.POSITIVE_INFINITY]);
    }),
  );

  test(
    "a timeout round a group cancels the children and waits for them",
    virtual(async (loop) => {
      const ended: number[] = [];
      const error = await rejection(
        timeout(1, () =>
          taskGroup(async (group) => {
            group.createTask(async () => {
              await sleep(10).finally(() => sleep(2));
            });
            group.createTask(() => sleep(10).finally(() => ended.push(loop.time())));
          }),
        ),
      );

      assert.ok(error instanceof TimeoutError);
      assert.deepEqual([ended, loop.time()], [[1], 3]);
    }),
  );
});
