import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  CancelScope,
  createTask,
  currentTask,
  ExceptionGroup,
  Future,
  gather,
  InvalidStateError,
  run,
  sleep,
  type Task,
  type TaskGroup,
  taskGroup,
} from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

const fail = (message: string) => (): Promise<never> => Promise.reject(new Error(message));
const messagesOf = (error: unknown): string[] =>
  (error as ExceptionGroup).errors.map(({ message }) => message);

describe("F5 to F8: task groups", () => {
  test(
    "a group waits for its children and gives what its body returns",
    virtual(async (loop) => {
      const value = await taskGroup(async (group) => {
        group.createTask(() => sleep(3));
        return "value";
      });

      assert.deepEqual([value, loop.time()], ["value", 3]);
    }),
  );

  test(
    "a child that fails cancels its siblings and the body; the group throws an ExceptionGroup",
    virtual(async (loop) => {
      const ended: string[] = [];
      const error = await rejection(
        taskGroup(async (group) => {
          group.createTask(() => sleep(10).finally(() => ended.push("sibling")));
          group.createTask(() => sleep(1).then(fail("child")));
          await sleep(10).finally(() => ended.push("body"));
        }),
      );

      assert.ok(error instanceof ExceptionGroup);
      assert.deepEqual(messagesOf(error), ["child"]);
      assert.deepEqual([ended.sort(), loop.time()], [["body", "sibling"], 1]);
      assert.equal(currentTask()?.cancelling(), 0);
    }),
  );

  test(
    "an error of the body alone is in an ExceptionGroup too (S91)",
    virtual(async () => {
      assert.deepEqual(messagesOf(await rejection(taskGroup(fail("body")))), ["body"]);
    }),
  );

  test(
    "a failure that the body saw by awaiting the child is one entry (F7)",
    virtual(async () => {
      const error = await rejection(
        taskGroup(async (group) => {
          await group.createTask(fail("child"));
        }),
      );

      assert.deepEqual(messagesOf(error), ["child"]);
    }),
  );

  test(
    "a child that is cancelled by hand is no failure",
    virtual(async () => {
      const value = await taskGroup(async (group) => {
        const child = group.createTask(() => sleep(10));
        await sleep(1);
        child.cancel();
        return "value";
      });

      assert.equal(value, "value");
    }),
  );

  test(
    "an outside cancellation that the errors of a group hid comes back at the next wait (F5)",
    virtual(async () => {
      const log: string[] = [];
      const task = createTask(async () => {
        const group = taskGroup(async (given) => {
          given.createTask(() => sleep(10).catch(fail("in the cleanup")));
          await sleep(10);
        });
        log.push(...messagesOf(await rejection(group)));
        await sleep(1);
        log.push("not reached");
      });
      await sleep(1);

      task.cancel();
      await rejection(task);

      assert.deepEqual([log, task.cancelled()], [["in the cleanup"], true]);
    }),
  );

  test(
    "cancelling the scope around a group cancels its body and its children at once (F6)",
    virtual(async (loop) => {
      const times: number[] = [];
      const note = (): Promise<unknown> => sleep(10).finally(() => times.push(loop.time()));
      const task = createTask(() =>
        taskGroup(async (group) => {
          group.createTask(note);
          await note().finally(() => sleep(3));
        }),
      );
      await sleep(1);

      task.cancel();
      const error = await rejection(task);

      assert.ok(error instanceof CancelledError);
      assert.deepEqual(times, [1, 1]);
    }),
  );

  test(
    "a second cancellation while the group waits raises the count and is not forwarded (F6)",
    virtual(async () => {
      let delivered = 0;
      const task = createTask(() =>
        taskGroup(async (group) => {
          group.createTask(async () => {
            await sleep(10).catch(() => delivered++);
            await sleep(2).catch(() => delivered++);
          });
        }),
      );
      await sleep(1);

      task.cancel();
      await sleep(1);
      task.cancel();
      await rejection(task);

      assert.deepEqual([delivered, task.cancelling()], [1, 2]);
    }),
  );

  test(
    "group.cancel ends the group early with a value (F8)",
    virtual(async (loop) => {
      const value = await taskGroup<string>(async (group) => {
        group.createTask(() => sleep(10));
        group.createTask(async () => {
          await sleep(1);
          group.cancel("early");
        });
        return await sleep(10, "late");
      });

      assert.deepEqual([value, loop.time()], ["early", 1]);
    }),
  );

  test(
    "after group.cancel an outside cancellation still propagates (F8)",
    virtual(async () => {
      const task = createTask(() =>
        taskGroup(async (group) => {
          group.createTask(() => sleep(10).finally(() => sleep(5)));
          await sleep(1);
          group.cancel();
        }),
      );
      await sleep(2);

      task.cancel("outside");
      const error = await rejection(task);

      assert.equal((error as CancelledError).reason, "outside");
    }),
  );

  test(
    "children may start children, also while the group waits",
    virtual(async (loop) => {
      await taskGroup(async (group) => {
        group.createTask(async () => {
          await sleep(1);
          group.createTask(() => sleep(1));
        });
      });

      assert.equal(loop.time(), 2);
    }),
  );

  test(
    "a group that has ended starts nothing more (F13)",
    virtual(async () => {
      const groups: TaskGroup<void>[] = [];
      await taskGroup(async (given) => {
        groups.push(given);
      });

      assert.throws(() => groups[0]?.createTask(() => sleep(1)), InvalidStateError);
    }),
  );

  test(
    "nested groups nest their errors, and are not flattened",
    virtual(async () => {
      const error = await rejection(taskGroup(() => taskGroup(fail("inner"))));

      const [inner] = (error as ExceptionGroup).errors;
      assert.ok(inner instanceof ExceptionGroup);
      assert.deepEqual(messagesOf(inner), ["inner"]);
    }),
  );
});

