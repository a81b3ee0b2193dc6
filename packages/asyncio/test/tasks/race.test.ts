import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  CancelScope,
  createTask,
  currentTask,
  Event,
  ExceptionGroup,
  Lock,
  Queue,
  race,
  run,
  sleep,
  staggeredRace,
  type Task,
  TimeoutError,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { cancelSweep, explore, VirtualLoop } from "../../src/testing.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

/** Fails after `delay` seconds. */
function fail(delay: number, message = "broken"): () => Promise<never> {
  return async () => {
    await sleep(delay);
    throw new Error(message);
  };
}

/**
 * Sleeps, and writes down when it was cancelled and when it had cleaned up for `cleaning` seconds.
 */
function slow(log: string[], name: string, cleaning = 0): () => Promise<string> {
  return async () => {
    try {
      return await sleep(3600, name);
    } catch (error) {
      log.push(`${name} cancelled`);
      await sleep(cleaning);
      log.push(`${name} cleaned up`);
      throw error;
    }
  };
}

/**
 * Begins `operation` in a task on two queues; in one step the first gets an item and the task is
 * cancelled.
 */
async function cancelAsItCompletes(
  operation: (first: Queue<string>, second: Queue<string>) => Promise<unknown>,
): Promise<unknown[]> {
  const [first, second] = [new Queue<string>(), new Queue<string>()];
  const task = createTask(async () => {
    const value = await operation(first, second);
    return [value, await rejection(sleep(1))];
  });
  await sleep(1);
  first.putNowait("item");
  task.cancel("late");
  const [value, error] = await task;
  return [value, (error as CancelledError).reason, task.cancelling()];
}

describe("race", () => {
  test(
    "the first value wins; the losers are cancelled and awaited",
    virtual(async (loop) => {
      const log: string[] = [];

      const winner = await race(slow(log, "a", 2), () => sleep(1, "fast"), slow(log, "b", 1));

      assert.deepEqual([winner, loop.time()], ["fast", 3]);
      assert.deepEqual(log, ["a cancelled", "b cancelled", "b cleaned up", "a cleaned up"]);
    }),
  );

  test(
    "the first failure wins as well",
    virtual(async (loop) => {
      const log: string[] = [];

      await assert.rejects(race(slow(log, "a"), fail(1)), /broken/);

      assert.deepEqual([log.length, loop.time()], [2, 1]);
    }),
  );

  test(
    "of one gives what it gives",
    virtual(async () => {
      assert.equal(await race(() => sleep(1, "only")), "only");
      await assert.rejects(race(fail(0)), /broken/);
    }),
  );

  test(
    "a thunk that throws at once fails like others",
    virtual(async () => {
      const thrower = () => {
        throw new Error("at once");
      };

      await assert.rejects(
        race(() => sleep(1), thrower),
        /at once/,
      );
    }),
  );

  test(
    "branches run in the task of the caller, side by side",
    virtual(async (loop) => {
      const seen: (string | undefined)[] = [];
      const branch = async () => {
        seen.push(currentTask()?.getName());
        await sleep(1);
      };

      await race(branch, branch);

      assert.deepEqual([seen, loop.time()], [["main", "main"], 1]);
    }),
  );

  test(
    "a loser that fails while it ends is reported",
    virtual(async (loop) => {
      const reports = collectReports(loop);
      const stuck = () =>
        sleep(3600).catch(() => {
          throw new Error("stuck");
        });

      assert.equal(await race(stuck, () => sleep(1, "fast")), "fast");

      assert.deepEqual(
        reports.splice(0).map(({ message, exception }) => [message, String(exception)]),
        [["a branch of race has failed after another one had won", "Error: stuck"]],
      );
    }),
  );

  test(
    "a cancellation from outside reaches every branch once, and each may clean up",
    virtual(async () => {
      const log: string[] = [];
      const task = createTask(() => race(slow(log, "a"), slow(log, "b", 1)));
      await sleep(1);

      task.cancel("enough");

      const error = await rejection(task);
      assert.ok(error instanceof CancelledError);
      assert.deepEqual([error.reason, error.scope], ["enough", task.scope]);
      assert.deepEqual(log, ["a cancelled", "b cancelled", "a cleaned up", "b cleaned up"]);
    }),
  );

  test(
    "a value that a branch has when the caller is cancelled is handed over; the next wait is cancelled",
    virtual(async () => {
      const outcome = await cancelAsItCompletes((first, second) =>
        race(
          () => second.get(),
          () => first.get(),
        ),
      );

      assert.deepEqual(outcome, ["item", "late", 1]);
    }),
  );

  test(
    "a deadline round it ends it",
    virtual(async () => {
      const error = await rejection(
        timeout(1, () =>
          race(
            () => sleep(5),
            () => sleep(6),
          ),
        ),
      );

      assert.ok(error instanceof TimeoutError);
    }),
  );

  test(
    "a pending cancellation rejects it before a branch starts",
    virtual(async () => {
      const task = createTask(async () => {
        currentTask()?.cancel();
        await race(() => assert.fail("started"));
      });

      assert.ok((await rejection(task)) instanceof CancelledError);
    }),
  );

  test(
    "its waits are those of the task: the call, and those of its branches",
    virtual(async () => {
      const queue = new Queue<void>(0, { name: "jobs" });
      const task = createTask(() =>
        race(
          () => sleep(2),
          () => queue.get(),
        ),
      );
      await sleep(1);

      assert.deepEqual(task.waitingFor(), [
        "the branches of race",
        "sleep, 1 s left",
        'Queue "jobs".get',
      ]);

      await task;
    }),
  );

  test(
    "wrong arguments reject before a branch starts",
    virtual(async () => {
      const started = () => assert.fail("started");

      await assert.rejects(race(), {
        name: "TypeError",
        code: "ERR_ASYNCIO_INVALID_ARGUMENT",
        message: "`race` expects at least one function that returns a promise, got undefined",
      });
      await assert.rejects(
        race(started, Promise.resolve() as never),
        /pass `\(\) => work\(\)` instead of `work\(\)`/,
      );
    }),
  );
});

