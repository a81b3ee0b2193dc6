import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  allTasks,
  CancelledError,
  createTask,
  currentTask,
  Future,
  gather,
  sleep,
  timeout,
} from "../../src/index.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

const forever = (): Promise<void> => sleep(Number.POSITIVE_INFINITY);

function failing(message: string, delay = 0): () => Promise<never> {
  return async () => {
    await sleep(delay);
    throw new Error(message);
  };
}

describe("results", () => {
  test(
    "come in the order of the arguments, whichever ends first (S47)",
    virtual(async (loop) => {
      const results = await gather(
        () => sleep(2, "a"),
        createTask(() => sleep(1, 2)),
        Promise.resolve(true),
      );

      assert.deepEqual(results, ["a", 2, true]);
      assert.equal(loop.time(), 2);
    }),
  );

  test(
    "an array is taken as the list of awaitables",
    virtual(async () => {
      const thunks = [1, 2, 3].map((value) => () => sleep(3 - value, value));

      assert.deepEqual(await gather(thunks), [1, 2, 3]);
    }),
  );

  test(
    "of nothing are an empty list (S55)",
    virtual(async () => {
      assert.deepEqual([await gather(), await gather([])], [[], []]);
    }),
  );

  test(
    "of futures that are done already are there at once",
    virtual(async () => {
      const future = new Future<number>();
      future.setResult(1);

      assert.deepEqual(await gather(future, future), [1, 1]);
    }),
  );

  test(
    "the same task twice counts once, the same thunk twice runs twice (S49)",
    virtual(async () => {
      let runs = 0;
      const thunk = async (): Promise<number> => ++runs;
      const task = createTask(async () => "task");

      assert.deepEqual(await gather(task, thunk, task, thunk), ["task", 1, "task", 2]);
    }),
  );

  test(
    "undefined, null and functions are values as others",
    virtual(async () => {
      const results = await gather(
        async () => undefined,
        async () => null,
        async () => gather,
      );

      assert.deepEqual(results, [undefined, null, gather]);
    }),
  );

  test(
    "thunks run as tasks, side by side",
    virtual(async () => {
      const tasks = await gather(
        async () => ({ task: currentTask() }),
        async () => ({ task: currentTask() }),
      );

      assert.notEqual(tasks[0].task, tasks[1].task);
      assert.notEqual(tasks[0].task, currentTask());
    }),
  );
});

describe("failures", () => {
  test(
    "the first one rejects at once, and the others go on (S48)",
    virtual(async (loop) => {
      const log: string[] = [];
      const slow = createTask(() => sleep(2).then(() => log.push("slow")));

      const error = await rejection(gather(slow, failing("broken", 1)));

      assert.equal((error as Error).message, "broken");
      assert.equal(loop.time(), 1);
      await slow;
      assert.deepEqual(log, ["slow"]);
    }),
  );

  test(
    "one that comes after that is reported once (S48)",
    virtual(async (loop) => {
      const reports = collectReports(loop);

      await rejection(gather(failing("first", 1), failing("second", 2)));
      await sleep(3);

      assert.deepEqual(
        reports.map(({ exception }) => (exception as Error).message),
        ["second"],
      );
    }),
  );

  test(
    "one of a task that the caller has too is left to the caller",
    virtual(async () => {
      const task = createTask(failing("second", 2));

      await rejection(gather(failing("first", 1), task));

      assert.equal(((await rejection(task)) as Error).message, "second");
    }),
  );

  test(
    "one of a bare promise that comes late is reported",
    virtual(async (loop) => {
      const reports = collectReports(loop);
      const promise = failing("bare", 2)();

      await rejection(gather(failing("first", 1), promise));
      await sleep(3);

      assert.deepEqual(
        reports.map(({ exception }) => (exception as Error).message),
        ["bare"],
      );
    }),
  );

  test(
    "a child that a third party cancels is an error as others, and the gather is not cancelled (S50)",
    virtual(async () => {
      const task = createTask(forever);
      const sibling = createTask(() => sleep(1, "ran"));
      const gathering = gather(task, sibling);
      task.cancel("third party");

      const error = await rejection(gathering);

      assert.ok(error instanceof CancelledError);
      assert.equal(error.scope, task.scope);
      assert.equal(await sibling, "ran");
    }),
  );

  test(
    "with returnExceptions they stand in place of values, cancellations too (S51)",
    virtual(async () => {
      const cancelled = createTask(forever);
      const results = gather([() => sleep(1, "a"), failing("b"), cancelled], {
        returnExceptions: true,
      });
      cancelled.cancel();

      const [a, b, c] = await results;

      assert.equal(a, "a");
      assert.equal((b as Error).message, "b");
      assert.ok(c instanceof CancelledError);
    }),
  );

  test(
    "a thunk that throws before it returns a promise is a failure of its own",
    virtual(async () => {
      const results = await gather(
        [
          (): Promise<never> => {
            throw new Error("sync");
          },
          async () => 1,
        ],
        { returnExceptions: true },
      );

      assert.deepEqual(results, [new Error("sync"), 1]);
    }),
  );

  test(
    "falsy reasons of bare promises are failures",
    virtual(async () => {
      assert.equal(await rejection(gather(Promise.reject(0))), 0);
      assert.equal(await rejection(gather(Promise.reject(undefined))), undefined);
    }),
  );

  test(
    "falsy values thrown by thunks are failures",
    virtual(async () => {
      const throwing = (value: unknown) => async (): Promise<never> => {
        throw value;
      };

      assert.equal(await rejection(gather(throwing(0))), 0);
      assert.equal(await rejection(gather(throwing(undefined))), undefined);
    }),
  );
});

