import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelScope,
  cleanup,
  createTask,
  currentTask,
  Future,
  gather,
  Lock,
  Queue,
  run,
  sleep,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

const forEver = Number.POSITIVE_INFINITY;

/** Lets no cancellation end it before the last of its `count` operations. */
async function swallow(count: number): Promise<void> {
  for (let left = count; left > 1; left--) await sleep(3600).catch(() => {});
  await sleep(3600);
}

/** Never lets a cancellation end it. */
async function swallowForEver(seconds: number): Promise<void> {
  for (;;) {
    try {
      await sleep(seconds);
    } catch {}
  }
}

describe("R15: a cancellation is delivered once, and insisted on after the grace period", () => {
  test(
    "code may await in catch and finally to clean up",
    virtual(async () => {
      const log: string[] = [];
      const task = createTask(async () => {
        try {
          await sleep(10);
        } catch (error) {
          log.push(await sleep(1, "catch"));
          throw error;
        } finally {
          log.push(await sleep(1, "finally"));
        }
      });
      await sleep(0);

      task.cancel();
      await rejection(task);

      assert.deepEqual([log, task.cancelled()], [["catch", "finally"], true]);
    }),
  );

  test(
    "a scope that has not ended after its grace period is cancelled again (S34)",
    virtual(async (loop) => {
      const times: number[] = [];
      const task = createTask(
        async () => {
          await sleep(100).catch(() => times.push(loop.time()));
          await sleep(100).finally(() => times.push(loop.time()));
        },
        { cancelGrace: 3 },
      );
      await sleep(1);

      task.cancel();
      await rejection(task);

      assert.deepEqual(times, [1, 4]);
    }),
  );

  test(
    "the grace period is 5 seconds if nobody says otherwise",
    virtual(async (loop) => {
      const task = createTask(async () => {
        await sleep(100).catch(() => {});
        await sleep(100);
      });
      await sleep(0);

      task.cancel();
      await rejection(task);

      assert.equal(loop.time(), 5);
    }),
  );

  test(
    "from then on every operation rejects at once",
    virtual(async (loop) => {
      const log: unknown[] = [];
      const task = createTask(
        async () => {
          for (let count = 0; count < 5; count++) {
            await sleep(100).catch((error) => log.push([loop.time(), error.name]));
          }
        },
        { cancelGrace: 2 },
      );
      await sleep(0);

      task.cancel();
      await task;

      const at = (time: number): unknown[] => [time, "CancelledError"];
      assert.deepEqual(log, [at(0), at(2), at(2), at(2), at(2)]);
    }),
  );

  test(
    "with a grace of 0 every operation rejects from the first cancellation on",
    virtual(async (loop) => {
      const log: unknown[] = [];
      const task = createTask(
        async () => {
          for (let count = 0; count < 3; count++) {
            await sleep(100).catch(() => log.push(loop.time()));
          }
        },
        { cancelGrace: 0 },
      );
      await sleep(1);

      task.cancel();
      await task;

      assert.deepEqual(log, [1, 1, 1]);
    }),
  );

  test(
    "with an endless grace a swallowed cancellation is forgotten (S34)",
    virtual(async (loop) => {
      const task = createTask(
        async () => {
          await sleep(10).catch(() => {});
          await sleep(1000);
          return "finished";
        },
        { cancelGrace: forEver },
      );
      await sleep(0);

      task.cancel();

      assert.equal(await task, "finished");
      assert.equal(loop.time(), 1000);
    }),
  );

  test(
    "uncancel back to 0 ends the grace period",
    virtual(async () => {
      const task = createTask(async () => {
        await sleep(10).catch(() => currentTask()?.uncancel());
        return await sleep(1000, "finished");
      });
      await sleep(0);

      task.cancel();

      assert.equal(await task, "finished");
    }),
  );

  test(
    "a cancellation after the last one was taken back has a grace period of its own",
    virtual(async (loop) => {
      const task = createTask(
        async () => {
          await sleep(100).catch(() => currentTask()?.uncancel());
          await sleep(100).catch(() => {});
          await sleep(100);
        },
        { cancelGrace: 3 },
      );
      await sleep(0);

      task.cancel();
      await sleep(10);
      task.cancel();
      await rejection(task);

      assert.equal(loop.time(), 13);
    }),
  );

  onBothLoops(
    "one without grace that is passed on leaves no timer of the one before",
    async (loop) => {
      const startedAt = loop.time();
      const task = createTask(() => swallow(3));
      await sleep(0.001);
      task.cancel(); // <- its grace period begins
      const scope = new CancelScope({ cancelGrace: 0, deadline: loop.time() + 0.001 });

      await scope.run(async () => await task);

      assert.ok(loop.time() - startedAt < 5, "the grace period was not waited for");
      assert.deepEqual([task.done(), loop.statistics().timers], [true, 0]);
    },
  );

  test(
    "uncancel back to 0 after the grace period: the next cancellation is delivered once",
    virtual(async () => {
      const task = createTask(
        async () => {
          const self = currentTask();
          await sleep(100).catch(() => {});
          await sleep(100).catch(() => self?.uncancel()); // <- the grace period is over
          self?.cancel();
          await sleep(100).catch(() => {});
          return await sleep(0.5, "cleaned up");
        },
        { cancelGrace: 1 },
      );
      await sleep(0);
      task.cancel();

      assert.equal(await task, "cleaned up");
    }),
  );

  test(
    "uncancel that leaves a count does not end the grace period",
    virtual(async (loop) => {
      const task = createTask(async () => {
        await sleep(10).catch(() => currentTask()?.uncancel());
        await sleep(1000);
      });
      await sleep(0);

      task.cancel();
      task.cancel();
      await rejection(task);

      assert.equal(loop.time(), 5);
    }),
  );

  test(
    "a second cancellation during the cleanup is delivered too, and does not move the grace period (S38)",
    virtual(async (loop) => {
      const times: number[] = [];
      const noteTime = (): number => times.push(loop.time());
      const task = createTask(
        async () => {
          for (let count = 0; count < 3; count++) await sleep(100).catch(noteTime);
        },
        { cancelGrace: 4 },
      );
      await sleep(0);

      task.cancel();
      await sleep(1);
      task.cancel();
      await task;

      assert.deepEqual(times, [0, 1, 4]);
    }),
  );

  test("a task that swallows its cancellations in an endless loop is stopped", async () => {
    const loop = new VirtualLoop();
    const reports = collectReports(loop);

    await run(
      async () => {
        const task = createTask(() => swallowForEver(1), { name: "stubborn" });
        await sleep(0);
        task.cancel();
        await rejection(task);
        assert.equal(task.cancelled(), true);
      },
      { loop },
    );

    assert.ok(reports.some(({ message }) => message.includes('"stubborn"')));
  });

  test("debug mode names a task that was cancelled and has not ended, and what it waits for", async () => {
    const loop = new VirtualLoop({ debug: true });
    const reports = collectReports(loop);

    await run(
      async () => {
        const task = createTask(
          async () => {
            await sleep(1).catch(() => {});
            await sleep(1000);
          },
          { name: "stubborn" },
        );
        await sleep(0);
        task.cancel();
        await rejection(task);
      },
      { loop },
    );

    assert.equal(reports.length, 1);
    assert.match(
      reports[0]?.message ?? "",
      /"stubborn" has not ended 5 s after .*swallowed .*sleep/,
    );
    assert.match(reports[0]?.sourceTraceback ?? "", /delivery\.test\.ts/);
  });

  test("debug mode names a task that was cancelled and sits in a foreign await", async () => {
    const loop = new VirtualLoop({ debug: true });
    const reports = collectReports(loop);
    let release: (() => void) | undefined;

    await run(
      async () => {
        const task = createTask(() => new Promise<void>((resolve) => (release = resolve)), {
          name: "foreign",
        });
        await sleep(0);
        task.cancel();
        await sleep(6);
        release?.();
        await task;
      },
      { loop },
    );

    assert.match(reports[0]?.message ?? "", /"foreign" has not ended .* foreign await/);
  });

  test(
    "an endless catch after the grace period lets the host have its turn (F4)",
    virtual(async () => {
      let release = false;
      const immediates: string[] = [];
      const task = createTask(
        async () => {
          while (!release) await sleep(1).catch(() => {});
        },
        { cancelGrace: 0 },
      );
      await sleep(0);

      task.cancel();
      await new Promise((resolve) => setImmediate(resolve));
      immediates.push("had its turn");
      release = true;
      await task;

      assert.deepEqual(immediates, ["had its turn"]);
    }),
  );

  const ended: Record<string, (body: () => Promise<void>) => Promise<unknown>> = {
    "past its grace period": async (body) => {
      const scope = new CancelScope({ cancelGrace: 0 });
      const running = scope.run(body);
      await sleep(0.001);
      scope.cancel();
      await running;
    },
    "that has ended": async (body) => {
      let branch: Promise<void> | undefined;
      await new CancelScope().run(async () => {
        branch = body(); // <- not awaited
      });
      await branch;
    },
  };
  for (const [name, run] of Object.entries(ended))
    onBothLoops(`each rejection in a scope ${name} takes a turn of the host (F4)`, async (loop) => {
      loop.setExceptionHandler(() => {}); // of the branch that is not awaited
      let rejections = 0;
      let hostHadItsTurn = false;
      await run(async () => {
        while (!hostHadItsTurn) {
          await sleep(3600).catch(() => rejections++);
          if (rejections === 1) setImmediate(() => setImmediate(() => (hostHadItsTurn = true)));
        }
      });

      assert.ok(rejections < 10, `${rejections} rejections`);
    });

  test("debug mode does not complain of a scope that has no grace period", async () => {
    const loop = new VirtualLoop({ debug: true });
    const reports = collectReports(loop);

    await run(
      async () => {
        const task = createTask(() => sleep(1).catch(() => sleep(1)), { cancelGrace: 0 });
        await sleep(0);
        task.cancel();
        await rejection(task);
      },
      { loop },
    );

    assert.deepEqual(reports, []);
  });

  const joins: Record<string, (child: () => Promise<void>) => Promise<unknown>> = {
    "a task group": (child) => taskGroup(async (group) => void group.createTask(child)),
    "gather of a thunk": (child) => gather(child),
    "an awaited task": async (child) => await createTask(child, { cancelGrace: forEver }),
  };
  for (const [name, join] of Object.entries(joins)) {
    test(
      `the join of ${name} is not rejected before the child has ended, not even after the grace`,
      virtual(async (loop) => {
        let childEnded = 0;
        const child = async (): Promise<void> => {
          try {
            await sleep(100);
          } finally {
            await cleanup(50, () => sleep(20));
            childEnded = loop.time();
          }
        };
        const task = createTask(() => join(child), { cancelGrace: 2 });
        await sleep(1);

        task.cancel();
        await rejection(task);

        assert.deepEqual([childEnded, loop.time(), task.cancelled()], [21, 21, true]);
      }),
    );

    test(
      `the join of ${name} forwards the cancellation to the child`,
      virtual(async (loop) => {
        const task = createTask(() => join(() => sleep(100)));
        await sleep(1);

        task.cancel();
        await rejection(task);

        assert.deepEqual([loop.time(), task.cancelled()], [1, true]);
      }),
    );
  }
});