describe("staggeredRace (S152)", () => {
  test(
    "gives the value, the index and the failures so far; a failure starts the next at once (S152)",
    virtual(async (loop) => {
      const result = await staggeredRace([fail(1), fail(2), () => sleep(3, "third")], 60);

      const [value, index, errors] = result;
      assert.deepEqual([value, index, loop.time()], ["third", 2, 6]);
      assert.deepEqual(errors.map(String), ["Error: broken", "Error: broken"]);
    }),
  );

  test(
    "starts the next when the delay has gone by, and cancels the losers (S152)",
    virtual(async (loop) => {
      const log: string[] = [];

      const result = await staggeredRace([slow(log, "a", 1), () => sleep(2, "second")], 5);

      assert.deepEqual(result, ["second", 1, []]);
      assert.deepEqual([log, loop.time()], [["a cancelled", "a cleaned up"], 8]);
    }),
  );

  test(
    "an attempt that succeeds in time is the only one (S152)",
    virtual(async () => {
      const never = () => assert.fail("started");

      assert.deepEqual(await staggeredRace([() => sleep(1, "first"), never], 2), ["first", 0, []]);
    }),
  );

  test(
    "an early attempt may still win (S152)",
    virtual(async (loop) => {
      const attempts = [() => sleep(3, "first"), () => sleep(60, "second")];

      assert.deepEqual(await staggeredRace(attempts, 1), ["first", 0, []]);
      assert.equal(loop.time(), 3);
    }),
  );

  test(
    "without a delay waits for failures only (S152)",
    virtual(async (loop) => {
      const [value, index] = await staggeredRace([fail(1000), () => sleep(1, "second")], null);

      assert.deepEqual([value, index, loop.time()], ["second", 1, 1001]);
    }),
  );

  test(
    "rejects with an ExceptionGroup of all failures, in their order, when none succeeds (S152)",
    virtual(async () => {
      const error = await rejection(staggeredRace([fail(3, "a"), fail(1, "b"), fail(1, "c")], 1));

      assert.ok(error instanceof ExceptionGroup);
      assert.equal(
        error.message,
        "every attempt of `staggeredRace` has failed: Error: a (and 2 more)",
      );
      assert.deepEqual(error.errors.map(String), ["Error: a", "Error: b", "Error: c"]);
    }),
  );

  test(
    "several that could win in one step have one winner (S152)",
    virtual(async () => {
      const attempts = [() => sleep(2, "first"), () => sleep(1, "second")];

      assert.deepEqual(await staggeredRace(attempts, 1), ["first", 0, []]);
    }),
  );

  test(
    "a cancellation from outside reaches every attempt once, and waits until they have ended (S152)",
    virtual(async (loop) => {
      const log: string[] = [];
      const never = () => assert.fail("started");
      const task = createTask(() =>
        staggeredRace([slow(log, "a", 1), slow(log, "b", 2), never], 1),
      );
      await sleep(1.5);

      task.cancel("enough");

      const error = await rejection(task);
      assert.equal((error as CancelledError).reason, "enough");
      assert.deepEqual(log, ["a cancelled", "b cancelled", "a cleaned up", "b cleaned up"]);
      assert.equal(loop.time(), 3.5);
    }),
  );

  test(
    "a value that an attempt has when the caller is cancelled is handed over; the next wait is cancelled",
    virtual(async () => {
      const outcome = await cancelAsItCompletes(async (first, second) => {
        const [value] = await staggeredRace([() => second.get(), () => first.get()], 0);
        return value;
      });

      assert.deepEqual(outcome, ["item", "late", 1]);
    }),
  );

  test(
    "an eager task of an attempt knows nothing of the others (S194)",
    virtual(async () => {
      const attempt = (delay: number, name: string) => () =>
        createTask(() => sleep(delay, name), { eagerStart: true });

      const result = await staggeredRace([attempt(5, "a"), attempt(1, "b")], 1);

      assert.deepEqual(result, ["b", 1, []]);
    }),
  );

  test(
    "attempts that end at once need no list of themselves (S194)",
    virtual(async () => {
      const attempts = [
        () => createTask(async () => "at once", { eagerStart: true }) as Task<string>,
        () => assert.fail("started"),
      ];

      assert.deepEqual(await staggeredRace<string>(attempts, null), ["at once", 0, []]);
    }),
  );

  test(
    "wrong arguments reject before an attempt starts",
    virtual(async () => {
      const started = () => assert.fail("started");

      await assert.rejects(staggeredRace([], 1), RangeError);
      await assert.rejects(staggeredRace([started, 5 as never], 1), TypeError);
      await assert.rejects(staggeredRace([started], Number.NaN), RangeError);
      await assert.rejects(staggeredRace([started], undefined as never), TypeError);
      await assert.rejects(staggeredRace(5 as never, 1), { code: "ERR_ASYNCIO_INVALID_ARGUMENT" });
    }),
  );
});

