import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  acquiring,
  BoundedSemaphore,
  CancelledError,
  createTask,
  Event,
  Future,
  getRunningLoop,
  Lock,
  moveOnAfter,
  next,
  PriorityQueue,
  putting,
  Queue,
  QueueShutDown,
  Rendezvous,
  Semaphore,
  select,
  sleep,
  taskGroup,
} from "../../src/index.ts";
import { type Operation, operation, type Selectable, WaitList } from "../../src/lowlevel.ts";
import { CapacityLimiter } from "../../src/patterns.ts";
import { cancelSweep, explore } from "../../src/testing.ts";
import { conforms } from "../conformance.ts";
import { rejection, virtual } from "../virtual.ts";

conforms("select", { wakes: "one", hasFastPath: true }, () => {
  const [queue, never] = [new Queue<number>(), new Event()];
  let put = 0;
  return {
    begin: async () => (await select({ never, item: queue, later: 1e9 }))[1],
    complete() {
      queue.putNowait(++put);
      return put;
    },
    check({ offered, completed }) {
      assert.equal(queue.qsize(), offered - completed);
      assert.deepEqual([queue.statistics().getting, never.statistics().waiting], [0, 0]);
    },
  };
});

conforms("select, of a put", { wakes: "one", hasFastPath: true }, () => {
  const [queue, lock] = [new Queue<number>(1), new Lock()];
  let begun = 0;
  queue.putNowait(begun);
  void lock.acquire();
  return {
    begin: async () => (await select([lock, putting(queue, ++begun)]))[1],
    complete: () => void queue.getNowait(),
    check: ({ offered, completed }) => assert.equal(queue.qsize(), 1 - offered + completed),
  };
});

describe("which case takes effect", () => {
  test(
    "of several that can, the first listed; seconds last",
    virtual(async () => {
      const [first, second] = [new Queue<string>(), new Queue<string>()];
      first.putNowait("a");
      second.putNowait("b");

      assert.deepEqual(await select({ now: 0, second, first }), ["second", "b"]);
      assert.deepEqual(await select({ now: 0, second, first }), ["first", "a"]);
      assert.deepEqual(await select({ now: 0, second, first }), ["now", undefined]);
    }),
  );

  test(
    "the one that can first, and the others have not happened",
    virtual(async () => {
      const [queue, lock, semaphore] = [new Queue<string>(), new Lock(), new Semaphore(0)];
      using _held = await lock.acquire();
      const choosing = createTask(() => select({ lock, semaphore, item: queue, late: 9 }));
      await sleep(1);

      queue.putNowait("x");
      semaphore.release();

      assert.deepEqual(await choosing, ["item", "x"]);
      assert.deepEqual([semaphore.value, lock.statistics().waiting], [1, 0]);
    }),
  );

  test(
    "seconds, when nothing else comes",
    virtual(async () => {
      const started = getRunningLoop().time();

      assert.deepEqual(await select([new Event(), 2, 1]), [2, undefined]);
      assert.equal(getRunningLoop().time() - started, 1);
    }),
  );

  test(
    "a case that is switched off is never chosen",
    virtual(async () => {
      const queue = new Queue<string>();
      queue.putNowait("x");

      assert.deepEqual(await select({ off: undefined, late: 1 }), ["late", undefined]);
      assert.deepEqual(await select([undefined, queue]), [1, "x"]);
    }),
  );

  test(
    "a fair one begins with another each time, seconds stay last",
    virtual(async () => {
      const queues = Array.from({ length: 3 }, () => new Queue<number>());
      for (const queue of queues) for (let item = 0; item < 60; item++) queue.putNowait(item);
      const chosen: number[] = [];

      for (let time = 0; time < 60; time++)
        chosen.push((await select([0, ...queues], { fair: true }))[0]);

      const counts = [0, 1, 2, 3].map((index) => chosen.filter((one) => one === index).length);
      assert.equal(counts[0], 0);
      for (const count of counts.slice(1)) assert.ok(count > 8, `${counts}`);
    }),
  );

  test(
    "all that can be selected",
    virtual(async () => {
      const event = new Event();
      event.set();
      const ordered = new PriorityQueue<number>();
      ordered.putNowait(2);
      ordered.putNowait(1);
      const rendezvous = new Rendezvous<string>();
      const putter = createTask(() => rendezvous.put("hand"));
      const future = new Future<number>();
      future.setResult(7);
      const three = new Semaphore(3);
      await sleep(0);

      assert.deepEqual(await select({ event }), ["event", true]);
      assert.deepEqual(await select({ ordered }), ["ordered", 1]);
      assert.deepEqual(await select({ rendezvous }), ["rendezvous", "hand"]);
      assert.deepEqual(await select({ future }), ["future", 7]);
      assert.deepEqual(await select({ task: createTask(async () => "done") }), ["task", "done"]);
      const [, permits] = await select({ permits: acquiring(three, 2) });
      assert.equal(three.value, 1);
      permits[Symbol.dispose]();
      await putter;
    }),
  );

  test(
    "no `then` of an item is called",
    virtual(async () => {
      const queue = new Queue<unknown>();
      // biome-ignore lint/suspicious/noThenProperty: the subject
      const item = { then: () => assert.fail("called") };
      queue.putNowait(item);

      const [, got] = await select([queue]);
      const waiting = createTask(() => select([queue]));
      await sleep(0);
      queue.putNowait(item);

      assert.equal(got, item);
      assert.equal((await waiting)[1], item);
    }),
  );
});

