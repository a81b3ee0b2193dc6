// How a map leaves its source: in real time, where the ends of several workers come together, and
// in virtual time.

import assert from "node:assert/strict";
import { EventEmitter, on } from "node:events";
import { createInterface } from "node:readline";
import { PassThrough, Readable } from "node:stream";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { explore, VirtualLoop } from "../../src/testing.ts";
import { collectReports } from "../virtual.ts";

const { mapConcurrent, sleep } = asyncio;

const never = (): Promise<never> => new Promise(() => {});

/** A source without end, and how often it was closed. */
interface Endless {
  readonly items: Iterable<number> | AsyncIterable<number>;
  closed(): number;
}

const endless: Record<string, () => Endless> = {
  "a generator": () => {
    let closed = 0;
    function* items(): Generator<number> {
      try {
        for (let item = 0; ; item++) yield item;
      } finally {
        closed++;
      }
    }
    return { items: items(), closed: () => closed };
  },
  "an async generator": () => {
    let closed = 0;
    async function* items(): AsyncGenerator<number> {
      try {
        for (let item = 0; ; item++) yield item;
      } finally {
        await sleep(0);
        closed++;
      }
    }
    return { items: items(), closed: () => closed };
  },
  "an iterator by hand": () => {
    let [item, closed] = [0, 0];
    const iterator: AsyncIterator<number> = {
      next: async () => ({ done: false, value: item++ }),
      return: async () => ({ done: true, value: closed++ }),
    };
    return { items: { [Symbol.asyncIterator]: () => iterator }, closed: () => closed };
  },
  "a stream of Node's": () => {
    let closed = 0;
    const items = Readable.from(
      (function* (): Generator<number> {
        for (let item = 0; ; item++) yield item;
      })(),
    ).on("close", () => closed++);
    return { items, closed: () => (items.destroyed ? Math.max(closed, 1) : 0) };
  },
  "a web stream": () => {
    let [item, closed] = [0, 0];
    const items = new ReadableStream<number>({
      pull: (controller) => controller.enqueue(item++),
      cancel: () => void closed++,
    });
    return { items, closed: () => closed };
  },
};

/** Takes the result of item 0, waits until the others are under way, and leaves. */
const ways: Record<string, (results: asyncio.ConcurrentMap<number>) => Promise<unknown>> = {
  "on break": async (results) => {
    for await (const _ of results) break;
  },
  "when an item fails": (results) => assert.rejects(results.toArray(), /broken/),
  "when its consumer is cancelled": async (results) => {
    const consumer = asyncio.createTask(() => results.forEach(async () => void (await sleep(0))));
    await sleep(0.002);
    consumer.cancel();
    await assert.rejects(consumer, asyncio.CancelledError);
  },
  "under a deadline": async (results) => {
    await results.next(); // the source has begun, however slow the machine is
    const rest = asyncio.timeout(0.002, () => results.toArray());
    await assert.rejects(rest, asyncio.TimeoutError);
  },
  "when the body of `forEach` fails": (results) =>
    assert.rejects(
      results.forEach(() => {
        throw new Error("no room");
      }),
      /no room/,
    ),
  "by `return`, while another task waits for a result": async (results) => {
    await results.next();
    const other = asyncio.createTask(() => results.next());
    await sleep(0);
    await results.return();
    assert.equal((await other).done, true);
  },
};

describe("a map closes its source once, before the loop over it ends", () => {
  for (const [kind, makeSource] of Object.entries(endless))
    for (const [way, leave] of Object.entries(ways))
      for (const limit of [1, 2, 5])
        test(`${kind}, ${way}, with ${limit} at a time, in real time`, async () => {
          await asyncio.run(async () => {
            const { items, closed } = makeSource();
            const work = async (item: number): Promise<number> => {
              await sleep(0);
              if (item === 0) return item;
              if (way === "when an item fails") throw new Error(`broken ${item}`);
              return await sleep(3600, item);
            };
            const results = mapConcurrent(items, work, { limit });
            // Failures of several items in one step: the first is thrown, the others are reported.
            asyncio.getRunningLoop().setExceptionHandler(() => {});

            await leave(results);

            assert.equal(closed(), 1);
          });
        });
});

