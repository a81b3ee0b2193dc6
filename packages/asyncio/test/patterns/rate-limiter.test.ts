import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { RateLimiter } from "../../src/patterns.ts";
import * as testing from "../../src/testing.ts";
import { conforms, conformsJoin } from "../conformance.ts";
import { virtual } from "../virtual.ts";

const { createTask, gather, moveOnAfter, sleep } = asyncio;

/** In 1 second so many at once, and then nothing before the next. */
conforms("RateLimiter.take", { wakes: "own" }, () => {
  const limiter = new RateLimiter({ rate: 1 });
  return {
    begin() {
      limiter.tryTake(); // it is full now, and the next one is granted in a second
      return limiter.take();
    },
    delay: 1,
    value: undefined,
    check: ({ completed }) => assert.ok(limiter.statistics().taken <= completed + 1),
  };
});

conformsJoin("RateLimiter.run", (work) => new RateLimiter({ rate: 1 }).run(work), {
  runsInCaller: true,
});

/** When each of `weights` is granted, all asked for at once. */
async function grantsOf(limiter: RateLimiter, weights: readonly number[]): Promise<number[]> {
  const loop = asyncio.getRunningLoop();
  const times: number[] = [];
  const take = async (weight: number): Promise<void> => {
    await limiter.take(weight);
    times.push(Math.round(loop.time() * 1000) / 1000);
  };
  await gather(weights.map((weight) => () => take(weight)));
  return times;
}

suite("the rate", () => {
  test(
    "comes after the burst, evenly and exactly",
    virtual(async (loop) => {
      const limiter = new RateLimiter({ rate: 50, burst: 10 });

      for (let n = 0; n < 1000; n++) await limiter.take();

      assert.ok(Math.abs(loop.time() - 19.8) < 1e-9, String(loop.time()));
    }),
  );

  test(
    "gives a burst again after a pause, and no more than that",
    virtual(async () => {
      const limiter = new RateLimiter({ rate: 1, burst: 3 });
      await grantsOf(limiter, [1, 1, 1]);
      await sleep(100);

      assert.deepEqual(await grantsOf(limiter, [1, 1, 1, 1, 1]), [100, 100, 100, 101, 102]);
    }),
  );

  test(
    "per hour is a rate as well",
    virtual(async () => {
      const limiter = new RateLimiter({ rate: 2, per: 3600 });

      assert.deepEqual(await grantsOf(limiter, [1, 1, 1]), [0, 1800, 3600]);
    }),
  );

  test(
    "never lets more through in any window than burst and rate allow",
    virtual(async () => {
      const limiter = new RateLimiter({ rate: 5, burst: 2 });
      const loop = asyncio.getRunningLoop();
      const times: number[] = [];
      const take = async (start: number): Promise<void> => {
        await sleep(start);
        await limiter.take();
        times.push(loop.time());
      };

      await gather(Array.from({ length: 40 }, (_, n) => () => take(Math.floor(n / 8) * 0.95)));

      for (const [from, start] of times.entries())
        for (const [to, end] of times.entries())
          if (to >= from) assert.ok(to - from + 1 <= 2 + 5 * (end - start) + 1e-6);
    }),
  );

  test(
    "changes for those who wait, too",
    virtual(async (loop) => {
      const limiter = new RateLimiter({ rate: 1 });
      const grants = grantsOf(limiter, [1, 1, 1]);
      await sleep(0.5);

      limiter.setRate(10);

      await grants;
      assert.ok(Math.abs(loop.time() - 0.65) < 1e-9, String(loop.time()));
      assert.deepEqual([limiter.statistics().rate, limiter.statistics().per], [10, 1]);
    }),
  );

  test("is made up for where the timers of the host are late", async () => {
    const limiter = new RateLimiter({ rate: 1000 });
    const started = performance.now();

    await asyncio.run(async () => {
      for (let n = 0; n < 200; n++) await limiter.take();
    });

    // Strictly paced by timers that come a millisecond late it would be 400; a busy machine is no
    // failure, so this is what cannot be: faster than the rate.
    assert.ok(performance.now() - started >= 196);
  });
});

suite("who is next", () => {
  test(
    "is who came first, whatever they weigh",
    virtual(async () => {
      const limiter = new RateLimiter({ rate: 1, burst: 5 });
      const order: number[] = [];
      const take = async (weight: number): Promise<void> => {
        await limiter.take(weight);
        order.push(weight);
      };

      await gather([5, 4, 1, 3, 2, 1].map((weight) => () => take(weight)));

      assert.deepEqual(order, [5, 4, 1, 3, 2, 1]);
    }),
  );

  test(
    "comes at once if the heavy one before it is cancelled",
    virtual(async (loop) => {
      const limiter = new RateLimiter({ rate: 1, burst: 5 });
      await limiter.take(5);
      const heavy = createTask(() => limiter.take(5));
      const light = createTask(async () => {
        await limiter.take(1);
        return loop.time();
      });
      await sleep(0.5);

      heavy.cancel();

      assert.equal(await light, 1);
      await asyncio.wait([heavy]);
    }),
  );

  test(
    "is not a newcomer who weighs less than those who wait",
    virtual(async () => {
      const limiter = new RateLimiter({ rate: 1, burst: 2 });
      await limiter.take(1);
      const waiting = createTask(() => limiter.take(2));
      await sleep(0);

      assert.equal(limiter.tryTake(1), false);

      await waiting;
    }),
  );
});

