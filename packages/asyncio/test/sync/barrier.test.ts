import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Barrier, BrokenBarrierError, createTask, gather, sleep } from "../../src/index.ts";
import { rejection, virtual } from "../virtual.ts";

describe("filling", () => {
  test(
    "all go on when the last has come, each with a place of its own (S116)",
    virtual(async (loop) => {
      const barrier = new Barrier(3);
      const arrive = (delay: number) => async () => {
        await sleep(delay);
        const place = await barrier.wait();
        return [place, loop.time()];
      };

      const arrivals = await gather(arrive(1), arrive(3), arrive(2));

      assert.deepEqual(arrivals, [
        [0, 3],
        [2, 3],
        [1, 3],
      ]);
    }),
  );

  test(
    "is empty again at once: newcomers belong to the next round (S116)",
    virtual(async () => {
      const barrier = new Barrier(2);
      const first = createTask(() => barrier.wait());
      await sleep(1);

      const last = barrier.wait();
      const newcomer = createTask(() => barrier.wait());

      assert.equal(barrier.nWaiting, 0);
      assert.deepEqual([await last, await first], [1, 0]);
      await sleep(1);
      assert.equal(barrier.nWaiting, 1);
      assert.deepEqual([await barrier.wait(), await newcomer], [1, 0]);
    }),
  );

  test(
    "can be used again and again (S116)",
    virtual(async () => {
      const barrier = new Barrier(2);
      const rounds = async () => [await barrier.wait(), await barrier.wait(), await barrier.wait()];

      const [a, b] = await gather(rounds, rounds);

      assert.deepEqual(
        a.map((place, round) => place + (b[round] ?? 0)),
        [1, 1, 1],
      );
    }),
  );

  test(
    "one of one never waits (S116)",
    virtual(async (loop) => {
      const barrier = new Barrier(1);

      assert.deepEqual([await barrier.wait(), await barrier.wait(), loop.time()], [0, 0, 0]);
    }),
  );

  test(
    "tells how many are there and how many it takes",
    virtual(async () => {
      const barrier = new Barrier(3, { name: "start" });
      const waiters = [1, 2].map(() => createTask(() => barrier.wait()));
      await sleep(1);

      assert.deepEqual([barrier.nWaiting, barrier.parties, barrier.broken], [2, 3, false]);
      assert.deepEqual(waiters[0]?.waitingFor(), ['Barrier "start", 2 of 3 there']);

      await barrier.wait();
      await gather(waiters);
    }),
  );
});

describe("cancellation", () => {
  test(
    "of one that waits lowers the count and breaks nothing (S117)",
    virtual(async () => {
      const barrier = new Barrier(2);
      const [first, second] = [createTask(() => barrier.wait()), sleep(1)];
      await second;
      first.cancel();
      await rejection(first);
      assert.deepEqual([barrier.nWaiting, barrier.broken], [0, false]);

      const places = await gather(
        () => barrier.wait(),
        () => barrier.wait(),
      );

      assert.deepEqual(places, [0, 1]);
    }),
  );

  test(
    "right after the last arrival comes too late (S117)",
    virtual(async () => {
      const barrier = new Barrier(2);
      const first = createTask(() => barrier.wait());
      await sleep(1);

      const last = barrier.wait();
      first.cancel();

      assert.deepEqual([await first, await last], [0, 1]);
    }),
  );
});

describe("reset and abort", () => {
  test(
    "reset breaks the wait of those who are there, and the barrier is as new (S118)",
    virtual(async () => {
      const barrier = new Barrier(3, { name: "start" });
      const waiters = [1, 2].map(() => createTask(() => barrier.wait()));
      await sleep(1);

      barrier.reset();

      for (const waiter of waiters) {
        const error = await rejection(waiter);
        assert.ok(error instanceof BrokenBarrierError);
        assert.equal(error.code, "ERR_ASYNCIO_BROKEN_BARRIER");
        assert.equal(error.message, 'Barrier "start" was reset before all 3 tasks had come');
      }
      const wait = () => barrier.wait();
      assert.deepEqual(await gather(wait, wait, wait), [0, 1, 2]);
    }),
  );

  test(
    "abort breaks it for those who are there and all who come, until reset (S118)",
    virtual(async () => {
      const barrier = new Barrier(2);
      const waiter = createTask(() => barrier.wait());
      await sleep(1);

      barrier.abort();

      await assert.rejects(waiter, /a Barrier was broken by `abort` before all 2 tasks had come/);
      await assert.rejects(barrier.wait(), {
        name: "BrokenBarrierError",
        message: "a Barrier is broken before all 2 tasks had come",
      });
      assert.ok(barrier.broken);
      barrier.reset();
      assert.deepEqual(await gather([() => barrier.wait(), () => barrier.wait()]), [0, 1]);
    }),
  );

  test(
    "reset after the last arrival leaves those alone who are through (S118)",
    virtual(async () => {
      const barrier = new Barrier(2);
      const first = createTask(() => barrier.wait());
      await sleep(1);
      const last = barrier.wait();

      barrier.reset();

      assert.deepEqual([await first, await last], [0, 1]);
      assert.equal(barrier.broken, false);
    }),
  );

  test(
    "a broken wait that nobody awaits crashes nothing",
    virtual(async () => {
      const barrier = new Barrier(2);
      void barrier.wait();
      barrier.abort();
      void barrier.wait();

      await sleep(1);
    }),
  );
});

describe("arguments", () => {
  for (const parties of [0, -1, 1.5, Number.NaN]) {
    test(`${parties} tasks are a RangeError`, () => {
      assert.throws(() => new Barrier(parties), {
        name: "RangeError",
        code: "ERR_ASYNCIO_INVALID_ARGUMENT",
      });
    });
  }

  test("what is no number is a TypeError", () => {
    assert.throws(() => new Barrier("2" as never), {
      name: "TypeError",
      message: '`new Barrier` expects a number of tasks, a whole number of 1 or more, got "2"',
    });
  });
});
