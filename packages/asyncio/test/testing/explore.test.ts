import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { runFixture } from "../child.ts";

const { createTask, gather, sleep } = asyncio;
const { explore } = testing;

async function failureOf(work: Promise<unknown>): Promise<Error> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof Error, "nothing was found");
  return error;
}

async function scheduleErrorOf(work: Promise<unknown>): Promise<testing.ScheduleError> {
  const error = await failureOf(work);
  assert.ok(error instanceof testing.ScheduleError, String(error));
  return error;
}

/** Loses a deposit if the second one begins early. */
const bank = async () => {
  let balance = 0;
  const deposit = async (amount: number, delay: number) => {
    for (let turn = 0; turn < delay; turn++) await sleep(0);
    const before = balance;
    await sleep(0);
    balance = before + amount;
  };
  const first = createTask(() => deposit(1, 0), { name: "first" });
  const second = createTask(() => deposit(2, 1), { name: "second" });
  await gather(first, second);
  assert.equal(balance, 3);
};

/** All orders of two tasks with two steps each. */
const orders = (seen: Set<string>) => async () => {
  const log: string[] = [];
  const walk = async (name: string) => {
    log.push(`${name}1`);
    await sleep(0);
    log.push(`${name}2`);
  };
  await gather(
    () => walk("a"),
    () => walk("b"),
  );
  seen.add(log.join(" "));
};

suite("exploring", () => {
  test("runs a test under many schedules and tells what it has done", async () => {
    const seen = new Set<string>();

    const explored = await explore(orders(seen));

    assert.equal(seen.size, 6);
    assert.equal(explored.distinct, 6);
    assert.equal(explored.saturated, true);
    const drawn = Object.values(explored.strategies).reduce((sum, count) => sum + count, 0);
    assert.equal(drawn, explored.schedules);
  });

  test("goes on after saturation if it is told to", async () => {
    const options = { iterations: 500, untilSaturated: false };

    const { schedules } = await explore(orders(new Set()), options);

    assert.equal(schedules, 500);
  });

  test("stops after `seconds`", async () => {
    const slow = async () => {
      await sleep(0);
      for (const end = performance.now() + 5; performance.now() < end; );
    };

    const options = { seconds: 0.02, untilSaturated: false };

    assert.ok((await explore(slow, options)).schedules < 50);
  });

  for (const strategy of ["random", "sticky", "pct", "partial-order", "dfs"] as const) {
    test(`${strategy} finds an early step, and the same one for the same seed`, async () => {
      const find = () => scheduleErrorOf(explore(bank, { strategy, seed: 5, iterations: 5000 }));

      const first = await find();
      const second = await find();

      assert.equal(first.strategy, strategy);
      assert.deepEqual([second.schedule, second.replay], [first.schedule, first.replay]);
    });
  }

  test("fifo finds nothing that needs another order", async () => {
    const { schedules, distinct } = await explore(bank, { strategy: "fifo" });

    assert.ok(schedules > 1);
    assert.equal(distinct, 1);
  });

  test("dfs comes to an end when everything up to its depth is done", async () => {
    const seen = new Set<string>();

    const { schedules } = await explore(orders(seen), { strategy: "dfs", depth: 9 });

    assert.equal(schedules, 6);
    assert.equal(seen.size, 6);
  });

  test("keeps the order of callbacks, which the library promises", async () => {
    await explore(async () => {
      const log: number[] = [];
      const loop = asyncio.getRunningLoop();
      for (const id of [1, 2, 3]) loop.callSoon(() => log.push(id));
      for (const id of [4, 5]) loop.callLater(1, () => log.push(id));
      await sleep(2);
      assert.deepEqual(log, [1, 2, 3, 4, 5]);
    });
  });

  test("lets operations that could complete let others go first", async () => {
    const error = await scheduleErrorOf(
      explore(async () => {
        const queue = new asyncio.Queue<number>();
        queue.putNowait(1);
        queue.putNowait(2);
        let total = 0;
        const add = async () => {
          const before = total;
          total = before + (await queue.get()); // seems to take no time
        };
        await gather(add, add);
        assert.equal(total, 3);
      }),
    );

    assert.equal(error.deviations, 1);
    assert.match(error.table, /lets others go first: a Queue\.get/);
  });

  test("gives each run a state of its own, and checks it", async () => {
    let made = 0;

    await explore(
      async (_t, state) => {
        await sleep(0);
        state.count++;
      },
      {
        setup: () => ({ id: made++, count: 0 }),
        invariant: async ({ count }) => {
          await sleep(1);
          assert.equal(count, 1);
        },
      },
    );

    assert.ok(made > 1);
  });

  test("tells the branches of one task apart", async () => {
    const wins = new Map<string, number>();

    const explored = await explore(
      async () => {
        const order: string[] = [];
        const branch = (name: string) => async () => {
          for (let turn = 0; turn < 2; turn++) {
            await sleep(0);
            order.push(name);
          }
        };
        await Promise.all([branch("a")(), branch("b")()]);
        wins.set(order.join(""), 1);
      },
      { strategy: "dfs", depth: 9 },
    );

    assert.deepEqual([...wins.keys()].sort(), ["aabb", "abab", "abba", "baab", "baba", "bbaa"]);
    assert.equal(explored.distinct, 6);
  });

  test("works inside a running program, and twice at once", async () => {
    await asyncio.run(async () => {
      const [a, b] = await Promise.all([explore(orders(new Set())), explore(orders(new Set()))]);
      assert.deepEqual([a.distinct, b.distinct], [6, 6]);
    });
  });
});

