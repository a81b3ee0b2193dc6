import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  allTasks,
  CancelledError,
  CancelScope,
  createTask,
  currentTask,
  Future,
  gather,
  InvalidStateError,
  moveOnAfter,
  sleep,
  TaskGroup,
  taskGroup,
} from "../../src/index.ts";
import { onBothLoops } from "../both-loops.ts";
import { rejection, virtual } from "../virtual.ts";
import { failing, forever, messages } from "./groups.ts";

describe("cancel", () => {
  test(
    "ends the group early with a value: children and body are cancelled and awaited (S104)",
    virtual(async () => {
      const log: string[] = [];

      const result = await taskGroup(async (group: TaskGroup<string>) => {
        group.createTask(() => forever().finally(() => sleep(1).then(() => log.push("cleaned"))));
        group.createTask(async () => group.cancel("found"));
        await forever();
        return "never";
      });

      assert.equal(result, "found");
      assert.deepEqual(log, ["cleaned"]);
    }),
  );

  test(
    "takes the value of the first call, and leaves the task uncancelled",
    virtual(async () => {
      const result = await taskGroup(async (group: TaskGroup<number>) => {
        group.cancel(1);
        group.cancel(2);
        await forever();
        return 3;
      });

      assert.equal(result, 1);
      await sleep(1);
      assert.equal(currentTask()?.cancelling(), 0);
    }),
  );

  test(
    "does nothing once the group has ended",
    virtual(async () => {
      let group: TaskGroup<number> | undefined;
      const result = await taskGroup(async (inner: TaskGroup<number>) => {
        group = inner;
        return 1;
      });

      group?.cancel(2);

      assert.equal(result, 1);
    }),
  );

  test(
    "hides no failure while the group ends",
    virtual(async () => {
      const error = await rejection(
        taskGroup(async (group: TaskGroup<void>) => {
          group.createTask(() => forever().finally(failing("stuck")));
          await sleep(1);
          group.cancel();
        }),
      );

      assert.deepEqual(messages(error), ["stuck"]);
    }),
  );

  test(
    "does not hide a later cancellation from outside (S104)",
    virtual(async () => {
      const task = createTask(() =>
        taskGroup(async (group: TaskGroup<void>) => {
          group.createTask(() => forever().finally(() => sleep(2)));
          await sleep(1);
          group.cancel();
        }),
      );
      await sleep(2);
      task.cancel("outside");

      const error = await rejection(task);

      assert.ok(error instanceof CancelledError);
      assert.equal(error.reason, "outside");
    }),
  );

  test(
    "from outside of the group works too",
    virtual(async () => {
      const ready = new Future<{ group: TaskGroup<number> }>();
      const task = createTask(() =>
        taskGroup(async (group: TaskGroup<number>) => {
          ready.setResult({ group });
          await forever();
          return 1;
        }),
      );

      (await ready).group.cancel(7);

      assert.equal(await task, 7);
    }),
  );
});

