import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  createTask,
  currentTask,
  Future,
  gather,
  InvalidStateError,
  run,
  sleep,
  taskGroup,
} from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

describe("R19: tasks and futures are promises", () => {
  test(
    "they are instances of Promise",
    virtual(async () => {
      const task = createTask(() => sleep(0));

      assert.ok(task instanceof Promise);
      assert.ok(task instanceof Future);
      assert.ok(new Future<void>() instanceof Promise);
      await task;
    }),
  );

  for (const [when, wait] of [
    ["registered before it", 0],
    ["registered after it", 2],
  ] as const) {
    test(
      `a reaction ${when} gets a failure as it is, also one that looks like a promise`,
      virtual(async () => {
        // biome-ignore lint/suspicious/noThenProperty: that is what it is about
        const failure = { then: () => assert.fail("it was taken for a promise") };
        const task = createTask(async () => {
          await sleep(1);
          throw failure;
        });
        await sleep(wait);

        const [seen] = await task.then(
          () => [],
          (error: unknown) => [error],
        );

        assert.equal(seen, failure);
      }),
    );
  }

  test(
    "no instance has a constructor or then of its own",
    virtual(async () => {
      const task = createTask(async () => 1);
      await task;

      for (const object of [task, new Future<void>()]) {
        assert.deepEqual(
          [Object.hasOwn(object, "constructor"), Object.hasOwn(object, "then")],
          [false, false],
        );
      }
    }),
  );

  const combinators: Record<string, (a: Promise<string>, b: Promise<string>) => Promise<unknown>> =
    {
      "Promise.all": (a, b) => Promise.all([a, b]),
      "Promise.race": (a, b) => Promise.race([a, b]),
      "Promise.any": (a, b) => Promise.any([a, b]),
      "Promise.allSettled": async (a, b) =>
        (await Promise.allSettled([a, b])).map((result) => "value" in result && result.value),
      "Promise.resolve": async (a, b) => [await Promise.resolve(a), await Promise.resolve(b)],
      await: async (a, b) => [await a, await b],
    };
  for (const [name, combine] of Object.entries(combinators)) {
    const expected = name === "Promise.race" || name === "Promise.any" ? "a" : ["a", "b"];
    test(
      `${name} takes pending tasks`,
      virtual(async () => {
        const a = createTask(() => sleep(1, "a"));
        const b = createTask(() => sleep(2, "b"));

        assert.deepEqual(await combine(a, b), expected);
        await b;
      }),
    );

    test(
      `${name} takes tasks that are done`,
      virtual(async () => {
        const [a, b] = [createTask(async () => "a"), createTask(async () => "b")];
        await sleep(0);

        assert.deepEqual(await combine(a, b), expected);
      }),
    );

    test(
      `${name} takes futures`,
      virtual(async (loop) => {
        const [a, b] = [new Future<string>(), new Future<string>()];
        loop.callLater(1, () => a.setResult("a"));
        loop.callLater(2, () => b.setResult("b"));

        assert.deepEqual(await combine(a, b), expected);
        await b;
      }),
    );
  }

  test(
    "a failure rejects whoever awaits, however often, with the same error (S9)",
    virtual(async () => {
      const failure = new Error("expected");
      const task = createTask(() => Promise.reject(failure));

      const errors = [await rejection(task), await rejection(task), await rejection(task)];

      assert.ok(errors.every((error) => error === failure));
    }),
  );

  test(
    "an async function that returns a task gives the task's value",
    virtual(async () => {
      const start = async (): Promise<string> => createTask(() => sleep(1, "value"));

      assert.equal(await start(), "value");
    }),
  );

  test(
    "then, catch and finally give plain promises",
    virtual(async () => {
      const task = createTask(() => sleep(1, 1));

      const derived = [
        task.then((value) => value + 1),
        task.catch(() => 0),
        task.finally(() => {}),
      ];

      assert.deepEqual(await Promise.all(derived), [2, 1, 1]);
      for (const promise of derived) assert.equal(promise instanceof Future, false);
    }),
  );

  test(
    "a task that is awaited is waited for: each awaiter has one wait on it",
    virtual(async () => {
      const target = createTask(() => sleep(5), { name: "target" });
      const awaiters = [1, 2].map(() => createTask(async () => await target));
      await sleep(1);

      const waits = awaiters.map((task) => task.waitingFor());
      await gather(awaiters);

      assert.deepEqual(waits, [['task "target"'], ['task "target"']]);
    }),
  );

  test(
    "then called directly observes: it is no wait",
    virtual(async () => {
      const target = createTask(() => sleep(5));
      const observer = createTask(async () => {
        target.then(() => {});
        await new Promise((resolve) => setImmediate(resolve));
      });
      await sleep(0);
      await sleep(0);

      assert.deepEqual(observer.waitingFor(), []);
      await observer;
      await target;
    }),
  );

  test(
    "then called directly beside an await in the same step is still no wait",
    virtual(async () => {
      const target = createTask(() => sleep(5, "value"));
      const observer = createTask(async () => {
        const seen: string[] = [];
        target.then((value) => void seen.push(value));
        seen.push(await target);
        return seen;
      });
      await sleep(1);

      assert.equal(observer.waitingFor().length, 1);
      assert.deepEqual(await observer, ["value", "value"]);
    }),
  );

  test(
    "awaiting a task that is done is not a wait: it needs no turn of the loop (S15)",
    virtual(async () => {
      const target = createTask(async () => "value");
      await target;
      const log: unknown[] = [];
      createTask(async () => log.push("another task's turn"));

      log.push(await target);
      await sleep(0);

      assert.deepEqual(log, ["value", "another task's turn"]);
    }),
  );

  test(
    "a value of a done task is awaited as fast as a native promise",
    virtual(async () => {
      const target = createTask(async () => "task");
      await target;
      const log: string[] = [];
      const awaitIt = async (promise: Promise<string>): Promise<void> =>
        void log.push(await promise);

      await Promise.all([
        awaitIt(Promise.resolve("native 1")),
        awaitIt(target),
        awaitIt(Promise.resolve("native 2")),
      ]);

      assert.deepEqual(log, ["native 1", "task", "native 2"]);
    }),
  );

  test("a future can be awaited outside every run", async () => {
    const future = new Future<string>();
    setImmediate(() => future.setResult("value"));

    assert.equal(await future, "value");
  });
});