suite("numbers of a schedule", () => {
  test("are tried out, replayed and shrunk", async () => {
    const body = async (t: testing.TestContext) => {
      await sleep(t.random());
      assert.notEqual(t.choose(5), 3);
    };

    const error = await scheduleErrorOf(explore(body, { iterations: 5000 }));
    const again = await scheduleErrorOf(explore(body, { replay: error.replay }));

    assert.equal(error.deviations, 1);
    assert.equal(again.replay, error.replay);
  });

  test("are 0 for `choose`, and the same each time for `random`, in the first schedule", async () => {
    const drawn: number[] = [];
    const body = async (t: testing.TestContext) => {
      drawn.push(t.random(), t.random());
      assert.equal(t.choose(9), 0);
      assert.throws(() => t.choose(0), RangeError);
    };

    await explore(body, { strategy: "fifo", iterations: 3 });

    assert.ok(drawn.every((number) => number >= 0 && number < 1));
    assert.equal(new Set(drawn).size, 2);
  });
});

suite("a failure", () => {
  test("is shrunk to the fewest places, and told with the table of its steps", async () => {
    const error = await scheduleErrorOf(explore(bank));

    assert.equal(error.deviations, 1);
    assert.equal(error.code, "ERR_ASYNCIO_SCHEDULE");
    assert.ok(error.cause instanceof assert.AssertionError);
    assert.match(
      error.message,
      /differs from FIFO in 1 place\nreplay: ASYNCIO_REPLAY=aio1:[\w-]+\n/,
    );
    assert.match(error.table, /^step {2}main +first +second$/m);
    assert.match(error.table, /--- switch: "first" was next, "second" goes first/);
    assert.match(error.table, /waits for sleep {2}explore\.test\.ts:\d+/);
    assert.match(error.table, /fails: AssertionError/);
    assert.ok(error.message.endsWith(error.table));
  });

  test("that needs no other order says so", async () => {
    const error = await scheduleErrorOf(
      explore(async () => {
        await sleep(0);
        throw new RangeError("always");
      }),
    );

    assert.equal(error.deviations, 0);
    assert.match(error.message, /^RangeError: always\n\nit fails in the order first in, first out/);
  });

  test("of a group is told with what is in it", async () => {
    const error = await scheduleErrorOf(
      explore(() =>
        asyncio.taskGroup(async (group) => {
          group.createTask(() => Promise.reject(new Error("inner")));
        }),
      ),
    );

    assert.match(error.message, /^ExceptionGroup: .*\n {2}Error: inner/);
  });

  test("may be anything that is thrown", async () => {
    const error = await scheduleErrorOf(explore(() => Promise.reject(undefined)));

    assert.equal(error.cause, undefined);
    assert.match(error.message, /^thrown: undefined/);
  });

  test("keeps its kind while it is shrunk", async () => {
    const body = async (t: testing.TestContext) => {
      const [first, second] = [t.choose(10), t.choose(10)];
      await sleep(0);
      if (first > 5 && second > 5) throw new RangeError("both");
      if (first > 5) throw new TypeError("one");
    };

    const options = { strategy: "random", seed: 2, iterations: 5000 } as const;
    const error = await scheduleErrorOf(explore(body, options));

    const isBoth = error.cause instanceof RangeError;
    assert.equal(error.deviations, isBoth ? 2 : 1);
  });

  test("with many tasks is told as a list", async () => {
    const error = await scheduleErrorOf(
      explore(async () => {
        await gather([1, 2, 3, 4, 5, 6].map(() => () => sleep(0)));
        throw new Error("no");
      }),
    );

    assert.match(error.table, /^ +2 {2}Task-1: starts$/m);
  });
});

