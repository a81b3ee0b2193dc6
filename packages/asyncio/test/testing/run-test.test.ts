import assert from "node:assert/strict";
import { pbkdf2 } from "node:crypto";
import { readFile } from "node:fs/promises";
import { suite, test } from "node:test";
import { promisify } from "node:util";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { runFixture } from "../child.ts";

const { createTask, getRunningLoop, sleep } = asyncio;
const { runTest } = testing;

async function failureOf(work: Promise<unknown>): Promise<Error> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof Error, "it has passed");
  return error;
}

suite("the clock", () => {
  test("begins at 0 and jumps when every task is blocked", async () => {
    await runTest(async (t) => {
      assert.equal(t.now, 0);
      await sleep(86_400);
      assert.equal(t.now, 86_400);
    });
  });

  test("stops at each timer on the way of `advance`, and lets its work run", async () => {
    await runTest(async (t) => {
      const log: number[] = [];
      const ticking = createTask(async () => {
        for (let tick = 0; tick < 3; tick++) {
          await sleep(1);
          log.push(t.now);
        }
      });

      await t.advance(2);
      assert.deepEqual(log, [1, 2]);

      await ticking;
    });
  });

  test("stands still without `autojump` until it is advanced", async () => {
    await runTest(
      async (t) => {
        const sleeper = createTask(() => sleep(5));
        await t.advance(4);
        assert.equal(sleeper.done(), false);
        await t.advance(1);
        assert.equal(sleeper.done(), true);
      },
      { autojump: false },
    );
  });

  test("is nobody's to wait for without `autojump`: the deadlock says how it moves", async () => {
    const error = await failureOf(runTest(() => sleep(1), { autojump: false }));

    assert.ok(error instanceof asyncio.DeadlockError);
    assert.match(error.message, /the clock moves by `t\.advance` alone/i);
  });

  test("a foreign await on the thread pool, of which the host does not tell, is no deadlock", async () => {
    const key = await runTest(() => promisify(pbkdf2)("password", "salt", 20_000, 8, "sha512"));

    assert.equal(key.length, 8);
  });

  test("holds still while foreign work is under way", async () => {
    await runTest(async (t) => {
      const slow = asyncio.timeout(1, async () => {
        await new Promise((resolve) => setTimeout(resolve, 10));
        return (await readFile(new URL(import.meta.url))).length;
      });

      assert.ok((await slow) > 0);
      assert.equal(t.now, 0);
    });
  });

  test("jumps although a task waits for a promise that another task will settle", async () => {
    await runTest(async (t) => {
      const shared = (async () => await sleep(60, "loaded"))();
      const reader = createTask(async () => await shared);

      assert.equal(await reader, "loaded");
      assert.equal(t.now, 60);
    });
  });

  test("refuses to be advanced by what is no time", async () => {
    await runTest(async (t) => {
      await assert.rejects(t.advance(-1), RangeError);
      await assert.rejects(t.advance(Number.POSITIVE_INFINITY), RangeError);
      // @ts-expect-error
      await assert.rejects(t.advance("1"), TypeError);
    });
  });
});

suite("settling", () => {
  test("waits until every other task is blocked, without time passing", async () => {
    await runTest(async (t) => {
      const log: string[] = [];
      const task = createTask(async () => {
        for (const step of ["one", "two"]) {
          await sleep(0);
          log.push(step);
        }
        await sleep(1);
      });

      await t.settle();

      assert.deepEqual([log, t.now], [["one", "two"], 0]);
      await task;
    });
  });

  test("can be waited for by several at once", async () => {
    await runTest(async () => {
      await asyncio.gather(testing.waitAllTasksBlocked, testing.waitAllTasksBlocked);
    });
  });

  test("needs virtual time", async () => {
    await assert.rejects(
      asyncio.run(() => testing.waitAllTasksBlocked()),
      asyncio.InvalidStateError,
    );
  });

  test("is refused when the test has ended", async () => {
    const t = await runTest(async (t) => t);

    await assert.rejects(t.advance(1), /`advance` was called after its test has ended/);
    await assert.rejects(t.settle(), asyncio.InvalidStateError);
  });

  test("can be cancelled", async () => {
    await runTest(async (t) => {
      const settling = createTask(() => t.advance(100));
      await sleep(1);
      settling.cancel();
      await assert.rejects(settling, asyncio.CancelledError);
      assert.equal(t.now, 1);
    });
  });
});