describe("a case that fails", () => {
  test(
    "is the outcome, as it is, and the others have not happened",
    virtual(async () => {
      const [queue, other] = [new Queue<string>(), new Queue<string>()];
      const waiting = createTask(() => select({ queue, other }));
      await sleep(0);

      queue.shutdown();

      assert.ok((await rejection(waiting)) instanceof QueueShutDown);
      assert.equal(other.statistics().getting, 0);
      assert.ok((await rejection(select({ queue, other }))) instanceof QueueShutDown);
    }),
  );

  test(
    "a task's failure counts as seen",
    virtual(async () => {
      const failure = new Error("broken");
      const failing = createTask(async () => {
        await sleep(1);
        throw failure;
      });

      assert.equal(await rejection(select({ failing, late: 5 })), failure);
    }),
  );

  test(
    "`next` gives the end of a queue as a value",
    virtual(async () => {
      const queue = new Queue<string>();
      queue.putNowait("x");
      const steps = [await select([next(queue)])];
      const waiting = createTask(() => select([next(queue)]));
      await sleep(0);
      queue.shutdown();
      steps.push(await waiting, await select([next(queue)]));

      const end = { done: true, value: undefined };
      assert.deepEqual(steps, [
        [0, { done: false, value: "x" }],
        [0, end],
        [0, end],
      ]);
    }),
  );
});

describe("cancelled while it waits", () => {
  test(
    "it has left all lines, and tasks among its cases go on",
    virtual(async () => {
      const [queue, event] = [new Queue<string>(), new Event()];
      const task = createTask(() => sleep(5, "done"));

      const moved = await moveOnAfter(1, () => select({ queue, event, task, late: 9 }));

      assert.deepEqual(moved, { cancelled: true });
      assert.deepEqual([queue.statistics().getting, event.statistics().waiting], [0, 0]);
      assert.equal(await task, "done");
    }),
  );

  test(
    "a task that was cancelled is an outcome of its own",
    virtual(async () => {
      const task = createTask(() => sleep(5));
      await sleep(0);
      task.cancel("enough");

      const error = await rejection(select({ task, late: 9 }));

      assert.ok(error instanceof CancelledError && error.reason === "enough");
      assert.ok(task.cancelled());
    }),
  );

  test(
    "a signal's reason comes out as it is",
    virtual(async () => {
      const controller = new AbortController();
      const queue = new Queue<string>();
      const waiting = rejection(select([queue], { signal: controller.signal }));
      await sleep(1);

      controller.abort("closing time");

      assert.equal(await waiting, "closing time");
      assert.equal(queue.statistics().getting, 0);
    }),
  );
});

