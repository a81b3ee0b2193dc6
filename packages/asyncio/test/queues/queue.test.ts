import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  allTasks,
  CancelledError,
  createTask,
  gather,
  InvalidStateError,
  moveOnAfter,
  Queue,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  run,
  sleep,
  type Task,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { drawer } from "../hopping-host.ts";
import { rejection, virtual } from "../virtual.ts";

/** Takes all that is there without waiting. */
function drain<T>(queue: Queue<T>): T[] {
  const items: T[] = [];
  while (!queue.empty()) items.push(queue.getNowait());
  return items;
}

function full(...items: number[]): Queue<number> {
  const queue = new Queue<number>(items.length, { name: "jobs" });
  for (const item of items) queue.putNowait(item);
  return queue;
}

describe("get and put", () => {
  test(
    "items come out in the order in which they went in",
    virtual(async () => {
      const queue = new Queue<number>();
      for (const item of [1, 2, 3]) await queue.put(item);

      assert.deepEqual([await queue.get(), await queue.get(), await queue.get()], [1, 2, 3]);
    }),
  );

  test(
    "undefined is an item as others",
    virtual(async () => {
      const queue = new Queue<undefined>();
      const getting = queue.get();
      queue.putNowait(undefined);
      queue.putNowait(undefined);

      assert.deepEqual(
        [await getting, await queue.get(), queue.qsize()],
        [undefined, undefined, 0],
      );
    }),
  );

  test(
    "get waits for an item, put for room",
    virtual(async (loop) => {
      const queue = new Queue<string>(1);
      const producer = createTask(async () => {
        await sleep(1);
        await queue.put("a");
        await queue.put("b");
        return loop.time();
      });

      assert.equal(await queue.get(), "a");
      assert.equal(loop.time(), 1);
      await sleep(1);
      assert.equal(await queue.get(), "b");
      assert.equal(await producer, 1);
    }),
  );

  test(
    "put waits while the queue is full",
    virtual(async (loop) => {
      const queue = full(1);
      const putting = createTask(() => queue.put(2).then(() => loop.time()));
      await sleep(3);

      assert.equal(queue.getNowait(), 1);

      assert.equal(await putting, 3);
      assert.deepEqual(drain(queue), [2]);
    }),
  );

  test(
    "the Nowait forms throw what they found, and say what to do",
    virtual(async () => {
      const queue = full(1, 2);

      assert.throws(() => queue.putNowait(3), {
        name: "QueueFull",
        code: "ERR_ASYNCIO_QUEUE_FULL",
        message:
          '`putNowait` found Queue "jobs" full: it holds 2. Use `await queue.put(item)` to wait for room',
      });
      drain(queue);
      assert.throws(() => queue.getNowait(), {
        name: "QueueEmpty",
        code: "ERR_ASYNCIO_QUEUE_EMPTY",
        message:
          '`getNowait` found Queue "jobs" empty. Use `await queue.get()` to wait for an item',
      });
      assert.throws(() => queue.getNowait(), QueueEmpty);
    }),
  );

  test(
    "a promise that was put comes out of get as what it becomes",
    virtual(async () => {
      const queue = new Queue<Promise<number>>();
      await queue.put(Promise.resolve(1));

      assert.equal(await queue.get(), 1);
    }),
  );

  test(
    "a boxed task comes out as it went in",
    virtual(async () => {
      const queue = new Queue<{ task: Task<number> }>();
      const task = createTask(async () => 1);
      await queue.put({ task });

      assert.equal((await queue.get()).task, task);
      await task;
    }),
  );

  test(
    "waits tell what they wait for",
    virtual(async () => {
      const queue = new Queue<number>(1, { name: "jobs" });
      const getter = createTask(() => queue.get());
      await sleep(1);
      assert.deepEqual(getter.waitingFor(), ['Queue "jobs".get']);
      await queue.put(1);
      await getter;
    }),
  );
});

