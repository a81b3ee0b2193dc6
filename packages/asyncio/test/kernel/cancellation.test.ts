import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  CancelScope,
  cleanup,
  createTask,
  currentTask,
  Future,
  gather,
  moveOnAfter,
  Queue,
  run,
  sleep,
  type Task,
  TimeoutError,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { Scope } from "../../src/kernel/scope.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

describe("R13: cancelling a scope cancels the waits parked at or below it", () => {
  test(
    "every branch that is parked in the scope is cancelled",
    virtual(async () => {
      const scope = new CancelScope();
      const ended: string[] = [];
      const branch = async (name: string): Promise<void> => {
        await sleep(10).finally(() => ended.push(name));
      };
      const running = scope.run(() => Promise.allSettled([branch("a"), branch("b")]));
      await sleep(1);

      scope.cancel();
      await running;

      assert.deepEqual(ended, ["a", "b"]);
    }),
  );

  test(
    "a nested scope is cancelled with the one around it",
    virtual(async (loop) => {
      const result = await moveOnAfter(1, () => timeout(5, () => timeout(10, () => sleep(20))));

      assert.deepEqual(result, { cancelled: true });
      assert.equal(loop.time(), 1);
    }),
  );

  test(
    "an inner scope is cancelled without the one around it",
    virtual(async () => {
      const log = await timeout(10, async () => [
        await moveOnAfter(1, () => sleep(5, "inner")),
        await sleep(1, "outer"),
      ]);

      assert.deepEqual(log, [{ cancelled: true }, "outer"]);
    }),
  );

  test(
    "a branch beside the scope is not hit",
    virtual(async (loop) => {
      let second: unknown;
      const branches = [
        timeout(1, () => sleep(5)),
        sleep(3, "second").then((value) => {
          second = value;
        }),
      ];

      await assert.rejects(Promise.all(branches), TimeoutError);
      assert.deepEqual([loop.time(), second], [1, undefined]);
      await sleep(2);
      assert.equal(second, "second");
    }),
  );

  test(
    "a shielded scope keeps the cancellations of the scopes around it out",
    virtual(async () => {
      const log: unknown[] = [];
      const shield = new CancelScope({ shield: true });
      const result = await moveOnAfter(1, async () => {
        log.push(await shield.run(() => sleep(2, "shielded")));
        await sleep(1);
        log.push("not reached");
      });

      assert.deepEqual(log, ["shielded"]);
      assert.deepEqual(result, { cancelled: true });
    }),
  );

  test(
    "a shielded scope can be cancelled itself",
    virtual(async (loop) => {
      const shield = new CancelScope({ shield: true, deadline: 1 });

      await shield.run(() => sleep(10));

      assert.deepEqual([shield.cancelled, loop.time()], [true, 1]);
    }),
  );

  test(
    "a cancellation that finds nothing parked stays pending for the next operation",
    virtual(async (loop) => {
      const task = createTask(async () => {
        await new Promise((resolve) => setImmediate(resolve));
        await sleep(10);
      });
      await sleep(0);

      task.cancel();
      await rejection(task);

      assert.deepEqual([task.cancelled(), loop.time()], [true, 0]);
    }),
  );

  test(
    "a branch in a foreign await beside a parked one learns of it at the grace period only",
    virtual(async (loop) => {
      const log: unknown[] = [];
      const foreign = async (): Promise<void> => {
        await new Promise((resolve) => setImmediate(resolve));
        await sleep(100).finally(() => log.push(["beside", loop.time()]));
      };
      const task = createTask(
        async () => {
          const beside = foreign();
          await sleep(100).catch(() => log.push(["parked", loop.time()]));
          await beside;
        },
        { cancelGrace: 5 },
      );
      await sleep(0);

      task.cancel();
      await rejection(task);

      assert.deepEqual(log, [
        ["parked", 0],
        ["beside", 5],
      ]);
    }),
  );

  test(
    "cancelling counts, and uncancel takes one back (S38)",
    virtual(async () => {
      const task = createTask(() => sleep(10));
      await sleep(0);

      const answers = [task.cancel(), task.cancel(), task.cancelling(), task.uncancel()];
      await rejection(task);

      assert.deepEqual(answers, [true, true, 2, 1]);
    }),
  );

  test(
    "uncancel stops at 0 (S39)",
    virtual(async () => {
      const task = currentTask();

      assert.deepEqual([task?.uncancel(), task?.cancelling()], [0, 0]);
    }),
  );

  test(
    "uncancel back to 0 takes back a cancellation that was not delivered yet (S37)",
    virtual(async () => {
      const task = createTask(async () => {
        const self = currentTask();
        self?.cancel();
        self?.uncancel();
        return await sleep(1, "not cancelled");
      });

      assert.equal(await task, "not cancelled");
    }),
  );

  test(
    "a scope that has closed cannot be cancelled any more",
    virtual(async () => {
      const scope = new CancelScope();
      await scope.run(() => sleep(1));

      scope.cancel();

      assert.equal(scope.cancelled, false);
      await sleep(1);
    }),
  );

  test(
    "cancelling a task that is done answers false and changes nothing",
    virtual(async () => {
      const task = createTask(async () => "value");
      await task;

      assert.deepEqual([task.cancel(), task.cancelled(), task.cancelling()], [false, false, 0]);
    }),
  );

  test(
    "cancel only asks: the task is not cancelled before it has ended that way (S30)",
    virtual(async () => {
      const task = createTask(() => sleep(10));
      await sleep(0);

      task.cancel();
      const atOnce = [task.done(), task.cancelled()];
      await rejection(task);

      assert.deepEqual([...atOnce, task.done(), task.cancelled()], [false, false, true, true]);
    }),
  );
});

