import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { exponential, RetryBudget, repeat, retry, spaced } from "../../src/patterns.ts";
import * as testing from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { conformsJoin } from "../conformance.ts";
import { rejection, virtual } from "../virtual.ts";

const { createTask, sleep, timeout } = asyncio;

conformsJoin("retry", (work) => retry([], work), { runsInCaller: true });
conformsJoin("repeat", (work) => repeat([], work), { runsInCaller: true });

/** Fails so many times, and then gives how many attempts it took. */
function failing(times: number): (attempt: number) => Promise<number> {
  return async (attempt) => {
    await sleep(0);
    if (attempt <= times) throw new Error(`attempt ${attempt}`);
    return attempt;
  };
}

suite("retry", () => {
  test(
    "gives what the first attempt gives that succeeds",
    virtual(async (loop) => {
      assert.equal(await retry([1, 2, 4], failing(2)), 3);
      assert.equal(loop.time(), 3);
    }),
  );

  test(
    "throws the last failure as it is, and tells of the others",
    virtual(async () => {
      const told: unknown[] = [];
      const onRetry = (error: unknown, step: { attempt: number; delay: number }) =>
        told.push([String(error), step.attempt, step.delay]);

      const error = await rejection(retry(spaced(1).times(2), failing(5), { onRetry }));

      assert.equal((error as Error).message, "attempt 3");
      assert.deepEqual(told, [
        ["Error: attempt 1", 1, 1],
        ["Error: attempt 2", 2, 1],
      ]);
    }),
  );

  onBothLoops("waits for an async `onRetry`, and ends with what that fails with", async () => {
    const told: string[] = [];
    const slow = async (error: unknown): Promise<void> => {
      await sleep(0.001);
      told.push(String(error));
    };
    const broken = async (): Promise<void> => {
      await sleep(0);
      throw new Error("no log");
    };

    assert.equal(await retry([0, 0], failing(2), { onRetry: slow }), 3);
    const error = await rejection(retry([0, 0], failing(2), { onRetry: broken }));

    assert.deepEqual(told, ["Error: attempt 1", "Error: attempt 2"]);
    assert.equal((error as Error).message, "no log");
  });

  test(
    "takes a function of the step",
    virtual(async (loop) => {
      const delay = ({
        attempt,
        elapsed,
        error,
      }: {
        attempt: number;
        elapsed: number;
        error: unknown;
      }) => (attempt < 3 && error instanceof Error ? elapsed + 1 : undefined);

      assert.equal(await rejection(retry(delay, failing(9))).then(String), "Error: attempt 3");
      assert.equal(loop.time(), 3);
    }),
  );

  test(
    "does not retry its own cancellation",
    virtual(async () => {
      let attempts = 0;
      const task = createTask(() =>
        retry(spaced(1), async () => {
          attempts++;
          await sleep(10);
        }),
      );
      await sleep(1);

      task.cancel();

      assert.ok((await rejection(task)) instanceof asyncio.CancelledError);
      assert.equal(attempts, 1);
    }),
  );

  test(
    "does not retry the cancellation of a task that it awaits",
    virtual(async () => {
      const other = createTask(() => sleep(10));
      let attempts = 0;
      const work = retry(spaced(1), async () => {
        attempts++;
        await other;
      });
      await sleep(1);
      other.cancel();

      assert.ok((await rejection(work)) instanceof asyncio.CancelledError);
      assert.equal(attempts, 1);
    }),
  );

  test(
    "does not retry the AbortError with which foreign code answers to a cancellation",
    virtual(async () => {
      let attempts = 0;
      const work = () =>
        retry(spaced(1).times(3), async () => {
          attempts++;
          const signal = asyncio.abortSignal();
          await new Promise<void>((_resolve, reject) => {
            signal.addEventListener("abort", () =>
              reject(new DOMException("aborted", { name: "AbortError", cause: signal.reason })),
            );
            void sleep(5).catch(() => {});
          });
        });

      await assert.rejects(timeout(1, work), asyncio.TimeoutError);
      assert.equal(attempts, 1);
    }),
  );

  test(
    "retries a deadline of the attempt itself",
    virtual(async () => {
      let attempts = 0;
      const work = (attempt: number) =>
        timeout(1, () => {
          attempts++;
          return sleep(attempt < 3 ? 10 : 0.5, "done");
        });

      assert.equal(await retry(spaced(1), work), "done");
      assert.equal(attempts, 3);
    }),
  );

  test(
    "fails at once, with the real failure, when the next attempt would come after the deadline",
    virtual(async (loop) => {
      const error = await rejection(timeout(5, () => retry(exponential(2), failing(9))));

      assert.equal(String(error), "Error: attempt 2");
      assert.equal(loop.time(), 2);
    }),
  );

  test(
    "ends with its signal, whose reason comes out as it is",
    virtual(async () => {
      const controller = new AbortController();
      const work = retry(spaced(1), failing(9), { signal: controller.signal });
      const reason = new Error("the user left");
      await sleep(1.5);

      controller.abort(reason);

      assert.equal(await rejection(work), reason);
    }),
  );

  test(
    "throws what its schedule throws",
    virtual(async () => {
      const broken = () => {
        throw new Error("the schedule is broken");
      };

      await assert.rejects(retry(broken, failing(1)), /the schedule is broken/);
      await assert.rejects(
        retry((() => Promise.resolve(1)) as never, failing(1)),
        /a schedule to give seconds or undefined, got a promise/,
      );
    }),
  );

  test("leaves nothing behind, wherever a cancellation comes", async () => {
    const body = () => retry([1, 1], failing(1), { budget: new RetryBudget() });

    await testing.explore(body, { iterations: 50 });
    const sweep = await testing.cancelSweep(body, {});
    assert.ok(sweep.complete && sweep.places > 3);
  });
});

