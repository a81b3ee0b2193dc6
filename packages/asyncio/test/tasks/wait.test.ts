import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  asCompleted,
  CancelledError,
  createTask,
  currentTask,
  Future,
  gather,
  InvalidStateError,
  shield,
  sleep,
  type Task,
  TimeoutError,
  wait,
  waitFor,
} from "../../src/index.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

/** A task that gives `name` after `delay` seconds. */
function after(delay: number, name: string): Task<string> {
  return createTask(() => sleep(delay, name), { name });
}

/** A task that fails after `delay` seconds. */
function failing(delay: number, message = "broken"): Task<never> {
  return createTask(async () => {
    await sleep(delay);
    throw new Error(message);
  });
}

function names(tasks: Iterable<Task<unknown>>): string[] {
  return [...tasks].map((task) => task.getName());
}

describe("wait", () => {
  test(
    "gives what is done and what is not, each in the order given",
    virtual(async (loop) => {
      const tasks = [after(2, "b"), after(1, "a"), after(3, "c")];

      const { done, pending } = await wait(tasks);

      assert.deepEqual([names(done), names(pending), loop.time()], [["b", "a", "c"], [], 3]);
    }),
  );

  test(
    "with a delay gives what is done by then; cancels nothing, throws nothing (S57)",
    virtual(async (loop) => {
      const tasks = [after(1, "a"), after(3, "b")];

      const { done, pending } = await wait(tasks, { delay: 2 });

      assert.deepEqual([names(done), names(pending), loop.time()], [["a"], ["b"], 2]);
      assert.equal(await tasks[1], "b");
    }),
  );

  test(
    "with a delay of 0 or less looks once (S57)",
    virtual(async (loop) => {
      const tasks = [after(0, "a"), after(3, "b")];
      await sleep(1);

      for (const delay of [0, -1]) {
        const { done, pending } = await wait(tasks, { delay });
        assert.deepEqual([names(done), names(pending), loop.time()], [["a"], ["b"], 1]);
      }
      await gather(tasks);
    }),
  );

  test(
    "that is cancelled leaves the tasks alone (S58)",
    virtual(async () => {
      const task = after(2, "a");
      const waiter = createTask(() => wait([task]));
      await sleep(1);

      waiter.cancel();

      assert.ok((await rejection(waiter)) instanceof CancelledError);
      assert.deepEqual([await task, task.cancelling()], ["a", 0]);
    }),
  );

  test(
    "counts a task that is given twice once (S59)",
    virtual(async () => {
      const task = after(1, "a");

      const { done } = await wait([task, task]);

      assert.equal(done.size, 1);
    }),
  );

  test(
    "takes whatever can be iterated (S59)",
    virtual(async () => {
      const make = function* () {
        yield after(1, "a");
        yield after(2, "b");
      };

      const { done } = await wait(make());

      assert.deepEqual(names(done), ["a", "b"]);
    }),
  );

  test(
    "of nothing rejects with a RangeError (S59)",
    virtual(async () => {
      await assert.rejects(wait([]), {
        name: "RangeError",
        code: "ERR_ASYNCIO_INVALID_ARGUMENT",
        message: "`wait` expects at least one task or future, got an array of 0",
      });
    }),
  );

  test(
    "of a bare task, of a function or of a promise rejects with a TypeError that says how to write it (S59)",
    virtual(async () => {
      const task = after(1, "a");
      const wrong: [unknown, RegExp][] = [
        [task, /got a promise\. Put it into an array/],
        [[async () => {}], /got a function\. Start it with `createTask\(\(\) => \.\.\.\)` first/],
        [[Promise.resolve()], /got a promise\. Start it/],
        [undefined, /expects a list of tasks and futures, got undefined/],
      ];

      for (const [argument, message] of wrong) {
        const error = await rejection(wait(argument as never));
        assert.ok(error instanceof TypeError);
        assert.match(error.message, message);
      }
      await task;
    }),
  );

  test(
    "with wrong options rejects",
    virtual(async () => {
      const task = after(1, "a");

      await assert.rejects(wait([task], { delay: Number.NaN }), RangeError);
      await assert.rejects(wait([task], { delay: "1" as never }), TypeError);
      await assert.rejects(
        wait([task], { returnWhen: "SOON" as never }),
        /FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED, got "SOON"/,
      );

      await task;
    }),
  );

  test(
    "for the first completed gives all that are done when the waiter runs (S60)",
    virtual(async () => {
      const [a, b, c] = [new Future<number>(), new Future<number>(), new Future<number>()];
      const waiter = createTask(() => wait([a, b, c], { returnWhen: "FIRST_COMPLETED" }));
      await sleep(1);

      b.setResult(1);
      c.setResult(2);

      const { done, pending } = await waiter;
      assert.ok(done.has(b) && done.has(c) && pending.has(a));
    }),
  );

  test(
    "for the first exception is not ended by a value or a cancellation (S61)",
    virtual(async (loop) => {
      const [value, cancelled, broken] = [after(1, "a"), after(9, "b"), failing(3)];
      const late = after(4, "d");
      loop.callLater(2, () => cancelled.cancel());

      const { done, pending } = await wait([value, cancelled, broken, late], {
        returnWhen: "FIRST_EXCEPTION",
      });

      assert.deepEqual([loop.time(), done.size, pending.has(late)], [3, 3, true]);
      await rejection(broken);
      await late;
    }),
  );

  test(
    "for the first exception ends when all are done without one (S61)",
    virtual(async (loop) => {
      const cancelled = after(9, "a");
      loop.callLater(2, () => cancelled.cancel());

      const { done } = await wait([cancelled, after(1, "b")], { returnWhen: "FIRST_EXCEPTION" });

      assert.deepEqual([done.size, loop.time()], [2, 2]);
    }),
  );

  test(
    "with what is done already does not wait",
    virtual(async (loop) => {
      const [quick, slow, broken] = [after(0, "a"), after(5, "b"), failing(0)];
      await sleep(1);

      await wait([quick, slow], { returnWhen: "FIRST_COMPLETED" });
      await wait([broken, slow], { returnWhen: "FIRST_EXCEPTION" });
      await wait([quick, broken]);

      assert.equal(loop.time(), 1);
      await rejection(broken);
      await slow;
    }),
  );

  test(
    "does not count as looking at a failure",
    virtual(async (loop) => {
      const reports = collectReports(loop);
      const task = failing(1);

      const { done } = await wait([task]);

      assert.ok(done.has(task));
      assert.match(String(task.exception()), /broken/);
      assert.deepEqual(reports, []);
    }),
  );

  test(
    "tells how many are missing",
    virtual(async () => {
      const tasks = [after(1, "a"), after(3, "b")];
      const waiter = createTask(() => wait(tasks));
      await sleep(2);

      assert.deepEqual(waiter.waitingFor(), ["wait, 1 of 2 not done"]);

      await waiter;
    }),
  );
});