describe("Future: a result that is set once", () => {
  test(
    "result and exception of a pending future throw an InvalidStateError (S5)",
    virtual(async () => {
      const future = new Future<void>();

      assert.throws(() => future.result(), InvalidStateError);
      assert.throws(() => future.exception(), InvalidStateError);
    }),
  );

  test(
    "a future with a value",
    virtual(async () => {
      const future = new Future<string>();
      future.setResult("value");

      assert.deepEqual(
        [future.done(), future.cancelled(), future.result(), future.exception()],
        [true, false, "value", undefined],
      );
    }),
  );

  test(
    "a failed future",
    virtual(async () => {
      const future = new Future<string>();
      const failure = new Error("expected");
      future.setException(failure);

      assert.deepEqual([future.done(), future.cancelled()], [true, false]);
      assert.equal(future.exception(), failure);
      assert.throws(() => future.result(), failure);
    }),
  );

  test(
    "a cancelled future throws its CancelledError from result and exception (S5)",
    virtual(async () => {
      const future = new Future<string>();

      assert.equal(future.cancel("reason"), true);

      assert.deepEqual([future.done(), future.cancelled()], [true, true]);
      assert.throws(() => future.result(), { name: "CancelledError", reason: "reason" });
      assert.throws(() => future.exception(), CancelledError);
    }),
  );

  test(
    "undefined is a failure like any other",
    virtual(async () => {
      const task = createTask(() => Promise.reject(undefined));

      assert.equal(await rejection(task), undefined);
      assert.throws(
        () => task.result(),
        (error) => error === undefined,
      );
    }),
  );

  test(
    "what is done cannot be set or cancelled again (S5)",
    virtual(async () => {
      const future = new Future<number>();
      future.setResult(1);

      assert.throws(() => future.setResult(2), InvalidStateError);
      assert.throws(() => future.setException(new Error("late")), InvalidStateError);
      assert.equal(future.cancel(), false);
      assert.equal(await future, 1);
    }),
  );

  test(
    "setResult refuses a promise, which await would unwrap",
    virtual(async () => {
      const future = new Future<unknown>();

      assert.throws(() => future.setResult(Promise.resolve(1)), TypeError);
      assert.equal(future.done(), false);
    }),
  );

  test(
    "a task cannot be set by hand (S23)",
    virtual(async () => {
      const task = createTask(() => sleep(1, "value"));

      assert.throws(() => task.setResult("other"), InvalidStateError);
      assert.throws(() => task.setException(new Error("other")), InvalidStateError);
      assert.equal(await task, "value");
    }),
  );
});

