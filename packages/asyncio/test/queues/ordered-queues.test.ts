import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createTask,
  gather,
  LifoQueue,
  PriorityQueue,
  type Queue,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  sleep,
  taskGroup,
} from "../../src/index.ts";
import { drawer } from "../hopping-host.ts";
import { rejection, virtual } from "../virtual.ts";

/** Takes all that is there without waiting. */
function drain<T>(queue: Queue<T>): T[] {
  const items: T[] = [];
  while (!queue.empty()) items.push(queue.getNowait());
  return items;
}

function filled<T>(queue: Queue<T>, items: readonly T[]): Queue<T> {
  for (const item of items) queue.putNowait(item);
  return queue;
}

interface Job {
  readonly priority: number;
  readonly name: string;
}

const byPriority = (a: Job, b: Job): number => a.priority - b.priority;

describe("PriorityQueue", () => {
  const orders: [name: string, given: unknown[], sorted: unknown[]][] = [
    [
      "numbers",
      [3, 1, 2, -0.5, Number.NEGATIVE_INFINITY],
      [Number.NEGATIVE_INFINITY, -0.5, 1, 2, 3],
    ],
    ["numbers and bigints", [3n, 1, 2n], [1, 2n, 3n]],
    ["strings", ["b", "a", "aa"], ["a", "aa", "b"]],
    ["dates", [new Date(2), new Date(1)], [new Date(1), new Date(2)]],
    [
      "arrays, element by element",
      [[2, "a"], [1, "b"], [1], [1, "a"], []],
      [[], [1], [1, "a"], [1, "b"], [2, "a"]],
    ],
  ];

  for (const [name, given, sorted] of orders) {
    test(`gives ${name} from the least to the greatest`, () => {
      assert.deepEqual(drain(filled(new PriorityQueue(), given)), sorted);
    });
  }

  test("gives equal items in the order in which they came", () => {
    const queue = new PriorityQueue<Job>(0, { compare: byPriority });
    const jobs = Array.from({ length: 50 }, (_, index) => ({
      priority: index % 3,
      name: `${index}`,
    }));

    assert.deepEqual(drain(filled(queue, jobs)), jobs.toSorted(byPriority));
  });

  for (let seed = 1; seed <= 20; seed++) {
    test(`gives what a sorted list gives, with seed ${seed}`, () => {
      const draw = drawer(seed);
      const queue = new PriorityQueue<Job>(0, { compare: byPriority });
      let model: Job[] = [];

      for (let step = 0; step < 300; step++) {
        if (draw(5) < 3) {
          const job = { priority: draw(10), name: `${step}` };
          queue.putNowait(job);
          model = [...model, job].toSorted(byPriority);
        } else if (model.length > 0) assert.equal(queue.getNowait(), model.shift());
        assert.equal(queue.qsize(), model.length);
      }
      assert.deepEqual(drain(queue), model);
    });
  }

  test(
    "gives an item that comes while somebody waits to the one who has waited longest",
    virtual(async () => {
      const queue = new PriorityQueue<number>();
      const getting = Promise.all([queue.get(), queue.get()]);

      queue.putNowait(2);
      queue.putNowait(1);

      assert.deepEqual(await getting, [2, 1]);
    }),
  );

  test(
    "lets waiting putters in as they came, and orders what is in",
    virtual(async () => {
      const queue = filled(new PriorityQueue<number>(1), [5]);
      const putting = [3, 1, 2].map((item) => createTask(() => queue.put(item)));
      await sleep(1);

      const items = [await queue.get(), await queue.get(), await queue.get(), await queue.get()];

      assert.deepEqual(items, [5, 3, 1, 2]);
      await gather(putting);
    }),
  );

  test(
    "a cancelled getter or putter leaves, and no item is lost (S120, S121, S122)",
    virtual(async () => {
      const queue = new PriorityQueue<number>(1);
      const getters = [createTask(() => queue.get()), createTask(() => queue.get())];
      await sleep(1);
      getters[0]?.cancel();
      queue.putNowait(1);
      const putters = [2, 3, 4].map((item) => createTask(() => queue.put(item)));
      await sleep(1);
      putters[1]?.cancel();

      const items = [await queue.get(), await queue.get()];

      assert.deepEqual([await getters[1], items], [1, [2, 4]]);
      for (const task of [getters[0], putters[1]]) await rejection(task as PromiseLike<unknown>);
      assert.ok(queue.empty());
    }),
  );

  test(
    "counts, joins and shuts down as other queues (S124, S125)",
    virtual(async () => {
      const queue = filled(new PriorityQueue<number>(2, { name: "jobs" }), [2, 1]);
      assert.throws(() => queue.putNowait(3), QueueFull);
      queue.shutdown();
      const received: number[] = [];

      await taskGroup(async (group) => {
        group.createTask(() => queue.join());
        for await (const item of queue) {
          received.push(item);
          queue.taskDone();
        }
      });

      assert.deepEqual(received, [1, 2]);
      assert.ok((await rejection(queue.put(1))) instanceof QueueShutDown);
    }),
  );

  test("is called by its name in errors", () => {
    assert.throws(() => new PriorityQueue(0, { name: "jobs" }).getNowait(), {
      message:
        '`getNowait` found PriorityQueue "jobs" empty. Use `await queue.get()` to wait for an item',
    });
    assert.throws(() => new PriorityQueue(-1).getNowait(), QueueEmpty);
  });
});

