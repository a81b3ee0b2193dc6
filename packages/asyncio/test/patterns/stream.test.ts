import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { describe, test } from "node:test";
import { createTask, getRunningLoop, moveOnAfter, Queue, sleep, timeout } from "../../src/index.ts";
import { here } from "../../src/kernel/operation.ts";
import { events, once, type Stream, stream } from "../../src/patterns.ts";
import { cancelSweep, explore } from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { conforms } from "../conformance.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

/** Gives each item when its second has come. */
function at<T>(times: readonly [second: number, item: T][], log: string[] = []): Stream<T> {
  return stream(async function* () {
    try {
      const started = getRunningLoop().time();
      for (const [second, item] of times) {
        await sleep(started + second - getRunningLoop().time());
        yield item;
      }
    } finally {
      log.push("closed");
    }
  });
}

conforms("once", { wakes: "all" }, () => {
  const emitter = new EventEmitter();
  return {
    begin: async () => (await once<[number]>(emitter, "data"))[0],
    complete() {
      emitter.emit("data", 5);
      return 5;
    },
    check: () => assert.equal(emitter.listenerCount("data"), 0),
  };
});

describe("a generator as a stream", () => {
  test(
    "does a step only when an item is asked for",
    virtual(async () => {
      let steps = 0;
      const counted = stream(async function* () {
        for (;;) yield ++steps;
      });
      assert.equal(steps, 0);
      for await (const item of counted) {
        await sleep(1);
        assert.equal(steps, item);
        if (item === 3) break;
      }
      assert.equal(steps, 3);
      assert.deepEqual(await counted.take(2).toArray(), [4, 5]); // cold: it runs anew
    }),
  );

  test(
    "is closed when the loop is left, cleaning up included",
    virtual(async () => {
      const log: string[] = [];
      const slow = stream(async function* () {
        try {
          for (;;) yield 1;
        } finally {
          await sleep(1);
          log.push("closed");
        }
      });
      for await (const _ of slow) break;
      log.push("after");
      assert.deepEqual(log, ["closed", "after"]);
    }),
  );

  test(
    "is cancelled where it waits, with the loop",
    virtual(async () => {
      const log: string[] = [];
      const moved = await moveOnAfter(1, async () => {
        for await (const _ of at([[3600, 1]], log));
      });
      assert.deepEqual([moved.cancelled, log], [true, ["closed"]]);
    }),
  );

  test(
    "its failure comes after the items before it, as it is",
    virtual(async () => {
      const failure = new Error("no more");
      const failing = stream(async function* () {
        yield 1;
        throw failure;
      });
      for (const one of [failing, failing.buffer(5), failing.debounce(1), failing.throttle(1)]) {
        const seen: number[] = [];
        const reading = async (): Promise<void> => {
          for await (const item of one.map((x) => x)) seen.push(item);
        };
        assert.equal(await rejection(reading()), failure);
        assert.equal(seen.length <= 1, true);
      }
    }),
  );

  test(
    "a failure while it is closed is thrown by the loop that is left",
    virtual(async () => {
      const failing = stream(async function* () {
        try {
          yield 1;
        } finally {
          await sleep(0).then(() => Promise.reject(new Error("stuck")));
        }
      });
      const leaving = async (): Promise<void> => {
        for await (const _ of failing) break;
      };
      assert.equal(String(await rejection(leaving())), "Error: stuck");
    }),
  );

  test(
    "a scope that is open across a yield is named",
    virtual(async () => {
      const wrong = stream(async function* () {
        const early = timeout(5, () => sleep(1));
        early.catch(() => {}); // it is cut off
        yield 1;
        await early;
      });
      assert.match(
        String(await rejection(wrong.toArray())),
        /InvalidStateError: the generator of a stream has yielded while a scope was open in it: tim/,
      );
    }),
  );
});

