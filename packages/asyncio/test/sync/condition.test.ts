import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  CancelScope,
  Condition,
  createTask,
  currentTask,
  gather,
  Lock,
  sleep,
  type Task,
  TimeoutError,
  timeout,
  waitFor,
} from "../../src/index.ts";
import { onBothLoops } from "../both-loops.ts";
import { rejection, virtual } from "../virtual.ts";

/** A task that waits for a notification, writes its name down, and ends. */
function waiter(condition: Condition, name: string, log: string[]): Task<void> {
  return createTask(async () => {
    using _guard = await condition.acquire();
    await condition.wait();
    log.push(name);
  });
}

function notify(condition: Condition, count?: number): Promise<void> {
  return condition.run(async () => condition.notify(count));
}

describe("wait and notify", () => {
  test(
    "wait gives the lock up, and has it again when it gives true",
    virtual(async () => {
      const condition = new Condition();
      const task = createTask(() =>
        condition.run(async () => [await condition.wait(), condition.locked()]),
      );
      await sleep(1);
      assert.equal(condition.locked(), false);

      await notify(condition);

      assert.deepEqual(await task, [true, true]);
      assert.equal(condition.locked(), false);
    }),
  );

  test(
    "notify wakes those who have waited longest, in order",
    virtual(async () => {
      const condition = new Condition();
      const log: string[] = [];
      const tasks = ["a", "b", "c", "d"].map((name) => waiter(condition, name, log));
      await sleep(1);

      await notify(condition);
      await sleep(1);
      assert.deepEqual(log, ["a"]);
      await notify(condition, 2);
      await sleep(1);
      assert.deepEqual(log, ["a", "b", "c"]);

      await notify(condition, 10);
      await gather(tasks);
    }),
  );

  test(
    "notifyAll wakes all of them, one after the other",
    virtual(async () => {
      const condition = new Condition();
      let inside = 0;
      const work = () =>
        condition.run(async () => {
          await condition.wait();
          assert.equal(++inside, 1);
          await sleep(1);
          inside--;
        });
      const tasks = [createTask(work), createTask(work), createTask(work)];
      await sleep(1);

      await condition.run(async () => condition.notifyAll());

      await gather(tasks);
    }),
  );

  test(
    "a notification that nobody waits for has no effect later",
    virtual(async () => {
      const condition = new Condition();
      await notify(condition);

      const error = await rejection(timeout(1, () => condition.run(() => condition.wait())));

      assert.ok(error instanceof TimeoutError);
      assert.equal(condition.locked(), false);
    }),
  );

  test(
    "waitFor looks again each time it is notified, with the lock held, and gives what it saw",
    virtual(async () => {
      const condition = new Condition();
      const looks: boolean[] = [];
      let items = 0;
      const task = createTask(() =>
        condition.run(() =>
          condition.waitFor(() => {
            looks.push(condition.locked());
            return items >= 2 && `${items} items`;
          }),
        ),
      );

      for (items = 0; items < 2; ) {
        await sleep(1);
        items++;
        await notify(condition);
      }

      assert.equal(await task, "2 items");
      assert.deepEqual(looks, [true, true, true]);
    }),
  );

  test(
    "waitFor that finds its predicate true does not wait",
    virtual(async (loop) => {
      const condition = new Condition();

      assert.equal(await condition.run(() => condition.waitFor(() => 7)), 7);
      assert.equal(loop.time(), 0);
    }),
  );

  onBothLoops("waitFor is a checkpoint also where its predicate is true", async () => {
    const condition = new Condition();
    using _guard = await condition.acquire();
    let looks = 0;
    const isTrue = (): boolean => ++looks > 0;

    const scope = new CancelScope();
    scope.cancel();
    assert.equal(await scope.run(() => condition.waitFor(isTrue)), undefined);
    assert.deepEqual([scope.cancelled, looks], [true, 0]);

    let hasTurn = false;
    setImmediate(() => {
      hasTurn = true;
    });
    while (!hasTurn) await condition.waitFor(isTrue);
  });

  test(
    "two conditions may share a lock",
    virtual(async () => {
      const lock = new Lock();
      const [full, empty] = [new Condition(lock), new Condition(lock)];
      const log: string[] = [];
      const tasks = [waiter(full, "full", log), waiter(empty, "empty", log)];
      await sleep(1);

      await notify(empty);
      await sleep(1);
      assert.deepEqual(log, ["empty"]);

      await notify(full);
      await gather(tasks);
      assert.equal(lock.locked(), false);
    }),
  );
});

