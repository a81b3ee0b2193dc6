import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { exponential, fibonacci, retry, Schedule, spaced } from "../../src/patterns.ts";
import { VirtualLoop } from "../../src/testing.ts";

class HttpError extends Error {
  readonly wait: number | undefined;

  constructor(message: string, wait?: number) {
    super(message);
    this.wait = wait;
  }
}

/** How long a retry sleeps between attempts that all fail with `error`. */
async function delaysOf(
  schedule: Schedule,
  error: unknown = new Error("down"),
  seed?: number,
): Promise<number[]> {
  const delays: number[] = [];
  const onRetry = (_error: unknown, { delay }: { delay: number }) => void delays.push(delay);
  const attempts = () => retry(schedule, () => Promise.reject(error), { onRetry });
  await assert.rejects(asyncio.run(attempts, { loop: new VirtualLoop({ seed }) }));
  return delays;
}

suite("the delays", () => {
  const cases: [string, Schedule, number[]][] = [
    ["double", exponential(0.5).times(4), [0.5, 1, 2, 4]],
    ["grow by another factor", exponential(1, { factor: 3 }).times(3), [1, 3, 9]],
    ["are sums of the two before", fibonacci(2).times(5), [2, 2, 4, 6, 10]],
    ["are all the same", spaced(3).times(2), [3, 3]],
    ["are capped", exponential(1).capped(3).times(4), [1, 2, 3, 3]],
    ["end before they add up to more", exponential(1).upTo(7), [1, 2, 4]],
    ["are none", exponential(1).times(0), []],
    ["are those of a function", new Schedule(({ attempt }) => 3 - attempt || undefined), [2, 1]],
    ["are never below 0", new Schedule(() => -1).times(1), [0]],
    ["end with Infinity", new Schedule(({ attempt }) => 1 / (2 - attempt)), [1]],
  ];
  for (const [name, schedule, expected] of cases) {
    test(name, async () => {
      assert.deepEqual([...schedule], expected);
      assert.deepEqual(await delaysOf(schedule), expected);
    });
  }
});

suite("jitter", () => {
  test("stays between the share and the whole, and is repeated with the seed", async () => {
    const schedule = spaced(10).jittered(0.25).times(20);

    const delays = await delaysOf(schedule, undefined, 7);

    assert.ok(delays.every((delay) => delay > 7.5 && delay <= 10));
    assert.ok(new Set(delays).size > 10);
    assert.deepEqual(await delaysOf(schedule, undefined, 7), delays);
    assert.notDeepEqual(await delaysOf(schedule, undefined, 8), delays);
    assert.deepEqual([...schedule.times(2)], [10, 10]);
  });

  test("is capped, if that comes last", async () => {
    assert.deepEqual(await delaysOf(spaced(10).jittered(0.1).capped(1).times(2)), [1, 1]);
  });
});

suite("failures", () => {
  test("that do not match end it", async () => {
    const schedule = spaced(1).times(2).whileError(HttpError);

    assert.deepEqual(await delaysOf(schedule, new HttpError("503")), [1, 1]);
    assert.deepEqual(await delaysOf(schedule, new Error("bug")), []);
    assert.deepEqual([...schedule], [1, 1]);
  });

  test("ask for a longer delay, and never for a shorter one", async () => {
    const wait = (error: unknown) => (error instanceof HttpError ? error.wait : undefined);
    const schedule = spaced(5).times(1).retryAfter(wait);

    assert.deepEqual(await delaysOf(schedule, new HttpError("429", 30)), [30]);
    assert.deepEqual(await delaysOf(schedule, new HttpError("429", 1)), [5]);
    assert.deepEqual(await delaysOf(schedule), [5]);
  });
});

test("one schedule serves several calls at a time", async () => {
  const schedule = exponential(1).times(3);

  const [a, b] = await Promise.all([delaysOf(schedule), delaysOf(schedule)]);

  assert.deepEqual(
    [a, b],
    [
      [1, 2, 4],
      [1, 2, 4],
    ],
  );
});

test("wrong arguments are refused", () => {
  for (const first of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => exponential(first), RangeError);
    assert.throws(() => fibonacci(first), RangeError);
  }
  assert.throws(() => spaced(1).times(1.5), RangeError);
  for (const share of [-0.1, 1.1, Number.NaN])
    assert.throws(() => spaced(1).jittered(share), RangeError);
  assert.throws(() => new Schedule(5 as never), TypeError);
  assert.throws(() => spaced(1).whileError(5 as never), /`schedule.whileError` expects/);
});
