import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  ExceptionGroup,
  forEachConcurrent,
  mapAll,
  mapConcurrent,
  moveOnAfter,
  skip,
  sleep,
} from "../../src/index.ts";
import { cancelSweep, explore } from "../../src/testing.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

const fails =
  (...broken: number[]) =>
  async (item: number) => {
    await sleep(item);
    if (broken.includes(item)) throw new Error(`${item} is broken`);
    return item * 10;
  };

describe("mapAll", () => {
  test(
    "gives all results in the order of the items, so many at a time",
    virtual(async (loop) => {
      const started = loop.time();
      const results = await mapAll([3, 1, 2], fails(), { limit: 2 });
      assert.deepEqual([results, loop.time() - started], [[30, 10, 20], 3]);
    }),
  );

  test(
    "leaves out what is skipped, and undefined is a result",
    virtual(async () => {
      const odd = async (item: number) => (item % 2 === 0 ? skip : item === 3 ? undefined : item);
      assert.deepEqual(await mapAll([1, 2, 3, 4, 5], odd, { limit: 2 }), [1, undefined, 5]);
      assert.deepEqual(await mapAll([2, 4], odd, { limit: 2 }), []);
    }),
  );

  test(
    "the first failure cancels the rest, also of earlier items, and comes out bare",
    virtual(async (loop) => {
      const reports = collectReports(loop);
      const started = loop.time();
      const error = await rejection(mapAll([9, 1, 5], fails(1), { limit: 3 }));
      assert.deepEqual([String(error), loop.time() - started], ["Error: 1 is broken", 1]);
      assert.deepEqual(reports, []);
    }),
  );

  test(
    "a signal cancels it",
    virtual(async () => {
      const controller = new AbortController();
      const { signal } = controller;
      const mapping = rejection(mapAll([9], fails(), { limit: 1, signal }));
      await sleep(1);
      controller.abort("enough");
      assert.equal(await mapping, "enough");
    }),
  );
});

describe('onError: "collect"', () => {
  test(
    "all items have their turn, then all failures come out",
    virtual(async () => {
      const seen: number[] = [];
      const work = async (item: number): Promise<number> => {
        seen.push(item);
        return await fails(1, 3)(item);
      };
      const error = await rejection(mapAll([1, 2, 3, 4], work, { limit: 2, onError: "collect" }));
      assert.ok(error instanceof ExceptionGroup);
      assert.deepEqual(error.errors.map(String), ["Error: 1 is broken", "Error: 3 is broken"]);
      assert.deepEqual(seen, [1, 2, 3, 4]);
    }),
  );

  test(
    "of a loop: the results first, the failures behind the last",
    virtual(async () => {
      const results: number[] = [];
      const error = await rejection(
        (async () => {
          const options = { limit: 2, onError: "collect" } as const;
          for await (const result of mapConcurrent([2, 1, 3], fails(1), options))
            results.push(result);
        })(),
      );
      assert.ok(error instanceof ExceptionGroup && error.errors.length === 1);
      assert.deepEqual(results, [20, 30]);
    }),
  );

  test(
    "a source that fails is one of them",
    virtual(async () => {
      const source = async function* () {
        yield 1;
        yield 2;
        throw new Error("no more");
      };
      const error = await rejection(mapAll(source(), fails(2), { limit: 1, onError: "collect" }));
      assert.ok(error instanceof ExceptionGroup);
      assert.deepEqual(error.errors.map(String).sort(), ["Error: 2 is broken", "Error: no more"]);
    }),
  );

  test(
    "failures of a loop that is left are reported",
    virtual(async (loop) => {
      const reports = collectReports(loop);
      const options = { limit: 3, onError: "collect" } as const;
      for await (const _ of mapConcurrent([1, 2, 9], fails(1), options)) break;
      const [{ exception } = {}] = reports;
      assert.ok(exception instanceof ExceptionGroup);
    }),
  );

  test(
    "a cancellation is no failure",
    virtual(async () => {
      const moved = await moveOnAfter(1.5, () =>
        mapAll([1, 9], fails(), { limit: 2, onError: "collect" }),
      );
      assert.ok(moved.cancelled);
    }),
  );
});

test(
  "a loop over a map that skips reads on, and holds no more than its limit",
  virtual(async () => {
    let read = 0;
    const source = function* () {
      for (; read < 20; ) yield ++read;
    };
    const work = async (item: number) => (item % 5 === 0 ? item : skip);
    const results: number[] = [];
    for await (const result of mapConcurrent(source(), work, { limit: 2 })) {
      results.push(result);
      assert.ok(read <= result + 2, `${read} at ${result}`);
    }
    assert.deepEqual(results, [5, 10, 15, 20]);
  }),
);

test(
  "forEachConcurrent works on a set, and gives nothing",
  virtual(async () => {
    const seen: number[] = [];
    const given = await forEachConcurrent(new Set([2, 1]), async (n) => void seen.push(n), {
      limit: 4,
    });
    assert.deepEqual([given, seen], [undefined, [2, 1]]);
  }),
);

test("wrong arguments are refused in the name of the call", async () => {
  assert.match(String(await rejection(mapAll(5 as never, fails(), { limit: 1 }))), /`mapAll` exp/);
  const wrong = mapAll([1], 5 as never, { limit: 1 });
  assert.match(String(await rejection(wrong)), /`mapAll` expects a function for each item, got 5/);
  const word = { limit: 1, onError: "ignore" as never };
  assert.match(String(await rejection(forEachConcurrent([1], fails(), word))), /to be "throw" or/);
});

async function collected(): Promise<void> {
  const work = async (item: number): Promise<number | typeof skip> => {
    await sleep(0);
    if (item === 2) throw new Error("2");
    return item === 3 ? skip : item;
  };
  try {
    await mapAll([1, 2, 3, 4], work, { limit: 2, onError: "collect" });
    assert.fail("it has failed");
  } catch (error) {
    if (!(error instanceof ExceptionGroup)) throw error;
  }
}

test("collects the same in any schedule", async () => {
  await explore(collected);
});

test("leaves nothing behind, wherever it is cancelled", async () => {
  await cancelSweep(async () => {
    let running = 0;
    const work = async (item: number): Promise<number> => {
      running++;
      try {
        return await sleep(0, item);
      } finally {
        running--;
      }
    };
    try {
      await mapAll([1, 2, 3], work, { limit: 2, onError: "collect" });
    } finally {
      assert.equal(running, 0);
    }
  });
});