describe("F9 and F10: start and limit", () => {
  test(
    "start waits for started and gives its value; the child goes on",
    virtual(async (loop) => {
      const log: unknown[] = [];
      await taskGroup(async (group) => {
        const port = await group.start<number>(async (started) => {
          await sleep(1);
          started(8080);
          await sleep(5);
        });
        log.push(port, loop.time());
      });

      assert.deepEqual([...log, loop.time()], [8080, 1, 6]);
    }),
  );

  test(
    "a failure before started surfaces from start, and does not abort the group",
    virtual(async () => {
      const log = await taskGroup(async (group) => {
        const sibling = group.createTask(() => sleep(1, "sibling"));
        const error = (await rejection(group.start(fail("cannot bind")))) as Error;
        return [error.message, await sibling];
      });

      assert.deepEqual(log, ["cannot bind", "sibling"]);
    }),
  );

  test(
    "a failure after started aborts the group as any other",
    virtual(async () => {
      const error = await rejection(
        taskGroup(async (group) => {
          await group.start(async (started) => {
            started(1);
            throw new Error("later");
          });
          await sleep(10);
        }),
      );

      assert.deepEqual(messagesOf(error), ["later"]);
    }),
  );

  test(
    "ending without started is an InvalidStateError",
    virtual(async () => {
      await taskGroup(async (group) => {
        await assert.rejects(
          group.start(async () => {}),
          InvalidStateError,
        );
      });
    }),
  );

  test(
    "cancelling start cancels the child and waits for it",
    virtual(async (loop) => {
      const ended: number[] = [];
      await taskGroup(async (group) => {
        const scope = new CancelScope({ deadline: 1 });
        await scope.run(() =>
          group.start(async () => {
            try {
              await sleep(10);
            } finally {
              await sleep(2);
              ended.push(loop.time());
            }
          }),
        );
        ended.push(loop.time());
      });

      assert.deepEqual(ended, [3, 3]);
    }),
  );

  test(
    "limit admits children in order, as places become free",
    virtual(async (loop) => {
      const started: [string, number][] = [];
      await taskGroup(
        async (group) => {
          for (const name of ["a", "b", "c"]) {
            group.createTask(async () => {
              started.push([name, loop.time()]);
              await sleep(1);
            });
          }
        },
        { limit: 2 },
      );

      assert.deepEqual(started, [
        ["a", 0],
        ["b", 0],
        ["c", 1],
      ]);
    }),
  );

  test(
    "a child that was not admitted yet ends cancelled without running (F10)",
    virtual(async () => {
      const log: string[] = [];
      const held = await taskGroup<{ task: Task<unknown> }>(
        async (group) => {
          group.createTask(() => sleep(10));
          const task = group.createTask(async () => log.push("ran"));
          await sleep(1);
          group.cancel({ task });
          return { task };
        },
        { limit: 1 },
      );

      assert.deepEqual([held.task.cancelled(), log], [true, []]);
    }),
  );
});