describe("a source that is silent can be left", () => {
  const silent: Record<string, () => AsyncIterable<unknown>> = {
    "a stream of Node's": () => new Readable({ objectMode: true, read() {} }),
    "a stream of Node's with an encoding": () => new Readable({ encoding: "utf8", read() {} }),
    "a web stream": () => new ReadableStream(),
    "the events of an emitter": () => on(new EventEmitter(), "item"),
    "the lines of an interface": () => createInterface({ input: new PassThrough() }),
    "a generator that waits for a queue": async function* () {
      yield await new asyncio.Queue<number>().get();
    } as () => AsyncIterable<unknown>,
    "a queue": () => new asyncio.Queue<number>(),
  };

  for (const [kind, makeItems] of Object.entries(silent)) {
    test(`${kind}, under a deadline, in real time`, async () => {
      const items = makeItems();

      await asyncio.run(async () => {
        const call = asyncio.timeout(null, async (limit) => {
          const all = mapConcurrent(items, async (item) => item, { limit: 3 }).toArray();
          for (let turn = 0; turn < 3; turn++) await sleep(0); // the source is open by now
          limit.reschedule(asyncio.getRunningLoop().time() + 0.002);
          return await all;
        });
        await assert.rejects(call, asyncio.TimeoutError);
      });

      if (items instanceof Readable) assert.equal(items.destroyed, true);
      if (items instanceof ReadableStream) {
        assert.equal(items.locked, false);
        assert.equal((await items.getReader().read()).done, true);
      }
    });
  }

  const silentAfterOne: Record<string, () => AsyncIterable<unknown>> = {
    "a stream of Node's": () => {
      const items = new Readable({ objectMode: true, read() {} });
      items.push(1);
      return items;
    },
    "a web stream": () => new ReadableStream({ start: (controller) => controller.enqueue(1) }),
    "a generator that waits for a queue": async function* () {
      yield 1;
      yield await new asyncio.Queue<number>().get();
    },
  };

  for (const [kind, makeItems] of Object.entries(silentAfterOne)) {
    test(`${kind}, when an item before it fails, in real time`, async () => {
      const fails = async (): Promise<never> => {
        await sleep(0);
        throw new Error("broken");
      };

      await asyncio.run(async () => {
        const results = mapConcurrent(makeItems(), fails, { limit: 3 });
        await assert.rejects(results.toArray(), /^Error: broken$/);
      });
    });

    test(`${kind}, on break, in real time`, async () => {
      await asyncio.run(async () => {
        const results = mapConcurrent(makeItems(), async (item) => item, { limit: 3 });
        for await (const item of results) {
          assert.equal(item, 1);
          break;
        }
      });
    });
  }

  async function reportsOf(
    body: (loop: VirtualLoop) => Promise<void>,
    cancelGrace = 5,
  ): Promise<string[]> {
    const loop = new VirtualLoop({ cancelGrace });
    const reports = collectReports(loop);
    await asyncio.run(() => body(loop), { loop });
    return reports.map(({ message }) => message);
  }

  test("one that does not answer is left after the grace period, with a report", async () => {
    async function* items(): AsyncGenerator<number> {
      yield await never();
    }

    const reports = await reportsOf(async (loop) => {
      const call = asyncio.timeout(1, () =>
        mapConcurrent(items(), async (item) => item, { limit: 2 }).toArray(),
      );
      await assert.rejects(call, asyncio.TimeoutError);
      assert.equal(loop.time(), 6);
    });

    assert.equal(reports.length, 1);
    assert.match(
      reports[0] ?? "",
      /has not answered 5 s after it was told to close.*`cancellable`/,
    );
  });

  test("one that cannot be closed is left after the grace period, with a report", async () => {
    const items = { [Symbol.asyncIterator]: () => ({ next: never }) };

    const reports = await reportsOf(async (loop) => {
      const call = asyncio.timeout(1, () =>
        mapConcurrent(items, async (item) => item, { limit: 2 }).toArray(),
      );
      await assert.rejects(call, asyncio.TimeoutError);
      assert.equal(loop.time(), 3);
    }, 2);

    assert.equal(reports.length, 1);
  });

  test("one whose `return` never answers is left after the grace period, with a report", async () => {
    const items = {
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false, value: 1 }),
        return: never,
      }),
    };

    const reports = await reportsOf(async (loop) => {
      for await (const _ of mapConcurrent(items, async (item) => item, { limit: 2 })) break;
      assert.equal(loop.time(), 5);
    });

    assert.equal(reports.length, 1);
  });

  test("one that waits in the library is cancelled, and cleans up before the loop ends", async () => {
    const log: unknown[] = [];

    const reports = await reportsOf(async (loop) => {
      async function* items(): AsyncGenerator<number> {
        try {
          yield await sleep(3600, 1);
        } catch (error) {
          await sleep(3);
          log.push((error as Error).name, loop.time());
          throw error;
        }
      }
      const call = asyncio.timeout(1, () =>
        mapConcurrent(items(), async (item) => item, { limit: 2 }).toArray(),
      );
      await assert.rejects(call, asyncio.TimeoutError);
      log.push(loop.time());
    });

    assert.deepEqual(log, ["CancelledError", 4, 4]);
    assert.deepEqual(reports, []);
  });

  test("one that cleans up in the library for longer than the grace period is cancelled", async () => {
    const log: unknown[] = [];

    const reports = await reportsOf(async (loop) => {
      async function* items(): AsyncGenerator<number> {
        try {
          for (let item = 0; ; item++) yield item;
        } finally {
          await sleep(3600).catch((error) => log.push(error.source, loop.time()));
        }
      }
      for await (const _ of mapConcurrent(items(), async (item) => item, { limit: 2 })) break;
    });

    assert.deepEqual(log, ["deadline", 5]);
    assert.deepEqual(reports, []);
  });

  test("one in a foreign await that ends soon is waited for", async () => {
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let closed = false;
    async function* items(): AsyncGenerator<number> {
      try {
        await released;
        yield 1;
      } finally {
        closed = true;
      }
    }

    const reports = await reportsOf(async (loop) => {
      loop.callLater(2, release);
      const call = asyncio.timeout(1, () =>
        mapConcurrent(items(), async (item) => item, { limit: 2 }).toArray(),
      );
      await assert.rejects(call, asyncio.TimeoutError);
      assert.deepEqual([closed, loop.time()], [true, 2]);
    });

    assert.deepEqual(reports, []);
  });

  test("what it fails with when nobody reads any more is reported", async () => {
    let fail = (_error: Error): void => {};
    const items = {
      [Symbol.asyncIterator]: () => ({
        next: () =>
          new Promise<never>((_resolve, reject) => {
            fail = reject;
          }),
        return: async () => {
          fail(new Error("disk full"));
          return { done: true as const, value: undefined };
        },
      }),
    };

    const reports = await reportsOf(async () => {
      const call = asyncio.timeout(1, () =>
        mapConcurrent(items, async (item) => item, { limit: 2 }).toArray(),
      );
      await assert.rejects(call, asyncio.TimeoutError);
    });

    assert.equal(reports.length, 1);
    assert.match(reports[0] ?? "", /source of `mapConcurrent` has failed after/);
  });

  test("what closing it fails with is thrown where the loop is left, or reported", async () => {
    const items = {
      [Symbol.iterator]: () => ({
        next: () => ({ done: false, value: 1 }),
        return: (): never => {
          throw new Error("cannot close");
        },
      }),
    };

    const reports = await reportsOf(async () => {
      for await (const _ of mapConcurrent(items, async (item) => item, { limit: 2 })) break;
    });

    assert.equal(reports.length, 1);
  });
});