describe("done callbacks", () => {
  test(
    "are never called inline, and in the order of registration (S1)",
    virtual(async () => {
      const future = new Future<void>();
      const log: unknown[] = [];
      future.addDoneCallback(() => log.push(1));
      future.addDoneCallback((same) => log.push(same === future));

      future.setResult();
      log.push("after setResult");
      await sleep(0);

      assert.deepEqual(log, ["after setResult", 1, true]);
    }),
  );

  test(
    "of a future that is done already are called in the next iteration",
    virtual(async () => {
      const future = new Future<void>();
      future.setResult();
      const log: string[] = [];

      future.addDoneCallback(() => log.push("callback"));
      log.push("after addDoneCallback");
      await sleep(0);

      assert.deepEqual(log, ["after addDoneCallback", "callback"]);
    }),
  );

  test(
    "are removed with all their registrations, and counted (S2)",
    virtual(async () => {
      const future = new Future<void>();
      const log: string[] = [];
      const callback = (): void => void log.push("removed");
      future.addDoneCallback(callback);
      future.addDoneCallback(() => log.push("kept"));
      future.addDoneCallback(callback);

      const counts = [future.removeDoneCallback(callback), future.removeDoneCallback(callback)];
      future.setResult();
      await sleep(0);

      assert.deepEqual([counts, log], [[2, 0], ["kept"]]);
    }),
  );

  test(
    "may add and remove callbacks while they are called (S3)",
    virtual(async () => {
      const future = new Future<void>();
      const log: string[] = [];
      const removed = (): void => void log.push("second");
      future.addDoneCallback(() => {
        future.removeDoneCallback(removed);
        future.addDoneCallback(() => log.push("added"));
        log.push("first");
      });
      future.addDoneCallback(removed);

      future.setResult();
      await sleep(0);
      await sleep(0);

      assert.deepEqual(log, ["first", "second", "added"]);
    }),
  );

  test("that throw are reported, and the others still run (S4)", async () => {
    const loop = new VirtualLoop();
    const reports = collectReports(loop);
    const failure = new Error("expected");
    const log: string[] = [];

    await run(
      async () => {
        const future = new Future<void>();
        future.addDoneCallback(() => {
          throw failure;
        });
        future.addDoneCallback(async () => {
          throw failure;
        });
        future.addDoneCallback(() => log.push("still runs"));
        future.setResult();
        await sleep(1);
      },
      { loop },
    );

    assert.deepEqual(log, ["still runs"]);
    assert.deepEqual(
      reports.map(({ exception }) => exception),
      [failure, failure],
    );
    assert.ok(reports.every(({ handle }) => handle !== undefined));
  });
});

