import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as nextMacrotask } from "node:timers/promises";
import {
  allTasks,
  CancelledError,
  cancellable,
  createTask,
  currentTask,
  sleep,
  timeout,
} from "../../src/index.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

/** Foreign work that never ends by itself. */
const endless = (): Promise<never> => new Promise(() => {});

test(
  "gives what the work gives",
  virtual(async () => {
    assert.equal(await cancellable(async () => "done"), "done");
  }),
);

test(
  "rejects with what the work rejects with",
  virtual(async () => {
    const error = new Error("refused");

    assert.equal(await rejection(cancellable(() => Promise.reject(error))), error);
  }),
);

test(
  "rejects with what the work throws before it returns a promise",
  virtual(async () => {
    const error = new Error("sync");
    const start = (): Promise<void> => {
      throw error;
    };

    assert.equal(await rejection(cancellable(start)), error);
  }),
);

test(
  "rejects when the work gives no promise, and says so",
  virtual(async () => {
    const error = await rejection(cancellable((() => 5) as never));

    assert.ok(error instanceof TypeError);
    assert.equal(error.message, "`cancellable` expects `start` to return a promise, got 5");
  }),
);

test(
  "a bare promise is refused with the cure",
  virtual(async () => {
    const error = await rejection(cancellable(Promise.resolve() as never));

    assert.equal(
      (error as Error).message,
      "`cancellable` expects a function that returns a promise, got a promise. A promise is already running and could not be cancelled: pass `() => work()` instead of `work()`",
    );
  }),
);

test(
  "the work runs in the task of the caller",
  virtual(async () => {
    const task = await cancellable(async () => ({ task: currentTask() }));

    assert.equal(task.task, currentTask());
  }),
);

describe("cancelled", () => {
  test(
    "it stops waiting at once and aborts the work with its CancelledError",
    virtual(async () => {
      let signal: AbortSignal | undefined;
      const task = createTask(() =>
        cancellable((given) => {
          signal = given;
          return endless();
        }),
      );
      await nextMacrotask();
      assert.equal(signal?.aborted, false);
      task.cancel("enough");

      const error = await rejection(task);
      await sleep(0);

      assert.ok(error instanceof CancelledError && error.reason === "enough");
      assert.equal(signal.aborted, true);
      assert.ok(signal.reason instanceof CancelledError);
      assert.deepEqual([signal.reason.scope, signal.reason.reason], [task.scope, "enough"]);
    }),
  );

  test(
    "abort listeners run in the scope of the caller, not of the canceller",
    virtual(async () => {
      let listenedIn: unknown;
      const task = createTask(() =>
        cancellable((signal) => {
          signal.addEventListener("abort", () => {
            listenedIn = currentTask();
          });
          return endless();
        }),
      );
      await nextMacrotask();
      task.cancel();
      await rejection(task);
      await sleep(0);

      assert.equal(listenedIn, task);
    }),
  );

  test(
    "the work's answer to the abort is nobody's failure",
    virtual(async () => {
      for (const answer of [
        (reason: unknown) => reason,
        () => new DOMException("", "AbortError"),
      ]) {
        const task = createTask(() =>
          cancellable(
            (signal) =>
              new Promise((_resolve, reject) => {
                signal.addEventListener("abort", () => reject(answer(signal.reason)));
              }),
          ),
        );
        await nextMacrotask();
        task.cancel();
        await rejection(task);
      }
      await sleep(1);
    }),
  );

  test(
    "debug mode reports a failure of the work after that",
    virtual(
      async (loop) => {
        const reports = collectReports(loop);
        const work = Promise.withResolvers<void>();
        const task = createTask(() => cancellable(() => work.promise));
        await nextMacrotask();
        task.cancel();
        await rejection(task);

        work.reject(new Error("late"));
        await nextMacrotask();

        assert.deepEqual(
          reports.map(({ exception }) => (exception as Error).message),
          ["late"],
        );
        assert.match(
          reports.map(({ message }) => message).join(),
          /`cancellable` has failed after/,
        );
      },
      { debug: true },
    ),
  );

  test(
    "a value of the work after that is dropped in silence",
    virtual(async () => {
      const work = Promise.withResolvers<number>();
      const task = createTask(() => cancellable(() => work.promise));
      await nextMacrotask();
      task.cancel();
      await rejection(task);

      work.resolve(1);
      await nextMacrotask();

      assert.equal(allTasks().size, 1);
    }),
  );

  test(
    "before it begins, it starts nothing",
    virtual(async () => {
      let started = false;
      const error = await rejection(
        timeout(0, () =>
          cancellable(async () => {
            started = true;
          }),
        ),
      );

      assert.equal((error as Error).name, "TimeoutError");
      assert.ok(!started);
    }),
  );
});

describe("virtual time", () => {
  test(
    "holds still until the work has ended",
    virtual(async (loop) => {
      let end = 0;
      const timer = createTask(() => sleep(5));

      await cancellable(async () => {
        for (let hops = 0; hops < 10; hops++) await nextMacrotask();
        end = loop.time();
      });

      assert.equal(end, 0);
      assert.equal(loop.time(), 0);
      await timer;
      assert.equal(loop.time(), 5);
    }),
  );

  test(
    "goes on after a cancellation, though the work has not ended",
    virtual(async (loop) => {
      const task = createTask(() => cancellable(endless));
      await nextMacrotask();
      task.cancel();
      await rejection(task);

      await sleep(3);

      assert.equal(loop.time(), 3);
    }),
  );

  test(
    "goes on after a failure",
    virtual(async (loop) => {
      await rejection(cancellable(() => Promise.reject(new Error("x"))));

      await sleep(3);

      assert.equal(loop.time(), 3);
    }),
  );
});

test(
  "reports tell the name of the work",
  virtual(async () => {
    const task = createTask(() =>
      cancellable(async function download() {
        await nextMacrotask();
      }),
    );
    await sleep(0);
    await sleep(0);

    assert.deepEqual(task.waitingFor(), ["foreign work download"]);
    await task;
  }),
);
