import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { type BorrowOptions, CapacityLimiter } from "../../src/patterns.ts";
import * as testing from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { conforms, conformsJoin } from "../conformance.ts";
import { virtual } from "../virtual.ts";

const { createTask, gather, moveOnAfter, sleep, wait } = asyncio;

conforms("CapacityLimiter.acquire", { wakes: "one", hasFastPath: true }, () => {
  const limiter = new CapacityLimiter(0);
  return {
    begin: () => limiter.acquire({ borrower: {} }).then(() => "lent"),
    complete() {
      limiter.limit++;
      return "lent";
    },
    check: ({ completed }) => assert.equal(limiter.statistics().borrowed, completed),
  };
});

conformsJoin("CapacityLimiter.run", (work) => new CapacityLimiter(1).run(work), {
  runsInCaller: true,
});

/** A task that holds a loan for a second, and says when it got it. */
function borrow(
  limiter: CapacityLimiter,
  name: string,
  log: string[],
  options?: BorrowOptions,
): asyncio.Task<void> {
  return createTask(
    async () => {
      await limiter.run(async () => {
        log.push(name);
        await sleep(1);
      }, options);
    },
    { name },
  );
}

suite("the limit", () => {
  test(
    "can be raised and lowered while it is used",
    virtual(async () => {
      const limiter = new CapacityLimiter(1);
      const log: string[] = [];
      const tasks = ["a", "b", "c", "d", "e"].map((name) => borrow(limiter, name, log));
      await sleep(0);

      limiter.limit = 3;
      assert.deepEqual(log.length + limiter.statistics().borrowed, 4); // a runs, b and c were let in
      await sleep(0.5);
      limiter.limit = 0;
      await sleep(5);
      assert.deepEqual(log, ["a", "b", "c"]);

      limiter.limit = Number.POSITIVE_INFINITY;
      await gather(tasks);
      assert.deepEqual(log, ["a", "b", "c", "d", "e"]);
    }),
  );

  test(
    "counts weights, granted whole and in order: the heavy one does not starve",
    virtual(async () => {
      const limiter = new CapacityLimiter(4);
      const log: string[] = [];

      await gather(
        borrow(limiter, "3", log, { weight: 3 }),
        borrow(limiter, "4", log, { weight: 4 }),
        borrow(limiter, "1", log, { weight: 1 }),
      );

      assert.deepEqual(log, ["3", "4", "1"]);
    }),
  );

  test(
    "lets in alone what weighs more than the limit",
    virtual(async (loop) => {
      const limiter = new CapacityLimiter(2);
      const log: string[] = [];

      await gather(
        borrow(limiter, "1", log),
        borrow(limiter, "10", log, { weight: 10 }),
        borrow(limiter, "2", log, { weight: 2 }),
      );

      assert.deepEqual([log, loop.time()], [["1", "10", "2"], 3]);
    }),
  );

  test(
    "lets those go on who fit when the heavy one before them leaves",
    virtual(async (loop) => {
      const limiter = new CapacityLimiter(2);
      const log: string[] = [];
      const first = borrow(limiter, "first", log);
      const heavy = borrow(limiter, "heavy", log, { weight: 2 });
      const light = borrow(limiter, "light", log);
      await sleep(0.25);

      heavy.cancel();

      await gather(first, light);
      assert.deepEqual([log, loop.time()], [["first", "light"], 1.25]);
    }),
  );
});

test(
  "keys take turns, however many one of them has in line",
  virtual(async () => {
    const limiter = new CapacityLimiter(1);
    const log: string[] = [];
    const tasks = ["ann1", "ann2", "ann3", "bob1", "bob2", "cleo1"].map((name) =>
      borrow(limiter, name, log, { key: name.slice(0, -1) }),
    );
    await sleep(0);
    assert.equal(limiter.statistics().keys, 3);

    await gather(tasks);

    assert.deepEqual(log, ["ann1", "ann2", "bob1", "cleo1", "ann3", "bob2"]);
  }),
);