describe("limit", () => {
  test(
    "no more than limit children run at once, and they start in order",
    virtual(async (loop) => {
      const starts: [string, number][] = [];

      await taskGroup(
        async (group) => {
          for (const name of ["a", "b", "c", "d", "e"]) {
            group.createTask(async () => {
              starts.push([name, loop.time()]);
              await sleep(1);
            });
          }
        },
        { limit: 2 },
      );

      assert.deepEqual(starts, [
        ["a", 0],
        ["b", 0],
        ["c", 1],
        ["d", 1],
        ["e", 2],
      ]);
    }),
  );

  test(
    "a child that was not admitted ends cancelled without running when the group is cancelled",
    virtual(async () => {
      const ran: string[] = [];
      let waiting: { task: { cancelled(): boolean } } | undefined;

      await rejection(
        taskGroup(
          async (group) => {
            group.createTask(failing("broken", 1));
            waiting = { task: group.createTask(async () => ran.push("never")) };
          },
          { limit: 1 },
        ),
      );

      assert.deepEqual(ran, []);
      assert.ok(waiting?.task.cancelled());
    }),
  );

  test(
    "a child that is cancelled before it was admitted frees no place",
    virtual(async (loop) => {
      const starts: number[] = [];
      const worker = async (): Promise<void> => {
        starts.push(loop.time());
        await sleep(1);
      };

      await taskGroup(
        async (group) => {
          group.createTask(worker);
          const second = group.createTask(worker);
          group.createTask(worker);
          await sleep(0.5);
          second.cancel();
        },
        { limit: 1 },
      );

      assert.deepEqual(starts, [0, 1]);
    }),
  );

  test(
    "a child that starts in the call and makes another one takes one place, not two",
    virtual(async (loop) => {
      const starts: [string, number][] = [];
      const work = (name: string) => async (): Promise<void> => {
        starts.push([name, loop.time()]);
        await sleep(1);
      };

      await taskGroup(
        async (group) => {
          group.createTask(work("a"));
          const makeAnother = async (): Promise<void> => {
            group.createTask(work("b"));
            await sleep(10);
          };
          group.createTask(makeAnother, { eagerStart: true });
          group.createTask(work("c"));
          group.createTask(work("d"));
        },
        { limit: 2 },
      );

      assert.deepEqual(starts, [
        ["a", 0],
        ["b", 1],
        ["c", 2],
        ["d", 3],
      ]);
    }),
  );

  test(
    "limits that are no count are rejected",
    virtual(async () => {
      for (const limit of [0, 1.5, -1, Number.NaN]) {
        await assert.rejects(taskGroup(forever, { limit }), RangeError);
      }
      const error = await rejection(taskGroup(forever, { limit: "2" as never }));
      assert.ok(error instanceof TypeError);
      assert.equal(
        error.message,
        '`taskGroup` expects `limit`, a whole number of 1 or more, got "2"',
      );
    }),
  );

  test(
    "a limit of Infinity is none",
    virtual(async (loop) => {
      await taskGroup(
        async (group) => {
          for (let index = 0; index < 10; index++) group.createTask(() => sleep(1));
        },
        { limit: Number.POSITIVE_INFINITY },
      );

      assert.equal(loop.time(), 1);
    }),
  );
});

describe("start", () => {
  test(
    "waits until the child is ready and gives its value; the child goes on",
    virtual(async (loop) => {
      const log: unknown[] = [];

      await taskGroup(async (group) => {
        const port = await group.start<number>(async (started) => {
          await sleep(1);
          started(8080);
          await sleep(1);
          log.push("served");
        });
        log.push(port, loop.time());
      });

      assert.deepEqual(log, [8080, 1, "served"]);
    }),
  );

  test(
    "a failure before started surfaces from start and leaves the group alone",
    virtual(async () => {
      const result = await taskGroup(async (group: TaskGroup<string>) => {
        const error = await rejection(group.start(failing("no port")));
        assert.equal((error as Error).message, "no port");
        return "goes on";
      });

      assert.equal(result, "goes on");
    }),
  );

  test(
    "a failure after started fails the group",
    virtual(async () => {
      const error = await rejection(
        taskGroup(async (group) => {
          await group.start<void>(async (started) => {
            started();
            throw new Error("later");
          });
          await forever();
        }),
      );

      assert.deepEqual(messages(error), ["later"]);
    }),
  );

  test(
    "a child that ends without started is an InvalidStateError",
    virtual(async () => {
      await taskGroup(async (group) => {
        const error = await rejection(group.start(async () => {}, { name: "server" }));

        assert.ok(error instanceof InvalidStateError);
        assert.equal(
          error.message,
          'task "server" has ended without calling `started`. Call it once the task is ready',
        );
      });
    }),
  );

  test(
    "started called twice throws in the child",
    virtual(async () => {
      const error = await rejection(
        taskGroup(async (group) => {
          await group.start<void>(async (started) => {
            started();
            started();
          });
        }),
      );

      assert.deepEqual(messages(error), [
        "`started` was called twice. Call it once, when the task is ready",
      ]);
    }),
  );

  test(
    "cancelling start cancels the child and waits for it, and the group goes on",
    virtual(async () => {
      const log: string[] = [];
      await taskGroup(async (group) => {
        const moved = await moveOnAfter(1, () =>
          group.start<void>(() => forever().finally(() => sleep(1).then(() => log.push("child")))),
        );
        log.push(moved.cancelled ? "cancelled" : "started");
      });

      assert.deepEqual(log, ["child", "cancelled"]);
    }),
  );

  onBothLoops("an eager child that cancels the caller of start is cancelled by that", async () => {
    const log: string[] = [];
    await taskGroup(async (group) => {
      const scope = new CancelScope();
      const body = async (started: () => void): Promise<void> => {
        scope.cancel();
        await sleep(0.001).catch((error) => {
          log.push(String(error instanceof CancelledError));
          throw error;
        });
        started();
      };

      await scope.run(() => group.start<void>(body, { eagerStart: true }));

      log.push(`cancelled ${scope.cancelled}`, `${group.children().length} children`);
    });

    assert.deepEqual(log, ["true", "cancelled true", "0 children"]);
  });

  test(
    "two starts at once each get their own value",
    virtual(async () => {
      await taskGroup(async (group) => {
        const serve = (port: number, delay: number) =>
          group.start<number>(async (started) => {
            await sleep(delay);
            started(port);
          });

        assert.deepEqual(
          await gather(
            () => serve(1, 2),
            () => serve(2, 1),
          ),
          [1, 2],
        );
      });
    }),
  );
});

