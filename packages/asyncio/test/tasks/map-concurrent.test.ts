import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";

const { mapConcurrent, sleep } = asyncio;

async function collect<T>(results: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const result of results) all.push(result);
  return all;
}

test("gives results in the order of the items", async () => {
  await testing.runTest(async (t) => {
    const slowFirst = (item: number) => sleep(4 - item, item * 10);

    assert.deepEqual(
      await collect(mapConcurrent([1, 2, 3], slowFirst, { limit: 3 })),
      [10, 20, 30],
    );
    assert.equal(t.now, 3);
  });
});

test("gives results as they come if the order does not matter", async () => {
  await testing.runTest(async () => {
    const slowFirst = (item: number) => sleep(4 - item, item);
    const options = { limit: 3, ordered: false };

    assert.deepEqual(await collect(mapConcurrent([1, 2, 3], slowFirst, options)), [3, 2, 1]);
  });
});

test("passes the index", async () => {
  await testing.runTest(async () => {
    const indexes = mapConcurrent("abc", async (_item, index) => index, { limit: 1 });

    assert.deepEqual(await collect(indexes), [0, 1, 2]);
  });
});

test("gives nothing for no items", async () => {
  await testing.runTest(async () => {
    assert.deepEqual(await collect(mapConcurrent([], async () => 1, { limit: 2 })), []);
  });
});

test("works on no more than `limit` items at once", async () => {
  await testing.runTest(async () => {
    let busy = 0;
    let most = 0;
    const work = async (item: number) => {
      most = Math.max(most, ++busy);
      await sleep(item % 3);
      busy--;
    };

    await collect(mapConcurrent(Array(20).keys(), work, { limit: 4 }));

    assert.equal(most, 4);
  });
});

test("reads nothing before the first result is asked for", () => {
  let isRead = false;
  const source = {
    [Symbol.iterator](): Iterator<number> {
      isRead = true;
      return [][Symbol.iterator]();
    },
  };

  mapConcurrent(source, async () => 0, { limit: 1 });

  assert.equal(isRead, false);
});

test("reads no more than `limit` items ahead of the results that were taken", async () => {
  await testing.runTest(async (t) => {
    let read = 0;
    function* source() {
      for (;;) yield read++;
    }
    const results = mapConcurrent(source(), async (item) => item, { limit: 3 });

    for (const taken of [1, 2, 3]) {
      await results.next();
      await t.settle();
      assert.equal(read, taken + 3);
    }
    await results.return?.();
  });
});

test("reads an asynchronous source item by item, in order", async () => {
  await testing.runTest(async (t) => {
    async function* source() {
      for (const item of [1, 2, 3, 4]) {
        await sleep(1);
        yield item;
      }
    }

    const results = await collect(mapConcurrent(source(), (item) => sleep(2, item), { limit: 2 }));

    assert.deepEqual(results, [1, 2, 3, 4]);
    assert.equal(t.now, 7);
  });
});

test("a failure comes out in the place of its item, when everything after it has been cancelled", async () => {
  await testing.runTest(async (t) => {
    const log: unknown[] = [];
    const work = async (item: number) => {
      try {
        await sleep(item);
        if (item === 2) throw new Error("two");
        return item;
      } catch (error) {
        log.push(
          error instanceof asyncio.CancelledError ? `${item} is cancelled at ${t.now}` : item,
        );
        throw error;
      }
    };

    const consumer = (async () => {
      for await (const item of mapConcurrent([1, 2, 3, 4, 5], work, { limit: 4 })) log.push(item);
    })();

    await assert.rejects(consumer, /^Error: two$/);
    assert.deepEqual(log, [
      1,
      2,

      "5 is cancelled at 2",
      "4 is cancelled at 2",
      "3 is cancelled at 2",
    ]);
  });
});

test("results before a failure come out even if they come later", async () => {
  await testing.runTest(async (t) => {
    const work = async (item: number) => {
      await sleep(10 - item);
      if (item === 5) throw new Error("five");
      return item;
    };
    const got: number[] = [];

    const consumer = (async () => {
      for await (const item of mapConcurrent([1, 2, 5], work, { limit: 3 })) got.push(item);
    })();

    await assert.rejects(consumer, /five/);
    assert.deepEqual(got, [1, 2]);
    assert.equal(t.now, 9);
  });
});