describe("operators", () => {
  test(
    "map, filter and take",
    virtual(async () => {
      const log: string[] = [];
      const numbers = at(
        [1, 2, 3, 4, 5].map((n) => [n, n]),
        log,
      );
      const odd = numbers.filter(async (n) => n % 2 === 1).map(async (n, index) => [index, n]);
      assert.deepEqual(await odd.take(2).toArray(), [
        [0, 1],
        [1, 3],
      ]);
      assert.deepEqual(log, ["closed"]);
      assert.deepEqual(await stream([1]).take(0).toArray(), []);
      assert.deepEqual(await stream(new Set([1, 2])).toArray(), [1, 2]);
    }),
  );

  onBothLoops("merge ends at once when its consumer leaves, wherever that is", async (loop) => {
    const several = async function* () {
      for (let item = 0; item < 5; item++) yield await sleep(0, item);
    };
    for (let most = 1; most <= 15; most++) {
      const began = loop.time();
      let seen = 0;
      for await (const _item of stream(several()).merge(several(), several())) {
        if (++seen === most) break; // two others may wait for their items to be taken
      }

      assert.equal(seen, most);
      assert.ok(loop.time() - began < 4, `left at ${most}, it took a grace period`);
    }
  });

  test(
    "merge gives items as they come, and one failure cancels the others",
    virtual(async () => {
      const log: string[] = [];
      const left = at(
        [
          [1, "a"],
          [4, "d"],
        ],
        log,
      );
      const right = at(
        [
          [2, "b"],
          [3, "c"],
        ],
        log,
      );
      assert.deepEqual(await left.merge(right, ["now"]).toArray(), ["now", "a", "b", "c", "d"]);
      log.length = 0;

      const failing = stream(async function* () {
        yield "x";
        await sleep(2);
        throw new Error("broken");
      });
      const error = await rejection(left.merge(failing).toArray());

      assert.equal(String(error), "Error: broken");
      assert.deepEqual(log, ["closed"]);
    }),
  );

  test(
    "buffer reads ahead, and no further",
    virtual(async () => {
      let read = 0;
      const counted = stream(
        async function* () {
          for (;;) yield ++read;
        },
        { ahead: 2 },
      );
      for await (const item of counted) {
        await sleep(1);
        assert.ok(read <= item + 4, `${read} at ${item}`);
        assert.ok(read > item);
        if (item === 5) break;
      }
    }),
  );

  test(
    "debounce gives what nothing came after, and the last",
    virtual(async (loop) => {
      const typed = at([
        [0, "a"],
        [1, "ab"],
        [5, "abc"],
        [6, "abcd"],
      ]);
      const started = loop.time();
      const seen: [string, number][] = [];
      for await (const text of typed.debounce(2)) seen.push([text, loop.time() - started]);
      assert.deepEqual(seen, [
        ["ab", 3],
        ["abcd", 6],
      ]);
    }),
  );

  test(
    "throttle gives the first at once, then the latest",
    virtual(async (loop) => {
      const moves = at([
        [0, 1],
        [1, 2],
        [2, 3],
        [9, 4],
        [9.5, 5],
      ]);
      const started = loop.time();
      const seen: [number, number][] = [];
      for await (const move of moves.throttle(5)) seen.push([move, loop.time() - started]);
      assert.deepEqual(
        seen,
        [
          [1, 0],
          [3, 5],
          [5, 10],
        ].map(([a, b]) => [a, b]),
      );
    }),
  );

  test("wrong arguments are refused in the call", () => {
    const one = stream([1]);
    assert.throws(() => stream(5 as never), /an iterable, an async iterable or a generator funct/);
    assert.throws(() => one.map(5 as never), /`stream.map` expects a function of an item/);
    assert.throws(() => one.take(-1), RangeError);
    assert.throws(() => one.buffer(0), RangeError);
    assert.throws(() => one.debounce(Number.NaN), RangeError);
    assert.throws(() => one.throttle("1" as never), TypeError);
    assert.throws(() => one.merge(5 as never), /`stream.merge` expects/);
  });
});

