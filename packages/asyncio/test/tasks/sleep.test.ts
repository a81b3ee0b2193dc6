import assert from "node:assert/strict";
import { test } from "node:test";
import { CancelledError, createTask, gather, sleep, timeout } from "../../src/index.ts";
import { rejection, virtual } from "../virtual.ts";

test(
  "sleep waits its delay on the clock of the loop and gives its result",
  virtual(async (loop) => {
    assert.equal(await sleep(1.5, "awake"), "awake");
    assert.equal(await sleep(0.5), undefined);

    assert.equal(loop.time(), 2);
  }),
);

test(
  "sleep(0) lets everything run that was ready before, once (S16)",
  virtual(async () => {
    const log: string[] = [];
    const turns = (name: string) => async (): Promise<void> => {
      for (let turn = 1; turn <= 3; turn++) {
        log.push(`${name}${turn}`);
        await sleep(0);
      }
    };

    await gather(turns("a"), turns("b"));

    assert.deepEqual(log, ["a1", "b1", "a2", "b2", "a3", "b3"]);
  }),
);

test(
  "a negative delay is 0 and takes no time",
  virtual(async (loop) => {
    assert.equal(await sleep(-5, "x"), "x");
    assert.equal(await sleep(Number.NEGATIVE_INFINITY, "y"), "y");
    assert.equal(await sleep(-0, "z"), "z");

    assert.equal(loop.time(), 0);
  }),
);

test(
  "a negative delay has its turn in the iteration of sleep(0)",
  virtual(async () => {
    const log: string[] = [];

    await gather(
      () => sleep(-1).then(() => log.push("-1")),
      () => sleep(0).then(() => log.push("0")),
    );

    assert.deepEqual(log, ["-1", "0"]);
  }),
);

test(
  "sleeps end in the order of their deadlines",
  virtual(async () => {
    const log: number[] = [];

    await gather([3, 1, 2].map((delay) => () => sleep(delay).then(() => log.push(delay))));

    assert.deepEqual(log, [1, 2, 3]);
  }),
);

test(
  "sleeps that end at the same instant end in the order in which they began",
  virtual(async () => {
    const log: number[] = [];
    const names = Array.from({ length: 50 }, (_, index) => index);

    await gather(names.map((name) => () => sleep(1).then(() => log.push(name))));

    assert.deepEqual(log, names);
  }),
);

test(
  "Infinity waits until it is cancelled",
  virtual(async (loop) => {
    const error = await rejection(timeout(1e9, () => sleep(Number.POSITIVE_INFINITY)));

    assert.equal((error as Error).name, "TimeoutError");
    assert.equal(loop.time(), 1e9);
  }),
);

test(
  "delays beyond 2^31 milliseconds are kept",
  virtual(async (loop) => {
    const days = 60 * 24 * 3600;

    await sleep(days);

    assert.equal(loop.time(), days);
  }),
);

test(
  "a cancelled sleep leaves no timer (S17)",
  virtual(async (loop) => {
    const task = createTask(() => sleep(3600));
    await sleep(0);
    await sleep(0);
    assert.equal(loop.statistics().timers, 1);
    task.cancel();

    assert.ok((await rejection(task)) instanceof CancelledError);
    assert.equal(loop.statistics().timers, 0);
    assert.equal(loop.time(), 0);
  }),
);

test(
  "NaN is a RangeError (S17)",
  virtual(async () => {
    const error = await rejection(sleep(Number.NaN));

    assert.ok(error instanceof RangeError);
    assert.equal(error.message, "`sleep` expects a delay in seconds, got NaN");
  }),
);

test(
  "what is not a number is a TypeError that rejects and never throws",
  virtual(async () => {
    for (const wrong of ["1", undefined, null, 1n, {}, new Date(0)]) {
      const error = await rejection(sleep(wrong as never));
      assert.ok(error instanceof TypeError);
      assert.equal((error as TypeError & { code: string }).code, "ERR_ASYNCIO_INVALID_ARGUMENT");
    }
    assert.equal(
      ((await rejection(sleep("1" as never))) as Error).message,
      '`sleep` expects a delay in seconds, got "1"',
    );
  }),
);

test(
  "a promise as its result is what `await` makes of it",
  virtual(async () => {
    assert.equal(await sleep(0, Promise.resolve(1)), 1);
  }),
);
