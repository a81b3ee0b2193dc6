import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  allTasks,
  CancelledError,
  CancelScope,
  createTask,
  currentTask,
  ExceptionGroup,
  Future,
  gather,
  InvalidStateError,
  moveOnAfter,
  sleep,
  TaskGroup,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { collectGarbage } from "../gc.ts";
import { rejection, virtual } from "../virtual.ts";

const forever = (): Promise<void> => sleep(Number.POSITIVE_INFINITY);

function failing(message: string, delay = 0): () => Promise<never> {
  return async () => {
    await sleep(delay);
    throw new Error(message);
  };
}

/** The messages of the errors in an ExceptionGroup, nested as they are. */
function messages(error: unknown): unknown {
  assert.ok(error instanceof ExceptionGroup, `not a group: ${error}`);
  return error.errors.map((each) =>
    each instanceof ExceptionGroup ? messages(each) : each.message,
  );
}

describe("children", () => {
  test(
    "a group waits for its body and all its children, and gives what the body returned",
    virtual(async (loop) => {
      const done: string[] = [];

      const result = await taskGroup(async (group: TaskGroup<string>) => {
        group.createTask(() => sleep(2).then(() => done.push("slow")));
        group.createTask(() => sleep(1).then(() => done.push("fast")));
        return "result";
      });

      assert.equal(result, "result");
      assert.deepEqual(done, ["fast", "slow"]);
      assert.equal(loop.time(), 2);
    }),
  );

  test(
    "children start in the order in which they were created, after the body has come to a wait",
    virtual(async () => {
      const log: string[] = [];

      await taskGroup(async (group) => {
        group.createTask(async () => log.push("a"));
        group.createTask(async () => log.push("b"));
        log.push("body");
      });

      assert.deepEqual(log, ["body", "a", "b"]);
    }),
  );

  test(
    "the task that createTask gives has the child's result and name",
    virtual(async () => {
      await taskGroup(async (group) => {
        const child = group.createTask(async () => currentTask()?.getName(), { name: "reader" });

        assert.equal(await child, "reader");
        assert.equal(child.getName(), "reader");
      });
    }),
  );

  test(
    "a child may start children while the group waits for it, without bound (S96)",
    virtual(async () => {
      let started = 0;
      await taskGroup(async (group) => {
        const spawn = async (depth: number): Promise<void> => {
          started++;
          await sleep(0);
          if (depth < 100) group.createTask(() => spawn(depth + 1));
        };
        group.createTask(() => spawn(1));
      });

      assert.equal(started, 100);
    }),
  );

  test(
    "an eager child runs to its first wait inside createTask",
    virtual(async () => {
      const log: string[] = [];

      await taskGroup(async (group) => {
        group.createTask(
          async () => {
            log.push("child");
            await sleep(0);
          },
          { eagerStart: true },
        );
        log.push("body");
      });

      assert.deepEqual(log, ["child", "body"]);
    }),
  );

  test(
    "the failure of an eager child does not cancel the body inside createTask (S103)",
    virtual(async () => {
      let passed = false;

      const error = await rejection(
        taskGroup(async (group) => {
          group.createTask(
            async () => {
              throw new Error("at once");
            },
            { eagerStart: true },
          );
          passed = true;
          await forever();
        }),
      );

      assert.ok(passed);
      assert.deepEqual(messages(error), ["at once"]);
    }),
  );

  test(
    "cancelling one child is no error of the group (S88)",
    virtual(async () => {
      const result = await taskGroup(async (group: TaskGroup<number>) => {
        const child = group.createTask(forever);
        const sibling = group.createTask(() => sleep(1, "ran"));
        await sleep(0);
        child.cancel();
        assert.equal(await sibling, "ran");
        return 1;
      });

      assert.equal(result, 1);
    }),
  );

  test(
    "a child that was awaited and cancelled by a third party cancels the body that awaits it",
    virtual(async () => {
      const other = new Future<void>();
      const error = await rejection(
        taskGroup(async (group) => {
          const child = group.createTask(async () => await other);
          await sleep(0);
          other.cancel();
          await child;
        }),
      );

      assert.ok(error instanceof CancelledError);
    }),
  );

  test(
    "children that have ended are not kept (S102)",
    virtual(async () => {
      const refs: WeakRef<object>[] = [];
      await taskGroup(async (group) => {
        for (let round = 0; round < 100; round++) {
          for (let index = 0; index < 100; index++) group.createTask(async () => {});
          refs.push(new WeakRef(group.createTask(async () => new Array(1000))));
          await sleep(0.001);
        }
        await collectGarbage();
        assert.ok(refs.filter((ref) => ref.deref() !== undefined).length < 5);
      });
    }),
  );
});