test("the failure of a source comes out after the results of its items", async () => {
  await testing.runTest(async () => {
    function* source() {
      yield 1;
      throw new Error("no more");
    }
    const results = mapConcurrent(source(), async (item) => item, { limit: 5 });

    assert.deepEqual(await results.next(), { done: false, value: 1 });
    await assert.rejects(results.next(), /no more/);
    assert.deepEqual(await results.next(), { done: true, value: undefined });
  });
});

test("leaving the loop cancels what is under way, waits for it, and closes the source", async () => {
  await testing.runTest(async (t) => {
    const log: string[] = [];
    function* source() {
      try {
        for (let item = 1; ; item++) yield item;
      } finally {
        log.push("source closed");
      }
    }
    const work = async (item: number) => {
      try {
        return await sleep(item, item);
      } finally {
        await asyncio.cleanup(5, () => sleep(0.5));
        if (item > 1) log.push(`${item} has ended at ${t.now}`);
      }
    };

    for await (const item of mapConcurrent(source(), work, { limit: 3 })) {
      assert.equal(item, 1);
      break;
    }

    // The first one ends at 1.5, and frees a place for the fourth.
    assert.deepEqual(log, [
      "4 has ended at 2",
      "2 has ended at 2",
      "3 has ended at 2",
      "source closed",
    ]);
  });
});

test("a consumer that is cancelled while it waits takes everything with it", async () => {
  await testing.runTest(async (t) => {
    let ended = 0;
    const work = async () => {
      try {
        await sleep(100);
      } finally {
        ended++;
      }
    };

    const consumer = asyncio.timeout(1, () =>
      collect(mapConcurrent([1, 2, 3], work, { limit: 2 })),
    );

    await assert.rejects(consumer, asyncio.TimeoutError);
    assert.deepEqual([ended, t.now], [2, 1]);
  });
});

test("several tasks take from one map, and each result goes to one of them", async () => {
  await testing.runTest(async () => {
    const results = mapConcurrent(Array(10).keys(), (item) => sleep(item % 4, item), { limit: 3 });
    const taken: number[] = [];
    const taker = async () => {
      for await (const item of { [Symbol.asyncIterator]: () => results }) taken.push(item);
    };

    await asyncio.gather(taker, taker, taker);

    assert.deepEqual(
      taken.sort((a, b) => a - b),
      [...Array(10).keys()],
    );
  });
});

test("a limit of Infinity starts everything", async () => {
  await testing.runTest(async (t) => {
    const results = mapConcurrent(Array(50).keys(), () => sleep(1), { limit: Infinity });

    assert.equal((await collect(results)).length, 50);
    assert.equal(t.now, 1);
  });
});

test("refuses what it cannot use", () => {
  const fn = async () => 1;
  // @ts-expect-error
  assert.throws(() => mapConcurrent(5, fn, { limit: 1 }), TypeError);
  // @ts-expect-error
  assert.throws(() => mapConcurrent([], undefined, { limit: 1 }), TypeError);
  // @ts-expect-error
  assert.throws(() => mapConcurrent([], fn), TypeError);
  assert.throws(() => mapConcurrent([], fn, { limit: 0 }), RangeError);
  assert.throws(() => mapConcurrent([], fn, { limit: Number.NaN }), RangeError);
});

test("keeps its order and its limit under every schedule", async () => {
  for (const ordered of [true, false]) {
    await testing.explore(async (t) => {
      let busy = 0;
      const work = async (item: number) => {
        assert.ok(++busy <= 2);
        for (let turns = t.choose(3); turns > 0; turns--) await sleep(0);
        busy--;
        return item;
      };
      async function* source() {
        for (const item of [1, 2, 3, 4]) {
          await sleep(0);
          yield item;
        }
      }
      const results = await collect(mapConcurrent(source(), work, { limit: 2, ordered }));
      assert.deepEqual(ordered ? results : results.sort(), [1, 2, 3, 4]);
    });
  }
});

test("leaves nothing behind wherever it is cancelled", async () => {
  for (const victims of ["body", "tasks"] as const) {
    await testing.cancelSweep(
      async (_t, state) => {
        async function* source() {
          state.open = true;
          try {
            for (const item of [1, 2, 3]) {
              await sleep(0);
              yield item;
            }
          } finally {
            state.open = false;
          }
        }
        const work = async (item: number) => {
          state.busy++;
          try {
            return await sleep(item, item);
          } finally {
            state.busy--;
          }
        };
        await collect(mapConcurrent(source(), work, { limit: 2 }));
      },
      {
        victims,
        schedules: 5,
        setup: () => ({ busy: 0, open: false }),
        invariant: ({ busy, open }) => assert.deepEqual([busy, open], [0, false]),
      },
    );
  }
});

