import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelScope,
  createTask,
  Event,
  ExceptionGroup,
  getRunningLoop,
  moveOnAfter,
  run,
  sleep,
  TimeoutError,
  taskGroup,
} from "../../src/index.ts";
import { type ChildSpec, spaced, supervise } from "../../src/patterns.ts";
import { cancelSweep, explore, VirtualLoop } from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { collectGarbage } from "../gc.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

const forEver = () => sleep(Number.POSITIVE_INFINITY);
const quiet = { onRestart: () => {} };

/** A child that becomes ready after `ready` seconds, and writes down what happens to it. */
function steady(log: string[], name: string, ready = 1, seconds = Infinity): ChildSpec {
  return {
    name,
    async run(started) {
      try {
        await sleep(ready);
        log.push(`${name} is ready`);
        started();
        await sleep(seconds);
        throw new Error(`${name} broke`);
      } finally {
        log.push(`${name} ends`);
      }
    },
  };
}

/** What is reported while `body` runs in virtual time. */
async function reportsOf(body: (loop: VirtualLoop) => Promise<unknown>): Promise<string[]> {
  const loop = new VirtualLoop();
  const reports = collectReports(loop);
  await run(() => body(loop), { loop });
  return reports.map(({ message }) => message);
}

describe("starting and stopping", () => {
  test("a cancellation in the step in which a child ends stops the others at once", async () => {
    await explore(async () => {
      const gate = new Event();
      const scope = new CancelScope();
      const first: ChildSpec = { name: "first", run: () => gate.wait(), restart: "temporary" };
      const supervising = createTask(() =>
        scope.run(() => supervise([first, { name: "second", run: forEver }])),
      );
      await sleep(1);
      createTask(async () => scope.cancel());
      gate.set();
      await supervising;

      assert.equal(getRunningLoop().time(), 1);
    });
  });

  test(
    "each begins when the one before it is ready, and the last is stopped first",
    virtual(async (loop) => {
      const log: string[] = [];
      const children = [steady(log, "db"), steady(log, "cache"), steady(log, "web")];
      let readyAt = 0;

      const onReady = () => {
        readyAt = loop.time();
      };
      await moveOnAfter(10, () => supervise(children, { onReady }));

      const [ready, ends] = [" is ready", " ends"].map((end) =>
        log.flatMap((line) => (line.endsWith(end) ? line.slice(0, -end.length) : [])),
      );
      assert.deepEqual([ready, ends, readyAt], [["db", "cache", "web"], ["web", "cache", "db"], 3]);
    }),
  );

  test(
    "each has ended before the one before it is stopped",
    virtual(async (loop) => {
      const log: string[] = [];
      const slow = (name: string): ChildSpec => ({
        name,
        async run() {
          await forEver().catch(() => {});
          await sleep(2);
          log.push(`${name} ${loop.time()}`);
        },
      });

      await moveOnAfter(1, () => supervise([slow("db"), slow("web")]));

      assert.deepEqual(log, ["web 3", "db 5"]);
    }),
  );

  test("one that does not end in time is left behind with a report", async () => {
    const reports = await reportsOf(async (loop) => {
      const stuck = { name: "stuck", run: () => new Promise(() => {}), stopDelay: 3 };
      await moveOnAfter(1, () => supervise([stuck], { name: "app" }));
      assert.equal(loop.time(), 4);
    });

    assert.equal(
      reports[0],
      'supervisor "app": child "stuck" has not ended 3 s after it was stopped, and is left behind',
    );
  });

  test(
    "it ends when all have ended for good",
    virtual(async (loop) => {
      await supervise([
        { name: "a", run: () => sleep(1), restart: "transient" },
        { name: "b", run: () => sleep(2), restart: "temporary" },
      ]);
      assert.equal(loop.time(), 2);
    }),
  );

  test(
    "it tells a group when it is ready",
    virtual(async (loop) => {
      await taskGroup<void>(async (group) => {
        await group.start<void>((started) =>
          supervise([steady([], "db")], { onReady: () => started() }),
        );
        assert.equal(loop.time(), 1);
        group.cancel();
      });
    }),
  );

  test(
    "a signal stops it, and its reason comes out",
    virtual(async () => {
      const log: string[] = [];
      const controller = new AbortController();
      const stopped = supervise([steady(log, "db", 0)], { signal: controller.signal });
      await sleep(1);

      controller.abort(new Error("enough"));

      await assert.rejects(stopped, /enough/);
      assert.deepEqual(log, ["db is ready", "db ends"]);
    }),
  );
});