describe("R20 and F27: no failure vanishes (S7)", () => {
  /** What is reported of a future that fails, if `observe` is done to it. */
  async function reportsWhen(observe: (future: Future<void>) => unknown): Promise<number> {
    const loop = new VirtualLoop();
    const reports = collectReports(loop);
    await run(
      async () => {
        const future = new Future<void>();
        future.setException(new Error("expected"));
        await observe(future);
        await sleep(0);
      },
      { loop },
    );
    return reports.length;
  }

  const observations: Record<string, (future: Future<void>) => unknown> = {
    await: (future) => rejection(future),
    "then()": (future) => future.then(undefined, () => {}),
    "catch()": (future) => future.catch(() => {}),
    "result()": (future) => assert.throws(() => future.result()),
    "exception()": (future) => future.exception(),
    gather: (future) => rejection(gather(future)),
    "a gather with returnExceptions": (future) => gather([future], { returnExceptions: true }),
    "Promise.allSettled": (future) => Promise.allSettled([future]),
  };
  for (const [name, observe] of Object.entries(observations)) {
    test(`${name} observes a failure`, async () => {
      assert.equal(await reportsWhen(observe), 0);
    });
  }

  const blind: Record<string, (future: Future<void>) => unknown> = {
    nothing: () => {},
    addDoneCallback: (future) => future.addDoneCallback(() => {}),
    "done()": (future) => future.done(),
    "cancel()": (future) => future.cancel(),
  };
  for (const [name, look] of Object.entries(blind)) {
    test(`${name} does not observe a failure`, async () => {
      assert.equal(await reportsWhen(look), 1);
    });
  }

  test("a task group that passes a failure on has observed it", async () => {
    const loop = new VirtualLoop();
    const reports = collectReports(loop);

    await run(
      () =>
        rejection(
          taskGroup(async (group) => {
            group.createTask(() => Promise.reject(new Error("expected")));
          }),
        ),
      { loop },
    );

    assert.deepEqual(reports, []);
  });

  test("a failure that is looked at later is not reported", async () => {
    const loop = new VirtualLoop();
    const reports = collectReports(loop);

    await run(
      async () => {
        const task = createTask(() => Promise.reject(new Error("expected")));
        await sleep(10);
        await rejection(task);
      },
      { loop },
    );

    assert.deepEqual(reports, []);
  });

  test("the report has the message, the exception, and in debug mode where the task was made", async () => {
    const loop = new VirtualLoop({ debug: true });
    const reports = collectReports(loop);
    const failure = new Error("expected");

    await run(
      async () => {
        createTask(() => Promise.reject(failure), { name: "careless" });
        await sleep(1);
      },
      { loop },
    );

    assert.equal(reports.length, 1);
    assert.match(reports[0]?.message ?? "", /"careless" has failed/);
    assert.equal(reports[0]?.exception, failure);
    assert.match(reports[0]?.sourceTraceback ?? "", /future\.test\.ts/);
  });

  test("a cancelled task that nobody awaits is no failure", async () => {
    const loop = new VirtualLoop();
    const reports = collectReports(loop);

    await run(
      async () => {
        createTask(() => sleep(1)).cancel();
        await sleep(2);
      },
      { loop },
    );

    assert.deepEqual(reports, []);
  });
});

describe("F29: a task cannot await itself", () => {
  test(
    "directly (S18)",
    virtual(async () => {
      const task = createTask(
        async (): Promise<unknown> => rejection(currentTask() as Promise<unknown>),
        { name: "narcissus" },
      );

      const error = (await task) as Error;

      assert.ok(error instanceof InvalidStateError);
      assert.match(error.message, /"narcissus" awaits itself/);
    }),
  );

  test(
    "round a cycle, and the error names it (S18)",
    virtual(async () => {
      let b: Promise<unknown> | undefined;
      const a = createTask(async () => await b, { name: "a" });
      const c = createTask(async () => await a, { name: "c" });
      b = createTask(
        async () => {
          await sleep(1);
          await c;
        },
        { name: "b" },
      );

      const error = await rejection(b);

      assert.ok(error instanceof InvalidStateError);
      assert.match(error.message, /"b" -> "c" -> "a" -> "b"/);
      await rejection(c);
    }),
  );

  test(
    "an await that only looks like a cycle is allowed: another branch ends the task",
    virtual(async () => {
      let b: Promise<unknown> | undefined;
      const a = createTask(async () => {
        await sleep(0);
        return await Promise.race([b, sleep(2, "the other branch")]);
      });
      b = createTask(async () => {
        await sleep(1);
        return await a;
      });

      assert.equal(await a, "the other branch");
      assert.equal(await b, "the other branch");
    }),
  );
});