describe("waitFor", () => {
  test(
    "gives what the task, the future or the thunk gives in time",
    virtual(async () => {
      const future = new Future<string>();
      createTask(async () => future.setResult("future"));

      assert.equal(await waitFor(after(1, "task"), 2), "task");
      assert.equal(await waitFor(future, 2), "future");
      assert.equal(await waitFor(() => sleep(1, "thunk"), 2), "thunk");
      assert.equal(await waitFor(() => sleep(1, "no limit"), null), "no limit");
    }),
  );

  test(
    "cancels the work when the time is over, and rejects with a TimeoutError",
    virtual(async (loop) => {
      const task = after(5, "a");

      const error = await rejection(waitFor(task, 1));

      assert.ok(error instanceof TimeoutError);
      assert.ok(task.cancelled());
      assert.equal(loop.time(), 1);
    }),
  );

  for (const seconds of [0, -1]) {
    test(
      `with ${seconds} s gives the result of what is done (S70)`,
      virtual(async () => {
        const task = after(0, "done");
        await task;

        assert.equal(await waitFor(task, seconds), "done");
      }),
    );

    test(
      `with ${seconds} s does not start a thunk, and cancels a task that is under way (S70)`,
      virtual(async (loop) => {
        let started = false;
        const thunk = async () => {
          started = true;
        };
        const task = after(5, "a");

        assert.ok((await rejection(waitFor(thunk, seconds))) instanceof TimeoutError);
        assert.ok((await rejection(waitFor(task, seconds))) instanceof TimeoutError);

        assert.deepEqual([started, task.cancelled(), loop.time()], [false, true, 0]);
      }),
    );
  }

  test(
    "waits until cancelled work has cleaned up (S71)",
    virtual(async (loop) => {
      const task = createTask(async () => {
        try {
          await sleep(10);
        } finally {
          await sleep(2);
        }
      });

      assert.ok((await rejection(waitFor(task, 1))) instanceof TimeoutError);

      assert.deepEqual([loop.time(), task.cancelled()], [3, true]);
    }),
  );

  test(
    "rejects with the failure of the clean-up (S72)",
    virtual(async () => {
      const work = async () => {
        try {
          await sleep(10);
        } finally {
          // biome-ignore lint/correctness/noUnsafeFinally: a clean-up that fails
          throw new Error("stuck");
        }
      };

      await assert.rejects(waitFor(work, 1), /stuck/);
      await assert.rejects(waitFor(createTask(work), 1), /stuck/);
    }),
  );

  test(
    "gives the value of work that swallows the cancellation (S73)",
    virtual(async () => {
      const work = () => sleep(10).then(String, () => "all the same");

      assert.equal(await waitFor(work, 1), "all the same");
      assert.equal(await waitFor(createTask(work), 1), "all the same");
    }),
  );

  test(
    "that is cancelled in the step in which the work ends gives the value; the next wait is cancelled (S74)",
    virtual(async () => {
      const future = new Future<string>();
      const task = createTask(async () => {
        const value = await waitFor(future, 10);
        return [value, await rejection(sleep(1))];
      });
      await sleep(1);

      future.setResult("value");
      task.cancel();

      const [value, error] = await task;
      assert.equal(value, "value");
      assert.ok(error instanceof CancelledError);
    }),
  );

  for (const seconds of [10, null]) {
    test(
      `that is cancelled cancels the task, with a limit of ${seconds} (S75)`,
      virtual(async () => {
        const inner = after(5, "a");
        const outer = createTask(() => waitFor(inner, seconds));
        await sleep(1);

        outer.cancel();

        assert.ok((await rejection(outer)) instanceof CancelledError);
        assert.ok(inner.cancelled());
      }),
    );
  }

  test(
    "under a pending cancellation cancels the task (S75)",
    virtual(async () => {
      const inner = after(5, "a");
      const outer = createTask(async () => {
        currentTask()?.cancel();
        await waitFor(inner, 10);
      });

      assert.ok((await rejection(outer)) instanceof CancelledError);
      assert.ok((await rejection(inner)) instanceof CancelledError);
    }),
  );

  for (const seconds of [1, 0]) {
    test(
      `of a shielded task times out after ${seconds} s, and the task goes on (S76)`,
      virtual(async () => {
        const task = after(3, "saved");

        const error = await rejection(waitFor(() => shield(task), seconds));

        assert.ok(error instanceof TimeoutError);
        assert.equal(await task, "saved");
      }),
    );
  }

  test(
    "refuses a bare promise, and says how to write it",
    virtual(async () => {
      await assert.rejects(waitFor(Promise.resolve() as never, 1), {
        name: "TypeError",
        code: "ERR_ASYNCIO_INVALID_ARGUMENT",
        message:
          "`waitFor` expects a task, a future or a function that returns a promise, got a promise. A promise could not be cancelled: write waitFor(() => work(), seconds)",
      });
      await assert.rejects(
        waitFor(async () => {}, Number.NaN),
        RangeError,
      );
      await assert.rejects(
        waitFor(async () => {}, undefined as never),
        TypeError,
      );
    }),
  );
});

