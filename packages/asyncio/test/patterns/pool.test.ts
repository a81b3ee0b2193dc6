import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  allTasks,
  createTask,
  InvalidStateError,
  moveOnAfter,
  Queue,
  run,
  select,
  sleep,
  TimeoutError,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { type Loan, Pool, resource } from "../../src/patterns.ts";
import { explore, VirtualLoop } from "../../src/testing.ts";
import { conforms } from "../conformance.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";
import { Plant, use } from "./plant.ts";

const LENT = 30;
const token = {};
let pool: Pool<object>;
let loans: Loan<object>[] = [];

conforms(
  "Pool.acquire",
  {
    wakes: "one",
    hasFastPath: true,
    async within(check) {
      const tokens = resource(
        async () => token,
        () => {},
      );
      pool = new Pool(tokens, { max: LENT });
      loans = [];
      while (loans.length < LENT) loans.push(await pool.acquire());
      await check();
      for (const loan of loans) loan[Symbol.dispose]();
      await pool.close();
    },
  },
  () => ({
    async begin() {
      const loan = await pool.acquire();
      loans.push(loan);
      return loan.item;
    },
    complete() {
      loans.shift()?.[Symbol.dispose]();
      return token;
    },
    check({ offered, completed }) {
      const { lent, waiting } = pool.statistics();
      assert.deepEqual([lent, waiting], [LENT - offered + completed, 0]);
    },
  }),
);

describe("lending", () => {
  test(
    "no more than max are open, and what comes back is lent again",
    virtual(async (loop) => {
      const plant = new Plant();
      await using pool = plant.pool();

      await taskGroup(async (group) => {
        for (let one = 0; one < 5; one++) group.createTask(() => use(pool, 1));
      });

      assert.deepEqual([plant.most, plant.opened, loop.time()], [2, 2, 4]);
      assert.deepEqual(pool.statistics(), {
        max: 2,
        open: 2,
        idle: 2,
        lent: 0,
        opening: 0,
        closing: 0,
        waiting: 0,
        opened: 2,
        closed: 0,
        failed: 0,
      });
    }),
  );

  test(
    "first come, first served, over a waiter who has left",
    virtual(async () => {
      await using pool = new Plant().pool({ max: 1 });
      const order: string[] = [];
      const borrower = (name: string) =>
        createTask(async () => {
          using _loan = await pool.acquire();
          order.push(name);
          await sleep(1);
        });

      const tasks = ["ann", "bob", "cid"].map(borrower);
      await sleep(1.5);
      tasks[1]?.cancel();
      await rejection(tasks[1] as PromiseLike<void>);
      await Promise.all([tasks[0], tasks[2]]);

      assert.deepEqual(order, ["ann", "cid"]);
    }),
  );

  test(
    "one that was opened for a borrower who has left goes to the next in line",
    virtual(async (loop) => {
      const plant = new Plant();
      await using pool = plant.pool({ max: 1 });
      const gone = moveOnAfter(0.5, () => pool.acquire());

      const item = await use(pool, 0);
      await gone;

      assert.deepEqual([item, plant.opened, loop.time()], [1, 1, 1]);
    }),
  );

  test(
    "what comes back is for the one who waits: nobody overtakes",
    virtual(async () => {
      await using pool = new Plant().pool({ max: 1 });
      const first = await pool.acquire();
      const waiting = createTask(() => pool.acquire());
      await sleep(0);

      first[Symbol.dispose]();

      assert.deepEqual([pool.tryAcquire(), pool.holders()[0]?.task], [undefined, waiting]);
      (await waiting)[Symbol.dispose]();
    }),
  );

  test(
    "the one that was used last is lent first",
    virtual(async () => {
      await using pool = new Plant().pool();
      await Promise.all([use(pool, 1), use(pool, 2)]);

      assert.deepEqual([await use(pool, 0), await use(pool, 0)], [2, 2]);
    }),
  );

  test(
    "tryAcquire never waits, and opens nothing",
    virtual(async () => {
      await using pool = new Plant().pool({ max: 1 });
      assert.equal(pool.tryAcquire(), undefined);
      await use(pool, 0);

      using loan = pool.tryAcquire();

      assert.equal(loan?.item, 1);
      assert.equal(pool.tryAcquire(), undefined);
      assert.equal(pool.idle, false);
    }),
  );

  test(
    "a loan that was given back cannot be used, and comes back once",
    virtual(async () => {
      await using pool = new Plant().pool();
      const loan = await pool.acquire();

      loan[Symbol.dispose]();
      loan[Symbol.dispose]();

      assert.throws(() => loan.item, InvalidStateError);
      assert.equal(pool.statistics().idle, 1);
    }),
  );

  test(
    "holders tells who has something, and since when",
    virtual(async () => {
      await using pool = new Plant().pool();
      const ann = createTask(() => use(pool, 1), { name: "ann" });
      await sleep(1.5);

      assert.deepEqual(pool.holders(), [{ task: ann, since: 1 }]);
      await ann;
    }),
  );

  test("a test finds a loan that was lost", async () => {
    const lost = explore(async () => {
      const pool = new Plant().pool();
      createTask(() => pool.close());
      await pool.acquire();
    });

    await assert.rejects(lost, /pool "db"/);
  });

  test(
    "max can be changed while it runs",
    virtual(async () => {
      const plant = new Plant();
      await using pool = plant.pool({ max: 1 });
      const users = [use(pool, 5), use(pool, 5), use(pool, 5)];
      await sleep(2);
      pool.max = 3;
      await sleep(2);
      assert.equal(pool.statistics().lent, 3);

      pool.max = 1;
      await Promise.all(users);

      assert.deepEqual([pool.statistics().open, pool.statistics().max], [1, 1]);
    }),
  );
});