suite("a replay", () => {
  test("fails again in the same way, with the same table", async () => {
    const error = await scheduleErrorOf(explore(bank));

    const again = await scheduleErrorOf(explore(bank, { replay: error.replay }));

    assert.deepEqual([again.table, again.replay], [error.table, error.replay]);
    assert.equal(again.strategy, "replay");
  });

  test("can be asked for by the environment, for the body that it belongs to", async () => {
    const error = await scheduleErrorOf(explore(bank));
    const before = process.env.ASYNCIO_REPLAY;
    process.env.ASYNCIO_REPLAY = error.replay;
    try {
      assert.equal((await scheduleErrorOf(explore(bank))).strategy, "replay");
      assert.ok((await explore(orders(new Set()))).schedules > 1);
    } finally {
      if (before === undefined) delete process.env.ASYNCIO_REPLAY;
      else process.env.ASYNCIO_REPLAY = before;
    }
  });

  test("is for the function it came from", async () => {
    const body = () => sleep(1).catch(() => {}); // swallows cancellations
    const error = await scheduleErrorOf(testing.cancelSweep(body));

    await assert.rejects(
      explore(body, { replay: error.replay }),
      /`explore` was given a replay string of `cancelSweep`. Pass it to that/,
    );
    const before = process.env.ASYNCIO_REPLAY;
    process.env.ASYNCIO_REPLAY = error.replay;
    try {
      assert.ok((await explore(body)).schedules > 1);
      assert.equal((await scheduleErrorOf(testing.cancelSweep(body))).strategy, "replay");
    } finally {
      if (before === undefined) delete process.env.ASYNCIO_REPLAY;
      else process.env.ASYNCIO_REPLAY = before;
    }
  });

  test("passes if nothing is wrong under its schedule", async () => {
    const explored = await explore(orders(new Set()), { replay: "aio1:AAAA" });

    assert.deepEqual([explored.schedules, explored.strategies], [1, {}]);
  });

  test("that does not fit the code any more says where", async () => {
    const error = await scheduleErrorOf(explore(bank));

    const misfit = failureOf(explore(() => sleep(0), { replay: error.replay }));

    assert.ok((await misfit) instanceof testing.ReplayError);
    assert.match((await misfit).message, /the run ended before 1 of its 1 deviations/);
  });

  for (const text of [
    "",
    "aio1",
    "aio1:",
    "aio1:A",
    "aio1:AAAA*",
    "aio2:AAAA",
    "aio1:AAAAgICAgICAgICAgA",
  ]) {
    test(`refuses ${JSON.stringify(text)}`, async () => {
      const error = await failureOf(explore(bank, { replay: text }));

      assert.ok(error instanceof testing.ReplayError, String(error));
    });
  }
});

