import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createTask,
  currentTask,
  gather,
  InvalidStateError,
  Lock,
  moveOnAfter,
  run,
  sleep,
  type Task,
} from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { rejection, virtual } from "../virtual.ts";

/**
 * Starts tasks that acquire `lock` in turn, write their name down, and release it one second later.
 */
function queueUp(lock: Lock, names: string[], log: string[]): Task<void>[] {
  return names.map((name) =>
    createTask(
      async () => {
        using _guard = await lock.acquire();
        log.push(name);
        await sleep(1);
      },
      { name },
    ),
  );
}

describe("acquire and release", () => {
  test(
    "those who wait are served in the order in which they came (S105)",
    virtual(async () => {
      const lock = new Lock();
      const log: string[] = [];

      await gather(queueUp(lock, ["a", "b", "c"], log));

      assert.deepEqual(log, ["a", "b", "c"]);
      assert.equal(lock.locked(), false);
    }),
  );

  test(
    "a newcomer between the release and the turn of the next in line does not overtake it (S105)",
    virtual(async () => {
      const lock = new Lock();
      const log: string[] = [];
      const guard = await lock.acquire();
      const [waiting] = queueUp(lock, ["waiting"], log);
      await sleep(1);

      guard[Symbol.dispose]();

      assert.ok(lock.locked());
      using _mine = await lock.acquire();
      assert.deepEqual(log, ["waiting"]);
      await waiting;
    }),
  );

  test(
    "a free lock is taken in the call",
    virtual(async () => {
      const lock = new Lock();

      const acquiring = lock.acquire();

      assert.ok(lock.locked());
      await acquiring;
      lock.release();
      assert.equal(lock.locked(), false);
    }),
  );

  test(
    "is not reentrant",
    virtual(async () => {
      const lock = new Lock();
      using _guard = await lock.acquire();

      const again = await moveOnAfter(1, () => lock.acquire());

      assert.deepEqual(again, { cancelled: true });
    }),
  );
});

describe("cancellation", () => {
  test(
    "of the first in line lets the next one have the lock (S106)",
    virtual(async () => {
      const lock = new Lock();
      const log: string[] = [];
      const guard = await lock.acquire();
      const [first, second] = queueUp(lock, ["first", "second"], log);
      await sleep(1);

      first?.cancel();
      guard[Symbol.dispose]();

      await rejection(first as Task<void>);
      await second;
      assert.deepEqual(log, ["second"]);
    }),
  );

  test(
    "right after the release does not take the lock away, and nothing is stuck (S106)",
    virtual(async () => {
      const lock = new Lock();
      const log: string[] = [];
      const guard = await lock.acquire();
      const [first, second] = queueUp(lock, ["first", "second"], log);
      await sleep(1);

      guard[Symbol.dispose]();
      first?.cancel();

      await rejection(first as Task<void>);
      await second;
      assert.deepEqual(log, ["first", "second"]);
      assert.equal(lock.locked(), false);
    }),
  );

  test(
    "of one that waits in vain leaves the others in line (S106)",
    virtual(async () => {
      const lock = new Lock();
      const log: string[] = [];
      const tasks = queueUp(lock, ["a", "b", "c", "d"], log);
      await sleep(0.5);

      tasks[2]?.cancel();

      await gather(tasks, { returnExceptions: true });
      assert.deepEqual(log, ["a", "b", "d"]);
    }),
  );
});

describe("release by the wrong one", () => {
  test("of a free lock is an InvalidStateError that says what to do (S107)", () => {
    const lock = new Lock({ name: "db" });

    assert.throws(() => lock.release(), {
      name: "InvalidStateError",
      code: "ERR_ASYNCIO_INVALID_STATE",
      message: '`lock.release` needs Lock "db" to be held, but it is free. Acquire it first',
    });
  });

  test("a lock without a name is called so", () => {
    assert.throws(() => new Lock().release(), /needs a Lock to be held/);
  });

  test(
    "of a lock that another task holds names both tasks, and leaves it held",
    virtual(async () => {
      const lock = new Lock({ name: "db" });
      const writer = createTask(() => lock.run(() => sleep(1)), { name: "writer" });
      await sleep(0.5);
      currentTask()?.setName("reader");

      assert.throws(() => lock.release(), {
        name: "InvalidStateError",
        message:
          '`lock.release` was called by task "reader", but Lock "db" is held by task "writer". Only its holder releases a lock',
      });

      assert.ok(lock.locked());
      await writer;
    }),
  );

  test(
    "does not fail in a callback, which belongs to no task",
    virtual(async (loop) => {
      const lock = new Lock();
      await lock.acquire();

      loop.callLater(1, () => lock.release());

      await sleep(2);
      assert.equal(lock.locked(), false);
    }),
  );
});