describe("in a select", () => {
  test(
    "it is a case, and one that has lost has borrowed nothing",
    virtual(async (loop) => {
      const plant = new Plant();
      await using pool = plant.pool({ max: 1 });
      assert.deepEqual(await select({ loan: pool, late: 0.5 }), ["late", undefined]);

      const [which, loan] = await select({ loan: pool, late: 9 });
      assert.equal(which, "loan");
      assert.equal(loan?.item, 1);
      assert.deepEqual(await select({ loan: pool, late: 9 }), ["late", undefined]);
      loan?.[Symbol.dispose]();

      assert.deepEqual([plant.opened, loop.time(), pool.idle], [1, 10, true]);
    }),
  );

  test(
    "one that can open nothing ends the select in the call, which is in no line then",
    virtual(async (loop) => {
      const owner = await taskGroup(async (group) => group);
      const pool = new Plant().pool({ owner });
      const queue = new Queue<string>();
      const error = await rejection(select({ loan: pool, item: queue, late: 9 }));
      assert.ok(error instanceof InvalidStateError);
      assert.match(error.message, /a task group has ended/);
      queue.putNowait("kept");
      assert.equal(queue.getNowait(), "kept");
      assert.equal(loop.statistics().timers, 0);
    }),
  );

  test(
    "twice in one select, it lends once",
    virtual(async () => {
      await using pool = new Plant().pool({ max: 1 });
      const user = createTask(() => use(pool, 1));
      await sleep(0.5);

      const [which, loan] = await select([pool, pool]);

      assert.equal(which, 0);
      assert.deepEqual(pool.statistics().lent, 1);
      loan[Symbol.dispose]();
      await user;
    }),
  );

  test(
    "a closed pool fails it",
    virtual(async () => {
      const pool = new Plant().pool();
      const waiting = createTask(() => select({ pool, late: 9 }));
      await sleep(0);
      await pool.close();

      assert.ok((await rejection(waiting)) instanceof InvalidStateError);
      assert.ok((await rejection(select({ pool, late: 9 }))) instanceof InvalidStateError);
    }),
  );
});