describe("items that cannot be compared (S128)", () => {
  const wrong: [name: string, first: unknown, second: unknown][] = [
    ["objects", { priority: 1 }, { priority: 2 }],
    ["a number and a string", 1, "a"],
    ["a number and an array", 1, [1]],
    ["NaN", 1, Number.NaN],
    ["an invalid date", new Date(1), new Date(Number.NaN)],
    ["arrays with such elements", [1, {}], [1, {}]],
  ];

  for (const [name, first, second] of wrong) {
    test(
      `${name} are refused by put and putNowait, and the queue is as before (S128)`,
      virtual(async () => {
        const queue = new PriorityQueue<unknown>();
        const refused = async () => {
          await queue.put(first);
          await queue.put(second);
        };

        await assert.rejects(refused(), {
          name: "TypeError",
          code: "ERR_ASYNCIO_INVALID_ARGUMENT",
          message: /^`PriorityQueue` expects .* Pass `\{ compare: \(a, b\) => \.\.\. \}` for/,
        });

        const before = queue.qsize();
        assert.throws(() => queue.putNowait(second), TypeError);
        assert.equal(queue.qsize(), before);
        for (const _ of drain(queue)) queue.taskDone();
        await queue.join();
      }),
    );
  }

  test(
    "put and get reject with what compare throws, and the queue is as before (S128)",
    virtual(async () => {
      let isBroken = false;
      const compare = (a: number, b: number): number => {
        if (isBroken) throw new Error("compare");
        return a - b;
      };
      const queue = filled(new PriorityQueue<number>(0, { compare }), [4, 2, 3, 1]);

      isBroken = true;
      await assert.rejects(queue.put(0), /compare/);
      await assert.rejects(queue.get(), /compare/);
      assert.throws(() => queue.getNowait(), /compare/);
      isBroken = false;

      assert.deepEqual(drain(queue), [1, 2, 3, 4]);
    }),
  );

  test(
    "a waiting put whose item cannot be compared rejects in its turn, and the next one is let in",
    virtual(async () => {
      const queue = filled(new PriorityQueue<unknown>(2), [1, 2]);
      const [wrong, right] = [createTask(() => queue.put("a")), createTask(() => queue.put(3))];
      await sleep(1);

      assert.equal(queue.getNowait(), 1);

      assert.ok((await rejection(wrong)) instanceof TypeError);
      await right;
      assert.deepEqual(drain(queue), [2, 3]);
    }),
  );

  test("of two kinds both are named, the one that was put and one that is there", () => {
    const queue = filled(new PriorityQueue<unknown>(), [1]);
    const message = (item: unknown) => {
      try {
        return queue.putNowait(item);
      } catch (error) {
        return /dates, or arrays of these(.*)\. Pass/.exec(String(error))?.[1];
      }
    };

    assert.equal(message("a"), ', beside 1, got "a"');
    assert.equal(message([2]), ", got an array of 1");
    assert.equal(message({}), ", got an object");
    assert.equal(message(2n), undefined);
  });

  test("compare that gives no number is a TypeError", () => {
    const queue = new PriorityQueue<number>(0, { compare: (a, b) => (a < b) as never });

    assert.throws(() => queue.putNowait(1), {
      name: "TypeError",
      message: "`PriorityQueue` expects `compare` to give a number, got false",
    });
    assert.throws(() => new PriorityQueue(0, { compare: 5 as never }), TypeError);
  });
});

describe("LifoQueue", () => {
  test("gives the newest item first", () => {
    const queue = filled(new LifoQueue<number>(), [1, 2, 3]);

    assert.equal(queue.getNowait(), 3);
    queue.putNowait(4);
    assert.deepEqual(drain(queue), [4, 2, 1]);
  });

  test(
    "lets the putter that has waited longest in when an item is taken",
    virtual(async () => {
      const queue = filled(new LifoQueue<number>(2), [1, 2]);
      const putting = [3, 4].map((item) => createTask(() => queue.put(item)));
      await sleep(1);

      const items = [await queue.get(), await queue.get(), await queue.get(), await queue.get()];

      assert.deepEqual(items, [2, 3, 4, 1]);
      await gather(putting);
    }),
  );

  test(
    "a cancelled getter takes nothing, a cancelled putter puts nothing in (S120, S121)",
    virtual(async () => {
      const queue = new LifoQueue<number>(1);
      const getter = createTask(() => queue.get());
      await sleep(1);
      getter.cancel();
      queue.putNowait(1);
      const putter = createTask(() => queue.put(2));
      await sleep(1);
      putter.cancel();

      assert.equal(await queue.get(), 1);

      await gather([getter, putter], { returnExceptions: true });
      assert.ok(queue.empty());
    }),
  );

  test(
    "drops its items when it is shut down at once, and join returns (S126)",
    virtual(async () => {
      const queue = filled(new LifoQueue<number>(), [1, 2]);

      queue.shutdown({ immediate: true });

      await queue.join();
      assert.throws(() => queue.getNowait(), QueueShutDown);
    }),
  );

  test("refuses a fraction of maxsize; 0 or less is no limit (S127)", () => {
    const sizes = [2, 0, -1].map((maxsize) => new LifoQueue(maxsize).maxsize);

    assert.deepEqual(sizes, [2, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
    assert.throws(() => new LifoQueue(1.5), RangeError);
    assert.throws(() => filled(new LifoQueue<number>(1, { name: "jobs" }), [1, 2]), {
      message: /found LifoQueue "jobs" full/,
    });
  });
});