test("a failure that nobody has taken is reported, wherever it lies among the results that are missing", async () => {
  const reports: unknown[] = [];
  await asyncio.run(async () => {
    const loop = asyncio.getRunningLoop();
    loop.setExceptionHandler((_loop, { exception }) => reports.push(exception));
    const failure = new Error("three");
    const ended = new asyncio.Event();
    const work = async (item: number): Promise<number> => {
      if (item === 0) return 0;
      if (item < 3) return await asyncio.sleep(Number.POSITIVE_INFINITY, item);
      ended.set();
      throw failure;
    };
    for await (const _ of asyncio.mapConcurrent([0, 1, 2, 3], work, { limit: 4 })) {
      await ended.wait();
      await asyncio.sleep(0);
      await asyncio.sleep(0);
      break;
    }
    assert.deepEqual(reports, [failure]);
  });
});

test("`toArray` gives the results in the order of the loop", async () => {
  await testing.runTest(async () => {
    const slowFirst = (item: number) => sleep(4 - item, item);
    const unordered = { limit: 3, ordered: false };

    assert.deepEqual(await mapConcurrent([1, 2, 3], slowFirst, { limit: 3 }).toArray(), [1, 2, 3]);
    assert.deepEqual(await mapConcurrent([1, 2, 3], slowFirst, unordered).toArray(), [3, 2, 1]);
    assert.deepEqual(await mapConcurrent([], slowFirst, { limit: 3 }).toArray(), []);
  });
});

test("`toArray` gives what nobody has taken yet", async () => {
  await testing.runTest(async () => {
    const results = mapConcurrent([1, 2, 3], async (item) => item, { limit: 3 });

    await results.next();

    assert.deepEqual(await results.toArray(), [2, 3]);
  });
});

test("`toArray` throws a failure when everything else has ended", async () => {
  await testing.runTest(async (t) => {
    let ended = 0;
    const work = async (item: number) => {
      try {
        await sleep(item);
        if (item === 2) throw new Error("two");
      } finally {
        ended++;
      }
    };

    await assert.rejects(mapConcurrent([1, 2, 3], work, { limit: 3 }).toArray(), /^Error: two$/);

    assert.deepEqual([ended, t.now], [3, 2]);
  });
});

test("`forEach` takes the next result when the last was dealt with", async () => {
  await testing.runTest(async (t) => {
    const log: [number, number][] = [];

    await mapConcurrent([1, 2, 3], async (item) => item, { limit: 3 }).forEach(async (result) => {
      await sleep(1);
      log.push([result, t.now]);
    });

    assert.deepEqual(log, [
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
  });
});

test("`forEach` leaves the map when its function fails, or its caller is cancelled", async () => {
  await testing.runTest(async (t) => {
    let busy = 0;
    const work = async (item: number) => {
      busy++;
      try {
        return await sleep(item);
      } finally {
        busy--;
      }
    };
    const fails = () => {
      throw new Error("no room");
    };

    await assert.rejects(mapConcurrent([1, 9], work, { limit: 2 }).forEach(fails), /no room/);
    assert.deepEqual([busy, t.now], [0, 1]);

    const waits = () => sleep(3600);
    const call = () => mapConcurrent([1, 9], work, { limit: 2 }).forEach(waits);
    await assert.rejects(asyncio.timeout(2, call), asyncio.TimeoutError);
    assert.deepEqual([busy, t.now], [0, 3]);
  });
});

test("`forEach` refuses what is no function", async () => {
  await testing.runTest(async () => {
    const results = mapConcurrent([1], async (item) => item, { limit: 1 });
    // @ts-expect-error
    await assert.rejects(results.forEach(), /`mapConcurrent.forEach` expects a function/);
    await results.return();
  });
});

test("no result wakes whoever leaves before everything has ended", async () => {
  await testing.explore(async () => {
    let busy = 0;
    const work = async (item: number) => {
      busy++;
      await sleep(item === 0 ? 0 : 1).catch(() => {});
      busy--;
      return item;
    };

    for await (const _ of mapConcurrent(Array(6).keys(), work, { limit: 3 })) break;

    assert.equal(busy, 0);
  });
});
