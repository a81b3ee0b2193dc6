import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Event, Future, Lock, Queue, race, run, Semaphore, sleep } from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { collectReports } from "../virtual.ts";

/** Runs `body` in debug mode and gives the messages of its reports. */
async function reportsOf(body: () => Promise<unknown>): Promise<string[]> {
  const loop = new VirtualLoop({ debug: true });
  const reports = collectReports(loop);
  await run(body, { loop });
  return reports.map(({ message }) => message);
}

/** A queue whose getter loses a race, and then gets an item. */
async function lose(): Promise<void> {
  const queue = new Queue<number>(0, { name: "urls" });
  await Promise.race([queue.get(), sleep(0)]);
  queue.putNowait(1);
  await sleep(0);
}

const oneReport = /had lost a race.*Queue "urls"\.get.*Use `race`/;

describe("R6: debug mode warns when a value goes to a wait that lost", () => {
  test("names the wait that has taken an item for nobody", async () => {
    const reports = await reportsOf(lose);

    assert.equal(reports.length, 1);
    assert.match(reports[0] ?? "", oneReport);
  });

  test("outside every run as well", async () => {
    const loop = new Future().getLoop();
    const reports = collectReports(loop);
    loop.setDebug(true);

    await lose();

    loop.setDebug(false);
    loop.setExceptionHandler(undefined);
    assert.equal(reports.length, 1);
    assert.match(reports[0]?.message ?? "", oneReport);
    assert.match(reports[0]?.sourceTraceback ?? "", /lost-values\.test\.ts/);
  });

  const taken: Record<string, () => [wait: Promise<unknown>, give: () => void]> = {
    "a lock": () => {
      const lock = new Lock();
      const guard = lock.tryAcquire();
      return [lock.acquire(), () => guard?.[Symbol.dispose]()];
    },
    "a permit": () => {
      const semaphore = new Semaphore(0);
      return [semaphore.acquire(), () => semaphore.release()];
    },
  };
  for (const [what, wait] of Object.entries(taken))
    test(`also if it is ${what}`, async () => {
      const reports = await reportsOf(async () => {
        const [waiting, give] = wait();
        await Promise.race([waiting, sleep(0)]);
        give();
        await sleep(0);
      });

      assert.match(reports.join(), /^a value went to a wait that had lost a race/);
    });

  test("but not if nothing is lost with it", async () => {
    const reports = await reportsOf(async () => {
      const event = new Event();
      await Promise.race([event.wait(), sleep(0)]);
      event.set();
      await sleep(0);
    });

    assert.deepEqual(reports, []);
  });

  test("says nothing of a race that was won, of Promise.all, or of `race`", async () => {
    const reports = await reportsOf(async () => {
      const queue = new Queue<number>();
      queue.putNowait(1);
      await Promise.race([queue.get()]);
      await Promise.all([sleep(1, "a"), sleep(2, "b")]);
      await race(
        () => sleep(1, "a"),
        () => sleep(2, "b"),
      );
    });

    assert.deepEqual(reports, []);
  });
});
