import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  createTask,
  currentTask,
  ExceptionGroup,
  Queue,
  race,
  sleep,
  staggeredRace,
  type Task,
  TimeoutError,
  timeout,
} from "../../src/index.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

/** Fails after `delay` seconds. */
function fail(delay: number, message = "broken"): () => Promise<never> {
  return async () => {
    await sleep(delay);
    throw new Error(message);
  };
}

/** Sleeps, and writes down when it was cancelled and when it had cleaned up for `cleaning` seconds. */
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

/** Begins `operation` in a task on two queues; in one step the first gets an item and the task is cancelled. */
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
    "the waits of its branches are those of the task",
    virtual(async () => {
      const queue = new Queue<void>(0, { name: "jobs" });
      const task = createTask(() =>
        race(
          () => sleep(2),
          () => queue.get(),
        ),
      );
      await sleep(1);

      assert.deepEqual(task.waitingFor(), ["sleep, 1 s left", 'Queue "jobs".get']);

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
      assert.equal(error.message, "every attempt of `staggeredRace` has failed (3 sub-exceptions)");
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