describe("lines that are left", () => {
  test(
    "others may fit who stood behind",
    virtual(async () => {
      const semaphore = new Semaphore(2);
      const one = await semaphore.acquire();
      const queue = new Queue<string>();
      const choosing = createTask(() => select({ two: acquiring(semaphore, 2), item: queue }));
      await sleep(0);
      const behind = createTask(() => semaphore.acquire());
      await sleep(0);
      assert.equal(semaphore.value, 1); // not overtaken

      queue.putNowait("x");

      assert.deepEqual(await choosing, ["item", "x"]);
      (await behind)[Symbol.dispose]();
      one[Symbol.dispose]();
      assert.equal(semaphore.value, 2);
    }),
  );

  test(
    "nothing is handed to a case of a choice that is decided",
    virtual(async () => {
      const [a, b] = [new Semaphore(3), new Queue<string>()];
      const guard = await a.acquire(2);
      const choosing = createTask(() =>
        select({ two: acquiring(a, 2), three: acquiring(a, 3), item: b }),
      );
      await sleep(0);
      const behind = createTask(() => a.acquire(1));
      await sleep(0);

      b.putNowait("x");
      await choosing;
      (await behind)[Symbol.dispose]();
      guard[Symbol.dispose]();

      assert.deepEqual([a.value, a.statistics().waiting], [3, 0]);
    }),
  );

  test(
    "two cases in the same line are served as one",
    virtual(async () => {
      const primitives = [new Queue<number>(), new Semaphore(0), new Event(), new Lock()] as const;
      const [queue, semaphore, event, lock] = primitives;
      const held = await lock.acquire();
      const chosen = primitives.map((one) => createTask(() => select([one, one])));
      await sleep(0);

      queue.putNowait(1);
      queue.putNowait(2);
      semaphore.release(2);
      event.set();
      held[Symbol.dispose]();

      for (const task of chosen) assert.equal((await task)[0], 0);
      assert.deepEqual([queue.qsize(), semaphore.value, lock.statistics().waiting], [1, 1, 0]);
      using _guard = (await (chosen[3] as Promise<[number, Disposable]>))[1];
    }),
  );

  test(
    "a select never meets itself",
    virtual(async () => {
      const rendezvous = new Rendezvous<string>();
      const cases = { give: putting(rendezvous, "mine"), take: rendezvous };
      const alone = createTask(() => select({ ...cases, late: 1 }));
      assert.deepEqual(await alone, ["late", undefined]);

      const [left, right] = [createTask(() => select(cases)), createTask(() => select(cases))];

      assert.deepEqual([await left, await right].sort(), [
        ["give", undefined],
        ["take", "mine"],
      ]);
    }),
  );
});

test(
  "a primitive of one's own can be selected",
  virtual(async () => {
    class Bell implements Selectable<string> {
      readonly #line = new WaitList();
      ring(tone: string): void {
        this.#line.resumeAll(tone);
      }
      [operation](): Operation<string> {
        return {
          subject: "a bell",
          attempt: () => undefined,
          enlist: (place) => this.#line.add(place),
        };
      }
    }
    const bell = new Bell();
    const waiting = createTask(() => select({ bell, late: 3 }));
    await sleep(0);
    assert.deepEqual(waiting.waitingFor(), ["select: bell (a bell), late (sleep, 3 s left)"]);

    bell.ring("c");

    assert.deepEqual(await waiting, ["bell", "c"]);
  }),
);

describe("what is refused", () => {
  const queue = new Queue<number>();
  const cases: [string, unknown, RegExp][] = [
    ["nothing", undefined, /a record or an array of cases, got undefined/],
    ["a bare queue", queue, /a record or an array of cases, got an instance of Queue/],
    ["no case", {}, /at least one case that is not switched off/],
    ["all switched off", [undefined], /at least one case that is not switched off/],
    ["NaN", [Number.NaN], /a number of seconds, got NaN/],
    ["a promise", [Promise.resolve()], /got a promise. A promise is running already/],
    ["a function", [() => queue.get()], /each case to be a queue, a lock or the like/],
    ["null", [null], /each case to be a queue/],
    ["a name that is a number", { 1: queue }, /Objects have such keys in another order/],
  ];
  for (const [what, given, words] of cases) {
    test(
      what,
      virtual(async () => {
        const error = await rejection(select(given as never));

        assert.match(String(error), words);
        assert.equal((error as { code?: string }).code, "ERR_ASYNCIO_INVALID_ARGUMENT");
      }),
    );
  }

  test("words for what has none", () => {
    assert.throws(() => putting(new Lock() as never, 1 as never), /`putting` expects a Queue/);
    for (const other of [new Lock(), new CapacityLimiter(1)])
      assert.throws(() => acquiring(other as never, 1), /`acquiring` expects a Semaphore, got/);
    assert.throws(() => next(new Lock() as never), /`next` expects a Queue/);
  });
});