describe("R14: a CancelledError tells where it came from, and only its own scope swallows it", () => {
  test(
    "it carries the scope, the reason and the name of the task that asked",
    virtual(async () => {
      const task = createTask(() => sleep(10));
      await sleep(0);
      await createTask(async () => task.cancel("enough"), { name: "boss" });

      const error = (await rejection(task)) as CancelledError;

      assert.ok(error instanceof CancelledError);
      assert.equal(typeof error.scope, "object");
      assert.deepEqual(
        [error.reason, error.requestedBy, error.source],
        ["enough", "boss", "cancel"],
      );
      assert.equal(error.message, 'cancelled by task "boss": "enough"');
    }),
  );

  test(
    "a reason may be anything, and is passed on as it is (S41)",
    virtual(async () => {
      const reason = { code: 7 };
      const task = createTask(() => sleep(10));
      await sleep(0);
      task.cancel(reason);

      const error = (await rejection(task)) as CancelledError;

      assert.equal(error.reason, reason);
    }),
  );

  test(
    "a callback that cancels is no task: requestedBy is undefined",
    virtual(async (loop) => {
      const task = createTask(() => sleep(10));
      loop.callLater(1, () => task.cancel());

      const error = (await rejection(task)) as CancelledError;

      assert.equal(error.requestedBy, undefined);
    }),
  );

  const openers: Record<string, (body: () => Promise<unknown>) => Promise<unknown>> = {
    timeout: (body) => timeout(100, body),
    moveOnAfter: (body) => moveOnAfter(100, body),
    "CancelScope.run": (body) => new CancelScope().run(body),
    cleanup: (body) => cleanup(100, body),
    taskGroup: (body) => taskGroup(body),
    gather: (body) => gather(body),
  };
  for (const [name, open] of Object.entries(openers)) {
    test(
      `${name} lets a CancelledError of another scope pass as it is`,
      virtual(async () => {
        const foreign = (await rejection(
          createTask(async () => {
            currentTask()?.cancel();
            await sleep(1);
          }),
        )) as CancelledError;

        const error = await rejection(open(() => Promise.reject(foreign)));

        assert.equal(error, foreign);
      }),
    );
  }

  for (const name of ["timeout", "moveOnAfter", "CancelScope.run", "taskGroup", "gather"]) {
    test(
      `${name} lets the cancellation of the task around it pass`,
      virtual(async () => {
        const task = createTask(async () => {
          await openers[name]?.(() => sleep(10));
          assert.fail("not reached");
        });
        await sleep(1);

        task.cancel("outside");
        const error = (await rejection(task)) as CancelledError;

        assert.equal(task.cancelled(), true);
        assert.equal(error.reason, "outside");
      }),
    );
  }

  test(
    "a queue that is iterated lets a cancellation pass",
    virtual(async () => {
      const task = createTask(async () => {
        for await (const _ of new Queue<number>());
      });
      await sleep(0);

      task.cancel();
      await rejection(task);

      assert.equal(task.cancelled(), true);
    }),
  );

  test(
    "an error thrown in answer to a cancellation replaces it (S44)",
    virtual(async () => {
      const failure = new Error("expected");
      const task = createTask(() =>
        sleep(10).catch(() => {
          throw failure;
        }),
      );
      await sleep(0);

      task.cancel();

      assert.equal(await rejection(task), failure);
      assert.equal(task.cancelled(), false);
    }),
  );
});

