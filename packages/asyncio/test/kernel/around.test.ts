// R14: a scope and one around it are cancelled, the outer one first. The body hears of that one and
// cleans up, or swallows it. Then the inner one is cancelled. It must not swallow or convert its
// own error: nobody would hear of the outer one any more.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  CancelScope,
  cleanup,
  createTask,
  currentTask,
  Event,
  ExceptionGroup,
  moveOnAfter,
  run,
  sleep,
  type Timeout,
  TimeoutError,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { onBothLoops } from "../both-loops.ts";
import { rejection } from "../virtual.ts";

const forEver = 3600;

/** Cancels the scope that it is called in. */
type End = () => void;
type Inner = (body: (end: End) => Promise<void>) => Promise<unknown>;

const inners: Record<string, Inner> = {
  timeout: (body) => timeout(forEver, (scope) => body(() => expire(scope))),
  "a cancel scope": (body) => {
    const scope = new CancelScope();
    return scope.run(() => body(() => scope.cancel()));
  },
  "a signal": (body) => {
    const controller = new AbortController();
    const options = { signal: controller.signal };
    return timeout(null, () => body(() => controller.abort(new Error("aborted"))), options);
  },
  "two scopes": (body) =>
    timeout(forEver, (first) => {
      const second = new CancelScope();
      return second.run(() =>
        body(() => {
          expire(first);
          second.cancel();
        }),
      );
    }),
};

function expire(scope: Timeout): void {
  scope.reschedule(0);
}

/** What the body does when it hears of the outer cancellation; it has not ended then. */
const bodies: Record<string, (end: End) => Promise<void>> = {
  "which cleans up": async (end) => {
    try {
      await sleep(forEver);
    } finally {
      end();
      await sleep(forEver);
    }
  },
  "which swallows it": async (end) => {
    await sleep(forEver).catch(() => {});
    end();
    await sleep(forEver);
  },
  "which swallows it deep inside": async (end) => {
    await moveOnAfter(forEver, () => taskGroup(() => sleep(forEver))).catch(() => {});
    end();
    await sleep(forEver);
  },
};

for (const [innerName, inner] of Object.entries(inners))
  for (const [bodyName, body] of Object.entries(bodies)) {
    describe(`S80: ${innerName} around a body ${bodyName}`, () => {
      let wentOn: boolean;
      const work = async (): Promise<void> => {
        wentOn = false;
        await inner(body);
        wentOn = true;
      };

      onBothLoops("its task is cancelled", async () => {
        const task = createTask(work);
        await sleep(0);
        task.cancel("enough");

        const error = await rejection(task);

        assert.ok(error instanceof CancelledError);
        assert.deepEqual([task.cancelled(), error.reason, wentOn], [true, "enough", false]);
        assert.ok(error.cause instanceof CancelledError); // that of the inner scope
      });

      onBothLoops("a timeout around it expires", async () => {
        const error = await rejection(
          timeout(forEver, async (scope) => {
            createTask(async () => expire(scope));
            await work();
          }),
        );

        assert.ok(error instanceof TimeoutError);
        assert.equal(wentOn, false);
      });

      onBothLoops("a scope around it is cancelled", async () => {
        const scope = new CancelScope();
        await scope.run(async () => {
          createTask(async () => scope.cancel());
          await work();
        });

        assert.equal(wentOn, false);
      });

      onBothLoops("its group fails", async () => {
        const failure = new Error("no");
        const error = await rejection(
          taskGroup(async (group) => {
            group.createTask(async () => {
              throw failure;
            });
            await work();
          }),
        );

        assert.ok(error instanceof ExceptionGroup);
        assert.deepEqual([error.errors, wentOn], [[failure], false]);
      });
    });
  }