describe("restarts", () => {
  test(
    "what it was is begun anew, later each time, and the others go on",
    virtual(async (loop) => {
      const starts: number[] = [];
      const told: string[] = [];
      const flaky: ChildSpec = {
        name: "flaky",
        async run() {
          starts.push(loop.time());
          await sleep(1);
          throw new Error(`failure ${starts.length}`);
        },
        delays: [1, 2, 4],
      };
      const log: string[] = [];
      const onRestart = (name: string, error: unknown) => told.push(`${name} ${error}`);

      await moveOnAfter(9, () => supervise([steady(log, "db", 0), flaky], { onRestart }));

      assert.deepEqual(starts, [0, 2, 5]);
      assert.deepEqual(
        told,
        [1, 2, 3].map((n) => `flaky Error: failure ${n}`),
      );
      assert.deepEqual(log, ["db is ready", "db ends"]);
    }),
  );

  test(
    "one that has run for a while begins with the first delay again",
    virtual(async (loop) => {
      const starts: number[] = [];
      const flaky: ChildSpec = {
        name: "flaky",
        async run() {
          starts.push(loop.time());
          await sleep(starts.length === 2 ? 10 : 0);
          throw new Error("failure");
        },
        delays: [1, 100],
      };

      await moveOnAfter(50, () => supervise([flaky], quiet));

      assert.deepEqual(starts, [0, 1, 12]);
    }),
  );

  test(
    "without `delays` each restart comes later than the one before, up to 10 s",
    virtual(async (loop) => {
      const starts: number[] = [];
      const run = () => {
        starts.push(loop.time());
        throw new Error("what it needs is down");
      };
      const intensity = Number.POSITIVE_INFINITY;

      await moveOnAfter(200, () => supervise([{ name: "broken", run }], { ...quiet, intensity }));

      const delays = starts.slice(1).map((start, n) => start - (starts[n] ?? 0));
      assert.ok(delays.length > 20);
      for (const [n, delay] of delays.entries()) {
        const whole = Math.min(0.1 * 2 ** n, 10);
        assert.ok(delay > whole * 0.499 && delay < whole * 1.001, `${delay} s, restart ${n + 1}`);
      }
    }),
  );

  onBothLoops("what a restart has cured is kept by nobody", async () => {
    const failures: WeakRef<Error>[] = [];
    const run = async () => {
      if (failures.length === 20) return await forEver();
      const failure = new Error("lost");
      failures.push(new WeakRef(failure));
      throw failure;
    };
    const options = { ...quiet, intensity: Number.POSITIVE_INFINITY };
    const child = { name: "flaky", run, delays: spaced(0) };
    const supervisor = createTask(() => supervise([child], options));
    while (failures.length < 20) await sleep(0);
    await sleep(0.001);

    await collectGarbage();

    const kept = failures.filter((failure) => failure.deref() !== undefined).length;
    await supervisor.cancelAndWait();
    assert.ok(kept <= 1, `${kept} of 20 failures`); // the engine may hold the last one
  });

  for (const [restart, returns, fails] of [
    ["permanent", 3, 3],
    ["transient", 1, 3],
    ["temporary", 1, 1],
  ] as const)
    test(`${restart}: ${returns} runs of one that returns, ${fails} of one that fails`, async () => {
      const counts = { returns: 0, fails: 0 };
      const delays = spaced(1);
      await reportsOf(async () => {
        const children: ChildSpec[] = [
          { name: "returns", run: () => void counts.returns++, restart, delays },
          { name: "fails", run: () => assert.fail(`${counts.fails++}`), restart, delays },
        ];
        await moveOnAfter(2.5, () => supervise(children, { ...quiet, intensity: 9 }));
      });
      assert.deepEqual(counts, { returns, fails });
    });

  test("failures are reported where nobody is told of restarts", async () => {
    const reports = await reportsOf(async () => {
      const children: ChildSpec[] = [
        { name: "a", run: () => assert.fail("a"), delays: spaced(5) },
        { name: "b", run: () => assert.fail("b"), restart: "temporary" },
      ];
      await moveOnAfter(1, () => supervise(children));
    });

    assert.deepEqual(reports.sort(), [
      'a supervisor: child "a" has failed, and is started again',
      'a supervisor: child "b" has failed',
    ]);
  });

  test(
    "a child that is cancelled has not failed",
    virtual(async () => {
      let victim: Promise<unknown> | undefined;
      const child: ChildSpec = {
        name: "child",
        restart: "transient",
        async run() {
          const self = createTask(forEver);
          victim = sleep(1).then(() => self.cancel());
          await self;
        },
      };

      await supervise([child]);
      await victim;
    }),
  );

  test(
    "one that does not become ready in time has failed",
    virtual(async (loop) => {
      const errors: unknown[] = [];
      let starts = 0;
      const child: ChildSpec = {
        name: "db",
        startDelay: 2,
        delays: spaced(1),
        async run(started) {
          await sleep(++starts === 1 ? 9 : 1);
          started();
          await forEver();
        },
      };
      let readyAt = 0;
      await moveOnAfter(20, () =>
        supervise([child], {
          onReady() {
            readyAt = loop.time();
          },
          onRestart: (_name, error) => errors.push(error),
        }),
      );

      assert.ok(errors[0] instanceof TimeoutError);
      assert.match(errors[0].message, /child "db" was not ready after 2 s/);
      assert.deepEqual([starts, readyAt, errors.length], [2, 4, 1]);
    }),
  );
});