describe("R17: a task that is cancelled before its first step starts all the same", () => {
  test(
    "and gets the CancelledError at its first wait (S14)",
    virtual(async () => {
      const log: string[] = [];
      const task = createTask(async () => {
        log.push("starts");
        try {
          await sleep(1);
          log.push("not reached");
        } finally {
          log.push("closes what it was given");
        }
      });

      task.cancel();
      await rejection(task);

      assert.deepEqual(log, ["starts", "closes what it was given"]);
      assert.equal(task.cancelled(), true);
    }),
  );

  test(
    "and ends with its value if it never waits",
    virtual(async () => {
      const task = createTask(async () => "value");

      task.cancel();

      assert.equal(await task, "value");
    }),
  );

  test(
    "a child of a group that is cancelled at once starts as well",
    virtual(async () => {
      const log: string[] = [];
      await taskGroup(async (group) => {
        group.createTask(async () => log.push("starts"));
        group.cancel();
      });

      assert.deepEqual(log, ["starts"]);
    }),
  );
});

describe("R18: cancelling a task cancels what it awaits", () => {
  test(
    "a task that it awaits (S31)",
    virtual(async () => {
      const inner = createTask(() => sleep(10));
      const outer = createTask(async () => await inner);
      await sleep(1);

      outer.cancel("stop");
      await rejection(outer);

      assert.deepEqual([inner.cancelled(), outer.cancelled()], [true, true]);
    }),
  );

  test(
    "a future that it awaits, and with it everybody else who awaits that one (S10, S32)",
    virtual(async () => {
      const future = new Future<void>();
      const one = createTask(async () => await future);
      const other = createTask(async () => await future);
      await sleep(1);

      one.cancel();
      await rejection(one);
      await rejection(other);

      assert.deepEqual([future.cancelled(), other.cancelled()], [true, true]);
    }),
  );

  test(
    "a pending cancellation that meets the await of a pending task (F21, S35)",
    virtual(async () => {
      const inner = createTask(() => sleep(10));
      const outer = createTask(async () => {
        currentTask()?.cancel();
        await inner;
      });

      await rejection(outer);

      assert.deepEqual([inner.cancelled(), outer.cancelled()], [true, true]);
    }),
  );

  test(
    "a deadline cancels the task that its body awaits",
    virtual(async (loop) => {
      const inner = createTask(() => sleep(10));

      await assert.rejects(
        timeout(1, async () => await inner),
        TimeoutError,
      );

      assert.deepEqual([inner.cancelled(), loop.time()], [true, 1]);
    }),
  );

  test(
    "then, catch and finally only observe: their task is not cancelled",
    virtual(async () => {
      const inner = createTask(() => sleep(10, "value"));
      const task = createTask(async () => {
        inner.then(() => {}).catch(() => {});
        await sleep(100);
      });
      await sleep(1);

      task.cancel();
      await rejection(task);

      assert.equal(await inner, "value");
    }),
  );

  test("a chain of 100,000 tasks is cancelled without overflowing the stack", async () => {
    const tasks: Task<void>[] = [];
    const chain = async (depth: number): Promise<void> => {
      if (depth === 0) return await sleep(3600);
      const next = createTask(() => chain(depth - 1));
      tasks.push(next);
      await next;
    };

    const [error, reports] = await run(async () => {
      const top = createTask(() => chain(100_000));
      while (tasks.length < 100_000) await sleep(0);
      const reports = collectReports(top.getLoop()); // a hook that overflows it would be told
      top.cancel();
      return [await rejection(top), reports];
    });

    assert.ok(error instanceof CancelledError);
    assert.deepEqual(reports, []);
    assert.equal(tasks.at(-1)?.cancelled(), true);
  });

  test("a tail of tasks that await each other costs the same for each of them", async (t) => {
    const looks = t.mock.method(Scope.prototype, "parkedWaits");

    await run(
      async () => {
        let tail: Task<unknown> = createTask(() => sleep(1));
        for (let count = 0; count < 300; count++) {
          const before = tail;
          tail = createTask(async () => await before);
        }
        await tail;
      },
      { loop: new VirtualLoop() },
    );

    assert.ok(looks.mock.callCount() < 2000, `${looks.mock.callCount()} looks at scopes`);
  });
});