describe("what is kept", () => {
  test(
    "an unused one is closed after `idle` seconds, down to min",
    virtual(async () => {
      const plant = new Plant();
      await using pool = plant.pool({ max: 3, min: 1, idle: 10 });
      await Promise.all([use(pool, 1), use(pool, 1), use(pool, 5)]);
      assert.equal(pool.statistics().idle, 3);

      await sleep(10);

      assert.equal(pool.statistics().idle, 1);
    }),
  );

  test(
    "with idle 0 none is kept",
    virtual(async () => {
      const plant = new Plant();
      await using pool = plant.pool({ idle: 0 });
      await use(pool, 1);
      assert.deepEqual([pool.statistics().idle, pool.statistics().closing], [0, 1]);
    }),
  );

  test(
    "min is opened with the first, and replaced when its life is over",
    virtual(async () => {
      const plant = new Plant();
      await using pool = plant.pool({ min: 2, lifetime: 100 });
      await use(pool, 0);
      await sleep(1);
      assert.equal(pool.statistics().idle, 2);

      await sleep(102);

      assert.deepEqual([pool.statistics().idle, plant.opened], [2, 4]);
    }),
  );

  test(
    "one whose life is over is closed when it comes back, and lives differ",
    virtual(async (loop) => {
      const plant = new Plant();
      const ends: number[] = [];
      const watched = resource(plant.resource.open.bind(plant.resource), (item) => {
        ends.push(loop.time());
        plant.open.delete(item);
      });
      await using pool = new Pool(watched, { max: 3, lifetime: 100, idle: Infinity });
      await Promise.all([use(pool, 1), use(pool, 1), use(pool, 150)]);
      await sleep(1);

      assert.equal(ends.length, 3);
      assert.equal(ends[2], 151);
      assert.ok(ends.slice(0, 2).every((end) => end > 90 && end <= 101));
      assert.notEqual(ends[0], ends[1]);
    }),
  );

  test(
    "one that was discarded is closed, and told why",
    virtual(async () => {
      const plant = new Plant();
      await using pool = plant.pool();
      {
        using loan = await pool.acquire();
        loan.discard(new Error("protocol error"));
      }
      await sleep(1);

      assert.deepEqual(plant.log, ["1 failed"]);
      assert.equal(await use(pool, 0), 2);
    }),
  );
});

describe("checks", () => {
  test(
    "one that fails its check is closed, and another takes its place",
    virtual(async (loop) => {
      const plant = new Plant();
      const check = async (item: number) => {
        await sleep(0.5);
        return item !== 1;
      };
      await using pool = plant.pool({ max: 1, check, checkAfter: 2 });
      await use(pool, 0);
      await sleep(1.9);
      assert.equal(await use(pool, 0), 1, "not yet asked");
      await sleep(2);
      const before = loop.time();

      assert.equal(await use(pool, 0), 2);
      // The check, the closing, the opening: never more than max are open.
      assert.deepEqual([loop.time() - before, plant.most], [2.5, 1]);
    }),
  );

  test(
    "a check that throws counts as failed",
    virtual(async () => {
      const plant = new Plant();
      const check = (item: number) => {
        if (item === 1) throw new Error("gone");
        return true;
      };
      await using pool = plant.pool({ check, checkAfter: 0 });
      await use(pool, 0);

      assert.equal(await use(pool, 0), 2);
      assert.deepEqual(plant.log, ["1 failed"]);
    }),
  );

  test(
    "reset runs before it is lent again, and a failure of it closes it",
    virtual(async () => {
      const plant = new Plant();
      const log: string[] = [];
      const reset = async (item: number) => {
        await sleep(1);
        log.push(`reset ${item}`);
        if (log.length === 2) throw new Error("rollback failed");
      };
      await using pool = plant.pool({ max: 1, reset });

      const items = [await use(pool, 0), await use(pool, 0), await use(pool, 0)];
      await sleep(1.5);

      assert.deepEqual(items, [1, 1, 2]);
      assert.deepEqual(log, ["reset 1", "reset 1", "reset 2"]);
      assert.deepEqual(plant.log, ["1 failed"]);
    }),
  );
});

describe("failures to open", () => {
  test(
    "the one who has waited longest is told, and the next attempt comes later",
    virtual(async (loop) => {
      const plant = new Plant();
      plant.failures = 3;
      plant.delay = 0;
      const reopen = [1, 2, 3];
      await using pool = plant.pool({ max: 1, reopen });
      const told: string[] = [];
      const user = (name: string) =>
        createTask(() =>
          use(pool, 0).then(
            () => told.push(`${name} ok ${loop.time()}`),
            (error: Error) => told.push(`${name} ${error.message} ${loop.time()}`),
          ),
        );

      await Promise.all(["ann", "bob", "cid", "dan"].map(user));

      assert.deepEqual(told, ["ann refused 0", "bob refused 1", "cid refused 3", "dan ok 6"]);
      assert.equal(pool.statistics().failed, 3);
    }),
  );

  test("one that nobody waits for is reported, the first in a row", async () => {
    const loop = new VirtualLoop();
    const reports = collectReports(loop);
    const plant = new Plant();
    plant.failures = 3;

    await run(
      async () => {
        await using pool = plant.pool();
        await moveOnAfter(0.5, () => pool.acquire());
        await sleep(10);
      },
      { loop },
    );

    assert.deepEqual(
      reports.map(({ message }) => message),
      ['opening an item of pool "db" has failed'],
    );
  });
});