describe("failures", () => {
  test(
    "a failing child cancels its siblings and the body, and all are awaited before the group rejects (S87)",
    virtual(async () => {
      const log: string[] = [];
      const worker = async (name: string): Promise<void> => {
        try {
          await forever();
        } finally {
          await sleep(1);
          log.push(name);
        }
      };

      const error = await rejection(
        taskGroup(async (group) => {
          group.createTask(() => worker("sibling"));
          group.createTask(failing("broken", 1));
          await worker("body");
        }),
      );

      assert.deepEqual(log.sort(), ["body", "sibling"]);
      assert.deepEqual(messages(error), ["broken"]);
    }),
  );

  test(
    "the siblings of a failing child get a CancelledError that tells why",
    virtual(async () => {
      let caught: unknown;
      await rejection(
        taskGroup(async (group) => {
          group.createTask(failing("broken", 1));
          await forever().catch((error) => {
            caught = error;
            throw error;
          });
        }),
      );

      assert.ok(caught instanceof CancelledError);
      assert.equal(caught.source, "group");
    }),
  );

  test(
    "a failing body cancels the children and is one of the errors",
    virtual(async () => {
      const error = await rejection(
        taskGroup(async (group) => {
          group.createTask(forever);
          await failing("body", 1)();
        }),
      );

      assert.deepEqual(messages(error), ["body"]);
    }),
  );

  test(
    "a failing body without children is wrapped all the same (S91)",
    virtual(async () => {
      assert.deepEqual(messages(await rejection(taskGroup(failing("body")))), ["body"]);
    }),
  );

  test(
    "a body that throws before it returns a promise fails the group",
    virtual(async () => {
      const body = (): Promise<void> => {
        throw new Error("sync");
      };

      assert.deepEqual(messages(await rejection(taskGroup(body))), ["sync"]);
    }),
  );

  test(
    "errors come in the order in which the children were started, the body first (S92)",
    virtual(async () => {
      const error = await rejection(
        taskGroup(async (group) => {
          for (const name of ["a", "b", "c"]) {
            group.createTask(() => forever().catch(failing(name, name === "a" ? 3 : 1)));
          }
          group.createTask(failing("d", 1));
          await forever().catch(failing("body", 2));
        }),
      );

      assert.deepEqual(messages(error), ["body", "a", "b", "c", "d"]);
    }),
  );

  test(
    "two children that fail in the same step are both told",
    virtual(async () => {
      const error = await rejection(
        taskGroup(async (group) => {
          group.createTask(failing("a", 1));
          group.createTask(failing("b", 1));
        }),
      );

      assert.deepEqual(messages(error), ["a", "b"]);
    }),
  );

  test(
    "an error that the body got by awaiting a child is told once",
    virtual(async () => {
      const error = await rejection(
        taskGroup(async (group) => {
          await group.createTask(failing("once"));
        }),
      );

      assert.deepEqual(messages(error), ["once"]);
    }),
  );

  test(
    "a body that swallows the cancellation does not save the group (S93)",
    virtual(async () => {
      const error = await rejection(
        taskGroup(async (group) => {
          group.createTask(failing("broken"));
          await forever().catch(() => {});
          assert.throws(() => group.createTask(forever), InvalidStateError);
          return "saved";
        }),
      );

      assert.deepEqual(messages(error), ["broken"]);
    }),
  );

  test(
    "a child that throws undefined has failed (S95)",
    virtual(async () => {
      const error = await rejection(
        taskGroup(async (group) => {
          group.createTask(async () => {
            throw undefined;
          });
        }),
      );

      assert.deepEqual((error as ExceptionGroup).errors, [undefined]);
    }),
  );

  test(
    "groups in groups nest their errors (S94)",
    virtual(async () => {
      const error = await rejection(
        taskGroup(async (outer) => {
          outer.createTask(() =>
            taskGroup(async (inner) => {
              inner.createTask(failing("deep"));
            }),
          );
          await forever();
        }),
      );

      assert.deepEqual(messages(error), [["deep"]]);
    }),
  );

  test(
    "the failure of an outer group cancels an inner one silently (S94)",
    virtual(async () => {
      let ended: unknown;
      const error = await rejection(
        taskGroup(async (outer) => {
          outer.createTask(failing("outer", 1));
          await taskGroup(async (inner) => {
            inner.createTask(forever);
          }).catch((caught) => {
            ended = caught;
            throw caught;
          });
        }),
      );

      assert.ok(ended instanceof CancelledError);
      assert.deepEqual(messages(error), ["outer"]);
    }),
  );

  test(
    "a group that has failed leaves its task uncancelled (S99)",
    virtual(async () => {
      await rejection(
        taskGroup(async (group) => {
          group.createTask(failing("a"));
          await rejection(
            taskGroup(async (inner) => {
              inner.createTask(failing("b"));
              await forever();
            }),
          );
          await forever();
        }),
      );

      await sleep(1);
      assert.equal(currentTask()?.cancelling(), 0);
    }),
  );

  test(
    "the group's message names it and its first error",
    virtual(async () => {
      const error = await rejection(taskGroup(failing("x"), { name: "crawl" }));

      assert.equal((error as Error).message, 'task group "crawl" has failed: Error: x');
    }),
  );
});