test("a source that failed, or has ended, is not closed", async () => {
  let closed = 0;
  const source = (next: () => Promise<IteratorResult<number>>) => ({
    [Symbol.asyncIterator]: () => ({
      next,
      return: async () => ({ done: true as const, value: closed++ }),
    }),
  });

  await asyncio.run(async () => {
    const failing = source(async () => Promise.reject(new Error("broken")));
    const ended = source(async () => ({ done: true, value: undefined }));
    const work = async (item: number): Promise<number> => item;
    await assert.rejects(mapConcurrent(failing, work, { limit: 3 }).toArray(), /broken/);
    assert.deepEqual(await mapConcurrent(ended, work, { limit: 3 }).toArray(), []);
  });

  assert.equal(closed, 0);
});

test("a source is closed once under every schedule", async () => {
  await explore(async (t) => {
    let closed = 0;
    async function* items(): AsyncGenerator<number> {
      try {
        for (let item = 0; item < 4; item++) {
          yield item;
          await sleep(0);
        }
      } finally {
        closed++;
      }
    }
    const work = async (item: number): Promise<number> => {
      for (let turns = t.choose(3); turns > 0; turns--) await sleep(0);
      return item;
    };

    for await (const item of mapConcurrent(items(), work, { limit: 2 })) if (item === 1) break;

    assert.equal(closed, 1);
  });
});