describe("F1: the awaiter of a cancelled task waits until that has ended", () => {
  test(
    "and gets the CancelledError of its own scope, with the inner one as its cause (S42)",
    virtual(async (loop) => {
      const inner = createTask(async () => {
        await sleep(10).finally(() => sleep(2));
      });
      const outer = createTask(async () => await inner);
      await sleep(1);

      outer.cancel();
      const error = (await rejection(outer)) as CancelledError;

      assert.equal(loop.time(), 3);
      assert.equal(error.cause, await rejection(inner));
      assert.notEqual(error.scope, (error.cause as CancelledError).scope);
    }),
  );

  test(
    "and gets the value if the task swallowed the cancellation; its own stays pending",
    virtual(async () => {
      const log: unknown[] = [];
      const inner = createTask(() => sleep(10).catch(() => "value"));
      const outer = createTask(async () => {
        log.push(await inner);
        await sleep(1);
        log.push("not reached");
      });
      await sleep(1);

      outer.cancel();
      await rejection(outer);

      assert.deepEqual([log, outer.cancelled()], [["value"], true]);
    }),
  );

  test(
    "and gets the failure if the task failed instead; its own stays pending",
    virtual(async () => {
      const failure = new Error("expected");
      const inner = createTask(() => sleep(10).catch(() => Promise.reject(failure)));
      const log: unknown[] = [];
      const outer = createTask(async () => {
        log.push(await rejection(inner));
        await sleep(1);
      });
      await sleep(1);

      outer.cancel();
      await rejection(outer);

      assert.deepEqual([log, outer.cancelled()], [[failure], true]);
    }),
  );

  test(
    "a task cancelled by somebody else reaches its awaiter as it is (S32, S42)",
    virtual(async () => {
      const inner = createTask(() => sleep(10));
      const outer = createTask(async () => await inner);
      await sleep(1);

      inner.cancel("not by you");
      const error = await rejection(outer);

      assert.equal(error, await rejection(inner));
      assert.deepEqual([outer.cancelled(), outer.cancelling()], [true, 0]);
    }),
  );
});

describe("F2: a pending cancellation that meets no wait does not discard a result", () => {
  test(
    "of a task (S36)",
    virtual(async () => {
      const task = createTask(async () => {
        currentTask()?.cancel();
        return "value";
      });

      assert.equal(await task, "value");
      assert.equal(task.cancelled(), false);
    }),
  );

  test(
    "of a scope",
    virtual(async () => {
      const scope = new CancelScope();
      const value = await scope.run(async () => {
        scope.cancel();
        return "value";
      });

      assert.equal(value, "value");
      assert.deepEqual([scope.cancelCalled, scope.cancelled], [true, false]);
    }),
  );
});

describe("F3: a shielded scope opens in spite of a pending cancellation", () => {
  for (const [name, open] of Object.entries({
    cleanup: (body: () => Promise<string>) => cleanup(5, body),
    "a shielded CancelScope": (body: () => Promise<string>) =>
      new CancelScope({ shield: true }).run(body),
  })) {
    test(
      `${name} runs its body`,
      virtual(async () => {
        let log: unknown;
        const task = createTask(async () => {
          currentTask()?.cancel();
          log = await open(() => sleep(1, "cleaned up"));
          await sleep(1);
        });

        await rejection(task);

        assert.deepEqual([log, task.cancelled()], ["cleaned up", true]);
      }),
    );
  }

  test(
    "cleanup runs its body in a scope past its grace",
    virtual(async () => {
      let log: unknown;
      const task = createTask(
        async () => {
          try {
            await sleep(10);
          } finally {
            log = await cleanup(5, () => sleep(1, "cleaned up"));
          }
        },
        { cancelGrace: 0 },
      );
      await sleep(0);

      task.cancel();
      await rejection(task);

      assert.equal(log, "cleaned up");
    }),
  );

  test(
    "cleanup gives up after its seconds",
    virtual(async (loop) => {
      assert.equal(await cleanup(2, () => sleep(10, "late")), undefined);
      assert.equal(loop.time(), 2);
    }),
  );

  test(
    "awaiting a task that is done is not a wait: a pending cancellation does not meet it",
    virtual(async () => {
      const done = createTask(async () => "value");
      await done;
      const task = createTask(async () => {
        currentTask()?.cancel();
        return await done;
      });

      assert.equal(await task, "value");
    }),
  );
});

describe("F21: several cancellations before the delivery", () => {
  test(
    "are one CancelledError, with the first reason; the count keeps them all",
    virtual(async () => {
      const reasons: unknown[] = [];
      const task = createTask(async () => {
        const self = currentTask();
        self?.cancel("first");
        self?.cancel("second");
        reasons.push(((await rejection(sleep(1))) as CancelledError).reason);
        await sleep(1);
        return self?.cancelling();
      });

      assert.equal(await task, 2);
      assert.deepEqual(reasons, ["first"]);
    }),
  );

  test(
    "are one CancelledError for a parked task as well",
    virtual(async () => {
      let count = 0;
      const task = createTask(async () => {
        await sleep(10).catch(() => count++);
        await sleep(1);
      });
      await sleep(0);

      task.cancel();
      task.cancel();
      await task;

      assert.deepEqual([count, task.cancelling()], [1, 2]);
    }),
  );

  test(
    "a body that returns a value is finished, whatever was asked of it meanwhile (S33)",
    virtual(async () => {
      const task = createTask(() => sleep(10).catch(() => "value"));
      await sleep(0);

      task.cancel();

      assert.equal(await task, "value");
      assert.deepEqual([task.cancelled(), task.cancelling()], [false, 1]);
    }),
  );
});
