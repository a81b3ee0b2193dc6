import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidStateError, run, sleep, timeout } from "../../src/index.ts";
import { realHost } from "../../src/kernel/host.ts";
import { openBubble } from "../../src/testing/bubble.ts";
import { VirtualLoop } from "../../src/testing/virtual-loop.ts";
import { rejection } from "../virtual.ts";
import { checkGlobals, descriptors, foreignSleep, inBubble, outside, places } from "./in-bubble.ts";

const HostDate = Date;
const hostNow = Date.now;
const hostSetTimeout = setTimeout;
const hostDescriptors = descriptors();

checkGlobals();

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