describe("the end", () => {
  test(
    "close refuses those who wait, waits for loans, and closes all",
    virtual(async (loop) => {
      const plant = new Plant();
      const pool = plant.pool({ max: 1 });
      const user = createTask(() => use(pool, 5));
      await sleep(2);
      const waiter = createTask(() => pool.acquire());
      await sleep(0);

      const closed = pool.close();
      const refusal = await rejection(waiter);
      assert.ok(refusal instanceof InvalidStateError);
      await closed;

      assert.equal(await user, 1);
      assert.deepEqual([plant.open.size, loop.time()], [0, 7]);
      await assert.rejects(pool.acquire(), /it is closed/);
      assert.equal(pool.tryAcquire(), undefined);
      await pool.close();
    }),
  );

  test(
    "close cancels what is being opened for nobody",
    virtual(async (loop) => {
      const pool = new Plant().pool();
      await moveOnAfter(0.5, () => pool.acquire());

      await pool.close();

      assert.equal(loop.time(), 0.5);
    }),
  );

  test("the run closes a pool that was left open", async () => {
    const plant = new Plant();
    const loop = new VirtualLoop();
    const reports = collectReports(loop);

    await run(
      async () => {
        const pool = plant.pool();
        await use(pool, 1);
        createTask(() => use(pool, 100));
        await sleep(1);
      },
      { loop },
    );

    assert.deepEqual([plant.opened, plant.open.size], [1, 0]);
    assert.deepEqual(reports, []);
  });

  test("a closing that hangs is left behind with a report", async () => {
    const loop = new VirtualLoop();
    const reports = collectReports(loop);
    const hanging = resource(
      async () => 1,
      () => new Promise(() => {}),
      { name: "a connection", releaseDelay: 3 },
    );

    await run(
      async () => {
        const pool = new Pool(hanging, { max: 1 });
        await use(pool, 0);
        await pool.close();
        assert.equal(loop.time(), 4);
      },
      { loop },
    );

    assert.match(String(reports[0]?.exception), /a connection has not ended, and is left behind/);
    assert.equal(reports.length, 1);
  });

  test(
    "a closing that is cancelled waits all the same",
    virtual(async (loop) => {
      const plant = new Plant();
      const pool = plant.pool();
      await use(pool, 0);

      const closed = await moveOnAfter(0.5, () => pool.close());

      assert.deepEqual([closed.cancelled, plant.open.size, loop.time()], [false, 0, 2]);
    }),
  );
});

test(
  "while nothing is open it has no task, so one that is forgotten costs nothing",
  virtual(async () => {
    const pool = new Plant().pool({ idle: 5 });
    assert.equal(await use(pool, 1), 1);
    assert.equal(allTasks().size, 2);
    await sleep(10);
    assert.equal(allTasks().size, 1);

    assert.equal(await use(pool, 1), 2);
    await pool.close();
    assert.equal(allTasks().size, 1);
    await assert.rejects(pool.acquire(), /it is closed/);
  }),
);

test("one that had nothing open at the end of its run opens nothing in the next one", async () => {
  const plant = new Plant();
  const loop = new VirtualLoop();
  const pool = await run(
    async () => {
      const pool = plant.pool({ idle: 0 });
      await use(pool, 1);
      await sleep(2);
      return pool;
    },
    { loop },
  );
  loop.close();
  await run(
    async () => {
      const error = await rejection(pool.acquire());
      assert.ok(error instanceof InvalidStateError && /loop/.test(error.message), String(error));
    },
    { loop: new VirtualLoop() },
  );
  assert.equal(plant.opened, 1);
});