// --- in every schedule

/** Producers and consumers that select over two bounded queues: each item arrives once. */
async function twoQueues(): Promise<void> {
  const queues = [new Queue<number>(1), new Queue<number>(1)] as const;
  const got: number[] = [];
  await taskGroup(async (group) => {
    for (const base of [10, 20])
      group.createTask(async () => {
        for (let item = base; item < base + 3; item++)
          await select(queues.map((queue) => putting(queue, item)));
      });
    for (let consumer = 0; consumer < 2; consumer++)
      group.createTask(async () => {
        for (let count = 0; count < 3; count++) got.push((await select([...queues]))[1]);
      });
  });
  assert.deepEqual(got.sort(), [10, 11, 12, 20, 21, 22]);
  for (const queue of queues) {
    const { size, getting, putting } = queue.statistics();
    assert.deepEqual({ size, getting, putting }, { size: 0, getting: 0, putting: 0 });
  }
}

/** Selects on both sides of two rendezvous. */
async function hands(): Promise<void> {
  const [left, right] = [new Rendezvous<number>(), new Rendezvous<number>()];
  const got: number[] = [];
  await taskGroup(async (group) => {
    for (const item of [1, 2, 3, 4])
      group.createTask(() => select([putting(left, item), putting(right, item)]));
    for (let count = 0; count < 2; count++) {
      group.createTask(async () => void got.push((await select([right, left]))[1]));
      group.createTask(async () => void got.push((await select({ left, right }))[1]));
    }
  });
  assert.deepEqual(got.sort(), [1, 2, 3, 4]);
  for (const one of [left, right]) assert.deepEqual(one.statistics(), { getting: 0, putting: 0 });
}

/** Locks and weighted permits, selected beside plain waiters, some of which are cancelled. */
async function permits(): Promise<void> {
  const [lock, semaphore] = [new Lock(), new BoundedSemaphore(3)];
  let held = 0;
  const hold = async (guard: Disposable, weight: number): Promise<void> => {
    try {
      held += weight;
      assert.ok(held <= 4, `${held} held`);
      await sleep(0);
    } finally {
      held -= weight;
      guard[Symbol.dispose]();
    }
  };
  await taskGroup(async (group) => {
    for (const count of [1, 2, 3]) {
      group.createTask(async () => hold(await semaphore.acquire(count), count));
      group.createTask(async () => {
        const [which, guard] = await select({ lock, some: acquiring(semaphore, count) });
        await hold(guard, which === "lock" ? 1 : count);
      });
      const leaving = group.createTask(() =>
        select({ lock, some: acquiring(semaphore, 3), t: 0.5 }),
      );
      group.createTask(async () => {
        await sleep(0);
        leaving.cancel();
        const [won] = await Promise.allSettled([leaving]);
        if (won?.status === "fulfilled") won.value[1]?.[Symbol.dispose]();
      });
    }
    group.createTask(async () => hold(await lock.acquire(), 1));
  });
  assert.deepEqual([semaphore.value, lock.locked(), semaphore.statistics().waiting], [3, false, 0]);
}

for (const [name, body] of Object.entries({ twoQueues, hands, permits })) {
  test(`${name}: nothing is lost or doubled in any schedule`, async () => {
    await explore(body, { iterations: 1500, untilSaturated: false });
  });
}

for (const [name, body] of Object.entries({ twoQueues, hands })) {
  test(`${name}: whoever is cancelled, wherever, has taken nothing`, async () => {
    await cancelSweep(body, { iterations: 400 } as never);
  });
}
