import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Queue, race, run, sleep } from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";

/** Runs `body` in debug mode and gives the messages of its reports. */
async function reportsOf(body: () => Promise<unknown>): Promise<string[]> {
  const messages: string[] = [];
  const loop = new VirtualLoop({ debug: true });
  loop.slowCallbackDuration = Number.POSITIVE_INFINITY; // how fast the machine is, is no matter here
  loop.setExceptionHandler((_loop, { message }) => messages.push(message));
  await run(body, { loop });
  return messages;
}

describe("rule 6: debug mode warns when a value goes to a wait that lost", () => {
  test("names the wait that has taken an item for nobody", async () => {
    const reports = await reportsOf(async () => {
      const queue = new Queue<number>(0, { name: "urls" });
      await Promise.race([queue.get(), sleep(1)]);
      queue.putNowait(1);
      await sleep(1);
    });

    assert.equal(reports.length, 1);
    assert.match(reports[0] ?? "", /had lost a race.*Queue "urls"\.get.*Use `race`/);
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
