import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { afterEach, test } from "node:test";
import {
  ContextVar,
  createTask,
  currentTask,
  type ExceptionContext,
  gather,
  InvalidStateError,
  run,
  sleep,
  TimeoutError,
  timeout,
} from "../../src/index.ts";
import { realHost } from "../../src/kernel/host.ts";
import { runInRoot } from "../../src/ports/context-storage.ts";
import { type BubbleOptions, openBubble } from "../../src/testing/bubble.ts";
import { VirtualLoop } from "../../src/testing/virtual-loop.ts";
import { collectGarbage } from "../gc.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

const timerNames = ["Timeout", "Interval", "Immediate"].flatMap((kind) => [
  `set${kind}`,
  `clear${kind}`,
]);
const places: [target: object, name: string][] = [
  ...timerNames.map((name): [object, string] => [globalThis, name]),
  [globalThis, "Date"],
  [Date, "now"],
  [Date.prototype, "constructor"],
  [performance, "now"],
  [Math, "random"],
];
const HostDate = Date;
const hostNow = Date.now;
const hostSetTimeout = setTimeout;
const hostDescriptors = descriptors();

afterEach(() => {
  assert.deepEqual(descriptors(), hostDescriptors, "the globals are not those of the host");
});

function descriptors(): (PropertyDescriptor | undefined)[] {
  return places.map(([target, name]) => Object.getOwnPropertyDescriptor(target, name));
}

/** A test body in a bubble on a loop in virtual time. */
function inBubble(
  body: (loop: VirtualLoop) => PromiseLike<void>,
  options: BubbleOptions = {},
): () => Promise<void> {
  return virtual(async (loop) => {
    const close = openBubble(loop, options);
    try {
      await body(loop);
    } finally {
      close();
    }
  });
}