suite("a test fails", () => {
  test("with what its body throws, as it is", async () => {
    const error = new RangeError("mine");

    assert.equal(await failureOf(runTest(() => Promise.reject(error))), error);
    await assert.rejects(
      runTest(() => {
        throw error;
      }),
      error,
    );
  });

  test("at once when nothing can wake it, and shows who waits where", async () => {
    const error = await failureOf(
      runTest(async () => {
        const lock = new asyncio.Lock({ name: "db" });
        await lock.acquire();
        await lock.acquire();
      }),
    );

    assert.ok(error instanceof asyncio.DeadlockError);
    assert.match(
      error.message,
      /"main" is waiting for Lock "db", held by task "main" \(run-test\.test\.ts:\d+\)/,
    );
  });

  test("when a bare promise is never settled", async () => {
    const never = runTest(() => new Promise<void>(() => {}));

    assert.match((await failureOf(never)).message, /"main" sits in a foreign await/);
  });

  test("when it takes too long in real time", async () => {
    let timer: NodeJS.Timeout | undefined;
    const outside = () =>
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, 5000);
      });

    const error = await failureOf(runTest(outside, { watchdog: 0.05 }));
    clearTimeout(timer);

    assert.ok(error instanceof asyncio.TimeoutError);
    assert.match(
      error.message,
      /not ended after 0\.05 s of real time[\s\S]*"main" sits in a foreign/,
    );
  });

  test("when it goes round in circles", async () => {
    const spin = async () => {
      for (;;) await sleep(0);
    };

    const error = await failureOf(runTest(spin, { maxSteps: 100 }));

    assert.ok(error instanceof testing.LivelockError);
    assert.match(error.message, /after 100 steps.*"main"/);
  });

  const leaks: Record<string, [body: () => Promise<unknown>, pattern: RegExp]> = {
    "a task": [
      async () => void createTask(() => sleep(9), { name: "poller" }),
      /task "poller" is waiting for sleep, 9 s left \(run-test\.test\.ts:\d+\)/,
    ],
    "a timer's callback": [
      async () => void getRunningLoop().callLater(3, function ring() {}),
      /a timer of ring, due in 3 s \(run-test\.test\.ts:\d+\)/,
    ],
    "a wait outside every task": [
      async () => void getRunningLoop().callSoon(() => void sleep(7)),
      /a wait outside every task: sleep, 7 s left/,
    ],
    "a lock": [
      async () => void (await new asyncio.Lock({ name: "a" }).acquire()),
      /Lock "a", held by task "main"/,
    ],
    "a permit": [
      async () => void (await new asyncio.Semaphore(2, { name: "s" }).acquire()),
      /Semaphore "s", 1 of 2 permits not given back/,
    ],
    "a lock that `tryAcquire` has taken": [
      async () => void new asyncio.Lock({ name: "a" }).tryAcquire(),
      /Lock "a", held by task "main"/,
    ],
    "a lock that `select` has taken": [
      async () => void (await asyncio.select([new asyncio.Lock({ name: "a" })])),
      /Lock "a", held by task "main"/,
    ],
    "a permit that `tryAcquire` has taken": [
      async () => void new asyncio.Semaphore(2, { name: "s" }).tryAcquire(),
      /Semaphore "s", 1 of 2 permits not given back/,
    ],
    "a permit that `select` has taken": [
      async () => void (await asyncio.select([new asyncio.Semaphore(2, { name: "s" })])),
      /Semaphore "s", 1 of 2 permits not given back/,
    ],
  };
  for (const [what, [body, pattern]] of Object.entries(leaks)) {
    test(`when ${what} is left, and names it`, async () => {
      const error = await failureOf(runTest(body));

      assert.ok(error instanceof testing.LeakError, String(error));
      assert.match(error.message, pattern);
      assert.equal(error.leftovers.length, 1);
    });
  }

  test("when a callback has failed, or a task that nobody looked at", async () => {
    const error = await failureOf(
      runTest(async () => {
        getRunningLoop().callSoon(() => {
          throw new Error("in a callback");
        });
        createTask(() => Promise.reject(new Error("in a task")), { name: "lost" });
        await sleep(1);
      }),
    );

    assert.ok(error instanceof testing.UnhandledError);
    assert.match(error.message, /in a callback[\s\S]*task "lost" has failed/);
    assert.equal(error.errors.length, 2);
  });

  test("when a branch that nobody awaited is cut off", async () => {
    const error = await failureOf(
      runTest(async () => {
        void sleep(5).catch(() => {});
      }),
    );

    assert.ok(error instanceof testing.UnhandledError);
    assert.match(error.message, /a branch that nobody awaited was cut off while waiting for sleep/);
  });

  test("for its own failure first, whatever is left", async () => {
    const error = await failureOf(
      runTest(async () => {
        createTask(() => sleep(9));
        throw new RangeError("mine");
      }),
    );

    assert.equal(error.name, "RangeError");
  });
});

