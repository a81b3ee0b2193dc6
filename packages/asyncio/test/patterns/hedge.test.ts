import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { fallback, hedge, RetryBudget } from "../../src/patterns.ts";
import * as testing from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { conformsJoin } from "../conformance.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

const { createTask, sleep } = asyncio;

conformsJoin("hedge", (work) => hedge(Number.POSITIVE_INFINITY, work, { max: 1 }), {
  runsInCaller: true,
});
conformsJoin("fallback", (work) => fallback(work), { runsInCaller: true });

/** Attempts that take so many seconds each; those below 0 fail after as many. */
function attempts(seconds: readonly number[], log: string[] = []) {
  return async (attempt: number): Promise<string> => {
    const delay = seconds[attempt - 1] ?? 0;
    log.push(`${attempt} at ${asyncio.getRunningLoop().time()}`);
    try {
      await sleep(Math.abs(delay));
    } catch (error) {
      log.push(`${attempt} cancelled`);
      throw error;
    }
    if (delay < 0) throw new Error(`attempt ${attempt}`);
    return `attempt ${attempt}`;
  };
}

suite("hedge", () => {
  test(
    "starts no second attempt if the first is fast",
    virtual(async () => {
      const log: string[] = [];

      assert.equal(await hedge(1, attempts([0.5], log)), "attempt 1");
      assert.deepEqual(log, ["1 at 0"]);
    }),
  );

  test(
    "the first to succeed wins, and the others have ended",
    virtual(async (loop) => {
      const log: string[] = [];

      assert.equal(await hedge(1, attempts([10, 10, 1], log), { max: 4 }), "attempt 3");
      assert.deepEqual(log, ["1 at 0", "2 at 1", "3 at 2", "1 cancelled", "2 cancelled"]);
      assert.equal(loop.time(), 3);
    }),
  );

  test(
    "a failure starts the next one at once",
    virtual(async (loop) => {
      assert.equal(await hedge(10, attempts([-1, 1])), "attempt 2");
      assert.equal(loop.time(), 2);
    }),
  );

  test(
    "throws what the last one threw, bare",
    virtual(async () => {
      const error = await rejection(hedge(1, attempts([-3, -1])));

      assert.equal(String(error), "Error: attempt 1");
    }),
  );

  test(
    "of 0 seconds starts all at once",
    virtual(async (loop) => {
      assert.equal(await hedge(0, attempts([3, 1, 2]), { max: 3 }), "attempt 2");
      assert.equal(loop.time(), 1);
    }),
  );

  test(
    "starts no more than its budget allows, and goes on with what runs",
    virtual(async (loop) => {
      const budget = new RetryBudget({ min: 1, ratio: 0.01, per: 1000 });
      const log: string[] = [];

      assert.equal(await hedge(1, attempts([5, 10], log), { budget }), "attempt 1");
      log.length = 0;
      assert.equal(await hedge(1, attempts([5, 0], log), { budget }), "attempt 1");

      assert.deepEqual([log, loop.time()], [["1 at 5"], 10]);
      assert.equal(
        String(await rejection(hedge(1, attempts([-5]), { budget }))),
        "Error: attempt 1",
      );
    }),
  );

  test(
    "cancelled, it cancels all, and waits for them",
    virtual(async () => {
      const log: string[] = [];
      const task = createTask(() => hedge(1, attempts([10, 10], log)));
      await sleep(2);

      task.cancel();

      assert.ok((await rejection(task)) instanceof asyncio.CancelledError);
      assert.deepEqual(log.slice(2), ["1 cancelled", "2 cancelled"]);
    }),
  );

  onBothLoops("waits for a loser that hears of nothing, so nothing of it runs on", async () => {
    let isOver = false;
    let letGo = (): void => {};
    const body = async (attempt: number) => {
      if (attempt === 1) {
        await new Promise<void>((resolve) => {
          letGo = resolve;
        }); // foreign: nothing can cancel it
        isOver = true;
      } else setImmediate(letGo);
      return attempt;
    };

    assert.deepEqual([await hedge(0, body), isOver], [2, true]);
  });

  test("reports the failure of a loser: nobody else is told", async () => {
    const loop = new testing.VirtualLoop();
    const reports = collectReports(loop);
    const body = async (attempt: number) => {
      try {
        await sleep(attempt === 1 ? 5 : 1);
      } finally {
        if (attempt === 1) await sleep(1).then(() => assert.fail("cannot hang up"));
      }
      return attempt;
    };

    assert.equal(await asyncio.run(() => hedge(1, body), { loop }), 2);

    assert.match(
      reports.map(({ message, exception }) => `${message}: ${exception}`).join(),
      /a branch of hedge has failed after another one had won: .*cannot hang up/,
    );
  });

  test("leaves nothing behind, in any order, wherever a cancellation comes", async () => {
    const ending = (seconds: number[]) => async () =>
      void (await hedge(0.5, attempts(seconds), { max: 3 }));

    await testing.explore(ending([1, -0.25, 0.5]), { iterations: 100 });
    const sweep = await testing.cancelSweep(ending([1, 0.75, 0.5]), {
      schedules: 4,
      mayReturn: true,
    });
    assert.ok(sweep.places > 3);
  });
});

suite("fallback", () => {
  test(
    "gives what the first gives that succeeds, and calls no other",
    virtual(async () => {
      const log: number[] = [];
      const way = (n: number, fails: boolean) => async () => {
        log.push(n);
        await sleep(1);
        if (fails) throw new Error(`way ${n}`);
        return n;
      };

      assert.equal(await fallback(way(1, true), way(2, false), way(3, false)), 2);
      assert.deepEqual(log, [1, 2]);
    }),
  );

  test(
    "throws all failures as a group, also of one",
    virtual(async () => {
      const error = await rejection(fallback(attempts([-1]).bind(null, 1)));

      assert.ok(error instanceof asyncio.ExceptionGroup);
      assert.match(error.message, /^every way of `fallback` has failed: Error: attempt 1/);
    }),
  );

  test(
    "ends with a cancellation",
    virtual(async () => {
      let called = false;
      const other = async () => {
        called = true;
      };
      const task = createTask(() => fallback(() => sleep(10), other));
      await sleep(1);

      task.cancel();

      assert.ok((await rejection(task)) instanceof asyncio.CancelledError);
      assert.equal(called, false);
    }),
  );
});

test("wrong arguments are refused", async () => {
  const work = attempts([0]);

  await assert.rejects(hedge(Number.NaN, work), RangeError);
  for (const max of [0, 1.5, Number.POSITIVE_INFINITY])
    await assert.rejects(hedge(1, work, { max }), RangeError);
  await assert.rejects(hedge(1, Promise.resolve("") as never), TypeError);
  await assert.rejects(fallback(), RangeError);
  await assert.rejects(fallback(Promise.resolve() as never), TypeError);
});

test(
  "attempts are made when their turn comes, however many there may be",
  virtual(async () => {
    const answer = await hedge(
      1,
      async (attempt) => {
        if (attempt < 3) throw new Error("busy");
        return attempt;
      },
      { max: 1e9 },
    );
    assert.equal(answer, 3);
  }),
);