/** Hears of no cancellation for `seconds`, then waits for long. */
function deaf(seconds: number): () => Promise<void> {
  return async () => {
    await new CancelScope({ shield: true }).run(() => sleep(seconds));
    await sleep(100);
  };
}

const combinators: Record<string, (...branches: (() => Promise<unknown>)[]) => Promise<unknown>> = {
  race: (...branches) => race(...branches),
  staggeredRace: (...branches) => staggeredRace(branches, 0),
};

for (const [name, combine] of Object.entries(combinators)) {
  describe(`R13: a cancelled ${name} reaches each of its branches`, () => {
    const situations: Record<string, () => Promise<unknown>> = {
      "one that sits in a shield beside one that waits": () => combine(() => sleep(1e9), deaf(2)),
      "all of them, if all sit in shields": () => combine(deaf(1.5), deaf(2), deaf(1.75)),
      "one whose shield is round a wait in a timeout": () =>
        combine(
          () => timeout(3600, deaf(2)),
          () => sleep(1e9),
        ),
      "one in a race in a race": () => combine(() => race(deaf(2), () => sleep(1e9)), deaf(1.5)),
      "one whose task group has a body in a shield": () =>
        combine(
          () => sleep(1e9),
          () =>
            taskGroup(async (group) => {
              group.createTask(() => sleep(1e9));
              await deaf(2)();
            }),
        ),
    };

    for (const [situation, begin] of Object.entries(situations)) {
      for (const cancelGrace of [5, Number.POSITIVE_INFINITY]) {
        test(
          `${situation}, with a grace period of ${cancelGrace} s`,
          virtual(
            async (loop) => {
              const task = createTask(begin);
              await sleep(1);

              task.cancel("enough");

              const error = await rejection(task);
              assert.ok(error instanceof CancelledError);
              assert.deepEqual([error.reason, error.scope], ["enough", task.scope]);
              assert.equal(loop.time(), 2);
            },
            { cancelGrace },
          ),
        );
      }
    }

    test(
      "by a deadline round it",
      virtual(async (loop) => {
        const call = timeout(1, () => combine(() => sleep(1e9), deaf(2)));

        assert.ok((await rejection(call)) instanceof TimeoutError);
        assert.equal(loop.time(), 2);
      }),
    );

    test(
      "once: its cleanup is not disturbed",
      virtual(async (loop) => {
        const task = createTask(() =>
          combine(deaf(1.5), async () => {
            try {
              await deaf(2)();
            } finally {
              await sleep(3);
            }
          }),
        );
        await sleep(1);

        task.cancel();
        task.cancel();

        assert.ok((await rejection(task)) instanceof CancelledError);
        assert.equal(loop.time(), 5);
      }),
    );

    test(
      "one that has just been given an item keeps it, and hears of it at its next wait",
      virtual(async (loop) => {
        const queue = new Queue<number>();
        const got: number[] = [];
        const task = createTask(() =>
          combine(
            () => sleep(1e9),
            async () => {
              got.push(await queue.get());
              await sleep(100);
            },
          ),
        );
        await sleep(1);

        queue.putNowait(7);
        task.cancel("enough");

        assert.equal(((await rejection(task)) as CancelledError).reason, "enough");
        assert.deepEqual([got, loop.time()], [[7], 1]);
      }),
    );

    test("one in a foreign await, in real time", async () => {
      const [inPlace, released] = [new Event(), new Event()];
      const heard: unknown[] = [];

      await run(
        async () => {
          const task = createTask(() =>
            combine(
              () => sleep(1e9),
              async () => {
                inPlace.set();
                await new Promise((resolve) => setImmediate(resolve));
                released.set();
                await sleep(1e9).catch((error) => heard.push(error.reason));
              },
            ),
          );
          await inPlace.wait();
          task.cancel("enough");
          await task.catch(() => {});
          assert.equal(released.isSet(), true);
        },
        { cancelGrace: Number.POSITIVE_INFINITY },
      );

      assert.deepEqual(heard, ["enough"]);
    });

    test(
      "no branch starts once an earlier one has cancelled the caller in its first step",
      virtual(async () => {
        const task = createTask(() =>
          combine(
            async () => {
              currentTask()?.cancel();
              await sleep(1);
            },
            () => assert.fail("started"),
          ),
        );

        assert.ok((await rejection(task)) instanceof CancelledError);
      }),
    );

    test("leaves nothing behind wherever it is cancelled", async () => {
      await cancelSweep(
        async (_t, state) => {
          const branch = (seconds: number) => async () => {
            state.open++;
            try {
              await new CancelScope({ shield: true }).run(() => sleep(seconds));
              await sleep(seconds);
            } finally {
              state.open--;
            }
          };
          await combine(branch(1), branch(2), branch(1));
        },
        {
          schedules: 5,
          mayReturn: true, // where it comes when a branch has won
          setup: () => ({ open: 0 }),
          invariant: ({ open }) => assert.equal(open, 0),
        },
      );
    });

    test("has one winner, and awaits the losers, under every schedule", async () => {
      await explore(async () => {
        let open = 0;
        const branch = (turns: number) => async () => {
          open++;
          try {
            for (let turn = 0; turn < turns; turn++) await sleep(0);
          } finally {
            open--;
          }
        };

        await combine(branch(1), branch(2), branch(1));

        assert.equal(open, 0);
      });
    });
  });

  describe(`debug mode tells what a ${name} loses`, () => {
    async function reportsOf(body: () => Promise<unknown>): Promise<string[]> {
      const messages: string[] = [];
      const loop = new VirtualLoop({ debug: true });
      loop.setExceptionHandler((_loop, { message }) => messages.push(message));
      await run(body, { loop });
      return messages;
    }

    test("the item of a queue that a loser has taken", async () => {
      const reports = await reportsOf(async () => {
        const [first, second] = [new Queue<number>(), new Queue<number>()];
        const call = createTask(() =>
          combine(
            () => first.get(),
            () => second.get(),
          ),
        );
        await sleep(1);
        first.putNowait(1);
        second.putNowait(2);
        await call;
      });

      assert.equal(reports.length, 1);
      assert.match(
        reports[0] ?? "",
        /^a branch of \w+ has given a value after another one had won/,
      );
    });

    test("the guard of a lock that a loser has acquired: it is still held", async () => {
      const reports = await reportsOf(async () => {
        const [lock, opened] = [new Lock(), new Event()];
        const guard = await lock.acquire();
        const call = createTask(() =>
          combine(
            () => opened.wait(),
            () => lock.acquire(),
          ),
        );
        await sleep(1);
        opened.set();
        guard[Symbol.dispose]();
        await call;
        assert.equal(lock.locked(), true);
      });

      assert.equal(reports.length, 1);
      assert.match(reports[0] ?? "", /still held/);
    });

    test("says nothing of losers that were cut off, or had only waited", async () => {
      const reports = await reportsOf(async () => {
        const queue = new Queue<number>();
        await combine(
          () => sleep(1, "won"),
          () => queue.get(),
          () => sleep(1),
          () => sleep(1, true),
        );
      });

      assert.deepEqual(reports, []);
    });
  });
}
