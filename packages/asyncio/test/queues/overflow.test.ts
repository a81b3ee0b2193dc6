// Queues that drop instead of waiting, that are looked into, and that end with a cause.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createTask,
  type ItemStore,
  LifoQueue,
  PriorityQueue,
  Queue,
  QueueFull,
  QueueShutDown,
  sleep,
} from "../../src/index.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

async function rest<T>(queue: Queue<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of queue) items.push(item);
  return items;
}

describe("a queue that drops", () => {
  for (const [overflow, kept, dropped] of [
    ["dropOldest", [3, 4], [1, 2]],
    ["dropNewest", [1, 2], [3, 4]],
  ] as const) {
    test(
      overflow,
      virtual(async () => {
        const lost: number[] = [];
        const queue = new Queue<number>(2, { overflow, onDrop: (item) => lost.push(item) });

        for (const item of [1, 2, 3]) await queue.put(item);
        queue.putNowait(4);

        const { size, unfinished, dropped: count } = queue.statistics();
        assert.deepEqual({ size, unfinished, count }, { size: 2, unfinished: 2, count: 2 });
        queue.shutdown();
        assert.deepEqual(await rest(queue), kept);
        assert.deepEqual(lost, dropped);
      }),
    );
  }

  test(
    "keeps the last of one",
    virtual(async () => {
      const queue = new Queue<number>(1, { overflow: "dropOldest" });
      for (const item of [1, 2, 3]) queue.putNowait(item);
      assert.equal(await queue.get(), 3);
    }),
  );

  test(
    "dropped items count as done for `join`",
    virtual(async () => {
      const queue = new Queue<number>(1, { overflow: "dropOldest" });
      queue.putNowait(1);
      queue.putNowait(2);
      const joining = createTask(() => queue.join());
      await queue.get();
      queue.taskDone();
      await joining;
    }),
  );

  test(
    "who waits gets the item before any is dropped",
    virtual(async () => {
      const queue = new Queue<number>(1, { overflow: "dropNewest" });
      const waiting = createTask(() => queue.get());
      await sleep(0);
      queue.putNowait(1);
      queue.putNowait(2);
      assert.deepEqual([await waiting, await queue.get()], [1, 2]);
    }),
  );

  test(
    "what `onDrop` throws is reported, and the put has taken effect",
    virtual(async (loop) => {
      const reports = collectReports(loop);
      const failure = new Error("no");
      const onDrop = (): never => {
        throw failure;
      };
      const queue = new Queue<number>(1, { overflow: "dropOldest", onDrop, name: "last" });
      queue.putNowait(1);
      await queue.put(2);

      assert.equal(await queue.get(), 2);
      const [{ message, exception } = {}] = reports;
      assert.deepEqual([message, exception], ['`onDrop` of Queue "last" has failed', failure]);
    }),
  );

  test(
    "shutting down at once drops what is there, in order",
    virtual(async () => {
      const lost: number[] = [];
      const queue = new PriorityQueue<number>(0, { onDrop: (item) => lost.push(item) });
      for (const item of [3, 1, 2]) queue.putNowait(item);

      queue.shutdown({ immediate: true });

      await queue.join();
      assert.deepEqual([lost, queue.statistics().dropped], [[1, 2, 3], 3]);
    }),
  );

  test("words and functions that are none are refused", () => {
    assert.throws(() => new Queue(1, { overflow: "drop" as never }), /`overflow` to be "wait"/);
    assert.throws(() => new Queue(1, { onDrop: 5 as never }), /`onDrop` as a function, got 5/);
    assert.throws(() => new LifoQueue(1, { overflow: "wait" } as never), /no option `overflow`/);
  });

  test("one that waits is full as before", () => {
    const queue = new Queue<number>(1, { overflow: "wait" });
    queue.putNowait(1);
    assert.throws(() => queue.putNowait(2), QueueFull);
  });
});

describe("peek", () => {
  test("shows what `get` would take, which stays", () => {
    const queues = [new Queue<number>(), new LifoQueue<number>(), new PriorityQueue<number>()];
    for (const queue of queues) {
      assert.equal(queue.peek(), undefined);
      for (const item of [2, 3, 1]) queue.putNowait(item);
      assert.deepEqual(queue.peek(), { value: queue.getNowait() });
    }
    assert.equal(queues[0]?.qsize(), 2);
  });

  test("needs a store that can be asked", () => {
    const items: number[] = [];
    const store: ItemStore<number> = {
      get length() {
        return items.length;
      },
      push: (item) => void items.push(item),
      shift: () => items.shift() as number,
      clear: () => items.splice(0).length,
    };
    const queue = new Queue<number>(0, undefined, store);
    queue.putNowait(1);
    assert.throws(() => queue.peek(), /needs an item store that has `at`/);
  });
});

describe("shut down with a cause", () => {
  test(
    "those who get are given it once it is drained, those who put as a cause",
    virtual(async () => {
      const cause = new Error("the source has gone");
      const queue = new Queue<number>(1);
      queue.putNowait(1);
      const putting = createTask(() => queue.put(2));
      await sleep(0);

      queue.shutdown({ cause });
      queue.shutdown({ cause: new Error("another") }); // the first counts

      const refused = await rejection(putting);
      assert.ok(refused instanceof QueueShutDown && refused.cause === cause);
      assert.equal(await queue.get(), 1);
      assert.equal(await rejection(queue.get()), cause);
      assert.equal(await rejection(rest(queue)), cause);
      assert.throws(() => queue.getNowait(), cause);
    }),
  );

  test(
    "those who wait already get it",
    virtual(async () => {
      const cause = new QueueShutDown("of another queue");
      const queue = new Queue<number>();
      const [getting, looping] = [createTask(() => queue.get()), createTask(() => rest(queue))];
      await sleep(0);
      queue.shutdown({ cause });
      assert.deepEqual([await rejection(getting), await rejection(looping)], [cause, cause]);
    }),
  );
});
