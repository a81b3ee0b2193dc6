import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  asCompleted,
  CancelledError,
  CancelScope,
  cleanup,
  createTask,
  Future,
  gather,
  getRunningLoop,
  HostLoop,
  moveOnAfter,
  Queue,
  race,
  run,
  sleep,
  type Task,
  TimeoutError,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { onBothLoops } from "../both-loops.ts";
import { limitOnceWaiting } from "../limit-once-waiting.ts";
import { collectReports, rejection } from "../virtual.ts";

function failedFuture(error: unknown): Future<never> {
  const future = new Future<never>();
  future.setException(error);
  return future;
}

function doneFuture<T>(value: T): Future<T> {
  const future = new Future<T>();
  future.setResult(value);
  return future;
}

describe("R9: an endless loop over what is done lets the host have its turn", () => {
  const doneThings: Record<string, () => PromiseLike<unknown>> = {
    "a future with a value": () => doneFuture(1),
    "a future that has failed": () => failedFuture(new Error("no")),
    "a task that has ended": () => createTask(async () => 1),
    "a task that was cancelled": () => {
      const task = createTask(async () => 1, { signal: AbortSignal.abort() });
      return task;
    },
  };

  for (const [name, make] of Object.entries(doneThings)) {
    test(name, async () => {
      await run(async () => {
        const done = make();
        await Promise.resolve(done).catch(() => {});
        let isRunning = true;
        setTimeout(() => {
          isRunning = false;
        }, 1);
        while (isRunning) {
          try {
            await done;
          } catch {}
        }
      });
    });

    test(`${name}, by Promise.all`, async () => {
      await run(async () => {
        const done = make();
        await Promise.resolve(done).catch(() => {});
        let isRunning = true;
        setTimeout(() => {
          isRunning = false;
        }, 1);
        while (isRunning) await Promise.allSettled([done]);
      });
    });
  }

  const shutQueue = (): Queue<number> => {
    const queue = new Queue<number>();
    queue.shutdown();
    return queue;
  };
  const loopsOver: Record<string, () => () => PromiseLike<unknown>> = {
    "future.then(fn)": () => {
      const done = doneFuture(1);
      return () => done.then(() => {});
    },
    "failed.catch(fn)": () => {
      const failed = failedFuture(new Error("no"));
      return () => failed.catch(() => {});
    },
    "future.finally(fn)": () => {
      const done = doneFuture(1);
      return () => done.finally(() => {});
    },
    "the iteration of a queue that is shut down": () => {
      const queue = shutQueue();
      return async () => {
        for await (const _ of queue);
      };
    },
    "next of an asCompleted that has given all": () => {
      const completions = asCompleted<number>([]);
      return () => completions.next();
    },
  };

  for (const [name, prepare] of Object.entries(loopsOver)) {
    test(name, async () => {
      await run(async () => {
        const again = prepare();
        let isRunning = true;
        setTimeout(() => {
          isRunning = false;
        }, 1);
        while (isRunning) await again();
      });
    });
  }

  onBothLoops("the iteration of a queue that is shut down hears of a cancellation", async () => {
    const queue = shutQueue();
    const scope = new CancelScope();
    await scope.run(async () => {
      scope.cancel();
      for (let count = 0; count < 10; count++) for await (const _ of queue);
    });

    assert.ok(scope.cancelled);
  });

  test("also where the future is of a loop that has ended", async () => {
    const done = await run(async () => [doneFuture(1)]);
    await run(async () => {
      let isRunning = true;
      setTimeout(() => {
        isRunning = false;
      }, 1);
      while (isRunning) for (const future of done) await future;
    });
  });
});

describe("an await of what is done takes one microtask, whatever it ended with", () => {
  onBothLoops("a race goes by the order of its list, not by failure or value", async () => {
    const error = new Error("first");
    const failedFirst = race(
      () => failedFuture(error),
      () => doneFuture(2),
    );
    assert.equal(await rejection(failedFirst), error);
  });

  test("so does Promise.race, and so does a cancelled one", () =>
    run(async () => {
      const error = new Error("first");
      assert.equal(await rejection(Promise.race([failedFuture(error), doneFuture(2)])), error);

      const cancelled = new Future<number>();
      cancelled.cancel();
      const first = await rejection(Promise.race([cancelled, doneFuture(2)]));
      assert.ok(first instanceof CancelledError);
    }));

  test("the await of a failed future is a look at its failure", async () => {
    const loop = new HostLoop();
    const reports = collectReports(loop);
    await run(
      async () => {
        const failed = failedFuture(new Error("seen"));
        await assert.rejects(async () => await failed, /seen/);
      },
      { loop },
    );

    assert.deepEqual(reports, []);
  });

  test("a failure that nobody awaits is reported", async () => {
    const loop = new HostLoop();
    const reports = collectReports(loop);
    await run(async () => void failedFuture(new Error("unseen")), { loop });

    assert.deepEqual(
      reports.map(({ exception }) => String(exception)),
      ["Error: unseen"],
    );
  });
});

