import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as nextMacrotask } from "node:timers/promises";
import {
  allTasks,
  CancelledError,
  CancelScope,
  ContextVar,
  cancellable,
  createTask,
  currentTask,
  type DiscardOption,
  Event,
  type EventLoop,
  getRunningLoop,
  HostLoop,
  moveOnAfter,
  run,
  sleep,
  type Task,
  type Timeout,
  timeout,
} from "../../src/index.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

/** Declares a test in virtual time and one on the real host. */
function onBoth(name: string, body: (loop: EventLoop) => Promise<void>): void {
  test(`${name}, in virtual time`, virtual(body));
  test(`${name}, in real time`, async () => {
    const loop = new HostLoop();
    await run(() => body(loop), { loop, signals: false });
  });
}

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

describe("a value that comes after the cancellation", () => {
  /**
   * Cancels `cancellable` over `work` before that gives `value`, lets it come, and what follows,
   * happen.
   */
  async function late<T>(value: T, options: DiscardOption<T> = {}): Promise<{ task: Task<T> }> {
    const work = Promise.withResolvers<T>();
    const connect = (): Promise<T> => work.promise;
    const task = createTask(() => cancellable(connect, options), { name: "caller" });
    await nextMacrotask();
    task.cancel();
    await rejection(task);
    work.resolve(value);
    await nextMacrotask();
    return { task };
  }

  onBoth("goes to `discard`, once", async () => {
    const discarded: unknown[] = [];
    const connection = { id: 7 };

    await late(connection, { discard: (value) => discarded.push(value) });

    assert.deepEqual(discarded, [connection]);
  });

  onBoth("does not, if it has come in time", async () => {
    const discard = (): never => assert.fail("it is in use");

    assert.equal(await cancellable(async () => 1, { discard }), 1);
    const task = createTask(() => cancellable(async () => 2, { discard }));
    await sleep(0);
    await nextMacrotask();
    task.cancel();
    assert.equal(await task, 2); // a completed wait wins
  });

  onBoth(
    "may be discarded by operations of the library, which no cancellation reaches",
    async () => {
      const log: unknown[] = [];
      const discard = async (value: string): Promise<void> => {
        log.push(await sleep(0.001, value), currentTask()?.getName());
      };

      await late("connection", { discard });
      for (const task of allTasks()) if (task !== currentTask()) task.cancel();
      while (allTasks().size > 1) await sleep(0.001);

      assert.deepEqual(log, ["connection", "discard of foreign work connect"]);
    },
  );

  test("is discarded before the run ends, if it has come by then", async () => {
    const log: string[] = [];
    await run(
      async () => {
        const isEnding = new Event();
        const discard = async (): Promise<void> => {
          await isEnding.wait();
          log.push(await sleep(0.001, "released"));
        };
        await late("connection", { discard });
        log.push("main ends");
        isEnding.set();
      },
      { signals: false },
    );

    assert.deepEqual(log, ["main ends", "released"]);
  });

  test("is discarded also when the run is over", async () => {
    const work = Promise.withResolvers<string>();
    const discarded: string[] = [];
    await run(
      async () => {
        const scope = new CancelScope();
        await scope.run(() =>
          cancellable(
            () => {
              queueMicrotask(() => scope.cancel());
              return work.promise;
            },
            { discard: (value) => discarded.push(value) },
          ),
        );
      },
      { signals: false },
    );

    work.resolve("connection");
    await nextMacrotask();

    assert.deepEqual(discarded, ["connection"]);
  });

  onBoth("is discarded for a branch that its scope has cut off", async () => {
    const work = Promise.withResolvers<string>();
    const discarded: string[] = [];
    await moveOnAfter(3600, async () => {
      const branch = cancellable(() => work.promise, { discard: (value) => discarded.push(value) });
      branch.catch(() => {});
    });
    work.resolve("connection");
    await nextMacrotask();

    assert.deepEqual(discarded, ["connection"]);
  });

  onBoth("is discarded in the context of whoever wanted it", async () => {
    const tenant = new ContextVar<string>("tenant");
    tenant.set("ann");
    let seen: string | undefined;

    await late("connection", {
      discard: () => {
        seen = tenant.get();
      },
    });

    assert.equal(seen, "ann");
  });

  for (const [how, discard] of [
    [
      "throws",
      () => {
        throw new Error("broken");
      },
    ],
    ["rejects", () => Promise.reject(new Error("broken"))],
  ] as const) {
    onBoth(`is reported with the failure of a \`discard\` that ${how}`, async (loop) => {
      const reports = collectReports(loop);

      await late("connection", { discard });

      assert.deepEqual(
        reports.map(({ message, exception }) => [message, (exception as Error).message]),
        [["`discard` of foreign work connect has failed", "broken"]],
      );
    });
  }

  test(
    "is reported in debug mode where there is no `discard`, unless it is nothing",
    virtual(
      async (loop) => {
        const reports = collectReports(loop);

        const { task } = await late({ id: 7 });
        await late(undefined);

        assert.deepEqual(
          reports.map(({ message, task }) => [message, task]),
          [
            [
              "foreign work connect has given a value after it was cancelled, and nobody will see it. If it has to be released, pass `discard`",
              task,
            ],
          ],
        );
      },
      { debug: true },
    ),
  );
});

test(
  "what is no function is refused as `discard`",
  virtual(async () => {
    const error = await rejection(cancellable(async () => 1, { discard: 5 } as never));

    assert.equal(
      (error as Error).message,
      "`cancellable` expects `discard` to be a function, got 5",
    );
  }),
);

test("work that takes longer than its deadline to start is cancelled as it begins", async () => {
  const reports: unknown[] = [];
  const body = (scope: Timeout) =>
    cancellable((signal) => {
      scope.reschedule(getRunningLoop().time() + 0.002);
      for (const end = performance.now() + 5; performance.now() < end; );
      signal.addEventListener("abort", () => reports.push("aborted"));
      return endless();
    });

  await run(() => rejection(timeout(60, body)), { signals: false });

  assert.deepEqual(reports, ["aborted"]);
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