test(
  "the schedule of openings begins anew after a success",
  virtual(async () => {
    const attempts: number[] = [];
    const plant = new Plant();
    const reopen = ({ attempt }: { readonly attempt: number }): number => {
      attempts.push(attempt);
      return 0;
    };
    await using pool = plant.pool({ reopen, idle: 0 });
    for (const failures of [2, 1]) {
      plant.failures = failures;
      for (let n = 0; n < failures; n++) await rejection(pool.acquire());
      await use(pool, 1);
    }
    assert.deepEqual(attempts, [1, 2, 1]);
  }),
);

describe("acquire with a timeout", () => {
  test(
    "rejects when it is over, and has borrowed nothing",
    virtual(async (loop) => {
      const pool = new Plant().pool({ max: 1 });
      const holder = createTask(() => use(pool, 5));
      await sleep(2);

      const error = await rejection(pool.acquire({ timeout: 2 }));

      assert.ok(error instanceof TimeoutError);
      assert.match(error.message, /for an item of pool "db"/);
      assert.deepEqual([loop.time(), pool.statistics().waiting], [4, 0]);
      await holder;
      using loan = await pool.acquire({ timeout: 0 }); // needs no wait
      assert.equal(loan.item, 1);
      loan[Symbol.dispose]();
      await pool.close();
    }),
  );
});

describe("a pool with an owner", () => {
  test(
    "is closed when the group is cancelled, which waits for that",
    virtual(async (loop) => {
      const plant = new Plant();
      await taskGroup<void>(async (group) => {
        const pool = plant.pool({ owner: group });
        await use(pool, 1);
        assert.deepEqual(
          group.children().map((task) => task.getName()),
          ['pool "db"'],
        );
        group.cancel();
      });
      assert.deepEqual([plant.open.size, plant.log, loop.time()], [0, ["1 returned"], 3]);
    }),
  );

  test(
    "keeps the group until it is closed",
    virtual(async (loop) => {
      const plant = new Plant();
      const { pool } = await taskGroup(async (group) => {
        const pool = plant.pool({ owner: group });
        group.createTask(async () => {
          await sleep(1);
          await use(pool, 1);
          await pool.close();
        });
        return { pool };
      });
      assert.deepEqual([plant.open.size, loop.time()], [0, 4]);
      await assert.rejects(pool.acquire(), InvalidStateError);
    }),
  );

  test(
    "lets the group end once nothing is open",
    virtual(async (loop) => {
      const plant = new Plant();
      await taskGroup(async (group) => {
        await use(plant.pool({ owner: group, idle: 5 }), 1);
      });
      assert.deepEqual([plant.open.size, loop.time()], [0, 8]);
    }),
  );

  test(
    "an owner that has ended opens nothing",
    virtual(async () => {
      const plant = new Plant();
      let pool: Pool<number> | undefined;
      await taskGroup(async (group) => {
        pool = plant.pool({ owner: group });
      });
      await assert.rejects(
        pool?.acquire() ?? Promise.resolve(),
        /^InvalidStateError: `pool\.acquire` .*task group has ended/,
      );
      assert.equal(plant.opened, 0);
    }),
  );
});

describe("wrong arguments", () => {
  const { resource: good } = new Plant();
  const wrong: Record<string, [() => unknown, RegExp]> = {
    "no resource": [() => new Pool({} as never, { max: 1 }), /expects a resource, got/],
    "no options": [
      () => new Pool(good, undefined as never),
      /`max`, a whole number of 1 or more, got undefined/,
    ],
    "half an item": [() => new Pool(good, { max: 1.5 }), /`max`, a whole number of 1 or more/],
    "more min than max": [() => new Pool(good, { max: 1, min: 2 }), /`min` to be at most `max`, 1/],
    "no number": [() => new Pool(good, { max: "9" as never }), /`max`, a whole number/],
    "a check that is none": [() => new Pool(good, { max: 1, check: 5 as never }), /a function/],
  };
  for (const [name, [call, message]] of Object.entries(wrong))
    test(name, () => assert.throws(call, message));

  test(
    "a timeout round acquire is the borrower's own",
    virtual(async () => {
      await using pool = new Plant().pool({ max: 1 });
      await using _held = { [Symbol.asyncDispose]: () => user.then(() => {}) };
      const user = createTask(() => use(pool, 5));
      await sleep(2);

      await assert.rejects(
        timeout(1, () => pool.acquire()),
        /the deadline of 1 s has passed/,
      );
    }),
  );
});