describe("states", () => {
  test(
    "createTask and start after the end say what to do (S97)",
    virtual(async () => {
      const closed = await taskGroup(async (group) => ({ group }));
      const { group } = closed as { group: TaskGroup };

      assert.throws(() => group.createTask(forever, { name: "poll" }), {
        name: "InvalidStateError",
        code: "ERR_ASYNCIO_INVALID_STATE",
        message:
          '`group.createTask` cannot start "poll": a task group has ended. Start it before that, or in a group that lives longer',
      });
      assert.ok((await rejection(group.start(forever))) instanceof InvalidStateError);
      assert.equal(allTasks().size, 1);
    }),
  );

  test(
    "createTask while the group is being cancelled starts nothing (S97)",
    virtual(async () => {
      let refused: unknown;
      await rejection(
        taskGroup(async (group) => {
          group.createTask(failing("broken"));
          await forever().finally(() => {
            try {
              group.createTask(forever);
            } catch (error) {
              refused = error;
            }
          });
        }),
      );

      assert.ok(refused instanceof InvalidStateError);
      assert.match(refused.message, /is being cancelled/);
    }),
  );

  test(
    "a bare promise is refused with the cure",
    virtual(async () => {
      const cure = (api: string): string =>
        `\`${api}\` expects a function that returns a promise, got a promise. A promise is already running and could not be cancelled: pass \`() => work()\` instead of \`work()\``;

      await taskGroup(async (group) => {
        const promise = Promise.resolve() as never;
        assert.throws(() => group.createTask(promise), new TypeError(cure("group.createTask")));
        assert.equal(
          ((await rejection(group.start(promise))) as Error).message,
          cure("group.start"),
        );
        assert.equal(((await rejection(taskGroup(promise))) as Error).message, cure("taskGroup"));
      });
    }),
  );
});

describe("signal", () => {
  test(
    "an abort cancels body and children, and the group rejects with the reason as it is",
    virtual(async () => {
      const controller = new AbortController();
      const reason = { why: "user" };
      const log: string[] = [];
      const task = createTask(() =>
        taskGroup(
          async (group) => {
            group.createTask(() => forever().finally(() => log.push("child")));
            await forever().finally(() => log.push("body"));
          },
          { signal: controller.signal },
        ),
      );
      await sleep(1);
      controller.abort(reason);

      assert.equal(await rejection(task), reason);
      assert.deepEqual(log.sort(), ["body", "child"]);
    }),
  );

  test(
    "a signal that has aborted rejects before the body runs",
    virtual(async () => {
      let ran = false;
      const body = async (): Promise<void> => {
        ran = true;
      };

      assert.equal(await rejection(taskGroup(body, { signal: AbortSignal.abort("gone") })), "gone");
      assert.ok(!ran);
    }),
  );

  test(
    "an abort while the group waits for its children ends it",
    virtual(async () => {
      const controller = new AbortController();
      const task = createTask(() =>
        taskGroup(
          async (group) => {
            group.createTask(forever);
          },
          { signal: controller.signal },
        ),
      );
      await sleep(1);
      controller.abort("late");

      assert.equal(await rejection(task), "late");
    }),
  );

  test(
    "an abort after the end does nothing",
    virtual(async () => {
      const controller = new AbortController();
      await taskGroup(async () => {}, { signal: controller.signal });

      controller.abort();

      await sleep(1);
    }),
  );

  test(
    "the signal of one child ends that child alone",
    virtual(async () => {
      const controller = new AbortController();
      await taskGroup(async (group) => {
        const child = group.createTask(forever, { signal: controller.signal });
        const sibling = group.createTask(() => sleep(2, "ran"));
        await sleep(1);
        controller.abort("only you");

        const error = await rejection(child);
        assert.equal((error as Error).cause, "only you");
        assert.equal(await sibling, "ran");
      });
    }),
  );
});

test(
  "the class is exported for types, and its groups are instances of it",
  virtual(async () => {
    await taskGroup(async (group) => assert.ok(group instanceof TaskGroup));
  }),
);