describe("without the lock (S109)", () => {
  test(
    "wait rejects with an InvalidStateError",
    virtual(async () => {
      const condition = new Condition(undefined, { name: "items" });

      await assert.rejects(condition.wait(), {
        name: "InvalidStateError",
        code: "ERR_ASYNCIO_INVALID_STATE",
        message: '`condition.wait` needs Lock "items" to be held, but it is free. Acquire it first',
      });
    }),
  );

  test("notify and notifyAll throw one", () => {
    const condition = new Condition();

    assert.throws(() => condition.notify(), { name: "InvalidStateError" });
    assert.throws(() => condition.notifyAll(), /`condition.notify` needs a Lock to be held/);
    assert.throws(() => condition.release(), { name: "InvalidStateError" });
  });

  test(
    "neither do when another task holds it",
    virtual(async () => {
      const condition = new Condition();
      const holder = createTask(() => condition.run(() => sleep(1)), { name: "holder" });
      await sleep(0.5);

      assert.throws(() => condition.notify(), /is held by task "holder"/);
      await assert.rejects(condition.wait(), /is held by task "holder"/);

      await holder;
    }),
  );

  test("a number of waiters that is none is a RangeError", () => {
    const condition = new Condition();
    void condition.acquire();

    assert.throws(() => condition.notify(Number.NaN), RangeError);
  });

  test("a lock that is none is a TypeError", () => {
    assert.throws(() => new Condition({} as never), {
      name: "TypeError",
      message: "`new Condition` expects a Lock, or undefined for one of its own, got an object",
    });
  });
});

describe("cancellation of a waiter", () => {
  test(
    "that was not notified rejects when it has the lock again (S110)",
    virtual(async (loop) => {
      const condition = new Condition();
      let rejectedAt = 0;
      const task = createTask(() =>
        condition.run(async () => {
          const error = await rejection(condition.wait());
          assert.ok(error instanceof CancelledError);
          assert.ok(condition.locked());
          rejectedAt = loop.time();
          throw error;
        }),
      );
      await sleep(1);
      const holder = createTask(() => condition.run(() => sleep(2)));
      await sleep(0.5);

      task.cancel();

      await rejection(task);
      assert.equal(rejectedAt, 3);
      await holder;
      assert.equal(condition.locked(), false);
    }),
  );

  test(
    "that waits for the lock again is not ended by further ones; the next wait is (S110)",
    virtual(async () => {
      const condition = new Condition();
      const errors: unknown[] = [];
      const task = createTask(() =>
        condition.run(async () => {
          errors.push(await rejection(condition.wait()));
          assert.ok(condition.locked());
          errors.push(await rejection(sleep(1)));
        }),
      );
      await sleep(1);
      const holder = createTask(() => condition.run(() => sleep(1)));
      await sleep(0.5);

      task.cancel("first");
      await sleep(0.1);
      task.cancel("second");

      await task;
      await holder;
      assert.deepEqual(
        errors.map((error) => (error as CancelledError).reason),
        ["first", "second"],
      );
    }),
  );

  test(
    "that was notified gives true, and the cancellation comes at the next wait (S111)",
    virtual(async () => {
      const condition = new Condition();
      const log: unknown[] = [];
      const task = createTask(() =>
        condition.run(async () => {
          log.push(await condition.wait());
          log.push(((await rejection(sleep(1))) as Error).name);
        }),
      );
      await sleep(1);

      await condition.run(async () => {
        condition.notify();
        task.cancel();
      });

      await task;
      assert.deepEqual(log, [true, "CancelledError"]);
    }),
  );

  test(
    "that was notified and waits for the lock gives true all the same (S111)",
    virtual(async () => {
      const condition = new Condition();
      const task = createTask(() =>
        condition.run(async () => [await condition.wait(), await rejection(sleep(1))]),
      );
      await sleep(1);

      await condition.run(async () => {
        condition.notify();
        await sleep(1);
        task.cancel("late");
        await sleep(1);
      });

      const [woken, error] = await task;
      assert.equal(woken, true);
      assert.equal((error as CancelledError).reason, "late");
    }),
  );

  test(
    "in the same step, before the notification, leaves it to the next one (S111)",
    virtual(async () => {
      const condition = new Condition();
      const log: string[] = [];
      const [first, second] = ["a", "b"].map((name) => waiter(condition, name, log));
      await sleep(1);

      await condition.run(async () => {
        first?.cancel();
        condition.notify();
      });

      await rejection(first as Task<void>);
      await second;
      assert.deepEqual(log, ["b"]);
    }),
  );

  test(
    "that is pending rejects wait before the lock is given up",
    virtual(async () => {
      const condition = new Condition();
      const task = createTask(() =>
        condition.run(async () => {
          currentTask()?.cancel();
          const waiting = condition.wait();
          assert.ok(condition.locked());
          await waiting;
        }),
      );

      assert.ok((await rejection(task)) instanceof CancelledError);
      assert.equal(condition.locked(), false);
    }),
  );
});