describe("giving up", () => {
  test(
    "more than `intensity` restarts in `period`: all are stopped, and the failure comes out",
    virtual(async (loop) => {
      const log: string[] = [];
      const broken = { name: "broken", run: () => assert.fail("no"), delays: spaced(1) };
      const options = { ...quiet, intensity: 2, period: 10, name: "app" };

      const error = await rejection(supervise([steady(log, "db", 0), broken], options));

      assert.ok(error instanceof ExceptionGroup);
      assert.match(
        error.message,
        /^supervisor "app" gives up: child "broken" has ended after 2 restarts within 10 s: AssertionError/,
      );
      assert.deepEqual([error.errors.length, loop.time()], [1, 2]);
      assert.deepEqual(log, ["db is ready", "db ends"]);
    }),
  );

  test(
    "restarts count for a while only",
    virtual(async () => {
      const broken = { name: "broken", run: () => assert.fail("no"), delays: spaced(6) };
      const moved = await moveOnAfter(1000, () => supervise([broken], { ...quiet, intensity: 2 }));
      assert.ok(moved.cancelled);
    }),
  );

  test(
    "intensity 0: the first end is the last",
    virtual(async () => {
      const once = supervise([{ name: "a", run: () => sleep(1) }], { intensity: 0 });
      await assert.rejects(once, /child "a" has returned/);
    }),
  );

  test(
    "delays that end are a reason, too",
    virtual(async () => {
      const children = [{ name: "a", run: () => assert.fail("no"), delays: [1] }];
      await assert.rejects(supervise(children, quiet), /child "a" is not to be started again/);
    }),
  );

  test(
    "those that follow are not started",
    virtual(async () => {
      const log: string[] = [];
      const broken: ChildSpec = { name: "a", run: (_started) => assert.fail("no") };
      await rejection(supervise([broken, steady(log, "b")], { intensity: 0 }));
      assert.deepEqual(log, []);
    }),
  );

  test(
    "what fails while it is stopped is in the group",
    virtual(async () => {
      const sulky: ChildSpec = {
        name: "sulky",
        run: () => forEver().catch(() => Promise.reject(new Error("sulky"))),
      };
      const children = [sulky, { name: "a", run: () => sleep(1).then(() => assert.fail("no")) }];

      const error = await rejection(supervise(children, { intensity: 0 }));

      assert.ok(error instanceof ExceptionGroup);
      assert.deepEqual(
        error.errors.map(({ message }) => message),
        ["no", "sulky"],
      );
    }),
  );

  test(
    "a hook that fails ends it",
    virtual(async () => {
      const onRestart = () => assert.fail("hook");
      const children = [{ name: "a", run: () => {} }];
      await assert.rejects(supervise(children, { onRestart }), /hook/);
      await assert.rejects(supervise(children, { onReady: onRestart }), /hook/);
    }),
  );

  test("an async hook is not waited for, and reported if it fails", async () => {
    const late = async () => {
      await sleep(1);
      throw new Error("hook");
    };
    const child = { name: "a", run: () => sleep(5) };
    const hooks = { onReady: late, onRestart: late };
    const reports = await reportsOf(() => moveOnAfter(8, () => supervise([child], hooks)));
    assert.deepEqual(reports, ["`onReady` has failed", "`onRestart` has failed"]);
  });

  test("what fails while it is cancelled is reported", async () => {
    const reports = await reportsOf(() =>
      moveOnAfter(1, () =>
        supervise([
          { name: "sulky", run: () => forEver().catch(() => Promise.reject(new Error("sulky"))) },
        ]),
      ),
    );
    assert.deepEqual(reports, ['a supervisor: child "sulky" has failed when it was stopped']);
  });
});

