import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { test } from "node:test";
import {
  ContextVar,
  createTask,
  currentTask,
  type ExceptionContext,
  gather,
  run,
  sleep,
  TimeoutError,
  timeout,
} from "../../src/index.ts";
import { openBubble } from "../../src/testing/bubble.ts";
import { VirtualLoop } from "../../src/testing/virtual-loop.ts";
import { collectGarbage } from "../gc.ts";
import { collectReports, rejection } from "../virtual.ts";
import { checkGlobals, foreignSleep, inBubble, outside } from "./in-bubble.ts";

const _HostDate = Date;
const _hostNow = Date.now;
const _hostSetTimeout = setTimeout;

checkGlobals();

test(
  "setTimeout passes its arguments and the timer itself",
  inBubble(async () => {
    const passed = await new Promise<unknown[]>((resolve) => {
      const timer: unknown = setTimeout(
        function (this: unknown, ...args) {
          resolve([this === timer, ...args]);
        },
        5,
        "a",
        2,
      );
    });

    assert.deepEqual(passed, [true, "a", 2]);
  }),
);

test(
  "delays are cut to whole milliseconds, and what is none is one millisecond",
  inBubble(async () => {
    const delays = [undefined, Number.NaN, 0, -5, 0.9, 2 ** 31, Number.POSITIVE_INFINITY, "x"];
    const waited: number[] = [];

    for (const delay of [...delays, 1.9, "20", 2 ** 31 - 1]) {
      const before = performance.now();
      await foreignSleep(delay as number);
      waited.push(Math.round(performance.now() - before));
    }

    assert.deepEqual(waited, [...delays.map(() => 1), 1, 20, 2 ** 31 - 1]);
  }),
);

test(
  "equal deadlines fire in the order in which they were set, whoever set them",
  inBubble(async () => {
    const log: string[] = [];

    await gather(
      () => sleep(0.57).then(() => log.push("sleep 1")),
      () => foreignSleep(570).then(() => log.push("foreign 1")),
      () => sleep(0.57).then(() => log.push("sleep 2")),
      () => foreignSleep(570).then(() => log.push("foreign 2")),
      () => foreignSleep(569).then(() => log.push("earlier")),
    );

    assert.deepEqual(log, ["earlier", "sleep 1", "foreign 1", "sleep 2", "foreign 2"]);
  }),
);

test(
  "an interval goes on until it is cleared",
  inBubble(async () => {
    const log: number[] = [];
    const interval = setInterval((step: number) => log.push(performance.now() + step), 100, 0.5);

    await foreignSleep(350);
    clearInterval(interval);
    await foreignSleep(1000);

    assert.deepEqual(log, [100.5, 200.5, 300.5]);
  }),
);

test(
  "an interval that clears itself ends",
  inBubble(async (loop) => {
    const log: number[] = [];
    const interval = setInterval(() => {
      if (log.push(performance.now()) === 2) clearInterval(interval);
    }, 10);

    await foreignSleep(100);

    assert.deepEqual(log, [10, 20]);
    assert.equal(loop.statistics().timers, 0);
  }),
);

test(
  "what an interval's callback sets comes before its next turn at the same instant",
  inBubble(async () => {
    const log: string[] = [];
    const interval = setInterval(() => {
      log.push("interval");
      setTimeout(() => log.push("timeout"), 10);
    }, 10);

    await foreignSleep(25);
    clearInterval(interval);
    await foreignSleep(25);

    assert.deepEqual(log, ["interval", "timeout", "interval", "timeout"]);
  }),
);

test(
  "timers are cleared by either function, as objects, numbers, strings and by their methods",
  inBubble(async (loop) => {
    const log: string[] = [];
    const set = (): NodeJS.Timeout => setTimeout(() => log.push("fired"), 10);

    clearTimeout(set());
    clearInterval(set());
    clearTimeout(setInterval(() => log.push("fired"), 10));
    clearTimeout(+set());
    clearTimeout(`${+set()}`);
    assert.ok(set().close().hasRef());
    set()[Symbol.dispose]();
    clearTimeout(undefined);
    clearTimeout(null as never);
    clearTimeout(Number.NaN);
    clearTimeout({} as never);
    await sleep(1);

    assert.deepEqual(log, []);
    assert.equal(loop.statistics().timers, 0);
  }),
);

test(
  "a timer that is cleared when it is due does not fire",
  inBubble(async () => {
    const log: string[] = [];
    setTimeout(() => {
      log.push("first");
      clearTimeout(second);
    }, 10);
    const second = setTimeout(() => log.push("second"), 10);

    await foreignSleep(20);

    assert.deepEqual(log, ["first"]);
  }),
);