suite("a budget", () => {
  test(
    "refuses retries that are too many of the calls of all",
    virtual(async () => {
      const budget = new RetryBudget({ ratio: 0.5, min: 2 });
      let attempts = 0;
      const call = () =>
        rejection(
          retry(
            [0, 0, 0, 0, 0],
            async () => {
              attempts++;
              throw new Error("down");
            },
            { budget },
          ),
        );

      for (let n = 0; n < 10; n++) await call();

      assert.deepEqual(
        [attempts, { ...budget.statistics() }],
        [15, { calls: 10, retries: 5, refused: 10 }],
      );
    }),
  );

  test(
    "keeps the retries of layers from multiplying: one for all of them",
    virtual(async () => {
      const budget = new RetryBudget({ min: 3 });
      let calls = 0;
      const layer = (call: () => Promise<never>) => () =>
        retry(spaced(1).times(3), call, { budget });
      const down = async () => {
        calls++;
        throw new Error("down");
      };

      const error = await rejection(layer(layer(layer(down)))());

      assert.deepEqual([String(error), calls], ["Error: down", 4]); // and not 64
    }),
  );

  test(
    "forgets what is older than its period",
    virtual(async () => {
      const budget = new RetryBudget({ min: 1, per: 10 });
      const call = () => rejection(retry([0, 0], failing(9), { budget }));
      await call();
      await sleep(11);
      assert.deepEqual({ ...budget.statistics() }, { calls: 0, retries: 0, refused: 1 });

      await call();

      assert.deepEqual({ ...budget.statistics() }, { calls: 1, retries: 1, refused: 2 });
    }),
  );
});

suite("repeat", () => {
  test(
    "runs once more than there are delays, and gives what the last run gave",
    virtual(async (loop) => {
      assert.equal(await repeat([1, 2], async (run) => run * 10), 30);
      assert.equal(loop.time(), 3);
    }),
  );

  test(
    "ends with a failure, and with its signal",
    virtual(async () => {
      const controller = new AbortController();
      await assert.rejects(repeat(spaced(1), failing(1)), /attempt 1/);
      const work = repeat(spaced(1), async () => {}, { signal: controller.signal });
      await sleep(5);

      controller.abort("enough");

      assert.equal(await rejection(work), "enough");
    }),
  );
});

test("wrong arguments are refused", async () => {
  const wrong: [() => Promise<unknown>, RegExp][] = [
    [() => retry(5 as never, failing(0)), /`retry` expects a schedule, an array of delays/],
    [() => retry([Number.NaN], failing(0)), /`retry` expects delays in seconds, got NaN/],
    [() => retry([1], Promise.resolve(1) as never), /A promise is already running/],
    [() => retry([1], failing(0), { budget: {} as never }), /`budget` to be a RetryBudget/],
    [() => retry([1], failing(0), { onRetry: 5 as never }), /`onRetry` as a function/],
    [() => retry([1], failing(0), { signal: {} as never }), /`retry` expects `signal`/],
    [() => repeat(new Set([1]) as never, failing(0)), /`repeat` expects a schedule/],
  ];
  for (const [call, message] of wrong) await assert.rejects(call, message);
  assert.throws(() => new RetryBudget({ ratio: -1 }), RangeError);
  assert.throws(() => new RetryBudget({ min: 1.5 }), RangeError);
});