describe("S90: a group fails whose body has heard of a scope around it", () => {
  const cleanups: Record<string, () => Promise<void>> = {
    "and fails in its cleanup": async () => {
      await sleep(forEver).catch(async () => {
        await sleep(0.001);
        throw new Error("no");
      });
    },
    "and throws in its place": async () => {
      await sleep(forEver).catch(() => {
        throw new Error("no");
      });
    },
  };
  for (const [name, body] of Object.entries(cleanups)) {
    const fails = async (log: string[]): Promise<void> => {
      await taskGroup(body).catch((error) => log.push(error.name));
      await sleep(0.001);
      log.push("went on");
    };

    onBothLoops(`${name}: its task is cancelled`, async () => {
      const log: string[] = [];
      const task = createTask(() => fails(log));
      await sleep(0);
      task.cancel("enough");

      assert.equal(((await rejection(task)) as CancelledError).reason, "enough");
      assert.deepEqual(log, ["ExceptionGroup"]);
    });

    onBothLoops(`${name}: a timeout around it expires`, async () => {
      const log: string[] = [];
      const error = await rejection(
        timeout(forEver, async (scope) => {
          createTask(async () => expire(scope));
          await fails(log);
        }),
      );

      assert.ok(error instanceof TimeoutError);
      assert.deepEqual(log, ["ExceptionGroup"]);
    });

    onBothLoops(`${name}: the cancellation was taken back`, async () => {
      const log: string[] = [];
      const task = createTask(async () => {
        await taskGroup(() =>
          body().catch((error) => {
            currentTask()?.uncancel();
            throw error;
          }),
        ).catch((error) => log.push(error.name));
        return await sleep(0, "went on");
      });
      await sleep(0);
      task.cancel();

      assert.equal(await task, "went on");
      assert.deepEqual(log, ["ExceptionGroup"]);
    });
  }
});

test("the run ends", async () => {
  let wentOn = false;
  const controller = new AbortController();
  const main = async (): Promise<void> => {
    await timeout(forEver, async (scope) => {
      try {
        controller.abort("over");
        await sleep(forEver);
      } finally {
        expire(scope);
        await sleep(forEver);
      }
    });
    wentOn = true;
  };

  const thrown = await rejection(run(main, { signal: controller.signal }));

  assert.deepEqual([thrown, wentOn], ["over", false]);
});

describe("a scope that is cancelled before it begins does not take what keeps it from beginning", () => {
  const early: Record<string, () => Promise<unknown>> = {
    "a cancel scope": () => {
      const scope = new CancelScope();
      scope.cancel();
      return scope.run(async () => "ran");
    },
    "a timeout whose signal aborts then": () => {
      const controller = new AbortController();
      const { signal } = controller;
      const ended = timeout(forEver, async () => "ran", { signal });
      controller.abort(new Error("aborted"));
      return ended;
    },
  };
  for (const [name, open] of Object.entries(early))
    onBothLoops(name, async () => {
      let wentOn = false;
      const task = createTask(async () => {
        currentTask()?.cancel("enough");
        await open();
        wentOn = true;
      });

      const error = (await rejection(task)) as CancelledError;

      assert.deepEqual([task.cancelled(), error.reason, wentOn], [true, "enough", false]);
    });
});