describe("guards (S107)", () => {
  test(
    "using releases the lock when the block fails",
    virtual(async () => {
      const lock = new Lock();
      const work = async () => {
        using _guard = await lock.acquire();
        throw new Error("broken");
      };

      await assert.rejects(work(), /broken/);

      assert.equal(lock.locked(), false);
    }),
  );

  test(
    "a guard releases once, and never the acquisition of another",
    virtual(async () => {
      const lock = new Lock();
      const first = await lock.acquire();
      first[Symbol.dispose]();
      using _second = await lock.acquire();

      first[Symbol.dispose]();

      assert.ok(lock.locked());
    }),
  );

  test(
    "a guard after release does nothing",
    virtual(async () => {
      const lock = new Lock();
      {
        using _guard = await lock.acquire();
        lock.release();
      }

      assert.equal(lock.locked(), false);
    }),
  );

  test(
    "a guard can be handed on to another task",
    virtual(async () => {
      const lock = new Lock();
      const guard = await lock.acquire();

      await createTask(async () => guard[Symbol.dispose]());

      assert.equal(lock.locked(), false);
    }),
  );

  test(
    "run gives what the body gives, and releases the lock on every path",
    virtual(async () => {
      const lock = new Lock();
      const states: boolean[] = [];

      assert.equal(await lock.run(async () => states.push(lock.locked())), 1);
      await assert.rejects(
        lock.run(() => Promise.reject(new Error("broken"))),
        /broken/,
      );
      await moveOnAfter(1, () => lock.run(() => sleep(2)));
      await assert.rejects(
        lock.run(() => {
          throw new Error("at once");
        }),
        /at once/,
      );

      assert.deepEqual([...states, lock.locked()], [true, false]);
    }),
  );
});

describe("reports", () => {
  test(
    "a wait tells which task holds the lock",
    virtual(async () => {
      const lock = new Lock({ name: "db" });
      const writer = createTask(() => lock.run(() => sleep(1)), { name: "writer" });
      const reader = createTask(() => lock.run(() => sleep(1)));
      await sleep(0.5);

      assert.deepEqual(reader.waitingFor(), ['Lock "db", held by task "writer"']);

      writer.setName("renamed");
      assert.deepEqual(reader.waitingFor(), ['Lock "db", held by task "renamed"']);
      await gather(writer, reader);
    }),
  );

  test("a deadlock lists who holds what each task waits for", async () => {
    const [a, b] = [new Lock({ name: "a" }), new Lock({ name: "b" })];
    const both = (first: Lock, second: Lock) => () =>
      first.run(async () => {
        await sleep(1);
        await second.run(() => sleep(1));
      });
    const main = async () => {
      const one = createTask(both(a, b), { name: "one" });
      const two = createTask(both(b, a), { name: "two" });
      await gather(one, two);
    };

    const error = await rejection(run(main, { loop: new VirtualLoop() }));

    assert.equal((error as Error).name, "DeadlockError");
    assert.match((error as Error).message, /task "one".*Lock "b", held by task "two"/);
    assert.match((error as Error).message, /task "two".*Lock "a", held by task "one"/);
  });

  test("two runs on two loops may share a lock (S119)", async () => {
    const lock = new Lock();
    let inside = 0;
    const work = () =>
      lock.run(async () => {
        assert.equal(++inside, 1);
        await sleep(0);
        inside--;
      });
    const main = () => gather(work, work, work);

    await Promise.all([run(main), run(main)]);

    assert.equal(lock.locked(), false);
  });
});

test("errors of a lock are InvalidStateErrors", () => {
  assert.throws(() => new Lock().release(), InvalidStateError);
});
