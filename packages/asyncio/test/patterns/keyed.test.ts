import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { CapacityLimiter, Keyed, RateLimiter } from "../../src/patterns.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { virtual } from "../virtual.ts";

const { sleep } = asyncio;

function keysOf<K>(keyed: Iterable<[K, unknown]>): K[] {
  return [...keyed].map(([key]) => key);
}

test(
  "there is one for each key, made at its first use",
  virtual(async () => {
    const made: string[] = [];
    const hosts = new Keyed((host: string) => {
      made.push(host);
      return new RateLimiter({ rate: 1, name: host });
    });

    await hosts.for("a").take();
    hosts.for("b");

    assert.equal(hosts.for("a").statistics().taken, 1);
    assert.deepEqual([made, hosts.size, keysOf(hosts)], [["a", "b"], 2, ["b", "a"]]);
  }),
);

test(
  "those that were idle for long enough are dropped when another one is used",
  virtual(async () => {
    const locks = new Keyed((_key: string) => new asyncio.Lock(), { idle: 10 });
    locks.for("old");
    await sleep(5);
    locks.for("new");
    await sleep(5);

    locks.for("other");

    assert.deepEqual(keysOf(locks), ["new", "other"]);
  }),
);

test(
  "one that is held or waited for stays, and goes when it has been idle since",
  virtual(async () => {
    const locks = new Keyed((_key: string) => new asyncio.Lock(), { idle: 10 });
    const lock = locks.for("held");
    const guard = await lock.acquire();
    await sleep(100);
    assert.equal(locks.for("held"), lock);
    await sleep(100);
    locks.for("other");
    assert.deepEqual(keysOf(locks), ["held", "other"]);

    guard[Symbol.dispose]();
    await sleep(100);
    locks.for("third");

    assert.deepEqual(keysOf(locks), ["third"]);
  }),
);

test(
  "a limiter whose bucket is not full again stays: else its rate could be exceeded",
  virtual(async () => {
    const hosts = new Keyed((_host: string) => new RateLimiter({ rate: 1, per: 60 }), { idle: 1 });
    const limiter = hosts.for("a");
    await limiter.take();
    await sleep(30);

    hosts.for("b");

    assert.equal(hosts.for("a"), limiter);
  }),
);

test(
  "above `max` idle ones go, the least recently used first",
  virtual(async () => {
    const limiters = new Keyed((_key: number) => new CapacityLimiter(1), { max: 2 });
    const loan = await limiters.for(1).acquire();
    limiters.for(2);
    limiters.for(3);
    assert.deepEqual(keysOf(limiters), [1, 3]);

    loan[Symbol.dispose]();
    limiters.for(4);

    assert.deepEqual(keysOf(limiters), [3, 4]);
  }),
);

test(
  "with more in use than `max`, a use looks at a few of them, and not at all",
  virtual(async () => {
    let looks = 0;
    const busy = {
      get idle() {
        looks++;
        return false;
      },
    };
    const things = new Keyed((_key: number) => busy, { max: 10 });
    for (let key = 0; key < 1000; key++) things.for(key);
    assert.deepEqual([things.size, looks < 10_000], [1000, true]);
    looks = 0;
    things.for(500);
    assert.ok(looks <= 8, `${looks} looks`);
  }),
);

test(
  "delete drops by hand",
  virtual(async () => {
    const locks = new Keyed((_key: string) => new asyncio.Lock());
    const lock = locks.for("a");

    assert.deepEqual([locks.delete("a"), locks.delete("a"), locks.size], [true, false, 0]);
    assert.notEqual(locks.for("a"), lock);
  }),
);

test("in a run with another clock nothing counts as used lately", async () => {
  const locks = new Keyed((_key: string) => new asyncio.Lock(), { idle: 10 });
  const use = (key: string, at: number) =>
    asyncio.run(
      async () => {
        await sleep(at);
        locks.for(key);
      },
      { loop: new VirtualLoop() },
    );
  await use("first", 1000);

  await use("second", 1);

  assert.deepEqual(keysOf(locks), ["second"]);
});

test("wrong arguments are refused", () => {
  const make = () => new asyncio.Lock();

  assert.throws(() => new Keyed(undefined as never), /a function that makes one/);
  assert.throws(() => new Keyed(make, { idle: Number.NaN }), RangeError);
  for (const max of [0, 1.5, Number.NaN]) assert.throws(() => new Keyed(make, { max }), RangeError);
  const madeBy = (make: () => unknown) => () => new Keyed(make as () => asyncio.Lock).for("key");
  const expects = /^TypeError: `keyed.for` expects something from its function that tells whether/;
  assert.throws(
    madeBy(() => undefined),
    expects,
  );
  assert.throws(
    madeBy(() => new Map()),
    expects,
  );
  assert.throws(
    madeBy(async () => new asyncio.Lock()),
    /it cannot be async/,
  );
});

test(
  "with no idle time at all, those in use stay, and the others go at the next use",
  virtual(async () => {
    const locks = new Keyed((_key: string) => new asyncio.Lock(), { idle: 0 });
    using _a = await locks.for("a").acquire();
    using _b = await locks.for("b").acquire();
    locks.for("c");

    locks.for("d");

    assert.deepEqual(keysOf(locks), ["a", "b", "d"]);
  }),
);
