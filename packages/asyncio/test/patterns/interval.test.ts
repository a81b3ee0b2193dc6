import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { interval, type Tick } from "../../src/patterns.ts";
import * as testing from "../../src/testing.ts";
import { conforms } from "../conformance.ts";
import { virtual } from "../virtual.ts";

const { sleep } = asyncio;

conforms("a tick of an interval", { wakes: "own" }, () => ({
  begin: async () => (await interval(1).next()).value?.index,
  delay: 1,
  value: 1,
}));

/** The ticks of a loop whose body takes so long each time, as `[time, index, missed]`. */
async function ticksOf(
  ticks: AsyncIterable<Tick>,
  busy: readonly number[],
): Promise<(readonly [time: number, index: number, missed: number])[]> {
  const loop = asyncio.getRunningLoop();
  const seen: (readonly [number, number, number])[] = [];
  for await (const { index, missed } of ticks) {
    seen.push([loop.time(), index, missed]);
    const seconds = busy[seen.length - 1];
    if (seconds === undefined) break;
    await sleep(seconds);
  }
  return seen;
}

test(
  "ticks do not drift, however long the body takes",
  virtual(async (loop) => {
    await ticksOf(interval(0.1), Array(1000).fill(0.07));

    assert.ok(Math.abs(loop.time() - 100.1) < 1e-6, String(loop.time()));
  }),
);

test(
  "a body that takes too long gets the latest tick at once, and is told what it missed",
  virtual(async () => {
    assert.deepEqual(await ticksOf(interval(1), [2.5, 0, 0]), [
      [1, 1, 0],
      [3.5, 3, 1],
      [4, 4, 0],
      [5, 5, 0],
    ]);
  }),
);

test(
  "immediate: the first one comes at once",
  virtual(async () => {
    assert.deepEqual(await ticksOf(interval(2, { immediate: true }), [0, 0]), [
      [0, 0, 0],
      [2, 1, 0],
      [4, 2, 0],
    ]);
  }),
);

test("aligned: at multiples on the wall clock", async () => {
  const date = new Date(Date.UTC(2026, 0, 1, 12, 0, 42));

  await testing.runTest(
    async () => {
      const seen: string[] = [];
      for await (const { due } of interval(60, { aligned: true })) {
        assert.equal(due, asyncio.getRunningLoop().time());
        seen.push(new Date().toISOString().slice(11, 19));
        if (seen.length === 3) break;
        await sleep(5);
      }
      assert.deepEqual(seen, ["12:01:00", "12:02:00", "12:03:00"]);
    },
    { bubble: { date } },
  );
});

test(
  "aligned: a wall clock that is set while it ticks moves no tick",
  virtual(async (loop) => {
    const begun = loop.time();
    const { now } = Date;
    try {
      Date.now = () => 42_000;
      const ticks = interval(60, { aligned: true });
      for (const [clock, due] of [
        [0, 18],
        [1e9, 78],
        [42_000, 138],
      ] as const) {
        Date.now = () => clock;
        await ticks.next();
        assert.equal(loop.time() - begun, due);
      }
    } finally {
      Date.now = now;
    }
  }),
);

test(
  "a deadline ends it where it waits, and where it is late",
  virtual(async (loop) => {
    const { timeout, TimeoutError } = asyncio;

    await assert.rejects(
      timeout(2.5, () => ticksOf(interval(1), [0, 0, 0])),
      TimeoutError,
    );
    assert.equal(loop.time(), 2.5);
    const ticks = interval(1);
    await sleep(5);
    await assert.rejects(
      timeout(0, () => ticks.next()),
      TimeoutError,
    );
    assert.equal((await ticks.next()).value?.index, 5);
  }),
);

test("no tick comes twice, in any order of steps, wherever a cancellation comes", async () => {
  const body = async (): Promise<void> => {
    const ticks = interval(1);
    const seen: number[] = [];
    await asyncio.taskGroup(async (group) => {
      group.createTask(async () => {
        for await (const { index } of ticks) if (seen.push(index) === 3) break;
      });
      group.createTask(() => sleep(2.5));
    });
    assert.deepEqual(seen, [1, 2, 3]);
  };
  await testing.explore(body, { iterations: 200, seconds: Number.POSITIVE_INFINITY });
  await testing.cancelSweep(body, { seconds: Number.POSITIVE_INFINITY });
});

test("wrong arguments are refused", () => {
  for (const seconds of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => interval(seconds), RangeError);
  assert.throws(() => interval(1, { aligned: 5 as never }), /`aligned` of type boolean, got 5/);
});
