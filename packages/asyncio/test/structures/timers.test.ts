import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EventLoop, getRunningLoop, run, sleep, timeout } from "../../src/index.ts";
import type { Host, HostTimer } from "../../src/lowlevel.ts";
import { type Timer, TimerHeap } from "../../src/structures/timers.ts";
import { virtual } from "../virtual.ts";

/** Fires everything that is due at `now` and gives the names in the order in which they fired. */
function fireAll(heap: TimerHeap, now: number, fired: string[]): string[] {
  heap.fireDue(now);
  return fired.splice(0);
}

function target(name: string, fired: string[]): { timerDue(): void } {
  return { timerDue: () => void fired.push(name) };
}

describe("R22: timers", () => {
  test("fire by deadline, and in the order they were set when the deadlines are equal", () => {
    const heap = new TimerHeap();
    const fired: string[] = [];
    for (const [name, when] of Object.entries({ a: 2, b: 1, c: 2, d: 1, e: 0, f: 2, g: 1 })) {
      heap.add(when, target(name, fired));
    }

    assert.deepEqual(fireAll(heap, 10, fired), ["e", "b", "d", "g", "a", "c", "f"]);
  });

  test("that are not due yet do not fire", () => {
    const heap = new TimerHeap();
    const fired: string[] = [];
    heap.add(1, target("due", fired));
    heap.add(2, target("later", fired));

    assert.deepEqual(fireAll(heap, 1.5, fired), ["due"]);
    assert.deepEqual([heap.next(), heap.live], [2, 1]);
  });

  test("that are cancelled do not fire, and may be cancelled twice", () => {
    const heap = new TimerHeap();
    const fired: string[] = [];
    const timer = heap.add(1, target("cancelled", fired));
    heap.add(1, target("kept", fired));

    heap.cancel(timer);
    heap.cancel(timer);

    assert.deepEqual([heap.live, heap.next()], [1, 1]);
    assert.deepEqual(fireAll(heap, 2, fired), ["kept"]);
    assert.deepEqual([heap.live, heap.next()], [0, Number.POSITIVE_INFINITY]);
  });

  test("that have fired cannot be cancelled any more", () => {
    const heap = new TimerHeap();
    const timer = heap.add(1, target("fired", []));
    heap.fireDue(1);

    heap.cancel(timer);

    assert.equal(heap.live, 0);
  });

  test("keep their order through any mix of setting, cancelling and firing", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = generator(seed);
      const heap = new TimerHeap();
      const model: { when: number; name: string }[] = [];
      const timers = new Map<string, ReturnType<TimerHeap["add"]>>();
      const fired: string[] = [];
      for (let step = 0; step < 2000; step++) {
        const dice = random();
        if (dice < 0.6) {
          const name = `t${step}`;
          const when = Math.floor(random() * 50);
          timers.set(name, heap.add(when, target(name, fired)));
          model.push({ when, name });
        } else if (dice < 0.95 && model.length > 0) {
          const [gone] = model.splice(Math.floor(random() * model.length), 1);
          heap.cancel(timers.get(gone?.name ?? "") as ReturnType<TimerHeap["add"]>);
        } else if (dice >= 0.99) {
          const now = Math.floor(random() * 50);
          const due = model.filter(({ when }) => when <= now).sort((a, b) => a.when - b.when);
          for (const timer of due) model.splice(model.indexOf(timer), 1);
          assert.deepEqual(
            fireAll(heap, now, fired),
            due.map(({ name }) => name),
            `seed ${seed}`,
          );
        }
        assert.equal(heap.live, model.length);
      }
    }
  });

  test("that are cancelled leave nothing behind (S164)", () => {
    const heap = new TimerHeap();
    const idle = target("idle", []);
    const timers = Array.from({ length: 10_000 }, (_, index) => heap.add(3600 + index, idle));

    for (const timer of timers.slice(1)) heap.cancel(timer);
    const left = [heap.live, heap.targets().length];
    heap.cancel(timers[0] as Timer);

    assert.deepEqual(left, [1, 1]);
    assert.deepEqual([heap.live, heap.targets()], [0, []]);
  });

  test(
    "timeouts set and cancelled leave nothing in the loop",
    virtual(async (loop) => {
      for (let count = 0; count < 20_000; count++) await timeout(3600, async () => {});

      assert.equal(loop.statistics().timers, 0);
    }),
  );

  test("that are left when most are cancelled fire in order", () => {
    const heap = new TimerHeap();
    const fired: string[] = [];
    const all = Array.from({ length: 5000 }, (_, index) =>
      heap.add((index * 7919) % 5000, target(String((index * 7919) % 5000), fired)),
    );

    for (const timer of all) if (timer.when % 4 !== 0) heap.cancel(timer);

    const expected = Array.from({ length: 1250 }, (_, index) => String(index * 4));
    assert.deepEqual(fireAll(heap, 5000, fired), expected);
  });
});

describe("R23: one host timer at a time", () => {
  interface CountingHost extends Host {
    time: number;
    armed: Set<{ when: number; run: () => void }>;
    set: number;
  }

  function countingHost(): CountingHost {
    const host: CountingHost = {
      time: 0,
      armed: new Set(),
      set: 0,
      now: () => host.time,
      microtask: queueMicrotask,
      afterMicrotasks: (step) => process.nextTick(step),
      macrotask: (step) => void setImmediate(step),
      setTimer(when, step): HostTimer {
        const timer = { when, run: step };
        host.set++;
        host.armed.add(timer);
        return { ref() {}, unref() {}, clear: () => host.armed.delete(timer) };
      },
      onDry: () => () => {},
      report: (text) => assert.fail(text),
    };
    return host;
  }

  test("however many sleeps there are, the host has one timer, for the earliest", async () => {
    const host = countingHost();
    const loop = new EventLoop(host);

    await run(
      async () => {
        const sleeps = [30, 10, 20].map((seconds) => sleep(seconds));
        assert.deepEqual(
          [...host.armed].map(({ when }) => when),
          [10],
        );
        for (const seconds of [10, 20, 30]) {
          host.time = seconds;
          const [timer] = host.armed;
          host.armed.clear();
          timer?.run();
          await sleep(0);
        }
        await Promise.all(sleeps);
      },
      { loop },
    );

    assert.equal(host.armed.size, 0);
  });

  test("a later timer does not touch the host", async () => {
    const host = countingHost();
    const loop = new EventLoop(host);
    loop.callLater(10, () => {});

    for (let count = 0; count < 100; count++) loop.callLater(20, () => {});

    assert.equal(host.set, 1);
    loop.close();
    assert.equal(host.armed.size, 0);
  });

  test("delays beyond the longest one of the host do not fire at once", async () => {
    const log: string[] = [];
    const handle = getRunningLoop().callLater(2 ** 31, () => log.push("fired"));

    await sleep(0.002);
    handle.cancel();

    assert.deepEqual(log, []);
  });
});

/** Repeatable numbers from 0 to 1. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