describe("events", () => {
  test(
    "once: an error event rejects, and listeners are gone on every path",
    virtual(async () => {
      const emitter = new EventEmitter();
      const failing = rejection(once(emitter, "data"));
      emitter.emit("error", new Error("broken"));
      assert.equal(String(await failing), "Error: broken");
      await moveOnAfter(1, () => once(emitter, "data"));
      assert.deepEqual([emitter.listenerCount("data"), emitter.listenerCount("error")], [0, 0]);
      const target = new EventTarget();
      const waiting = once(target, "click");
      const click = new Event("click");
      target.dispatchEvent(click);
      assert.equal(await waiting, click);
      assert.match(String(await rejection(once({} as never, "x"))), /an EventEmitter or an EventT/);
    }),
  );

  test(
    "as a stream: from the call on, until the loop is left",
    virtual(async () => {
      const emitter = new EventEmitter();
      const stream = events<[number]>(emitter, "data");
      emitter.emit("data", 1);
      emitter.emit("data", 2);
      for await (const [item] of stream) if (item === 2) break;
      assert.deepEqual([emitter.listenerCount("data"), emitter.listenerCount("error")], [0, 0]);
    }),
  );

  test(
    "what a slow consumer misses is dropped as chosen, and told",
    virtual(async () => {
      const emitter = new EventEmitter();
      const lost: number[] = [];
      const onDrop = ([item]: readonly [number]): void => void lost.push(item);
      const stream = events<readonly [number]>(emitter, "data", {
        capacity: 2,
        onDrop,
        until: "end",
      });
      for (const item of [1, 2, 3]) emitter.emit("data", item);
      emitter.emit("end");
      assert.deepEqual([await stream.map(([item]) => item).toArray(), lost], [[2, 3], [1]]);
    }),
  );

  test(
    "an error comes after what came before it",
    virtual(async () => {
      const emitter = new EventEmitter();
      const stream = events<[number]>(emitter, "data");
      emitter.emit("data", 1);
      emitter.emit("error", new Error("broken"));
      const seen: number[] = [];
      const reading = async (): Promise<void> => {
        for await (const [item] of stream) seen.push(item);
      };
      assert.equal(String(await rejection(reading())), "Error: broken");
      assert.deepEqual(seen, [1]);
    }),
  );

  test(
    "the end of the scope takes the listeners away, and reports an error that nobody has read",
    virtual(async (loop) => {
      const reports = collectReports(loop);
      const emitter = new EventEmitter();
      await createTask(async () => {
        events(emitter, "data");
        emitter.emit("error", new Error("unread"));
      });
      assert.equal(emitter.listenerCount("data"), 0);
      assert.deepEqual(
        reports.map(({ exception }) => String(exception)),
        ["Error: unread"],
      );
    }),
  );
});

/** A pipeline of everything, left early: nothing may be left, and no generator open. */
async function pipeline(): Promise<void> {
  let open = 0;
  const source = (from: number): Stream<number> =>
    stream(async function* () {
      open++;
      try {
        for (let item = from; item < from + 3; item++) {
          await sleep(0);
          yield item;
        }
      } finally {
        open--;
      }
    });
  const queue = new Queue<number>();
  queue.putNowait(7);
  queue.shutdown();
  const seen: number[] = [];
  try {
    const merged = source(10).merge(source(20).buffer(2), queue);
    for await (const item of merged.throttle(0).map(async (x) => x)) {
      seen.push(item);
      if (seen.length === 3) break;
    }
  } finally {
    assert.equal(open, 0, "a generator is open");
  }
  assert.equal(new Set(seen).size, seen.length);
}

test("no generator is left open when a loop is left, in any schedule", async () => {
  await explore(pipeline, { iterations: 400 });
});

test("nor wherever it is cancelled", async () => {
  await cancelSweep(pipeline);
});

test(
  "a task that reads stream after stream keeps nothing of those that have ended",
  virtual(async () => {
    const emitter = new EventEmitter();
    const watchers = () => here().cancelState.watchers?.length ?? 0;
    let before = -1;
    for (let round = 0; round < 3; round++) {
      await stream([1, 2]).toArray();
      for await (const _ of stream([1, 2])) break;
      const failing = stream([1]).map(() => Promise.reject(new Error("no")));
      await assert.rejects(failing.toArray(), /no/);
      const read = events(emitter, "data", { until: "end" });
      emitter.emit("end");
      await read.toArray();
      if (round === 0) before = watchers();
    }

    assert.equal(watchers(), before); // one for all
  }),
);
