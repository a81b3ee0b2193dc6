import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTask, EventLoop, gather, moveOnAfter, Queue, run, sleep } from "../../src/index.ts";
import type { Host } from "../../src/lowlevel.ts";
import { VirtualLoop } from "../../src/testing.ts";

const _macrotask = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("R9: a budget keeps the host's timers and I/O alive", () => {
  /** How often `operation` completes before a macrotask gets its turn; at most 5000. */
  async function completionsUntilMacrotask(operation: () => Promise<unknown>): Promise<number> {
    let hadItsTurn = false;
    let count = 0;
    setImmediate(() => {
      hadItsTurn = true;
    });
    for (; !hadItsTurn && count < 5000; count++) await operation();
    return count;
  }

  test("a task spinning on a never-empty queue lets a macrotask run after 512 completions at most", async () => {
    const queue = new Queue<number>();
    for (let item = 0; item < 6000; item++) queue.putNowait(item);

    const count = await run(() => completionsUntilMacrotask(() => queue.get()));

    assert.ok(count <= 513, `${count} completions`);
  });

  test("a task spinning on sleep(0) lets a macrotask run as well", async () => {
    const count = await run(() => completionsUntilMacrotask(() => sleep(0)));

    assert.ok(count <= 513, `${count} completions`);
  });

  test("a task spinning on scopes whose bodies never wait lets a macrotask run as well", async () => {
    const count = await run(() => completionsUntilMacrotask(() => moveOnAfter(1, async () => {})));

    assert.ok(count <= 513, `${count} completions`);
  });

  test("two tasks playing ping-pong let a macrotask run as well", async () => {
    const count = await run(async () => {
      const [ping, pong] = [new Queue<number>(), new Queue<number>()];
      const echo = createTask(async () => {
        for await (const item of ping) pong.putNowait(item);
      });
      const rounds = await completionsUntilMacrotask(() => {
        ping.putNowait(1);
        return pong.get();
      });
      ping.shutdown();
      await echo;
      return rounds;
    });

    assert.ok(count <= 513, `${count} rounds`);
  });

  test("operations that take long need fewer completions: the clock is read every 64th", async () => {
    const host = fakeHost();
    const loop = new EventLoop(host);
    const queue = new Queue<number>();
    for (let item = 0; item < 200; item++) queue.putNowait(item);
    const hops: number[] = [];

    await run(
      async () => {
        for (let count = 1; count <= 200; count++) {
          host.time += 0.0001;
          const before = host.macrotasks;
          await queue.get();
          if (host.macrotasks > before) hops.push(count);
        }
      },
      { loop },
    );

    assert.ok(hops.length >= 2, `hops after ${hops}`);
    assert.ok(hops.every((count) => count <= 200));
  });

  for (const debug of [false, true]) {
    test(`a long computation that asks for turns lets the host have one each time, debug: ${debug}`, async () => {
      const host = fakeHost();
      const loop = new EventLoop(host, { debug });
      const hops: number[] = [];

      await run(
        async () => {
          for (let part = 1; part <= 6; part++) {
            host.time += 0.01; // computes
            await sleep(0);
            hops.push(host.macrotasks);
          }
        },
        { loop },
      );

      const first = hops[2] ?? 0; // what the beginning of the run has spent counts as well
      assert.ok(first > 0);
      assert.deepEqual(hops.slice(2), [first, first + 1, first + 2, first + 3]);
    });
  }

  test("on a virtual loop a computation takes no time, and the order stays as it is", async () => {
    const loop = new VirtualLoop();
    const log: string[] = [];
    const compute = async (name: string) => {
      for (let part = 0; part < 3; part++) {
        await sleep(0);
        log.push(name);
      }
    };

    await run(() => gather([() => compute("a"), () => compute("b")]), { loop });

    assert.deepEqual([loop.time(), log.join("")], [0, "ababab"]);
  });

  test("operations that take no time at all hop after 512 completions", async () => {
    const host = fakeHost();
    const loop = new EventLoop(host);
    const queue = new Queue<number>();
    for (let item = 0; item < 2000; item++) queue.putNowait(item);

    await run(
      async () => {
        for (let count = 0; count < 2000; count++) await queue.get();
      },
      { loop },
    );

    assert.equal(host.macrotasks, 3);
  });

  test("an operation that can complete at once does so", async () => {
    const host = fakeHost();
    const loop = new EventLoop(host);
    const queue = new Queue<number>();
    for (let item = 0; item < 100; item++) queue.putNowait(item);

    await run(
      async () => {
        for (let count = 0; count < 100; count++) await queue.get();
      },
      { loop },
    );

    assert.equal(host.macrotasks, 0);
  });
});

interface FakeHost extends Host {
  time: number;
  macrotasks: number;
}

/** A host whose clock stands still unless it is moved. */
function fakeHost(): FakeHost {
  const host: FakeHost = {
    time: 0,
    macrotasks: 0,
    now: () => host.time,
    microtask: queueMicrotask,
    afterMicrotasks: (step) => process.nextTick(step),
    macrotask(step) {
      host.macrotasks++;
      setImmediate(step);
    },
    setTimer: () => ({ ref() {}, unref() {}, clear() {} }),
    onDry: () => () => {},
    report: (text) => assert.fail(text),
  };
  return host;
}