suite("cancellation", () => {
  test(
    "takes nothing: the next ones come as if it had not been there",
    virtual(async () => {
      const limiter = new RateLimiter({ rate: 1 });
      await limiter.take();
      await gather([0.1, 0.2, 0.3].map((delay) => () => moveOnAfter(delay, () => limiter.take())));

      assert.deepEqual(await grantsOf(limiter, [1, 1]), [1, 2]);
      assert.equal(limiter.statistics().taken, 3);
    }),
  );

  test("loses nothing, wherever it comes, in any order of steps", async () => {
    const setup = () => ({
      limiter: new RateLimiter({ rate: 10, burst: 2 }),
      grants: [] as number[],
    });
    const body = async (_t: unknown, { limiter, grants }: ReturnType<typeof setup>) => {
      const loop = asyncio.getRunningLoop();
      const take = async (weight: number): Promise<void> => {
        await limiter.take(weight);
        for (let n = 0; n < weight; n++) grants.push(loop.time());
      };
      await asyncio.taskGroup(async (group) => {
        for (const weight of [1, 2, 1, 1]) group.createTask(() => take(weight));
        group.createTask(() => moveOnAfter(0.15, () => take(2)));
      });
    };
    const invariant = ({ limiter, grants }: ReturnType<typeof setup>) => {
      const { waiting, taken } = limiter.statistics();
      assert.equal(waiting, 0);
      assert.equal(taken, grants.length);
      for (const [from, start] of grants.entries())
        for (const [to, end] of grants.entries())
          if (to >= from) assert.ok(to - from + 1 <= 2 + 10 * (end - start) + 1e-6);
    };
    const seconds = Number.POSITIVE_INFINITY;

    await testing.explore(body, { setup, invariant, iterations: 400, seconds });
    for (const victims of ["body", "tasks"] as const)
      await testing.cancelSweep(body, {
        setup,
        invariant,
        victims,
        mayReturn: true,
        schedules: 4,
        seconds,
      });
  });
});

suite("a penalty", () => {
  test(
    "stops everything for so long, and then there is no burst",
    virtual(async () => {
      const limiter = new RateLimiter({ rate: 1, burst: 3 });
      limiter.penalize(30);

      assert.deepEqual(await grantsOf(limiter, [1, 1, 1]), [30, 31, 32]);
    }),
  );

  test(
    "holds for those who wait, and a shorter one later does not shorten it",
    virtual(async () => {
      const limiter = new RateLimiter({ rate: 1 });
      const grants = grantsOf(limiter, [1, 1]);
      await sleep(0.5);

      limiter.penalize(10);
      limiter.penalize(1);

      assert.deepEqual(await grants, [0, 10.5]);
    }),
  );
});

suite("what it tells", () => {
  test(
    "how long a take would wait, those in line counted in",
    virtual(async () => {
      const limiter = new RateLimiter({ rate: 2, burst: 2, name: "api" });
      assert.deepEqual([limiter.delay(2), limiter.idle], [0, true]);
      await limiter.take(2);
      const waiting = createTask(() => limiter.take(2));
      await sleep(0);

      const { name } = limiter;
      assert.deepEqual([name, limiter.delay(), limiter.idle], ["api", 1.5, false]);
      assert.deepEqual(
        { ...limiter.statistics() },
        {
          rate: 2,
          per: 1,
          burst: 2,
          waiting: 1,
          taken: 2,
          delay: 1.5,
        },
      );
      assert.deepEqual(waiting.waitingFor(), [
        'RateLimiter "api", 1 waiting, the first for 1 s more',
      ]);

      await waiting;
      await sleep(1);
      assert.ok(limiter.idle);
    }),
  );

  test("a limiter at module level begins anew in a run with another clock", async () => {
    const limiter = new RateLimiter({ rate: 1 });
    const once = async (): Promise<number> => {
      await sleep(100);
      await limiter.take();
      return asyncio.getRunningLoop().time();
    };

    const times = [];
    for (let n = 0; n < 2; n++)
      times.push(await asyncio.run(once, { loop: new testing.VirtualLoop() }));

    assert.deepEqual(times, [100, 100]);
  });

  test(
    "run pays before it calls, and what is paid stays paid",
    virtual(async (loop) => {
      const limiter = new RateLimiter({ rate: 1, burst: 2 });

      assert.equal(await limiter.run(async () => "a", { weight: 2 }), "a");
      await assert.rejects(
        limiter.run(() => Promise.reject(new Error("broken"))),
        /broken/,
      );

      assert.deepEqual([loop.time(), limiter.statistics().taken], [1, 3]);
    }),
  );
});

test(
  "the wall clock may be set: nobody looks at it",
  virtual(async (loop) => {
    const { now } = Date;
    Date.now = () => assert.fail("it is looked at");
    try {
      const limiter = new RateLimiter({ rate: 1 });
      for (const due of [0, 1, 2]) {
        await limiter.take();
        assert.equal(loop.time(), due);
      }
    } finally {
      Date.now = now;
    }
  }),
);

test("wrong arguments are refused", async () => {
  const limiter = new RateLimiter({ rate: 1, burst: 2 });

  for (const rate of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => new RateLimiter({ rate }), RangeError);
  assert.throws(
    () => new RateLimiter(undefined as never),
    /`rate`, a number above 0, got undefined/,
  );
  assert.throws(() => limiter.penalize(Number.POSITIVE_INFINITY), RangeError);
  await assert.rejects(limiter.take(3), {
    name: "RangeError",
    message:
      "`limiter.take` expects a weight of at most 2, which is the burst: more would never be granted, got 3",
  });
  await assert.rejects(limiter.run(Promise.resolve() as never), TypeError);
});