describe("cancelled", () => {
  test(
    "it cancels every child and waits until all have ended (S52)",
    virtual(async (loop) => {
      const log: string[] = [];
      const child = (name: string, delay: number) => () =>
        forever().finally(() => sleep(delay).then(() => log.push(name)));
      const task = createTask(() =>
        gather(child("a", 1), child("b", 3), createTask(child("c", 2))),
      );
      await sleep(1);
      task.cancel("stop");

      const error = await rejection(task);

      assert.ok(error instanceof CancelledError && error.reason === "stop");
      assert.equal(error.scope, task.scope);
      assert.deepEqual(log, ["a", "c", "b"]);
      assert.equal(loop.time(), 4);
    }),
  );

  test(
    "it hands over what all the children answer all the same, and the cancellation stays pending (S53)",
    virtual(async () => {
      const stubborn = (value: number) => () => sleep(2, value).catch(() => value);
      const task = createTask(async () => {
        const results = await gather(stubborn(1), stubborn(2));
        return [results, await rejection(sleep(1))];
      });
      await sleep(1);
      task.cancel();

      const [results, next] = await task;

      assert.deepEqual(results, [1, 2]);
      assert.ok(next instanceof CancelledError);
    }),
  );

  test(
    "it rejects if one child was cut off, though others answer",
    virtual(async () => {
      const task = createTask(() => gather(() => sleep(2, 1).catch(() => 1), forever));
      await sleep(1);
      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
    }),
  );

  test(
    "it rejects with returnExceptions too (S53)",
    virtual(async () => {
      const task = createTask(() => gather([forever, forever], { returnExceptions: true }));
      await sleep(1);
      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
    }),
  );

  test(
    "a failure in a child's cleanup wins",
    virtual(async () => {
      const task = createTask(() => gather(() => forever().finally(failing("stuck")), forever));
      await sleep(1);
      task.cancel();

      assert.equal(((await rejection(task)) as Error).message, "stuck");
    }),
  );

  test(
    "it stops waiting for bare promises at once",
    virtual(async (loop) => {
      const never = new Promise<void>(() => {});
      const work = timeout(1, () => gather(never, forever));

      await rejection(work);

      assert.equal(loop.time(), 1);
    }),
  );

  test(
    "a child that swallows it is cancelled again after the grace period",
    virtual(async (loop) => {
      const task = createTask(() => gather(() => forever().catch(forever)));
      await sleep(1);
      task.cancel();
      await rejection(task);

      assert.equal(loop.time(), 6);
    }),
  );

  test(
    "its scope ending under it detaches tasks of others and ends its own",
    virtual(async () => {
      const log: string[] = [];
      const other = createTask(() => sleep(2).then(() => log.push("other")));
      const finished = createTask(async () => {
        gather(other, () => forever().finally(() => log.push("own"))).catch(() => log.push("cut"));
        await sleep(1);
      });
      await finished;
      await other;

      assert.deepEqual(log, ["own", "cut", "other"]);
    }),
  );
});

describe("wrong arguments", () => {
  test(
    "reject, and nothing is started (S56)",
    virtual(async () => {
      let ran = false;
      const thunk = async (): Promise<void> => {
        ran = true;
      };

      for (const wrong of [1, undefined, null, {}, "thunk"]) {
        assert.ok((await rejection(gather(thunk, wrong as never))) instanceof TypeError);
        assert.ok((await rejection(gather([thunk, wrong as never]))) instanceof TypeError);
      }
      await sleep(1);
      assert.ok(!ran);
      assert.equal(allTasks().size, 1);
    }),
  );

  test(
    "are told apart in the message",
    virtual(async () => {
      assert.equal(
        ((await rejection(gather(async () => 1, 7 as never))) as Error).message,
        "`gather` expects functions, tasks, futures or promises, got 7",
      );
    }),
  );

  test(
    "a thunk that returns no promise fails by itself or gives its value",
    virtual(async () => {
      assert.deepEqual(await gather((() => 5) as never), [5]);
    }),
  );
});