describe("R13: who does not await an operation loses no cancellation", () => {
  const settled = Promise.resolve();
  const operations: Record<string, () => PromiseLike<unknown>> = {
    sleep: () => sleep(1),
    "a lock": () => new Lock().acquire(),
    "a put": () => new Queue<number>().put(1),
    "an await of a future": async () => await new Future(),
    "a task group": () => taskGroup(async () => {}),
    "a timeout": () => timeout(1, async () => {}),
    gather: () => gather(async () => {}),
    "a run": () => run(async () => {}),
  };

  for (const [name, begin] of Object.entries(operations)) {
    onBothLoops(`${name}: the operation after it hears of it as well`, async (loop) => {
      const startedAt = loop.time();
      const task = createTask(async () => {
        currentTask()?.cancel(); // nobody is parked
        begin().then(undefined, () => {});
        await sleep(3600);
      });

      await rejection(task);

      assert.ok(task.cancelled());
      assert.ok(loop.time() - startedAt < 1, "the grace period was not waited for");
    });
  }

  onBothLoops("also one that a branch has missed in a nested scope", async (loop) => {
    const startedAt = loop.time();
    const foreign = Promise.withResolvers<void>();
    const task = createTask(async () => {
      const branch = timeout(3600, async () => {
        await foreign.promise;
        sleep(1).catch(() => {});
        await sleep(3600);
      });
      await gather(
        () => sleep(3600),
        () => branch,
      );
    });
    await sleep(0.001);

    task.cancel();
    await sleep(0.001);
    foreign.resolve();
    await rejection(task);

    assert.ok(loop.time() - startedAt < 1, "the grace period was not waited for");
  });

  onBothLoops("what cleans up after it is let through", async () => {
    const log: string[] = [];
    const task = createTask(async () => {
      currentTask()?.cancel();
      try {
        await Promise.all([sleep(1), sleep(1)]);
      } finally {
        log.push(await sleep(0.001, "cleaned up"));
      }
    });

    await rejection(task);

    assert.deepEqual(log, ["cleaned up"]);
  });

  onBothLoops("and so is what begins when it was taken back", async () => {
    const task = createTask(async () => {
      currentTask()?.cancel();
      sleep(1).catch(() => {});
      currentTask()?.uncancel();
      await settled;
      return await sleep(0.001, "goes on");
    });

    assert.equal(await task, "goes on");
  });
});
