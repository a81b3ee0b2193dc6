// What can be taken and asked without waiting: locks, semaphores with weights, and their figures.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  BoundedSemaphore,
  createTask,
  currentTask,
  Event,
  InvalidStateError,
  Lock,
  Semaphore,
  sleep,
  taskGroup,
} from "../../src/index.ts";
import { cancelSweep, explore } from "../../src/testing.ts";
import { conforms } from "../conformance.ts";
import { rejection, virtual } from "../virtual.ts";

conforms("Semaphore.acquire, of several", { wakes: "own" }, () => {
  const semaphore = new Semaphore(0);
  return {
    begin: () => semaphore.acquire(2).then(() => "permitted"),
    complete() {
      semaphore.release(2);
      return "permitted";
    },
    check: ({ offered, completed }) => assert.equal(semaphore.value, 2 * (offered - completed)),
  };
});

describe("a lock", () => {
  test(
    "is taken if it is free, and knows its holder",
    virtual(async () => {
      const lock = new Lock();
      const guard = lock.tryAcquire();
      assert.equal(lock.holder, currentTask());
      assert.equal(lock.tryAcquire(), undefined);
      const waiting = createTask(() => lock.acquire());
      await sleep(0);
      assert.deepEqual(lock.statistics(), { locked: true, waiting: 1 });

      guard?.[Symbol.dispose]();

      assert.equal(lock.tryAcquire(), undefined); // it was handed on in the call
      (await waiting)[Symbol.dispose]();
      assert.deepEqual([lock.idle, lock.holder], [true, undefined]);
    }),
  );
});

describe("permits", () => {
  test(
    "several are granted whole, and the first in line is not overtaken",
    virtual(async () => {
      const semaphore = new Semaphore(3);
      const order: string[] = [];
      const take = async (name: string, count: number): Promise<void> => {
        using _permits = await semaphore.acquire(count);
        order.push(name);
        await sleep(1);
      };

      await taskGroup(async (group) => {
        for (const [name, count] of Object.entries({ two: 2, three: 3, one: 1 }))
          group.createTask(() => take(name, count));
        await sleep(0.5);
        assert.deepEqual(semaphore.statistics(), { permits: 3, free: 1, waiting: 2 });
        assert.ok(semaphore.locked()); // one is free, and `acquire` would wait behind the others
        assert.equal(semaphore.tryAcquire(), undefined);
      });

      assert.deepEqual(order, ["two", "three", "one"]);
      assert.ok(semaphore.idle);
    }),
  );

  test(
    "when the first in line is cancelled, those behind it that fit go on",
    virtual(async () => {
      const semaphore = new Semaphore(2);
      const held = semaphore.tryAcquire();
      const large = createTask(() => semaphore.acquire(2));
      const small = createTask(() => semaphore.acquire());
      await sleep(0);

      large.cancel();

      (await small)[Symbol.dispose]();
      await rejection(large);
      held?.[Symbol.dispose]();
      assert.equal(semaphore.value, 2);
    }),
  );

  test(
    "fewer: those that are out stay out; more: those who wait go on",
    virtual(async () => {
      const semaphore = new BoundedSemaphore(2);
      const guards = [await semaphore.acquire(), await semaphore.acquire()];
      semaphore.resize(1);
      assert.equal(semaphore.value, -1);
      const waiting = createTask(() => semaphore.acquire());
      guards[0]?.[Symbol.dispose]();
      await sleep(0);
      assert.equal(waiting.done(), false);

      semaphore.resize(2);

      (await waiting)[Symbol.dispose]();
      guards[1]?.[Symbol.dispose]();
      assert.equal(semaphore.value, 2);
      assert.throws(() => semaphore.release(), InvalidStateError);
      semaphore.resize(0);
      assert.equal(semaphore.tryAcquire(), undefined);
      semaphore.resize(1);
    }),
  );

  test(
    "numbers that count nothing are refused",
    virtual(async () => {
      const semaphore = new Semaphore(2);
      for (const count of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        assert.ok((await rejection(semaphore.acquire(count))) instanceof RangeError);
        assert.throws(() => semaphore.tryAcquire(count), RangeError);
        assert.throws(() => semaphore.release(count), RangeError);
      }
      assert.throws(() => semaphore.resize(-1), RangeError);
      assert.throws(() => semaphore.resize("2" as never), TypeError);
      assert.equal(semaphore.value, 2);
    }),
  );
});

test(
  "an event tells how many wait for it",
  virtual(async () => {
    const event = new Event();
    const waiting = createTask(() => event.wait());
    await sleep(0);
    assert.deepEqual(event.statistics(), { set: false, waiting: 1 });
    event.set();
    await waiting;
    assert.deepEqual(event.statistics(), { set: true, waiting: 0 });
  }),
);

/** Weights of all sizes, while the limit goes down and up again. */
async function weights(): Promise<void> {
  const semaphore = new Semaphore(3);
  let out = 0;
  await taskGroup(async (group) => {
    for (const count of [2, 1, 3, 1, 2])
      group.createTask(async () => {
        using _permits = await semaphore.acquire(count);
        out += count;
        assert.ok(out <= 3);
        await sleep(0);
        out -= count;
      });
    semaphore.resize(1);
    await sleep(1);
    semaphore.resize(3);
  });
  assert.deepEqual(semaphore.statistics(), { permits: 3, free: 3, waiting: 0 });
}

test("never more permits are out than there are, in any schedule", async () => {
  await explore(weights, { iterations: 500 });
});

test("whoever is cancelled, wherever, has given back all", async () => {
  await cancelSweep(async () => {
    const semaphore = new Semaphore(3);
    const take = async (count: number): Promise<void> => {
      using _permits = await semaphore.acquire(count);
      await sleep(0);
    };
    await taskGroup(async (group) => {
      for (const count of [2, 1, 3, 1]) group.createTask(() => take(count));
    });
    assert.equal(semaphore.value, 3);
  });
});
