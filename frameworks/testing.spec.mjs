// asyncio-ts/testing inside the tests of Vitest and Jest: the same file under both. Their `test` is
// a global; node:test has a suite of its own in packages/asyncio/test/testing.

import assert from "node:assert/strict";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";

const { test } = globalThis;
/** The fake timers of the framework that runs this. */
const fakes = globalThis.vi ?? import.meta.jest;

test("an hour of sleeping takes no time", async () => {
  const now = await testing.runTest(async (t) => {
    await asyncio.sleep(3600);
    return t.now;
  });

  assert.equal(now, 3600);
});

test("a deadlock fails at once", async () => {
  const queue = new asyncio.Queue(0, { name: "urls" });

  await assert.rejects(
    testing.runTest(() => queue.get()),
    /Queue "urls"\.get/,
  );
});

test("a task that is left fails the test and is named", async () => {
  const test = testing.runTest(async () => {
    asyncio.createTask(() => asyncio.sleep(60), { name: "poller" });
  });

  await assert.rejects(test, /task "poller" is waiting for sleep, 60 s left/);
});

test("exploring finds a race, and its string brings it back", async () => {
  const body = async () => {
    let balance = 100;
    const withdraw = async () => {
      const before = balance;
      await asyncio.sleep(1);
      balance = before - 10;
    };
    const first = asyncio.createTask(withdraw);
    await asyncio.sleep(1);
    await asyncio.gather(first, withdraw);
    assert.equal(balance, 80);
  };

  const error = await testing.explore(body).catch((error) => error);
  assert.ok(error instanceof testing.ScheduleError);
  assert.equal(error.cause.code, "ERR_ASSERTION");

  const again = await testing.explore(body, { replay: error.replay }).catch((error) => error);
  assert.equal(again.replay, error.replay);
});

test("a sweep finds a lock that a cancellation leaves locked", async () => {
  const sweep = testing.cancelSweep(async () => {
    const lock = new asyncio.Lock({ name: "db" });
    await lock.acquire();
    await asyncio.sleep(1);
    lock.release();
  });

  await assert.rejects(sweep, /Lock "db", held by task "main"/);
});

test("a bubble makes the host's timers virtual", async () => {
  await testing.runTest(
    async (t) => {
      const start = Date.now();
      await new Promise((resolve) => setTimeout(resolve, 60_000));
      assert.equal(Date.now() - start, 60_000);
      assert.equal(t.now, 60);
    },
    { bubble: true },
  );
});

test("fake timers of the framework do not stop a test in virtual time", async () => {
  fakes.useFakeTimers();
  try {
    await testing.runTest(async (t) => {
      await asyncio.timeout(10, () => asyncio.sleep(5));
      assert.equal(t.now, 5);
    });
  } finally {
    fakes.useRealTimers();
  }
});

test("a sleep on a real loop under the framework's fake timers is reported, once", async () => {
  const printed = [];
  const { error } = console;
  console.error = (text) => printed.push(text);
  fakes.useFakeTimers();
  try {
    await asyncio.run(() => asyncio.sleep(0.001));
    await asyncio.run(() => asyncio.timeout(1, () => asyncio.sleep(0.001)));
  } finally {
    fakes.useRealTimers();
    console.error = error;
  }

  assert.equal(printed.length, 1);
  assert.match(
    printed[0],
    /^asyncio-ts waits in real time, but the timers of the program are fake/,
  );
});

test("a copy that the framework loads anew works, and the two of them are reported when they meet", async () => {
  fakes.resetModules();
  const again = await import("asyncio-ts");
  const printed = [];
  const { error } = console;
  console.error = (text) => printed.push(text);
  try {
    assert.equal(await again.run(() => again.sleep(0.001, "x")), "x");
    assert.deepEqual(printed, []);
    await asyncio.run(() => again.sleep(0));
  } finally {
    console.error = error;
  }

  assert.equal(printed.length, 1);
  assert.match(printed[0], /^asyncio-ts: two copies .*, loaded twice\./);
});