/** How code that has never heard of us sleeps. */
function foreignSleep(delayMs?: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/** Runs `body` in the context outside the bubble: what the host would call there. */
function outside<R>(body: () => R): R {
  return runInRoot(body);
}

// --- the globals

test(
  "an hour of somebody else's setTimeout takes no time",
  inBubble(async (loop) => {
    const startedAt = realHost.now();

    await foreignSleep(3_600_000);

    assert.equal(loop.time(), 3600);
    assert.ok(realHost.now() - startedAt < 60);
  }),
);

test("closing puts back the very property descriptors that were there", () => {
  const attributes = ([target, name]: [object, string]): unknown[] => {
    const found = Object.getOwnPropertyDescriptor(target, name);
    return [name, found?.enumerable, found?.configurable];
  };
  const own = places.filter((_, index) => hostDescriptors[index] !== undefined);
  const before = own.map(attributes);

  const close = openBubble(new VirtualLoop(), {});
  const during = own.map(attributes);
  const replaced = descriptors();
  close();

  assert.deepEqual(during, before);
  assert.deepEqual(
    places.filter((_, index) => replaced[index]?.value === hostDescriptors[index]?.value),
    [[HostDate, "now"]], // the bubble's Date has one of its own
  );
  assert.deepEqual(descriptors(), hostDescriptors);
});

test("the globals go back when the last of the bubbles closes", () => {
  const first = openBubble(new VirtualLoop(), {});
  const patched = setTimeout;
  const second = openBubble(new VirtualLoop(), {});

  assert.equal(setTimeout, patched);
  first();
  first(); // counts once
  assert.equal(setTimeout, patched);
  second();
  assert.equal(setTimeout, hostSetTimeout);
});

test("a loop has one bubble at a time", () => {
  const loop = new VirtualLoop();
  const close = openBubble(loop, {});

  assert.throws(() => openBubble(loop, {}), InvalidStateError);
  close();
  openBubble(loop, {})();
});

test("a bubble that was closed leaves a later one on its loop alone", async () => {
  const loop = new VirtualLoop();
  const first = openBubble(loop, {});
  first();

  const second = openBubble(loop, {});
  first();

  await run(() => foreignSleep(1000), { loop });
  second();
  assert.equal(loop.time(), 1);
});

test("the options are checked before anything is replaced", () => {
  const loop = new VirtualLoop();

  assert.throws(() => openBubble(loop, { date: new Date(Number.NaN) }), RangeError);
  assert.throws(() => openBubble(loop, { date: 0 as never }), TypeError);
  assert.throws(() => openBubble(loop, { random: 0.5 as never }), TypeError);
});

test("what somebody else has put over ours stays, and what they put back goes on working", async () => {
  const loop = new VirtualLoop();
  const close = openBubble(loop, {});
  const ours = globalThis.setTimeout;
  const fake = (() => 0) as unknown as typeof setTimeout;
  globalThis.setTimeout = fake;
  close();
  const after = globalThis.setTimeout;
  globalThis.setTimeout = ours; // they end, and put back what they found
  const closeSecond = openBubble(loop, {});
  await run(() => foreignSleep(1000), { loop });
  closeSecond();
  const real = globalThis.setTimeout(() => {}, 1e6);
  clearTimeout(real);
  Object.defineProperty(globalThis, "setTimeout", hostDescriptors[0] as PropertyDescriptor);

  assert.equal(after, fake);
  assert.equal(loop.time(), 1);
  assert.equal(real.constructor.name, "Timeout");
});

test("where somebody has put back the host's own, it stays", () => {
  const close = openBubble(new VirtualLoop(), {});
  globalThis.setTimeout = hostSetTimeout;

  close();

  assert.equal(globalThis.setTimeout, hostSetTimeout);
});

test("a function that the host does not have is not invented", () => {
  Reflect.deleteProperty(globalThis, "setImmediate");
  const close = openBubble(new VirtualLoop(), {});
  const found = Object.hasOwn(globalThis, "setImmediate");
  close();
  const index = places.findIndex(([, name]) => name === "setImmediate");
  Object.defineProperty(globalThis, "setImmediate", hostDescriptors[index] as PropertyDescriptor);

  assert.equal(found, false);
});

test(
  "replacements are named, long and equipped as the originals",
  inBubble(async () => {
    const symbol = Symbol.for("nodejs.util.promisify.custom");

    assert.deepEqual([setTimeout.name, setTimeout.length], ["setTimeout", hostSetTimeout.length]);
    assert.equal(Reflect.get(setTimeout, symbol), Reflect.get(hostSetTimeout, symbol));
    assert.equal(performance.now.name, "now");
    assert.equal(Math.random.name, "random");
  }),
);

// --- who is inside

test("bubbles beside each other have clocks of their own", async () => {
  const log: string[] = [];
  const program = async (name: string, delayMs: number, date: Date): Promise<void> => {
    const loop = new VirtualLoop();
    const close = openBubble(loop, { date });
    const main = async (): Promise<void> => {
      for (let round = 0; round < 3; round++) await foreignSleep(delayMs);
      log.push(`${name} ${new Date().toISOString()} ${performance.now()}`);
    };
    await run(main, { loop });
    close();
  };

  await Promise.all([
    program("a", 1000, new Date("2010-01-01")),
    program("b", 86_400_000, new Date("2020-01-01")),
  ]);

  assert.deepEqual(log.sort(), [
    "a 2010-01-01T00:00:03.000Z 3000",
    "b 2020-01-04T00:00:00.000Z 259200000",
  ]);
});

test(
  "a bubble inside a bubble has a clock of its own",
  inBubble(async (outer) => {
    await foreignSleep(1000);
    const loop = new VirtualLoop();
    const close = openBubble(loop, {});

    const inner = await run(() => foreignSleep(5000).then(() => performance.now()), { loop });
    close();

    assert.deepEqual([inner, performance.now(), outer.time()], [5000, 1000, 1]);
  }),
);

test(
  "a run on a loop without a bubble is in real time, also when it was called from inside",
  inBubble(async () => {
    const isReal = await run(async () => Math.abs(Date.now() - hostNow()) < 3600_000);

    assert.equal(isReal, true);
    assert.equal(new Date().getFullYear(), 2000);
  }),
);

test(
  "outside, the host's timers and clocks are real while a bubble is open",
  inBubble(async () => {
    const log: unknown[] = [];
    const real = outside(() => {
      const self = setTimeout(() => log.push("never"), 1e6);
      const interval = setInterval(() => log.push("never"), 1e6);
      log.push(clearTimeout(self), clearInterval(interval));
      log.push(Math.abs(Date.now() - hostNow()) < 60_000, new Date() > new Date(2020, 1));
      log.push(Date() === new Date().toString(), performance.now() > 0);
      return self;
    });

    const passed = await new Promise<unknown[]>((resolve) => {
      outside(() =>
        setTimeout(
          function (this: unknown, ...args) {
            resolve([this?.constructor.name, ...args]);
          },
          1,
          "a",
          "b",
        ),
      );
    });

    assert.deepEqual(log, [undefined, undefined, true, true, true, true]);
    assert.deepEqual(passed, ["Timeout", "a", "b"]);
    assert.equal(real.constructor.name, "Timeout");
    assert.equal(performance.now(), 0);
  }),
);

test(
  "immediates outside are the host's",
  inBubble(async () => {
    const log: string[] = [];

    await new Promise<void>((resolve) => {
      outside(() => {
        clearImmediate(setImmediate(() => log.push("cleared")));
        setImmediate(() => {
          log.push("real");
          resolve();
        });
      });
    });

    assert.deepEqual(log, ["real"]);
  }),
);

test(
  "a real timer is cleared from inside, and a virtual one from outside",
  inBubble(async () => {
    const log: string[] = [];
    const real = outside(() => setTimeout(() => log.push("real"), 1));
    const virtualOnes = [1, 2].map((delayMs) => setTimeout(() => log.push("virtual"), delayMs));

    clearTimeout(real);
    outside(() => clearTimeout(virtualOnes[0]));
    outside(() => clearTimeout(Number(virtualOnes[1])));
    await foreignSleep(10);
    await new Promise<void>((resolve) => outside(() => setTimeout(resolve, 3)));

    assert.deepEqual(log, []);
  }),
);

test(
  "the originals refuse what they cannot call",
  inBubble(async () => {
    for (const set of [setTimeout, setInterval, setImmediate] as ((fn: unknown) => void)[])
      assert.throws(() => set("code"), { code: "ERR_INVALID_ARG_TYPE" });
  }),
);

test("the loop itself runs on the host's originals", async () => {
  const loop = new VirtualLoop();
  const close = openBubble(loop, {});
  const ours = descriptors();
  const used: string[] = [];
  const put = (made: (name: string, index: number) => PropertyDescriptor | undefined): void => {
    for (const [index, [target, name]] of places.entries())
      Object.defineProperty(target, name, made(name, index) ?? {});
  };
  put((name) => ({ value: () => used.push(name), configurable: true, writable: true }));

  await run(
    async () => {
      for (let turn = 0; turn < 2000; turn++) await sleep(0); // beyond the budget: through macrotasks
      await rejection(timeout(30, () => sleep(60)));
    },
    { loop },
  );
  put((_name, index) => ours[index]);
  close();

  assert.deepEqual(used, []);
  assert.equal(loop.time(), 30);
});

// --- timers

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

// --- clocks

test(
  "Date begins where it is told to, by default at the beginning of 2000",
  inBubble(async () => {
    assert.equal(new Date().toISOString(), "2000-01-01T00:00:00.000Z");
    const loop = new VirtualLoop();
    const close = openBubble(loop, { date: new Date("1969-12-31T23:59:59.500Z") });

    const dates = await run(
      async () => [Date.now(), await foreignSleep(1500).then(() => Date.now())],
      { loop },
    );
    close();

    assert.deepEqual(dates, [-500, 1000]);
  }),
);

test("a bubble's clocks begin when it is opened, not with the loop", async () => {
  const loop = new VirtualLoop();
  await run(() => sleep(1000), { loop });
  const close = openBubble(loop, { date: new Date(0) });

  const clocks = await run(async () => [performance.now(), Date.now(), loop.time()], { loop });
  close();

  assert.deepEqual(clocks, [0, 0, 1000]);
});

test(
  "Date shows whole milliseconds, and none is lost to rounding",
  inBubble(
    async () => {
      await sleep(0.0005);
      assert.deepEqual([Date.now(), performance.now()], [0, 0.5]);
      await sleep(0.5695); // 0.57 * 1000 is 569.9999999999999
      assert.deepEqual([Date.now(), performance.now()], [570, 570]);
      for (let turn = 0; turn < 10; turn++) await sleep(0.1);
      assert.deepEqual([Date.now(), performance.now()], [1570, 1570]);
    },
    { date: new Date(0) },
  ),
);

test(
  "Date called as a function gives the present as text, whatever it is given",
  inBubble(async () => {
    const call = Date as unknown as (value?: number) => string;

    assert.equal(call(), new HostDate(HostDate.UTC(2000, 0, 1)).toString());
    assert.equal(call(0), call());
  }),
);

test(
  "a Date made of something is what the host makes of it",
  inBubble(async () => {
    assert.equal(new Date(86_400_000).toISOString(), "1970-01-02T00:00:00.000Z");
    assert.equal(new Date(undefined as never).getTime(), Number.NaN);
    assert.equal(new Date(2020, 1, 29).getDate(), 29);
    assert.equal(new Date("2020-02-30x").getTime(), Number.NaN);
    assert.equal(Date.UTC(1970, 0, 2), 86_400_000);
    assert.equal(Date.parse("1970-01-02"), 86_400_000);
    assert.deepEqual([Date.name, Date.length, Date.now.name], ["Date", 7, "now"]);
    assert.equal(Object.getPrototypeOf(Date), Function.prototype);
  }),
);

test("Dates are Dates on both sides of a bubble", async () => {
  const loop = new VirtualLoop();
  const before = new Date();
  const close = openBubble(loop, {});
  const inside = await run(
    async () => {
      const made = new Date();
      assert.ok(before instanceof Date && made instanceof Date && made instanceof HostDate);
      assert.ok(made.constructor === Date && before.constructor === Date);
      assert.deepEqual(made, new HostDate(made.getTime()));
      return made;
    },
    { loop },
  );
  close();

  assert.ok(inside instanceof Date);
  assert.equal(inside.constructor, Date);
  assert.equal(Object.getPrototypeOf(inside), Date.prototype);
  assert.equal(Object.prototype.toString.call(inside), "[object Date]");
  assert.deepEqual(structuredClone(inside), inside);
});

test("a subclass that was made inside is virtual there, and real once the bubble is closed", async () => {
  const loop = new VirtualLoop();
  const close = openBubble(loop, {});
  const Day = await run(
    async () => {
      class Day extends Date {
        get year(): number {
          return this.getUTCFullYear();
        }
      }
      const day = new Day();
      assert.equal(day.year, 2000);
      assert.equal(new Day(0).year, 1970);
      assert.equal(Day.now(), Date.now());
      assert.ok(day instanceof Day && day instanceof Date && day.constructor === Day);
      return Day;
    },
    { loop },
  );
  close();

  assert.ok(new Day() instanceof HostDate);
  assert.ok(new Day().year > 2000);
  assert.ok(Math.abs(Day.now() - Date.now()) < 60_000);
});

test("what a test puts in the place of Date.now goes with the bubble", async () => {
  const loop = new VirtualLoop();
  const close = openBubble(loop, {});

  await run(
    async () => {
      Date.now = () => 42;
      assert.equal(Date.now(), 42);
    },
    { loop },
  );
  close();

  assert.equal(Date.now, hostNow);
});

test(
  "performance.now counts milliseconds from 0",
  inBubble(async () => {
    assert.equal(performance.now(), 0);
    await foreignSleep(1500);
    assert.equal(performance.now(), 1500);
  }),
);

test(
  "Math.random draws from what it is given",
  inBubble(async () => assert.deepEqual([Math.random(), outside(Math.random) < 1], [2, true]), {
    random: () => 2, // the host's are below 1
  }),
);

test(
  "Math.random without anything given is the host's",
  inBubble(async () => assert.notEqual(Math.random(), Math.random())),
);
