import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelScope,
  cleanup,
  createTask,
  Event,
  type EventLoop,
  gather,
  getRunningLoop,
  Lock,
  mapConcurrent,
  moveOnAfter,
  Queue,
  run,
  Semaphore,
  sleep,
  TimeoutError,
  taskGroup,
  timeLeft,
  timeout,
  wait,
} from "../../src/index.ts";

/** Keeps the thread busy until `seconds` have passed: no timer of the host can fire meanwhile. */
function burn(seconds: number, loop: EventLoop = getRunningLoop()): void {
  const end = loop.time() + seconds;
  while (loop.time() < end);
}

/** No operation: so another branch is the first to begin one. */
const nextHostTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("R8: on the real loop, the first operation begun after a deadline notices it", () => {
  const operations: Record<string, () => PromiseLike<unknown>> = {
    "a free lock": () => new Lock().acquire(),
    "a free semaphore": () => new Semaphore(1).acquire(),
    "a set event": () => {
      const event = new Event();
      event.set();
      return event.wait();
    },
    "a put with room": () => new Queue<number>().put(1),
    "a get of what is there": () => {
      const queue = new Queue<number>();
      queue.putNowait(1);
      return queue.get();
    },
    "sleep(0)": () => sleep(0),
    "a nested timeout": () => timeout(1, async () => {}),
    "a task group": () => taskGroup(async () => {}),
    "the await of a task": async () => await createTask(async () => {}),
    wait: () => wait([createTask(async () => {})]),
  };

  for (const [name, operation] of Object.entries(operations)) {
    test(name, () =>
      run(async () => {
        let isPast = false;
        const moved = await moveOnAfter(0.001, async () => {
          burn(0.002);
          await operation();
          isPast = true;
        });

        assert.deepEqual([moved.cancelled, isPast], [true, false]);
      }),
    );
  }

  test("an operation changes nothing when it is too late", () =>
    run(async () => {
      const queue = new Queue<number>();
      await moveOnAfter(0.001, async () => {
        burn(0.002);
        await queue.put(1);
      });

      assert.ok(queue.empty());
    }));

  test("in a scope without a deadline inside one with it", () =>
    run(async () => {
      const late = timeout(0.001, () =>
        taskGroup(async () => {
          burn(0.002);
          await new Lock().acquire();
        }),
      );

      await assert.rejects(late, TimeoutError);
    }));

  const owners: Record<string, (child: () => Promise<void>) => PromiseLike<unknown>> = {
    "a child of a group": (child) => taskGroup(async (group) => void group.createTask(child)),
    "a child of a group in a group": (child) =>
      taskGroup(async (outer) => {
        outer.createTask(() => taskGroup(async (inner) => void inner.createTask(child)));
      }),
    "a thunk of a gather": (child) => gather(child),
    "a worker of mapConcurrent": async (child) => {
      for await (const _ of mapConcurrent([1], child, { limit: 1 }));
    },
  };

  for (const [name, own] of Object.entries(owners)) {
    test(`${name}, whose owner is under the deadline`, () =>
      run(async () => {
        let isPast = false;
        const moved = await moveOnAfter(0.001, () =>
          own(async () => {
            burn(0.002);
            await new Lock().acquire();
            isPast = true;
          }),
        );

        assert.deepEqual([moved.cancelled, isPast], [true, false]);
      }));
  }

  for (const [name, own] of Object.entries(owners)) {
    test(`${name}, and the deadline is set while it runs`, () =>
      run(async () => {
        let isPast = false;
        const scope = new CancelScope();
        await scope.run(() =>
          own(async () => {
            await sleep(0);
            scope.deadline = getRunningLoop().time() + 0.001;
            burn(0.002);
            await new Lock().acquire();
            isPast = true;
          }),
        );

        assert.deepEqual([scope.cancelCalled, isPast], [true, false]);
      }));
  }

  const longAround: Record<string, (body: () => Promise<void>) => PromiseLike<unknown>> = {
    itself: (body) => body(),
    "an inner timeout": (body) => timeout(60, body),
    "a task": (body) => taskGroup(async (group) => void group.createTask(body)),
    "a task of a task": (body) =>
      taskGroup(async (outer) => {
        outer.createTask(() => taskGroup(async (inner) => void inner.createTask(body)));
      }),
  };
  for (const [name, nest] of Object.entries(longAround)) {
    test(`a deadline of a minute that is moved to now, by ${name}, when operations have looked`, () =>
      run(async () => {
        let isPast = false;
        const scope = new CancelScope({ deadline: getRunningLoop().time() + 60 });
        await scope.run(() =>
          nest(async () => {
            for (let turn = 0; turn < 3; turn++) await sleep(0);
            scope.deadline = getRunningLoop().time() + 0.001;
            burn(0.002);
            await new Lock().acquire();
            isPast = true;
          }),
        );

        assert.deepEqual([scope.cancelCalled, isPast], [true, false]);
      }));
  }

  test("the outer deadline, when the inner one that came first was moved behind it", () =>
    run(async () => {
      let isPast = false;
      const outer = new CancelScope({ deadline: getRunningLoop().time() + 60 });
      await outer.run(() =>
        timeout(30, async (inner) => {
          await sleep(0);
          inner.reschedule(getRunningLoop().time() + 600);
          await sleep(0);
          outer.deadline = getRunningLoop().time() + 0.001;
          burn(0.002);
          await new Lock().acquire();
          isPast = true;
        }),
      );

      assert.deepEqual([outer.cancelCalled, isPast], [true, false]);
    }));

  test("one that is set just before the task is made, by its first operation", () =>
    run(async () => {
      let isPast = false;
      const scope = new CancelScope();
      await scope.run(() =>
        taskGroup(async (group) => {
          scope.deadline = getRunningLoop().time() + 0.001;
          group.createTask(async () => {
            burn(0.002);
            await new Lock().acquire();
            isPast = true;
          });
        }),
      );

      assert.deepEqual([scope.cancelCalled, isPast], [true, false]);
    }));

  const nested: Record<string, (child: () => Promise<void>) => Promise<unknown>> = {
    "a timeout": (child) =>
      timeout(60, () => taskGroup(async (group) => void group.createTask(child))),
    "a gather": (child) => gather(child),
  };
  for (const [name, inside] of Object.entries(nested))
    test(`that of an owner who comes late, by a child of a child in ${name}`, () =>
      run(async () => {
        let isPast = false;
        const started = new Event();
        const owned = new Event();
        const task = createTask(() =>
          inside(async () => {
            await sleep(0);
            started.set();
            await owned.wait();
            burn(0.03);
            await new Lock().acquire();
            isPast = true;
          }),
        );
        await started.wait();

        const scope = new CancelScope();
        await scope.run(() => {
          const both = gather([task]);
          owned.set();
          scope.deadline = getRunningLoop().time() + 0.02;
          return both;
        });

        assert.deepEqual([scope.cancelled, isPast], [true, false]);
      }));

  const lateOwners: Record<string, (child: () => Promise<void>, then: () => void) => unknown> = {
    "a group": (child, then) =>
      taskGroup(async (group) => {
        group.createTask(child);
        then();
        await nextHostTurn();
      }),
    "a group of a group": (child, then) =>
      taskGroup(async (outer) => {
        const inner = taskGroup(async (group) => {
          group.createTask(child);
          then();
          await nextHostTurn();
        });
        outer.createTask(async () => {});
        await inner;
      }),
    "a group with a limit": (child, then) =>
      taskGroup(async (group) => {
        group.limit = 1;
        const first = group.createTask(() => sleep(0));
        group.createTask(child);
        then();
        await nextHostTurn();
        await first;
      }),
    "a gather that comes late": async (child, then) => {
      const task = createTask(child);
      const both = gather([task]);
      then();
      await nextHostTurn();
      await both;
    },
  };
  for (const [name, own] of Object.entries(lateOwners)) {
    test(`one that is set before a child of ${name} has begun, by the child`, () =>
      run(async () => {
        let isPast = false;
        const scope = new CancelScope();
        await scope.run(async () => {
          for (let turn = 0; turn < 3; turn++) await sleep(0); // nothing is due here, and it is known
          await own(
            async () => {
              await new Lock().acquire();
              isPast = true;
            },
            () => {
              scope.deadline = getRunningLoop().time() + 0.001;
              burn(0.002);
            },
          );
        });

        assert.deepEqual([scope.cancelCalled, isPast], [true, false]);
      }));
  }

  test("a deadline that is moved back in time does not strike", () =>
    run(async () => {
      const value = await timeout(0.001, async (limit) => {
        limit.reschedule(null);
        burn(0.002);
        return await sleep(0, "in time");
      });

      assert.equal(value, "in time");
    }));

  test("a shielded body is not hit by the deadline around it", () =>
    run(async () => {
      const log: string[] = [];
      await moveOnAfter(0.001, () =>
        cleanup(1, async () => {
          burn(0.002);
          log.push(await sleep(0, "saved"));
        }),
      );

      assert.deepEqual(log, ["saved"]);
    }));

  test("it strikes once: what cleans up after it may wait", () =>
    run(async () => {
      const log: string[] = [];
      await moveOnAfter(0.001, async () => {
        burn(0.002);
        try {
          await sleep(0);
        } finally {
          log.push(await sleep(0.001, "cleaned up"));
        }
      });

      assert.deepEqual(log, ["cleaned up"]);
    }));

  test("a child of a group knows how much time it has left", () =>
    run(() =>
      timeout(60, () =>
        taskGroup(async (group) => {
          const left = await group.createTask(async () => timeLeft());
          assert.ok(left > 0 && left <= 60, `${left}`);
        }),
      ),
    ));
});