suite("a test passes", () => {
  test("with what its body returns", async () => {
    assert.equal(await runTest(async () => 42), 42);
  });

  test("if what it has started ends without time passing", async () => {
    await runTest(async () => void createTask(() => sleep(0)));
  });

  test("inside a running program, and inside another test", async () => {
    assert.equal(await asyncio.run(() => runTest(() => sleep(5, "in"))), "in");
    assert.equal(
      await runTest(() => asyncio.cancellable(() => runTest(() => sleep(5, "in")))),
      "in",
    );
  });

  test("and leaves nothing in the host", async () => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout");
    const before = timers();

    await runTest(() => sleep(5));
    await failureOf(runTest(() => new Promise<void>(() => {})));
    await failureOf(runTest(() => sleep(5), { bubble: { date: new Date(Number.NaN) } }));

    assert.deepEqual(timers(), before);
  });

  test("in another order for each seed", async () => {
    const orderFor = (seed?: number) =>
      runTest(
        async () => {
          const order: number[] = [];
          await asyncio.gather([1, 2, 3, 4].map((id) => async () => void order.push(id)));
          return order.join("");
        },
        { seed },
      );

    assert.equal(await orderFor(), "1234");
    assert.equal(await orderFor(3), await orderFor(3));
    const orders = new Set<string>();
    for (let seed = 0; seed < 20; seed++) orders.add(await orderFor(seed));
    assert.ok(orders.size > 5);
  });
});

test("refuses what it cannot use", async () => {
  const body = async () => {};
  // @ts-expect-error
  await assert.rejects(runTest(5), TypeError);
  await assert.rejects(runTest(body, { seed: 0.5 }), RangeError);
  await assert.rejects(runTest(body, { watchdog: Number.NaN }), RangeError);
  await assert.rejects(runTest(body, { maxSteps: 0 }), RangeError);
  await assert.rejects(runTest(body, { watchdog: 0 }), RangeError);
  // @ts-expect-error
  await assert.rejects(runTest(body, { bubble: "yes" }), /expects `bubble` to be true, false/);
  // @ts-expect-error
  await assert.rejects(runTest(body, { foreign: "maybe" }), TypeError);
});

suite("a first output in the middle, to a pipe, is no foreign work", () => {
  for (const how of ["runTest", "run"])
    for (const output of ["stdout", "stderr"] as const) {
      test(`the clock of ${how} goes on: ${output}`, async () => {
        const ended = await runFixture("printing", `${how}, ${output}`);

        assert.equal(ended[output], "begins\nends\n");
      });

      test(`${how} sees a deadlock: ${output}`, async () => {
        const ended = await runFixture("printing", `${how} deadlock, ${output}`);

        assert.equal(ended[output], "begins\nDeadlockError\n");
      });
    }
});
