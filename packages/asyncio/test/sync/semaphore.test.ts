import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  BoundedSemaphore,
  createTask,
  gather,
  moveOnAfter,
  Semaphore,
  sleep,
} from "../../src/index.ts";
import { rejection, virtual } from "../virtual.ts";

/** Starts a task that acquires a permit, writes its name down, and keeps the permit. */
function acquirer(semaphore: Semaphore, name: string, log: string[]) {
  return createTask(async () => {
    await semaphore.acquire();
    log.push(name);
  });
}

/** How many permits are free, found out by taking them. */
async function countFree(semaphore: Semaphore): Promise<number> {
  let free = 0;
  for (; !semaphore.locked(); free++) await semaphore.acquire();
  for (let taken = 0; taken < free; taken++) semaphore.release();
  return free;
}

describe("permits", () => {
  test(
    "no more tasks than permits are inside at a time",
    virtual(async (loop) => {
      const semaphore = new Semaphore(2);
      let inside = 0;
      let most = 0;
      const work = () =>
        semaphore.run(async () => {
          most = Math.max(most, ++inside);
          await sleep(1);
          inside--;
        });

      await gather([work, work, work, work, work]);

      assert.deepEqual([most, loop.time()], [2, 3]);
    }),
  );

  test("there is one by default", () => {
    const semaphore = new Semaphore();

    void semaphore.acquire();

    assert.ok(semaphore.locked());
  });

  test(
    "locked is true while somebody waits (S113)",
    virtual(async () => {
      const semaphore = new Semaphore(1);
      const log: string[] = [];
      await semaphore.acquire();
      const waiters = ["a", "b"].map((name) => acquirer(semaphore, name, log));
      await sleep(1);

      semaphore.release();

      assert.ok(semaphore.locked());
      semaphore.release();
      await gather(waiters);
      assert.ok(semaphore.locked());
    }),
  );

  test(
    "are given first come, first served (S113)",
    virtual(async () => {
      const semaphore = new Semaphore(0);
      const log: string[] = [];
      const waiters = ["a", "b", "c"].map((name) => acquirer(semaphore, name, log));
      await sleep(1);

      for (let permits = 0; permits < 3; permits++) semaphore.release();

      await gather(waiters);
      assert.deepEqual(log, ["a", "b", "c"]);
    }),
  );

  test(
    "a newcomer takes none that was released for one that waits (S113)",
    virtual(async () => {
      const semaphore = new Semaphore(0);
      const log: string[] = [];
      const waiting = acquirer(semaphore, "waiting", log);
      await sleep(1);
      semaphore.release();

      const newcomer = acquirer(semaphore, "newcomer", log);
      await sleep(1);

      assert.deepEqual(log, ["waiting"]);
      semaphore.release();
      await gather(waiting, newcomer);
    }),
  );
});

describe("more permits than there are", () => {
  for (const [what, add] of [
    ["resize", (semaphore: Semaphore) => semaphore.resize(3)],
    ["release", (semaphore: Semaphore) => semaphore.release()],
  ] as const) {
    test(
      `are waited for until \`${what}\` has added some, and nobody overtakes`,
      virtual(async () => {
        const semaphore = new Semaphore(2);
        const many = createTask(() => semaphore.acquire(3));
        await sleep(1);
        const one = createTask(() => semaphore.acquire());
        await sleep(1);
        assert.deepEqual([many.done(), one.done(), semaphore.value], [false, false, 2]);

        add(semaphore);

        const guard = await many;
        assert.ok(!one.done());
        guard[Symbol.dispose]();
        await one;
      }),
    );
  }
});