describe("two scopes that are cancelled while a waiter wants the lock again", () => {
  for (const order of [
    ["outer", "inner"],
    ["inner", "outer"],
  ] as const)
    onBothLoops(`are one cancellation to it, if that is ${order.join(", then ")}`, async () => {
      const condition = new Condition();
      const scopes = { outer: new CancelScope(), inner: new CancelScope() };
      const log: unknown[] = [];
      const task = createTask(() =>
        scopes.outer.run(async () => {
          const waiting = scopes.inner.run(() => condition.run(() => condition.wait()));
          log.push(((await rejection(waiting)) as CancelledError).reason);
          log.push(await sleep(0, "cleaned up"));
        }),
      );
      await sleep(0);
      const holder = createTask(() => condition.run(() => sleep(0.001)));
      await sleep(0);

      for (const name of order) scopes[name].cancel(name);

      await task;
      await holder;
      assert.deepEqual(log, ["outer", "cleaned up"]);
    });
});

describe("a deadline in the block (S112)", () => {
  for (const [name, limit] of Object.entries({ timeout, waitFor: swapped })) {
    test(
      `${name} round wait returns with the lock held`,
      virtual(async (loop) => {
        const condition = new Condition();
        using _guard = await condition.acquire();
        const holder = createTask(() => condition.run(() => sleep(3)));

        const error = await rejection(limit(1, () => condition.wait()));

        assert.ok(error instanceof TimeoutError);
        assert.ok(condition.locked());
        assert.equal(loop.time(), 3);
        await holder;
      }),
    );
  }

  function swapped(seconds: number, body: () => Promise<true>): Promise<true> {
    return waitFor(body, seconds);
  }
});

test(
  "a guard that was given before wait is good after it",
  virtual(async () => {
    const condition = new Condition();
    const guard = await condition.acquire();
    const notifier = createTask(() => notify(condition));
    await condition.wait();
    await notifier;

    guard[Symbol.dispose]();

    assert.equal(condition.locked(), false);
  }),
);

test(
  "a guard that is disposed of during wait gives the lock back for good",
  virtual(async () => {
    const condition = new Condition();
    const waits: Promise<true>[] = [];
    const leave = (): Promise<void> =>
      condition.run(async () => {
        waits.push(condition.wait()); // not awaited inside
      });
    await leave();
    await leave();
    const cutOff = createTask(leave);
    await cutOff;
    assert.equal(condition.locked(), false); // the end of its task has ended the third wait
    const next = createTask(() => condition.run(async () => "next"));

    await condition.run(async () => {
      condition.notify(2);
      await sleep(1);
    });

    assert.deepEqual(await Promise.all(waits.slice(0, 2)), [true, true]);
    assert.ok((await rejection(waits[2] as Promise<true>)) instanceof CancelledError);
    assert.deepEqual([await next, condition.locked()], ["next", false]);
  }),
);

test(
  "waits tell what they wait for, and who holds the lock",
  virtual(async () => {
    const condition = new Condition(undefined, { name: "items" });
    const task = createTask(() => condition.run(() => condition.wait()));
    await sleep(1);
    assert.deepEqual(task.waitingFor(), ['Condition "items"']);

    await condition.run(async () => {
      condition.notify();
      await sleep(1);
      assert.deepEqual(task.waitingFor(), ['Lock "items", held by task "main"']);
    });

    await task;
  }),
);