suite("what no schedule decides", () => {
  test("is found when it changes the steps", async () => {
    let runs = 0;
    const body = async () => {
      if (runs++ % 2 === 0) await sleep(0);
      await sleep(0);
    };

    const error = await failureOf(explore(body));

    assert.ok(error instanceof testing.UncontrolledError);
    assert.match(error.message, /of the same schedule/);
  });

  test("is found when it changes the clock, or the outcome", async () => {
    let delay = 1;
    let runs = 0;

    const clock = await failureOf(explore(() => sleep(delay++)));
    const outcome = await failureOf(
      explore(async () => {
        if (runs++ === 1) throw new Error("second");
      }),
    );

    assert.ok(clock instanceof testing.UncontrolledError);
    assert.match(
      outcome.message,
      /the same schedule has passed, and then failed with Error: second/,
    );
  });

  test("is found when a task waits for something outside", async () => {
    const outside = () => new Promise<void>((resolve) => setTimeout(resolve, 5));

    const error = await failureOf(explore(outside));

    assert.ok(error instanceof testing.UncontrolledError);
    assert.match(error.message, /task "main" has waited for something outside of the test/);
  });

  test("is found when a task that has waited for something outside ends without another wait", async () => {
    const outside = () => new Promise<void>((resolve) => setTimeout(resolve, 5));

    const error = await failureOf(explore(() => gather(outside, () => sleep(1))));

    assert.ok(error instanceof testing.UncontrolledError);
    assert.match(error.message, /task "Task-\d" has waited for something outside of the test/);
  });

  test("is found when it takes effect late", async () => {
    let runs = 0;
    const late = await failureOf(
      explore(
        async () => {
          if (++runs > 30) await sleep(0);
          await gather(
            sleep(0),
            () => sleep(0),
            () => sleep(0),
            () => sleep(0),
          );
        },
        { strategy: "random", untilSaturated: false },
      ),
    );

    assert.ok(late instanceof testing.UncontrolledError);
    assert.match(late.message, /^step \d+ of the same schedule was .* the first time/);
  });

  test("is found where two schedules part that are the same up to there", async () => {
    let runs = 0;

    const error = await failureOf(
      explore(
        async () => {
          const isOdd = ++runs === 3; // neither of the two that are compared first
          await gather(
            () => sleep(0),
            () => sleep(0),
            ...(isOdd ? [() => sleep(0)] : []),
          );
        },
        { strategy: "dfs" },
      ),
    );

    assert.ok(error instanceof testing.UncontrolledError);
    assert.match(error.message, /^two runs of the same schedule have parted at decision 1\. /);
  });

  test("may happen if that is allowed", async () => {
    const outside = () => new Promise<void>((resolve) => setTimeout(resolve, 2));

    const explored = await explore(outside, { foreign: "hold", iterations: 3 });

    assert.ok(explored.schedules >= 1);
  });

  test("is not a promise that another task settles", async () => {
    await explore(async () => {
      let open = () => {};
      const gate = new Promise<void>((resolve) => {
        open = resolve;
      });
      await gather(
        async () => await gate,
        async () => {
          await sleep(1);
          open();
        },
      );
    });
  });
});

test("tells the places also where nothing of the language can be assigned to", async () => {
  const flags = ["--frozen-intrinsics", "--no-warnings"];
  const { stdout, stderr } = await runFixture("frozen", "", { flags });

  assert.deepEqual([stdout, stderr], ["TimeoutError\nSet(1) { 'over' }\ntrue true\n", ""]);
});

test("refuses what it cannot use", async () => {
  const body = async () => {};
  // @ts-expect-error
  await assert.rejects(explore(undefined), TypeError);
  await assert.rejects(explore(body, { iterations: 0 }), RangeError);
  await assert.rejects(explore(body, { seconds: Number.NaN }), RangeError);
  await assert.rejects(explore(body, { seed: 1.5 }), RangeError);
  await assert.rejects(explore(body, { depth: 0 }), RangeError);
  // @ts-expect-error
  await assert.rejects(explore(body, { strategy: "luck" }), TypeError);
  await assert.rejects(explore(body, { strategy: [] }), TypeError);
  // @ts-expect-error
  assert.throws(() => testing.explored(5), TypeError);
  // @ts-expect-error
  await assert.rejects(explore(body, { setup: 1 }), /expects `setup` to be a function, got 1/);
  // @ts-expect-error
  await assert.rejects(explore(body, { invariant: 1 }), /expects `invariant` to be a function/);
});