test("under every schedule all children have ended when it has, the last first", async () => {
  await explore(
    async (t) => {
      let running = 0;
      const child = (name: string): ChildSpec => ({
        name,
        delays: spaced(0.5),
        async run(started) {
          running++;
          try {
            await sleep(t.random());
            started();
            await sleep(t.random() * 4);
            if (t.random() < 0.5) throw new Error("failure");
          } finally {
            running--;
          }
        },
      });
      const children = [child("a"), child("b"), child("c")];
      const supervised = moveOnAfter(t.random() * 9, () => supervise(children, quiet));
      await supervised.catch((error) => assert.ok(error instanceof ExceptionGroup));
      assert.equal(running, 0);
    },
    { iterations: 600 },
  );
});

test("cancelled at any wait, it leaves no child", async () => {
  const sweep = await cancelSweep(
    async () => {
      let running = 0;
      const child = (name: string, seconds: number): ChildSpec => ({
        name,
        delays: spaced(1),
        async run(started) {
          running++;
          try {
            await sleep(1);
            started();
            await sleep(seconds);
          } finally {
            running--;
          }
        },
      });
      try {
        const children = [child("a", 9), child("b", 1), child("c", 9)];
        await moveOnAfter(4, () => supervise(children, quiet));
      } finally {
        assert.equal(running, 0);
      }
    },
    { schedules: 2 },
  );
  assert.ok(sweep.complete);
});

describe("wrong arguments", () => {
  const wrong: Record<string, [unknown, RegExp]> = {
    "no list": [5, /an array of children/],
    "no name": [[{ run: forEver }], /children with a `name`/],
    "no function": [[{ name: "a", run: Promise.resolve(5) }], /a function that returns a promise/],
    "a word that is none": [[{ name: "a", run: forEver, restart: "often" }], /`restart` to be/],
    "a misspelt option": [[{ name: "a", run: forEver, delay: 1 }], /Did you mean `delays`/],
  };
  for (const [name, [children, message]] of Object.entries(wrong))
    test(
      name,
      virtual(async () => {
        await assert.rejects(supervise(children as never), message);
      }),
    );
});