describe("R8: an await of a task meets what is pending, and rejects also if the task gives a value", () => {
  test("a loop over short tasks hears of a deadline", () =>
    run(async () => {
      let count = 0;
      const late = timeout(3600, async (limit) => {
        for (;;) {
          count += await createTask(async () => 1);
          if (count === 1) limit.reschedule(getRunningLoop().time() + 0.002);
        }
      });

      await assert.rejects(late, TimeoutError);
      assert.ok(count > 0);
    }));

  const endless: Record<string, () => Promise<void>> = {
    "short tasks": async () => {
      for (;;) await createTask(async () => 1);
    },
    gather: async () => {
      for (;;) await gather(async () => 1);
    },
    taskGroup: async () => {
      for (;;) await taskGroup(async (group) => void group.createTask(async () => 1));
    },
    asCompleted: async () => {
      for (;;) for await (const _ of asCompleted([createTask(async () => 1)]));
    },
    race: async () => {
      for (;;) await race(async () => 1);
    },
  };
  for (const [name, spin] of Object.entries(endless)) {
    onBothLoops(`an endless loop over ${name} hears of a cancel`, async () => {
      const spinning = createTask(spin);
      for (let turn = 0; turn < 3; turn++) await sleep(0);
      spinning.cancel("enough");

      const error = await rejection(spinning);
      assert.ok(error instanceof CancelledError && error.reason === "enough");
    });
  }

  onBothLoops("the task has ended by then, and keeps its value", async () => {
    let inner: Task<string> | undefined;
    const moved = await moveOnAfter(0, async () => {
      inner = createTask(async () => "value");
      return await inner;
    });

    assert.ok(moved.cancelled);
    assert.equal(inner?.result(), "value");
  });

  onBothLoops("it rejects once: what cleans up may await a task", async () => {
    const log: string[] = [];
    await moveOnAfter(0, async () => {
      try {
        await createTask(async () => "lost");
      } finally {
        log.push(await createTask(() => sleep(0.001, "cleaned up")));
      }
    });

    assert.deepEqual(log, ["cleaned up"]);
  });

  onBothLoops(
    "a failure of the task goes first, and the cancellation comes at the next wait",
    async () => {
      const log: unknown[] = [];
      await moveOnAfter(0, async () => {
        const failing = createTask(async () => {
          throw new Error("broken");
        });
        log.push(String(await rejection(failing)));
        await sleep(0).catch((error) => {
          log.push(error instanceof CancelledError);
          throw error;
        });
      });

      assert.deepEqual(log, ["Error: broken", true]);
    },
  );

  onBothLoops("an await that began before the cancellation gives the value", async () => {
    const answering = createTask(async () => {
      await sleep(3600).catch(() => {});
      return "answer";
    });
    const moved = await limitOnceWaiting(async () => await answering);

    assert.deepEqual(moved, { cancelled: false, value: "answer" });
  });

  onBothLoops("in a shield nothing is met", async () => {
    const moved = await moveOnAfter(0, async () => {
      const kept = await cleanup(1, async () => await createTask(async () => "kept"));
      assert.equal(kept, "kept");
      await sleep(0);
    });

    assert.ok(moved.cancelled);
  });
});

describe("R29: a task whose signal has aborted before ends cancelled, and has not started", () => {
  const reason = new Error("the client has gone");
  const signal = AbortSignal.abort(reason);

  const starts: Record<string, (body: () => Promise<void>) => PromiseLike<unknown>> = {
    createTask: async (body) => await createTask(body, { signal }),
    "an eager start": async (body) => await createTask(body, { signal, eagerStart: true }),
    "group.createTask": (body) =>
      taskGroup(async (group) => await group.createTask(body, { signal })),
    "a group with a limit": (body) =>
      taskGroup(async (group) => await group.createTask(body, { signal }), { limit: 1 }),
    "group.start": (body) => taskGroup((group) => group.start(() => body(), { signal })),
  };

  for (const [name, start] of Object.entries(starts)) {
    onBothLoops(name, async () => {
      let hasStarted = false;
      const error = await rejection(
        start(async () => {
          hasStarted = true;
        }),
      );

      assert.ok(error instanceof CancelledError);
      assert.deepEqual([error.cause, error.source, hasStarted], [reason, "abort", false]);
    });
  }

  onBothLoops("its siblings go on, and its place is free for the next", async () => {
    const log: string[] = [];
    await taskGroup(
      async (group) => {
        group.createTask(async () => void log.push("never"), { signal });
        group.createTask(async () => void log.push(await sleep(0.001, "sibling")));
      },
      { limit: 1 },
    );

    assert.deepEqual(log, ["sibling"]);
  });
});