describe("asCompleted", () => {
  test(
    "gives the very tasks, in the order in which they end (S62)",
    virtual(async () => {
      const tasks = [after(3, "c"), after(1, "a"), after(2, "b")];
      const seen: unknown[] = [];

      for await (const task of asCompleted(tasks)) seen.push(task);

      assert.deepEqual(seen, [tasks[1], tasks[2], tasks[0]]);
    }),
  );

  test(
    "starts thunks as tasks at once, and gives promises as futures (S62)",
    virtual(async () => {
      const work = [() => sleep(2, "thunk"), Promise.resolve("promise"), after(1, "task")];
      const results: string[] = [];

      for await (const future of asCompleted(work)) {
        assert.ok((future as unknown) instanceof Future);
        results.push(await future);
      }

      assert.deepEqual(results, ["promise", "task", "thunk"]);
    }),
  );

  test(
    "gives a task that was given twice once (S62)",
    virtual(async () => {
      const task = after(1, "a");
      const seen: unknown[] = [];

      for await (const each of asCompleted([task, task])) seen.push(each);

      assert.deepEqual(seen, [task]);
    }),
  );

  test(
    "gives the nth completion to the nth call of next (S63)",
    virtual(async () => {
      const completions = asCompleted([after(2, "second"), after(1, "first")]);

      const [one, two, end] = await Promise.all([
        completions.next(),
        completions.next(),
        completions.next(),
      ]);

      assert.equal(await one.value, "first");
      assert.equal(await two.value, "second");
      assert.deepEqual(end, { done: true, value: undefined });
    }),
  );

  test(
    "cancels nothing when the consumer stops, and can be taken up again (S64)",
    virtual(async () => {
      const completions = asCompleted([after(3, "c"), after(1, "a"), after(2, "b")]);
      const seen: string[] = [];

      for await (const task of completions) {
        seen.push(await task);
        break;
      }
      await sleep(5);
      for await (const task of completions) seen.push(await task);

      assert.deepEqual(seen, ["a", "b", "c"]);
    }),
  );

  test(
    "serves other consumers when one of them stops (S64)",
    virtual(async () => {
      const completions = asCompleted([after(1, "a"), after(2, "b"), after(3, "c")]);
      const seen: string[] = [];
      const consume = (most: number) => async () => {
        for await (const task of completions) {
          seen.push(await task);
          if (--most === 0) break;
        }
      };

      await gather(consume(1), consume(5));

      assert.deepEqual(seen, ["a", "b", "c"]);
    }),
  );

  test(
    "starts nothing under a pending cancellation, until somebody goes on",
    virtual(async () => {
      const started: number[] = [];
      const consumer = createTask(async () => {
        currentTask()?.cancel();
        const completions = asCompleted([async () => started.push(1)]);
        await rejection(completions.next());
        const before = [...started];
        const { value } = await completions.next();
        return [before, await value];
      });

      assert.deepEqual(await consumer, [[], 1]);
    }),
  );

  test(
    "loses no task when next is cancelled (S64)",
    virtual(async () => {
      const completions = asCompleted([after(2, "a")]);
      const consumer = createTask(() => completions.next());
      await sleep(1);
      consumer.cancel();
      await rejection(consumer);

      const { value } = await completions.next();

      assert.equal(await value, "a");
    }),
  );

  test(
    "under a pending cancellation loses no task that is done (S64)",
    virtual(async () => {
      const completions = asCompleted([after(0, "a")]);
      await sleep(1);
      const consumer = createTask(async () => {
        currentTask()?.cancel();
        await completions.next();
      });

      assert.ok((await rejection(consumer)) instanceof CancelledError);
      assert.equal(await (await completions.next()).value, "a");
    }),
  );

  test(
    "has one deadline for all; what has not ended goes on (S65)",
    virtual(async (loop) => {
      const slow = after(5, "slow");
      const seen: string[] = [];
      const consume = async () => {
        for await (const task of asCompleted([slow, after(1, "quick")], { delay: 2 }))
          seen.push(await task);
      };

      await assert.rejects(consume(), {
        name: "TimeoutError",
        code: "ERR_ASYNCIO_TIMEOUT",
        message: "`asCompleted` has 1 tasks that have not ended after 2 s",
      });

      assert.deepEqual([seen, loop.time()], [["quick"], 2]);
      assert.equal(await slow, "slow");
    }),
  );

  test(
    "leaves no timer behind when all end in time (S65)",
    virtual(async (loop) => {
      for await (const task of asCompleted([after(1, "a")], { delay: 1000 })) await task;

      assert.deepEqual([loop.time(), loop.statistics().timers], [1, 0]);
    }),
  );

  test(
    "gives failed and cancelled tasks as others, and throws none of their failures",
    virtual(async (loop) => {
      const cancelled = after(9, "a");
      const broken = failing(1);
      loop.callLater(2, () => cancelled.cancel());
      const seen: unknown[] = [];

      for await (const task of asCompleted<string>([cancelled, broken])) seen.push(task);

      assert.deepEqual(seen, [broken, cancelled]);
      await rejection(broken);
    }),
  );

  test(
    "of nothing gives nothing",
    virtual(async () => {
      for await (const _ of asCompleted([])) assert.fail();
    }),
  );

  test("with wrong arguments throws at the call, before anything has started", () => {
    const started = () => assert.fail("started");

    assert.throws(() => asCompleted([started, 5 as never]), {
      name: "TypeError",
      message: "`asCompleted` expects functions, tasks, futures or promises, got 5",
    });
    assert.throws(() => asCompleted(5 as never), { code: "ERR_ASYNCIO_INVALID_ARGUMENT" });
    assert.throws(() => asCompleted(Promise.resolve() as never), /Put it into an array/);
    assert.throws(() => asCompleted([], { delay: Number.NaN }), RangeError);
  });
});

test(
  "a result that is asked for too early is an InvalidStateError",
  virtual(async () => {
    const task = after(1, "a");

    assert.throws(() => task.result(), InvalidStateError);

    await wait([task]);
    assert.equal(task.result(), "a");
  }),
);