describe("what is not overtaken", () => {
  onBothLoops("a scope that began after the other was cancelled", async () => {
    const task = createTask(async () => {
      await sleep(forEver).catch(() => {});
      await assert.rejects(
        timeout(forEver, async (scope) => {
          expire(scope);
          await sleep(forEver);
        }),
        TimeoutError,
      );
      return (await moveOnAfter(0, () => sleep(forEver))).cancelled;
    });
    await sleep(0);
    task.cancel();

    assert.equal(await task, true);
  });

  onBothLoops("its error, thrown again in a scope that is cancelled in the cleanup", async () => {
    const outer = new CancelScope();
    let wentOn = false;

    await outer.run(async () => {
      createTask(async () => outer.cancel());
      await sleep(forEver).catch(async (error) => {
        const inner = new CancelScope();
        await inner.run(async () => {
          inner.cancel();
          await sleep(forEver).catch(() => {});
          throw error;
        });
        wentOn = true;
      });
    });

    assert.deepEqual([outer.cancelled, wentOn], [true, false]);
  });

  onBothLoops("a cancellation that was taken back", async () => {
    const task = createTask(() =>
      timeout(forEver, async (scope) => {
        await sleep(forEver).catch(() => currentTask()?.uncancel());
        expire(scope);
        await sleep(forEver);
      }),
    );
    await sleep(0);
    task.cancel();

    await assert.rejects(task, TimeoutError);
  });

  onBothLoops("one that was taken back, unlike another one after it", async () => {
    const isBack = new Event();
    const task = createTask(() =>
      timeout(forEver, async (scope) => {
        await sleep(forEver).catch(() => currentTask()?.uncancel());
        isBack.set();
        await sleep(forEver).catch(() => {});
        expire(scope);
        await sleep(forEver);
      }),
    );
    await sleep(0);
    task.cancel("first");
    await isBack.wait();
    await sleep(0);
    task.cancel("second");

    assert.equal(((await rejection(task)) as CancelledError).reason, "second");
  });

  onBothLoops("a scope between, when that of the task was taken back", async () => {
    const hasBegun = new Event();
    const log: string[] = [];
    const task = createTask(() =>
      timeout(forEver, (outer) =>
        timeout(forEver, async (inner) => {
          expire(outer);
          await sleep(forEver).catch(() => hasBegun.set());
          await sleep(forEver).catch(() => currentTask()?.uncancel());
          expire(inner);
          await sleep(forEver);
        }).catch((error) => {
          log.push(error.name);
          throw error;
        }),
      ),
    );
    await hasBegun.wait();
    await sleep(0);
    task.cancel();

    await assert.rejects(task, TimeoutError);
    assert.deepEqual(log, ["CancelledError"]);
  });

  for (const order of ["from the outside in", "from the inside out"])
    onBothLoops(`the latest of two scopes around, cancelled ${order}`, async () => {
      const [outer, middle] = [new CancelScope(), new CancelScope()];
      const scopes = order === "from the outside in" ? [outer, middle] : [middle, outer];
      const log: unknown[] = [];
      const result = await outer.run(async () => {
        await middle.run(async () => {
          const inner = timeout(forEver, async (deadline) => {
            for (const scope of scopes) {
              scope.cancel(scope === outer ? "outer" : "middle");
              await sleep(forEver).catch(() => {});
            }
            expire(deadline);
            await sleep(forEver);
          });
          await inner.catch((error) => {
            log.push(error.reason);
            throw error;
          });
        });
        log.push("went on");
      });

      assert.deepEqual([result, log], [undefined, [scopes[1] === outer ? "outer" : "middle"]]);
    });

  onBothLoops("the end of the time of a cleanup, during which its task is cancelled", async () => {
    const log: unknown[] = [];
    const task = createTask(async () => {
      const cleaned = await cleanup(0.001, async () => {
        currentTask()?.cancel();
        await sleep(forEver);
      });
      log.push(cleaned);
      await sleep(forEver);
    });

    await assert.rejects(task, CancelledError);
    assert.deepEqual(log, [undefined]);
  });

  onBothLoops("the time of a shield", async () => {
    let isCleaned = false;
    const task = createTask(async () => {
      try {
        await sleep(forEver);
      } finally {
        await cleanup(forEver, async () => {
          await moveOnAfter(0, () => sleep(forEver));
          isCleaned = true;
        });
      }
    });
    await sleep(0);
    task.cancel();

    await assert.rejects(task, CancelledError);
    assert.ok(isCleaned);
  });

  onBothLoops("a scope inside a shield that was open when the other was cancelled", async () => {
    let isCleaned = false;
    const task = createTask(async () => {
      await cleanup(forEver, async () => {
        const scope = new CancelScope();
        await scope.run(async () => {
          createTask(async () => {
            task.cancel();
            scope.cancel();
          });
          await sleep(forEver);
        });
        isCleaned = true;
        await sleep(0);
      });
      await sleep(forEver);
    });

    await assert.rejects(task, CancelledError);
    assert.ok(isCleaned);
  });
});