test(
  "refresh begins the delay again, also after the timer has fired, but not once it was cleared",
  inBubble(async () => {
    const log: number[] = [];
    const timer = setTimeout(() => log.push(performance.now()), 100);

    await foreignSleep(60);
    assert.equal(timer.refresh(), timer);
    await foreignSleep(200);
    timer.refresh();
    await foreignSleep(200);
    clearTimeout(timer);
    timer.refresh();
    await foreignSleep(200);

    assert.deepEqual(log, [160, 360]);
  }),
);

test(
  "refresh in the callback makes a timeout fire again, and an interval not twice",
  inBubble(async () => {
    const log: string[] = [];
    let rounds = 0;
    const timer = setTimeout(() => {
      log.push(`timeout ${performance.now()}`);
      if (++rounds < 3) timer.refresh();
    }, 15);
    const interval = setInterval(() => {
      log.push(`interval ${performance.now()}`);
      interval.refresh();
    }, 20);

    await foreignSleep(50);
    clearInterval(interval);

    assert.deepEqual(log, ["timeout 15", "interval 20", "timeout 30", "interval 40", "timeout 45"]);
  }),
);

test(
  "ref and unref are answered, and a timer counts either way",
  inBubble(async (loop) => {
    const log: number[] = [];
    const timer = setTimeout(() => log.push(performance.now()), 10);

    assert.equal(timer.hasRef(), true);
    assert.equal(timer.unref(), timer);
    assert.equal(timer.hasRef(), false);
    assert.equal(loop.statistics().timers, 1);
    await foreignSleep(20);
    assert.equal(timer.ref().hasRef(), true);

    assert.deepEqual(log, [10]);
  }),
);

test(
  "an immediate runs before time passes, after what is ready",
  inBubble(async () => {
    const log: string[] = [];
    setTimeout(() => log.push(`timeout ${performance.now()}`), 0);
    createTask(async () => log.push("task"));
    setImmediate((...args) => log.push(`immediate ${args} ${performance.now()}`), "a", 1);
    clearImmediate(setImmediate(() => log.push("cleared")));
    setImmediate(() => log.push("disposed"))[Symbol.dispose]();
    clearImmediate(undefined);

    await foreignSleep(10);

    assert.deepEqual(log, ["task", "immediate a,1 0", "timeout 1"]);
  }),
);

test(
  "immediates and timeouts are each cleared by their own function",
  inBubble(async () => {
    const log: string[] = [];
    clearTimeout(setImmediate(() => log.push("immediate")) as never);
    clearImmediate(setTimeout(() => log.push("timeout")) as never);

    await foreignSleep(10);

    assert.deepEqual(log, ["immediate", "timeout"]);
  }),
);

test(
  "a callback that fails is reported, and an interval goes on",
  inBubble(async (loop) => {
    const reports: ExceptionContext[] = collectReports(loop);
    let turns = 0;
    const interval = setInterval(() => {
      if (++turns === 2) clearInterval(interval);
      throw new Error(`turn ${turns}`);
    }, 10);
    setTimeout(async () => Promise.reject(new Error("async")), 15);
    setImmediate(() => {
      throw new Error("immediate");
    });

    await foreignSleep(100);

    assert.deepEqual(
      reports.map(({ message, exception }) => [message, (exception as Error).message]),
      ["immediate", "turn 1", "async", "turn 2"].map((what) => ["a callback has failed", what]),
    );
    assert.equal(turns, 2);
  }),
);

test(
  "callbacks run as steps of the loop, outside every task",
  inBubble(async (loop) => {
    const found = await new Promise((resolve) => {
      setTimeout(async () => {
        await sleep(1);
        resolve([currentTask(), loop.time()]);
      }, 1000);
    });

    assert.deepEqual(found, [undefined, 2]);
  }),
);

test(
  "callbacks see the contexts of whoever set the timer, each time as they were then",
  inBubble(async () => {
    const variable = new ContextVar<string>("variable");
    const storage = new AsyncLocalStorage<string>();
    const log: string[] = [];
    const note = (name: string) => (): void => {
      log.push(`${name} ${variable.get()} ${storage.getStore()}`);
      variable.set("from a callback");
      storage.enterWith("from a callback");
    };
    variable.set("set before");
    const [interval, timer] = storage.run("store", () => [
      setInterval(note("interval"), 10),
      setTimeout(note("timeout"), 15),
    ]);
    storage.run("store", () => setImmediate(note("immediate")));
    variable.set("set after");

    await foreignSleep(25);
    storage.run("another", () => timer?.refresh());
    clearInterval(interval);
    await foreignSleep(50);

    assert.deepEqual(
      log,
      ["immediate", "interval", "timeout", "interval", "timeout"].map(
        (name) => `${name} set before store`,
      ),
    );
    assert.deepEqual([variable.get(), storage.getStore()], ["set after", undefined]);
  }),
);

