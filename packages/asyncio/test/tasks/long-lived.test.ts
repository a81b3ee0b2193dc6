// A service waits for its one long-lived task or future again and again, and gives up again and
// again. Nothing may pile up.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { collectGarbage } from "../gc.ts";

type Way = (longLived: asyncio.Future<unknown>) => Promise<unknown>;

const fails = async (): Promise<never> => {
  throw new Error("broken");
};

/** Ends a wait by cancelling it. */
const cancelled = (wait: () => Promise<unknown>): Promise<unknown> =>
  asyncio.race(wait, () => asyncio.sleep(0));

async function first(
  tasks: Iterable<asyncio.Awaitable<unknown>>,
  options?: { delay: number },
): Promise<void> {
  for await (const _ of asyncio.asCompleted(tasks, options)) break;
}

const timesOut = (call: Promise<unknown>): Promise<unknown> =>
  assert.rejects(call, asyncio.TimeoutError);

const ways: Record<string, Way> = {
  "`wait` whose delay is over": (it) => asyncio.wait([it], { delay: 0.001 }),
  "`wait` that is cancelled": (it) => cancelled(() => asyncio.wait([it])),
  "`wait` for the first of several": (it) =>
    asyncio.wait([it, asyncio.createTask(() => asyncio.sleep(0))], {
      returnWhen: "FIRST_COMPLETED",
    }),
  "`asCompleted` whose delay is over": (it) => timesOut(first([it], { delay: 0.001 })),
  "`asCompleted` whose delay is over before it began": (it) => timesOut(first([it], { delay: -1 })),
  "`asCompleted` that is left": (it) => first([it, async () => 1]),
  "`asCompleted` that is cancelled": (it) => cancelled(() => first([it])),
  "`asCompleted` that is cancelled before it began": (it) =>
    asyncio.moveOnAfter(0, async () => {
      for await (const _ of asyncio.asCompleted([it, it]));
    }),
  "`gather` beside a failure": (it) => assert.rejects(asyncio.gather(it, fails), /broken/),
  "`gather` of what has failed": (it) =>
    assert.rejects(asyncio.gather([it, Promise.reject(new Error("broken"))]), /broken/),
  "`shield` that is cancelled": (it) => cancelled(() => asyncio.shield(it)),
  "`waitFor` a shield": (it) => timesOut(asyncio.waitFor(() => asyncio.shield(it), 0.001)),
  "`timeout` round a shield": (it) => timesOut(asyncio.timeout(0.001, () => asyncio.shield(it))),
  "`moveOnAfter` round a wait": (it) => asyncio.moveOnAfter(0.001, () => asyncio.wait([it])),
  "`staggeredRace` with a shield": (it) =>
    asyncio.staggeredRace([() => asyncio.shield(it), async () => 1], 0),
  "a task group that is cancelled": (it) =>
    asyncio.taskGroup(async (group: asyncio.TaskGroup<void>) => {
      group.createTask(() => asyncio.shield(it));
      await asyncio.sleep(0);
      group.cancel();
    }),
  "a done callback that is removed": async (it) => {
    const callback = (): void => {};
    it.addDoneCallback(callback);
    it.removeDoneCallback(callback);
  },
};

const TIMES = 10_000;
const AT_ONCE = 500;

for (const [name, way] of Object.entries(ways)) {
  test(`${name} leaves no listener behind, in virtual time`, async () => {
    const main = async (): Promise<void> => {
      const longLived = new asyncio.Future<void>();
      await repeat(AT_ONCE, way, longLived);
      const listeners = [...longLived.allListeners()].length;

      await repeat(2 * AT_ONCE, way, longLived);

      assert.equal([...longLived.allListeners()].length, listeners);
      longLived.cancel();
    };

    await asyncio.run(main, { loop: new VirtualLoop() });
  });

  test(`${name} leaves the heap as it was, ${TIMES} times on one task, in real time`, async () => {
    await asyncio.run(async () => {
      const task = asyncio.createTask(() => asyncio.sleep(1e6));
      await repeat(AT_ONCE, way, task);
      const before = await heap();

      await repeat(TIMES, way, task);

      const each = ((await heap()) - before) / TIMES;
      assert.ok(each < 100, `${each.toFixed(0)} bytes more each time`);
      task.cancel();
    });
  });
}

async function repeat(times: number, way: Way, it: asyncio.Future<unknown>): Promise<void> {
  for (let done = 0; done < times; done += AT_ONCE)
    await asyncio.gather(Array.from({ length: AT_ONCE }, () => () => way(it)));
}

async function heap(): Promise<number> {
  await collectGarbage();
  return process.memoryUsage().heapUsed;
}