describe("F22: gather", () => {
  test(
    "gives results in the order of its arguments, of every kind of awaitable",
    virtual(async (loop) => {
      const future = new Future<string>();
      loop.callLater(2, () => future.setResult("future"));

      const results = await gather(
        () => sleep(3, "thunk"),
        createTask(() => sleep(1, "task")),
        future,
        Promise.resolve("promise"),
      );

      assert.deepEqual(results, ["thunk", "task", "future", "promise"]);
    }),
  );

  test(
    "takes a list, as Promise.all does, and nothing at all",
    virtual(async () => {
      const list = [() => sleep(1, 1), () => sleep(1, 2)];

      assert.deepEqual([await gather(list), await gather(), await gather([])], [[1, 2], [], []]);
    }),
  );

  test(
    "rejects with the first failure at once; the others go on",
    virtual(async (loop) => {
      const other = createTask(() => sleep(5, "other"));

      const error = (await rejection(gather(fail("first"), other))) as Error;

      assert.deepEqual([error.message, loop.time(), await other], ["first", 0, "other"]);
    }),
  );

  test("reports a sibling's failure after it has failed", async () => {
    const loop = new VirtualLoop();
    const reports = collectReports(loop);

    await run(
      async () => {
        await rejection(gather(fail("first"), () => sleep(1).then(fail("second"))));
        await sleep(2);
      },
      { loop },
    );

    assert.deepEqual(
      reports.map(({ exception }) => (exception as Error).message),
      ["second"],
    );
  });

  test(
    "with returnExceptions gives bare values and errors in place",
    virtual(async () => {
      const [value, error] = await gather([() => sleep(1, "value"), fail("failure")], {
        returnExceptions: true,
      });

      assert.deepEqual([value, (error as Error).message], ["value", "failure"]);
    }),
  );

  test(
    "cancelled, it waits until every child has ended",
    virtual(async (loop) => {
      const child = (seconds: number) => async (): Promise<void> => {
        await sleep(10).finally(() => sleep(seconds));
      };
      const task = createTask(() => gather(child(1), child(4)));
      await sleep(1);

      task.cancel();
      await rejection(task);

      assert.deepEqual([loop.time(), task.cancelled()], [5, true]);
    }),
  );

  test(
    "cancelled, it hands the values over if all children answer with values",
    virtual(async () => {
      const log: unknown[] = [];
      const task = createTask(async () => {
        log.push(
          await gather(
            () => sleep(10).catch(() => "a"),
            () => sleep(10).catch(() => "b"),
          ),
        );
        await sleep(1);
        log.push("not reached");
      });
      await sleep(1);

      task.cancel();
      await rejection(task);

      assert.deepEqual([log, task.cancelled()], [[["a", "b"]], true]);
    }),
  );

  test(
    "cancelled, it stops waiting for bare promises at once",
    virtual(async (loop) => {
      const task = createTask(() => gather(new Promise(() => {})));
      await sleep(1);

      task.cancel();
      await rejection(task);

      assert.equal(loop.time(), 1);
    }),
  );

  test(
    "the same task twice counts once, the same thunk twice runs twice",
    virtual(async () => {
      let runs = 0;
      const thunk = async (): Promise<number> => ++runs;
      const task = createTask(async () => "task");

      assert.deepEqual(await gather(task, thunk, thunk, task), ["task", 1, 2, "task"]);
    }),
  );

  test(
    "a child that somebody else cancels surfaces as its CancelledError",
    virtual(async () => {
      const child = createTask(() => sleep(10));
      const gathering = rejection(gather(child, () => sleep(1)));
      await sleep(0);

      child.cancel("by hand");

      assert.equal(((await gathering) as CancelledError).reason, "by hand");
      assert.equal(currentTask()?.cancelling(), 0);
      await sleep(1);
    }),
  );
});
