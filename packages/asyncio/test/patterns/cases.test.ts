// The parts as cases of a `select`: whichever part it is, a case that loses has taken nothing, in
// any order of steps and wherever a cancellation comes.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTask, select, sleep, Task, taskGroup } from "../../src/index.ts";
import type { Selectable } from "../../src/lowlevel.ts";
import {
  CapacityLimiter,
  channel,
  Keyed,
  Pool,
  RateLimiter,
  resource,
  Watch,
} from "../../src/patterns.ts";
import { cancelSweep, explore, type TestContext } from "../../src/testing.ts";
import { virtual } from "../virtual.ts";

/** A part that lets `free` through now, and more when it is told to. */
interface Subject {
  /** A case that takes one. */
  one(): Selectable<unknown>;
  /** Makes another one. */
  free(): void;
  /** How many were given out and not given back. */
  taken(): number;
  waiting(): number;
}

const subjects: Record<string, () => Subject> = {
  CapacityLimiter() {
    const limiter = new CapacityLimiter(0);
    return {
      one: () => limiter,
      free: () => void limiter.limit++,
      taken: () => limiter.statistics().borrowed,
      waiting: () => limiter.statistics().waiting,
    };
  },
  Receiver() {
    const [sender, receiver] = channel<number>(Number.POSITIVE_INFINITY);
    let sent = 0;
    return {
      one: () => receiver,
      free: () => void sender.trySend(++sent),
      taken: () => sent - receiver.statistics().size,
      waiting: () => receiver.statistics().receiving,
    };
  },
};

for (const [name, make] of Object.entries(subjects)) {
  describe(`${name} as a case`, () => {
    test(
      "takes when it can, and the seconds of another case do not",
      virtual(async () => {
        const subject = make();
        const waiting = createTask(() => select({ late: 5, one: subject.one() }));
        await sleep(1);
        assert.equal(subject.waiting(), 1);
        subject.free();
        assert.equal((await waiting)[0], "one");
        assert.deepEqual([subject.taken(), subject.waiting()], [1, 0]);
        assert.deepEqual(await select({ one: subject.one(), late: 0 }), ["late", undefined]);
        assert.deepEqual([subject.taken(), subject.waiting()], [1, 0]);
      }),
    );

    const body = async (t: TestContext): Promise<void> => {
      const [first, second] = [make(), make()];
      const given: unknown[] = [];
      try {
        await taskGroup(async (group) => {
          for (let n = 0; n < 3; n++)
            group.createTask(async () => {
              const [, one] = await select([first.one(), second.one(), first.one()]);
              given.push(one);
            });
          group.createTask(async () => {
            for (let n = 0; n < 3; n++) {
              (t.choose(2) === 0 ? first : second).free();
              await sleep(0);
            }
          });
        });
      } finally {
        assert.equal(first.taken() + second.taken(), given.length);
        assert.equal(first.waiting() + second.waiting(), 0);
        for (const one of given) (one as Partial<Disposable>)[Symbol.dispose]?.();
      }
      assert.equal(given.length, 3);
    };

    test("two of them, one of them twice: each task is given one", async () => {
      await explore(body, { iterations: 300, seconds: Number.POSITIVE_INFINITY });
    });

    test("a select that is cancelled has taken nothing", async () => {
      await cancelSweep(body, { seconds: Number.POSITIVE_INFINITY });
    });
  });
}

test(
  "a rate limiter as a case: a loser has paid nothing, and those behind it move up",
  virtual(async (loop) => {
    const limiter = new RateLimiter({ rate: 1, burst: 1 });
    await limiter.take();
    const loser = createTask(() => select({ turn: limiter, late: 0.5 }));
    const behind = createTask(() => select({ turn: limiter, late: 5 }));
    const third = createTask(() => limiter.take());
    await sleep(0);
    assert.equal(limiter.statistics().waiting, 3);

    assert.deepEqual(await loser, ["late", undefined]);
    assert.deepEqual([await behind, loop.time()], [["turn", undefined], 1]);
    await third;
    assert.deepEqual([loop.time(), limiter.statistics().taken, limiter.delay()], [2, 3, 1]);
  }),
);

test("a rate limiter that is two cases of one select is paid once", async () => {
  const body = async (): Promise<void> => {
    const limiter = new RateLimiter({ rate: 1, burst: 1 });
    await taskGroup(async (group) => {
      for (let n = 0; n < 3; n++) group.createTask(() => select([limiter, limiter, 100]));
    });
    assert.deepEqual(
      { ...limiter.statistics(), delay: 0 },
      { rate: 1, per: 1, burst: 1, taken: 3, waiting: 0, delay: 0 },
    );
  };
  await explore(body, { iterations: 200, seconds: Number.POSITIVE_INFINITY });
  await cancelSweep(body, { seconds: Number.POSITIVE_INFINITY });
});

test(
  "what a Keyed gives is a case, as it is",
  virtual(async () => {
    const hosts = new Keyed((_host: string) => new CapacityLimiter(1));
    using _loan = await hosts.for("a").acquire({ borrower: hosts });
    const [host, guard] = await select({ a: hosts.for("a"), b: hosts.for("b") });
    assert.equal(host, "b");
    guard[Symbol.dispose]();
  }),
);

test(
  "a borrower is known also where it waits in a select",
  virtual(async () => {
    const limiter = new CapacityLimiter(1, { name: "db" });
    const holder = await limiter.acquire();
    await assert.rejects(
      select([limiter]),
      /`select` was called for task "main", which has a loan/,
    );
    const waiting = createTask(() => select({ db: limiter }), { name: "ann" });
    await sleep(0);
    holder[Symbol.dispose]();
    const [, guard] = await waiting;
    const [{ borrower } = {}] = limiter.holders();
    assert.ok(borrower instanceof Task && borrower === waiting);
    guard[Symbol.dispose]();
    assert.ok(limiter.idle);
  }),
);

test(
  "a limiter that is two cases of one select has one loan out, and knows its borrower",
  virtual(async () => {
    const limiter = new CapacityLimiter(0);
    const waiting = createTask(() => select([limiter, limiter]));
    await sleep(0);
    limiter.limit = 2;
    const [, guard] = await waiting;
    assert.deepEqual([limiter.idle, limiter.statistics().borrowed], [false, 1]);
    await assert.rejects(limiter.acquire({ borrower: waiting }), /which has a loan/);
    guard[Symbol.dispose]();
    assert.ok(limiter.idle);
  }),
);

test(
  "a pool, a channel and a watch in one select",
  virtual(async () => {
    const pool = new Pool(
      resource(
        async () => 5,
        () => {},
      ),
      { max: 1 },
    );
    const [sender, receiver] = channel<string>(1);
    const watch = new Watch(0);
    const cases = () => select({ pool, item: receiver, changed: watch.changed() });
    const [first, loan] = await cases();
    assert.equal(first, "pool");
    if (first === "pool") assert.equal(loan.item, 5);
    const second = createTask(cases);
    await sleep(0);
    watch.value = 1;
    assert.deepEqual(await second, ["changed", 1]);
    sender.trySend("x");
    assert.deepEqual(await cases(), ["item", "x"]);
    assert.deepEqual([pool.statistics().waiting, receiver.statistics().receiving], [0, 0]);
    if (first === "pool") loan[Symbol.dispose]();
    await pool.close();
  }),
);