describe("cancellation", () => {
  test(
    "right after the grant leaves the permit with the task, whose guard gives it back (S114)",
    virtual(async () => {
      const semaphore = new Semaphore(0);
      const task = createTask(async () => {
        using _permit = await semaphore.acquire();
        await sleep(1);
      });
      await sleep(1);

      semaphore.release();
      task.cancel();

      await rejection(task);
      assert.equal(await countFree(semaphore), 1);
    }),
  );

  test(
    "before the grant passes the permit to the next one (S114)",
    virtual(async () => {
      const semaphore = new Semaphore(0);
      const log: string[] = [];
      const [first, second] = ["a", "b"].map((name) => acquirer(semaphore, name, log));
      await sleep(1);

      first?.cancel();
      semaphore.release();

      await second;
      assert.deepEqual(log, ["b"]);
      assert.equal(await countFree(semaphore), 0);
    }),
  );

  test(
    "of all who wait leaves the permits for those who come later (S114)",
    virtual(async () => {
      const semaphore = new Semaphore(0);
      const waiters = [1, 2, 3].map(() => createTask(() => semaphore.acquire()));
      await sleep(1);
      for (const waiter of waiters) waiter.cancel();

      semaphore.release();
      semaphore.release();

      await gather(waiters, { returnExceptions: true });
      assert.equal(await countFree(semaphore), 2);
    }),
  );
});

describe("arguments (S115)", () => {
  test("a number of permits below 0 is a RangeError", () => {
    assert.throws(() => new Semaphore(-1), {
      name: "RangeError",
      code: "ERR_ASYNCIO_INVALID_ARGUMENT",
      message: "`new Semaphore` expects a number of permits, a whole number of 0 or more, got -1",
    });
    assert.throws(() => new BoundedSemaphore(-1), /`new BoundedSemaphore` expects/);
  });

  for (const value of [Number.NaN, 1.5, Number.POSITIVE_INFINITY]) {
    test(`${value} is a RangeError`, () => {
      assert.throws(() => new Semaphore(value), RangeError);
    });
  }

  test("what is no number is a TypeError", () => {
    assert.throws(() => new Semaphore("2" as never), TypeError);
  });
});

describe("releasing too often (S115)", () => {
  test(
    "adds a permit to a Semaphore",
    virtual(async () => {
      const semaphore = new Semaphore(1);

      semaphore.release();

      assert.equal(await countFree(semaphore), 2);
    }),
  );

  test("is an InvalidStateError of a BoundedSemaphore, which keeps its permits", () => {
    const semaphore = new BoundedSemaphore(2, { name: "connections" });

    assert.throws(() => semaphore.release(), {
      name: "InvalidStateError",
      code: "ERR_ASYNCIO_INVALID_STATE",
      message:
        '`release` of BoundedSemaphore "connections" came once too often: all 2 permits are back. Release once for each acquire',
    });
    void semaphore.acquire();
    void semaphore.acquire();
    assert.ok(semaphore.locked());
  });

  test(
    "a BoundedSemaphore takes back what it gave, also through those who waited",
    virtual(async () => {
      const semaphore = new BoundedSemaphore(1);
      await gather([1, 2, 3].map(() => () => semaphore.run(() => sleep(1))));

      assert.throws(() => semaphore.release(), { name: "InvalidStateError" });
    }),
  );
});

describe("guards", () => {
  test(
    "using and run give the permit back on every path",
    virtual(async () => {
      const semaphore = new Semaphore(1);
      const failing = async () => {
        using _permit = await semaphore.acquire();
        throw new Error("broken");
      };

      await assert.rejects(failing(), /broken/);
      await assert.rejects(
        semaphore.run(() => Promise.reject(new Error("broken"))),
        /broken/,
      );
      await moveOnAfter(1, () => semaphore.run(() => sleep(2)));

      assert.equal(await semaphore.run(async () => "value"), "value");
      assert.equal(await countFree(semaphore), 1);
    }),
  );

  test(
    "a guard gives its permit back once",
    virtual(async () => {
      const semaphore = new Semaphore(1);
      const permit = await semaphore.acquire();

      permit[Symbol.dispose]();
      permit[Symbol.dispose]();

      assert.equal(await countFree(semaphore), 1);
    }),
  );

  test(
    "any task may release",
    virtual(async () => {
      const semaphore = new Semaphore(1);
      await semaphore.acquire();

      await createTask(async () => semaphore.release());

      assert.equal(semaphore.locked(), false);
    }),
  );
});

test(
  "a wait tells how many are in line",
  virtual(async () => {
    const semaphore = new BoundedSemaphore(1, { name: "connections" });
    await semaphore.acquire();
    const waiters = [1, 2].map(() => createTask(() => semaphore.run(async () => {})));
    await sleep(1);

    assert.deepEqual(waiters[0]?.waitingFor(), ['BoundedSemaphore "connections", 2 waiting']);

    semaphore.release();
    await gather(waiters);
  }),
);