describe("maxsize (S127)", () => {
  const sizes: [given: number, is: number][] = [
    [0, Number.POSITIVE_INFINITY],
    [-1, Number.POSITIVE_INFINITY],
    [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    [2, 2],
  ];

  for (const [given, is] of sizes) {
    test(`of ${given} is ${is}`, () => {
      const queue = new Queue<number>(given);

      assert.equal(queue.maxsize, is);
      assert.deepEqual([queue.empty(), queue.full(), queue.qsize()], [true, false, 0]);
    });
  }

  test("full and qsize follow the items", () => {
    const queue = new Queue<number>(2);
    queue.putNowait(1);
    assert.deepEqual([queue.full(), queue.qsize(), queue.empty()], [false, 1, false]);
    queue.putNowait(2);
    assert.deepEqual([queue.full(), queue.qsize(), queue.empty()], [true, 2, false]);
    assert.throws(() => queue.putNowait(3), QueueFull);
  });

  test("that is no number of items throws", () => {
    for (const size of [Number.NaN, 0.1, 1.5]) assert.throws(() => new Queue(size), RangeError);
    assert.throws(() => new Queue("2" as never), TypeError);
  });
});

describe("fairness", () => {
  test(
    "getters are served in the order in which they came",
    virtual(async () => {
      const queue = new Queue<number>();
      const getting = Promise.all([queue.get(), queue.get(), queue.get()]);

      for (const item of [1, 2, 3]) queue.putNowait(item);

      assert.deepEqual(await getting, [1, 2, 3]);
    }),
  );

  test(
    "putters are served in the order in which they came",
    virtual(async () => {
      const queue = full(0);
      const putting = Promise.all([1, 2, 3].map((item) => queue.put(item)));

      const items = [await queue.get(), await queue.get(), await queue.get(), await queue.get()];

      assert.deepEqual(items, [0, 1, 2, 3]);
      await putting;
    }),
  );

  test(
    "no put overtakes one that waits (S123)",
    virtual(async () => {
      const queue = full(0);
      const putting = queue.put(1);

      assert.equal(queue.getNowait(), 0);

      assert.throws(() => queue.putNowait(2), QueueFull);
      await putting;
      assert.deepEqual(drain(queue), [1]);
    }),
  );

  test(
    "no get overtakes one that waits",
    virtual(async () => {
      const queue = new Queue<number>();
      const getting = queue.get();

      queue.putNowait(1);

      assert.throws(() => queue.getNowait(), QueueEmpty);
      assert.equal(await getting, 1);
    }),
  );

  test(
    "a timed out getter leaves the line (S120)",
    virtual(async () => {
      const queue = new Queue<number>();
      const moved = createTask(() => moveOnAfter(1, () => queue.get()));
      const getter = createTask(() => queue.get());
      await sleep(2);
      await queue.put(1);

      assert.deepEqual([await moved, await getter], [{ cancelled: true }, 1]);
    }),
  );

  test(
    "a timed out putter leaves the line, and its item never comes (S121)",
    virtual(async () => {
      const queue = full(0);
      const moved = createTask(() => moveOnAfter(1, () => queue.put(1)));
      const putter = createTask(() => queue.put(2));
      await sleep(2);

      assert.deepEqual([await queue.get(), await queue.get()], [0, 2]);
      assert.deepEqual(await moved, { cancelled: true });
      await putter;
      assert.ok(queue.empty());
    }),
  );

  test(
    "a thousand cancelled getters leave nothing behind (S122)",
    virtual(async () => {
      const queue = new Queue<number>();
      const getters = Array.from({ length: 1000 }, () => createTask(() => queue.get()));
      await sleep(1);
      for (const getter of getters) getter.cancel();
      await gather(getters, { returnExceptions: true });

      queue.putNowait(1);

      assert.deepEqual(drain(queue), [1]);
    }),
  );
});

describe("join and taskDone", () => {
  test(
    "join returns at once where nothing was put (S124)",
    virtual(async (loop) => {
      await new Queue().join();

      assert.equal(loop.time(), 0);
    }),
  );

  test(
    "join waits until every item was reported, and lets all joiners go",
    virtual(async (loop) => {
      const queue = new Queue<number>();
      for (const item of [1, 2]) queue.putNowait(item);
      const worker = createTask(async () => {
        for (;;) {
          await sleep(await queue.get());
          queue.taskDone();
        }
      });

      await gather(
        () => queue.join(),
        () => queue.join(),
      );

      assert.equal(loop.time(), 3);
      worker.cancel();
      await rejection(worker);
    }),
  );

  test(
    "an item given to a waiting getter counts as unfinished",
    virtual(async () => {
      const queue = new Queue<number>();
      const getting = queue.get();
      queue.putNowait(1);
      await getting;

      const error = await rejection(timeout(1, () => queue.join()));

      assert.equal((error as Error).name, "TimeoutError");
    }),
  );

  test(
    "an item that waits for room does not count yet",
    virtual(async () => {
      const queue = full(0);
      const putter = createTask(() => queue.put(1));
      await sleep(1);
      putter.cancel();
      await rejection(putter);

      queue.taskDone();

      await queue.join();
    }),
  );

  test("taskDone once too often is an InvalidStateError (S124)", () => {
    const queue = full(1);
    queue.taskDone();

    assert.throws(() => queue.taskDone(), {
      name: "InvalidStateError",
      message:
        '`taskDone` was called more often than items were put into Queue "jobs". Call it once for each item',
    });
    assert.throws(() => queue.taskDone(), InvalidStateError);
  });
});

describe("shutdown", () => {
  test(
    "wakes getters that wait and putters that wait with QueueShutDown (S125)",
    virtual(async () => {
      const empty = new Queue<number>(0, { name: "jobs" });
      const getting = createTask(() => empty.get());
      const queue = full(1);
      const putting = createTask(() => queue.put(2));
      await sleep(1);
      empty.shutdown();
      queue.shutdown();

      for (const task of [getting, putting]) {
        assert.ok((await rejection(task)) instanceof QueueShutDown);
      }
      assert.deepEqual(drain(queue), [1]);
    }),
  );

  test(
    "puts nothing more in; what is there can still be taken (S125)",
    virtual(async () => {
      const queue = full(1, 2);
      queue.shutdown();

      const error = await rejection(queue.put(3));
      assert.ok(error instanceof QueueShutDown);
      assert.equal(error.code, "ERR_ASYNCIO_QUEUE_SHUT_DOWN");
      assert.equal(error.message, '`put` was called on Queue "jobs", which is shut down');
      assert.throws(() => queue.putNowait(3), QueueShutDown);
      assert.deepEqual([await queue.get(), queue.getNowait()], [1, 2]);
      assert.ok((await rejection(queue.get())) instanceof QueueShutDown);
      assert.throws(() => queue.getNowait(), QueueShutDown);
    }),
  );

  test(
    "join still waits for what was there (S125)",
    virtual(async () => {
      const queue = full(1);
      queue.shutdown();
      const joining = createTask(() => queue.join());
      await sleep(1);
      assert.ok(!joining.done());

      queue.getNowait();
      queue.taskDone();

      await joining;
    }),
  );

  test(
    "immediate drops the items, and join returns (S126)",
    virtual(async () => {
      const queue = full(1, 2);
      const joining = createTask(() => queue.join());
      await sleep(1);

      queue.shutdown({ immediate: true });

      await joining;
      assert.deepEqual([queue.qsize(), queue.empty()], [0, true]);
      assert.throws(() => queue.taskDone(), InvalidStateError);
    }),
  );

  test(
    "immediate leaves items that were taken to be reported (S126)",
    virtual(async () => {
      const queue = full(1, 2);
      queue.getNowait();
      queue.shutdown({ immediate: true });
      const joining = createTask(() => queue.join());
      await sleep(1);
      assert.ok(!joining.done());

      queue.taskDone();

      await joining;
    }),
  );

  test(
    "immediate does not let a waiting putter's item in",
    virtual(async () => {
      const queue = full(1);
      const putting = createTask(() => queue.put(2));
      await sleep(1);
      queue.shutdown({ immediate: true });

      assert.ok((await rejection(putting)) instanceof QueueShutDown);
      assert.equal(queue.qsize(), 0);
      await queue.join();
    }),
  );

  test(
    "twice is as once, and the second may be immediate",
    virtual(async () => {
      const queue = full(1, 2);
      queue.shutdown();
      queue.shutdown();
      assert.equal(queue.qsize(), 2);

      queue.shutdown({ immediate: true });

      assert.equal(queue.qsize(), 0);
      await queue.join();
    }),
  );

  test(
    "a rejected get or put that nobody awaits crashes nothing",
    virtual(async () => {
      const queue = new Queue<number>();
      const getting = queue.get();
      queue.shutdown();
      void queue.put(1);
      void queue.get();

      await sleep(1);

      await rejection(getting);
    }),
  );
});

describe("iteration", () => {
  test(
    "gives items as they come and ends when the queue is shut down and drained",
    virtual(async () => {
      const queue = new Queue<number>(2);
      const received: number[] = [];

      await taskGroup(async (group) => {
        group.createTask(async () => {
          for (const item of [1, 2, 3, 4, 5]) await queue.put(item);
          queue.shutdown();
        });
        for await (const item of queue) received.push(item);
      });

      assert.deepEqual(received, [1, 2, 3, 4, 5]);
    }),
  );

  test(
    "ends consumers that wait when the queue is shut down",
    virtual(async () => {
      const queue = new Queue<number>();
      const consumer = createTask(async () => {
        for await (const _ of queue) assert.fail();
        return "ended";
      });
      await sleep(1);
      queue.shutdown();

      assert.equal(await consumer, "ended");
    }),
  );

  test(
    "by several consumers gives each item to one of them",
    virtual(async () => {
      const queue = new Queue<number>(3);
      const received: number[][] = [[], [], []];

      await taskGroup(async (group) => {
        for (const mine of received) {
          group.createTask(async () => {
            for await (const item of queue) {
              mine.push(item);
              await sleep(1);
            }
          });
        }
        for (let item = 0; item < 30; item++) await queue.put(item);
        queue.shutdown();
      });

      const all = received.flat().sort((a, b) => a - b);
      assert.deepEqual(
        all,
        Array.from({ length: 30 }, (_, index) => index),
      );
      assert.deepEqual(
        received.map((mine) => mine.length),
        [10, 10, 10],
      );
    }),
  );

  test(
    "can be left and taken up again",
    virtual(async () => {
      const queue = new Queue<number>();
      for (const item of [1, 2, 3]) queue.putNowait(item);
      queue.shutdown();

      for await (const item of queue) if (item === 1) break;
      const rest: number[] = [];
      for await (const item of queue) rest.push(item);

      assert.deepEqual(rest, [2, 3]);
    }),
  );

  test(
    "an item's own QueueShutDown is no end of the iteration",
    virtual(async () => {
      const queue = new Queue<Promise<number>>();
      const failed = Promise.reject(new QueueShutDown("of another queue"));
      failed.catch(() => {});
      queue.putNowait(failed);
      queue.putNowait(Promise.resolve(2));
      const iterator = queue[Symbol.asyncIterator]();

      assert.ok((await rejection(iterator.next())) instanceof QueueShutDown);
      assert.deepEqual(await iterator.next(), { done: false, value: 2 });
    }),
  );

  test(
    "is ended by a cancellation as any wait",
    virtual(async () => {
      const queue = new Queue<number>();
      const consumer = createTask(async () => {
        for await (const _ of queue) assert.fail();
      });
      await sleep(1);
      consumer.cancel();

      assert.ok((await rejection(consumer)) instanceof CancelledError);
    }),
  );
});

// Producers and consumers that are cancelled at random moments. Whatever the order: the items whose
// put has succeeded are those that were taken and those that are left.
describe("no item is lost or doubled, seeds 1 to 200", () => {
  for (let first = 1; first <= 200; first += 20) {
    test(`seeds ${first} to ${first + 19}`, async () => {
      for (let seed = first; seed < first + 20; seed++) {
        try {
          await virtual(() => conserve(drawer(seed)), { seed })();
        } catch (error) {
          throw new Error(`seed ${seed}`, { cause: error });
        }
      }
    });
  }

  async function conserve(draw: (count: number) => number): Promise<void> {
    const queue = new Queue<number>(draw(4));
    const put: number[] = [];
    const taken: number[] = [];
    let next = 0;
    const produce = async (): Promise<void> => {
      for (let round = 0; round < 6; round++) {
        const item = next++;
        await queue.put(item);
        put.push(item);
        if (draw(2) === 0) await sleep(draw(3));
      }
    };
    const consume = async (): Promise<void> => {
      for (let round = 0; round < 6; round++) {
        taken.push(await queue.get());
        if (draw(2) === 0) await sleep(draw(3));
      }
    };
    const works = Array.from({ length: 12 }, () => (draw(2) === 0 ? produce : consume));
    const tasks = works.map((work) => createTask(work));
    while (allTasks().size > 1) {
      await sleep(draw(3) === 0 ? 1 : 0);
      const victim = tasks[draw(tasks.length)];
      if (draw(4) === 0) victim?.cancel();
      if (draw(20) === 0) for (const task of tasks) task.cancel();
    }
    await gather(tasks, { returnExceptions: true });

    const left = drain(queue);

    const byNumber = (a: number, b: number): number => a - b;
    assert.deepEqual([...taken, ...left].sort(byNumber), put.sort(byNumber));
  }
});

test("an item counts as unfinished before whoever waits for it gets it", async () => {
  await run(async () => {
    const queue = new Queue<unknown>();
    const getter = createTask(() => queue.get());
    await sleep(0);
    let isJoined = false;
    queue.putNowait({
      // biome-ignore lint/suspicious/noThenProperty: read when the item is handed over
      get then() {
        queue.join().then(
          () => {
            isJoined = true;
          },
          () => {}, // it is read once more in the getter's task, which ends then
        );
        return undefined;
      },
    });
    await getter;
    await sleep(0.001);

    assert.equal(isJoined, false);
    queue.taskDone();
  });
});
