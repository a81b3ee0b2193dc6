import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  CancelScope,
  createTask,
  currentTask,
  type ExceptionGroup,
  Future,
  InvalidStateError,
  sleep,
  type TaskGroup,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { onBothLoops } from "../both-loops.ts";
import { collectGarbage } from "../gc.ts";
import { rejection, virtual } from "../virtual.ts";
import { failing, forever, messages } from "./groups.ts";

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

  onBothLoops("a CancelledError of the body's own making is no match for failures", async () => {
    const error = await rejection(
      taskGroup(async (group) => {
        group.createTask(() => forever().finally(failing("stuck")));
        await sleep(0);
        throw new CancelledError();
      }),
    );

    assert.deepEqual(messages(error), ["stuck"]);
    await sleep(0);
  });

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

describe("in any order of events", () => {
  onBothLoops("a child that starts in the turn in which the last one ends is awaited", async () => {
    const log: string[] = [];
    const opened = new Future<TaskGroup>();
    const starter = createTask(async () => {
      const group = await opened;
      const [last] = group.children();
      await last?.then(() => {});
      group.createTask(() => sleep(0.001).then(() => log.push("child")));
    });

    await taskGroup(async (group) => {
      group.createTask(() => sleep(0.001));
      opened.setResult(group);
    });
    log.push("ended");
    await starter;

    assert.deepEqual(log, ["child", "ended"]);
  });

  onBothLoops("no child starts any more when the group was cancelled after its body", async () => {
    let refusal: unknown;
    const task = createTask(() =>
      taskGroup(async (group) => {
        group.createTask(async () => {
          await forever().catch(() => {});
          refusal = await rejection((async () => group.createTask(forever))());
        });
      }),
    );
    await sleep(0);
    await sleep(0);
    task.cancel();

    assert.ok((await rejection(task)) instanceof CancelledError);
    assert.ok(refusal instanceof InvalidStateError);
    assert.match(refusal.message, /is being cancelled/);
  });

  onBothLoops(
    "a cancellation that no wait of the body has met reaches later children",
    async () => {
      const log: string[] = [];
      const task = createTask(() =>
        taskGroup(async (group) => {
          currentTask()?.cancel("enough");
          group.createTask(() => sleep(0.001).then(() => log.push("ran")));
        }),
      );

      const error = await rejection(task);

      assert.ok(error instanceof CancelledError);
      assert.deepEqual([error.reason, log], ["enough", []]);
    },
  );

  onBothLoops("the first cancellation is the reason, also if another comes meanwhile", async () => {
    const task = createTask(() =>
      taskGroup(async (group) => {
        group.createTask(() => forever().finally(() => sleep(0.002)));
        await forever();
      }),
    );
    await sleep(0);
    await sleep(0);
    task.cancel("first");
    await sleep(0.001);
    task.cancel("second");

    const error = await rejection(task);

    assert.ok(error instanceof CancelledError);
    assert.equal(error.reason, "first");
  });

  onBothLoops("a child that the body cancels after a cancellation that it swallows", async () => {
    const task = createTask(() =>
      taskGroup(async (group: TaskGroup<string>) => {
        await forever().catch(() => {});
        const child = group.createTask(forever);
        await sleep(0.001);
        child.cancel();
        return "swallowed";
      }),
    );
    await sleep(0);
    task.cancel();

    assert.equal(await task, "swallowed");
  });

  onBothLoops("a child that is cancelled while it waits for a place keeps none back", async () => {
    const log: string[] = [];
    await taskGroup(
      async (group) => {
        group.createTask(() => sleep(0.001));
        const held = group.createTask(forever);
        group.createTask(async () => void log.push("next"));
        await sleep(0);
        held.cancel();
      },
      { limit: 1 },
    );

    assert.deepEqual(log, ["next"]);
  });

  onBothLoops("an eager child may end its group in its first step, and ends with it", async () => {
    const value = await taskGroup(async (group: TaskGroup<string>) => {
      const ends = async (): Promise<void> => {
        group.cancel("early");
        await forever();
      };
      group.createTask(ends, { eagerStart: true });
      return "late";
    });

    assert.equal(value, "early");
  });

  onBothLoops("no child that waits for a place starts when another one fails", async () => {
    const log: string[] = [];
    const error = await rejection(
      taskGroup(
        async (group) => {
          group.createTask(failing("no"));
          for (const name of ["a", "b"]) group.createTask(async () => void log.push(name));
        },
        { limit: 1 },
      ),
    );

    assert.deepEqual([messages(error), log], [["no"], []]);
  });

  onBothLoops(
    "an eager child starts once, also if one that it has made waited before it",
    async () => {
      let starts = 0;
      await taskGroup(
        async (group) => {
          const finished = new Future<void>();
          group.createTask(() => sleep(0));
          const makes = async (): Promise<void> => {
            if (++starts > 1) return;
            group.createTask(() => sleep(0));
            await finished;
          };
          group.createTask(makes, { eagerStart: true });
          group.createTask(async () => finished.setResult());
        },
        { limit: 2 },
      );

      assert.equal(starts, 1);
    },
  );
});