describe("cancellation from outside", () => {
  test(
    "cancels children and body, awaits them, and propagates bare (S89)",
    virtual(async () => {
      const log: string[] = [];
      const task = createTask(() =>
        taskGroup(async (group) => {
          group.createTask(() => forever().finally(() => log.push("child")));
          await forever().finally(() => log.push("body"));
        }),
      );
      await sleep(1);
      task.cancel("stop");

      const error = await rejection(task);

      assert.ok(error instanceof CancelledError);
      assert.equal(error.reason, "stop");
      assert.equal(error.scope, task.scope);
      assert.deepEqual(log.sort(), ["body", "child"]);
    }),
  );

  test(
    "is hidden by a child that fails to clean up, and comes back at the next wait (S90)",
    virtual(async () => {
      const task = createTask(async () => {
        const first = await rejection(
          taskGroup(async (group) => {
            group.createTask(() => forever().finally(failing("stuck")));
          }),
        );
        assert.equal(currentTask()?.cancelling(), 1);
        return [first, await rejection(sleep(1))];
      });
      await sleep(1);
      task.cancel("stop");

      const [first, second] = await task;

      assert.deepEqual(messages(first), ["stuck"]);
      assert.ok(second instanceof CancelledError && second.reason === "stop");
    }),
  );

  test(
    "that meets the body comes back too when a child fails meanwhile",
    virtual(async () => {
      const task = createTask(async () => {
        const first = await rejection(
          taskGroup(async (group) => {
            group.createTask(() => forever().finally(failing("stuck")));
            await forever();
          }),
        );
        return [first, await rejection(sleep(1))];
      });
      await sleep(1);
      task.cancel("stop");

      const [first, second] = await task;

      assert.deepEqual(messages(first), ["stuck"]);
      assert.ok(second instanceof CancelledError && second.reason === "stop");
    }),
  );

  test(
    "a second one while the group waits only counts: the children's cleanup goes on (S100)",
    virtual(async () => {
      let cleaned = false;
      const task = createTask(() =>
        taskGroup(async (group) => {
          group.createTask(() => forever().finally(() => sleep(2).then(() => (cleaned = true))));
        }),
      );
      await sleep(1);
      task.cancel();
      await sleep(1);
      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
      assert.ok(cleaned);
      assert.equal(task.cancelling(), 2);
    }),
  );

  test(
    "a child that fails while the body cleans up does not disturb the body's cleanup (S100)",
    virtual(async () => {
      let cleaned = false;
      const task = createTask(() =>
        taskGroup(async (group) => {
          group.createTask(() => forever().finally(failing("stuck", 1)));
          await forever().finally(() => sleep(2).then(() => (cleaned = true)));
        }),
      );
      await sleep(1);
      task.cancel();

      assert.deepEqual(messages(await rejection(task)), ["stuck"]);
      assert.ok(cleaned);
    }),
  );

  test(
    "a deadline around a group ends it with a TimeoutError",
    virtual(async (loop) => {
      const work = timeout(1, () =>
        taskGroup(async (group) => {
          group.createTask(forever);
          await forever();
        }),
      );

      assert.equal(((await rejection(work)) as Error).name, "TimeoutError");
      assert.equal(loop.time(), 1);
    }),
  );

  test(
    "children that swallow it are cancelled again after the grace period",
    virtual(async (loop) => {
      const task = createTask(() =>
        taskGroup(async (group) => {
          group.createTask(async () => {
            await forever().catch(() => {});
            await forever();
          });
        }),
      );
      await sleep(1);
      task.cancel();
      await rejection(task);

      assert.equal(loop.time(), 6);
    }),
  );

  test(
    "a shield inside a child keeps it out",
    virtual(async () => {
      let finished = false;
      const task = createTask(() =>
        taskGroup(async (group) => {
          const shield = new CancelScope({ shield: true });
          group.createTask(() => shield.run(() => sleep(2).then(() => (finished = true))));
        }),
      );
      await sleep(1);
      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
      assert.ok(finished);
    }),
  );
});

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