test("closing cancels the timers that are left, for good", async () => {
  const loop = new VirtualLoop();
  const other = new VirtualLoop();
  const log: string[] = [];
  const close = openBubble(loop, {});
  const closeOther = openBubble(other, {});
  const { timers, fired } = await run(
    async () => {
      const fired = setTimeout(() => {}, 1);
      await foreignSleep(5);
      const never = (): unknown => log.push("fired");
      return { timers: [setTimeout(never, 10), setInterval(never, 10)], fired };
    },
    { loop },
  );
  const before = loop.statistics().timers;
  close();
  const after = loop.statistics().timers;
  for (const timer of [...timers, fired]) {
    timer.ref().unref().refresh().hasRef();
    clearTimeout(timer);
    clearTimeout(+timer);
    timer.close().refresh()[Symbol.dispose]();
  }
  closeOther();
  for (const timer of timers) clearTimeout(timer); // by the host's own function
  await run(() => sleep(1), { loop });

  assert.deepEqual([before, after, loop.statistics().timers], [2, 0, 0]);
  assert.deepEqual(log, []);
});

test("an interval whose callback closes the bubble ends, and immediates left behind do not run", async () => {
  const loop = new VirtualLoop();
  const log: string[] = [];
  const close = openBubble(loop, {});

  const main = async (): Promise<void> => {
    setInterval(() => {
      setImmediate(() => log.push("immediate"));
      close();
      log.push("closed");
    }, 10);
    await sleep(1);
  };
  await run(main, { loop });

  assert.deepEqual(log, ["closed"]);
  assert.equal(loop.statistics().timers, 0);
});

test(
  "a timer that has fired or was cleared is not kept alive",
  inBubble(async () => {
    const setAndForget = (): WeakRef<object>[] => {
      const cleared = setInterval(() => {}, 1000);
      clearInterval(cleared);
      return [setTimeout(() => {}, 1), setImmediate(() => {}), cleared].map(
        (timer) => new WeakRef<object>(timer),
      );
    };
    const timers = setAndForget();
    await foreignSleep(10);

    await outside(collectGarbage);

    assert.deepEqual(
      timers.map((timer) => timer.deref()),
      [undefined, undefined, undefined],
    );
  }),
);

// --- with the library's own waits

test(
  "timeout does not abandon a body in somebody else's setTimeout, and cancels what it awaits next",
  inBubble(async (loop) => {
    const value = await timeout(1, () => new Promise((resolve) => setTimeout(resolve, 5000, "v")));
    assert.deepEqual([value, loop.time()], ["v", 5]);

    const error = await rejection(timeout(1, () => foreignSleep(5000).then(() => sleep(1))));
    assert.ok(error instanceof TimeoutError);
    assert.equal(loop.time(), 10);
  }),
);

test(
  "tasks that sleep and tasks that await a timer take turns on one clock",
  inBubble(async () => {
    const log: string[] = [];
    const poll = async (name: string, wait: () => Promise<void>): Promise<void> => {
      for (let round = 1; round <= 3; round++) {
        await wait();
        log.push(`${name}${round} ${performance.now()}`);
      }
    };

    await gather(
      () => poll("a", () => sleep(0.25)),
      () => poll("b", () => foreignSleep(375)),
    );

    assert.deepEqual(log, ["a1 250", "b1 375", "a2 500", "b2 750", "a3 750", "b3 1125"]);
  }),
);

test("the order of what is ready is drawn by the seed, the same each time", async () => {
  const orderOf = async (seed: number): Promise<string> => {
    const log: number[] = [];
    const main = async (): Promise<void> => {
      for (let index = 0; index < 5; index++) setTimeout(() => log.push(index), 10);
      await foreignSleep(20);
    };
    const loop = new VirtualLoop({ seed });
    const close = openBubble(loop, {});
    await run(main, { loop });
    close();
    return log.join("");
  };

  const orders = await Promise.all([1, 2, 3, 4, 1].map(orderOf));

  assert.equal(orders[4], orders[0]);
  assert.ok(new Set(orders).size > 1);
});