suite("a borrower", () => {
  test(
    "has one loan: a second one is refused, also while it waits for the first",
    virtual(async () => {
      const limiter = new CapacityLimiter(1, { name: "db" });
      using _loan = await limiter.acquire();
      const message =
        '`limiter.acquire` was called for task "main", which has a loan of CapacityLimiter "db" already, or waits for one. Give that back first, or name another `borrower`';

      await assert.rejects(limiter.acquire(), { name: "InvalidStateError", message });
      assert.throws(() => limiter.tryAcquire(), { name: "InvalidStateError" });

      const other = createTask(() => limiter.acquire({ borrower: limiter }));
      await sleep(0);
      await assert.rejects(limiter.acquire({ borrower: limiter }), /which has a loan/);
      other.cancel();
      await asyncio.wait([other]);
      assert.equal(limiter.tryAcquire({ borrower: {} }), undefined);
    }),
  );

  test(
    "is known to those who wait, and to `holders`",
    virtual(async () => {
      const limiter = new CapacityLimiter(1, { name: "db" });
      const log: string[] = [];
      await sleep(2);
      const [ann, bob] = ["ann", "bob"].map((name) => borrow(limiter, name, log));
      await sleep(0.5);

      assert.deepEqual(limiter.holders(), [{ borrower: ann, weight: 1, since: 2 }]);
      assert.deepEqual(bob?.waitingFor(), ['CapacityLimiter "db", 1 of 1 borrowed by task "ann"']);
      assert.deepEqual(
        { ...limiter.statistics(), idle: limiter.idle },
        { limit: 1, borrowed: 1, waiting: 1, keys: 1, idle: false },
      );

      await asyncio.wait([ann, bob].flatMap((task) => task ?? []));
      assert.ok(limiter.idle);
    }),
  );

  test(
    "gives back once, on every path",
    virtual(async () => {
      const limiter = new CapacityLimiter(2);
      const loan = await limiter.acquire();
      loan[Symbol.dispose]();
      loan[Symbol.dispose]();
      await assert.rejects(
        limiter.run(() => Promise.reject(new Error("broken"))),
        /broken/,
      );
      await moveOnAfter(1, () => limiter.run(() => sleep(2)));

      assert.equal(limiter.statistics().borrowed, 0);
    }),
  );

  onBothLoops("what was given back is for the one who waits: nobody overtakes", async () => {
    const limiter = new CapacityLimiter(1);
    const first = await limiter.acquire({ borrower: {} });
    const waiting = createTask(() => limiter.acquire());
    await sleep(0);

    first[Symbol.dispose]();

    assert.equal(limiter.tryAcquire({ borrower: {} }), undefined);
    assert.deepEqual(
      limiter.holders().map(({ borrower }) => borrower),
      [waiting],
    );
    (await waiting)[Symbol.dispose]();
  });

  onBothLoops(
    "who is cancelled when the loan is its own already has it, and gives it back",
    async () => {
      const limiter = new CapacityLimiter(1);
      const first = await limiter.acquire({ borrower: {} });
      const log: string[] = [];
      const use = (name: string) => () => limiter.run(() => void log.push(name));
      const [cancelled, next] = [createTask(use("cancelled")), createTask(use("next"))];
      await sleep(0);

      first[Symbol.dispose]();
      cancelled.cancel();

      await wait([cancelled, next]);
      assert.deepEqual([log, limiter.idle], [["cancelled", "next"], true]);
    },
  );

  test("that forgets its loan is named by a test", async () => {
    const error = await testing
      .runTest(async () => {
        const limiter = new CapacityLimiter(3, { name: "db" });
        await limiter.acquire({ weight: 2 });
      })
      .then(
        () => undefined,
        (error: unknown) => error,
      );

    assert.match(String(error), /CapacityLimiter "db", 2 of 3 borrowed by task "main"/);
  });
});

test("nothing is lost or doubled, in any order of steps, wherever a cancellation comes", async () => {
  const setup = () => ({ limiter: new CapacityLimiter(3), inside: 0, most: 0 });
  type State = ReturnType<typeof setup>;
  const body = async (t: testing.TestContext, state: State) => {
    const { limiter } = state;
    const work = (weight: number, key: string) =>
      limiter.run(
        async () => {
          state.inside += weight;
          state.most = Math.max(state.most, state.inside);
          try {
            if (t.choose(2) === 1) await sleep(0);
          } finally {
            state.inside -= weight;
          }
        },
        { weight, key },
      );
    await asyncio.taskGroup(async (group) => {
      group.createTask(() => work(2, "a"));
      group.createTask(() => work(2, "a"));
      group.createTask(() => work(1, "b"));
      group.createTask(() => work(3, "b"));
      group.createTask(async () => {
        limiter.limit = 2;
        await sleep(0);
        limiter.limit = 3;
      });
    });
  };
  const invariant = ({ limiter, most }: State) => {
    assert.ok(most <= 3);
    assert.deepEqual(
      { ...limiter.statistics() },
      { limit: limiter.limit, borrowed: 0, waiting: 0, keys: 0 },
    );
    assert.ok(limiter.idle);
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

test("wrong arguments are refused", async () => {
  for (const limit of [-1, 1.5, Number.NaN]) {
    assert.throws(() => new CapacityLimiter(limit), RangeError);
    assert.throws(() => {
      new CapacityLimiter(1).limit = limit;
    }, RangeError);
  }
  await assert.rejects(new CapacityLimiter(1).acquire({ weight: 0 }), RangeError);
  await assert.rejects(new CapacityLimiter(1).run(Promise.resolve() as never), TypeError);
});
