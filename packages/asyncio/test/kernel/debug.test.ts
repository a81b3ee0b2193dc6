import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTask, gather, HostLoop, Lock, Queue, race, run, sleep } from "../../src/index.ts";
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

describe("R6: debug mode warns when a value goes to a wait that lost", () => {
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

describe("R24: debug mode can be switched while the loop runs", () => {
  for (const [kind, makeLoop] of [
    ["real loop", () => new HostLoop({ debug: false })],
    ["virtual loop", () => new VirtualLoop({ debug: false })],
  ] as const) {
    test(`reports what begins while it is on, and nothing else (${kind})`, async () => {
      const messages: string[] = [];
      const loop = makeLoop();
      loop.slowCallbackDuration = Number.POSITIVE_INFINITY;
      loop.setExceptionHandler((_loop, { message }) => messages.push(message));
      const lose = async (item: string): Promise<void> => {
        const queue = new Queue<string>(0, { name: item });
        await Promise.race([queue.get(), sleep(0.001)]);
        queue.putNowait(item);
        await sleep(0);
      };

      await run(
        async () => {
          await lose("before");
          loop.setDebug(true);
          await lose("meanwhile");
          loop.setDebug(false);
          await lose("after");
        },
        { loop },
      );

      assert.equal(messages.length, 1);
      assert.match(messages[0] ?? "", /had lost a race.*Queue "meanwhile"\.get/);
    });

    test(`whoever waits goes on in order, however often it is switched (${kind})`, async () => {
      const loop = makeLoop();
      const order: number[] = [];
      const lock = new Lock();
      const queue = new Queue<number>(1);
      const numbers = Array.from({ length: 50 }, (_, index) => index);
      const switching = async (): Promise<void> => {
        for (const number of numbers) {
          loop.setDebug(number % 2 === 0);
          await sleep(number % 10 === 0 ? 0.001 : 0);
        }
      };

      const sum = await run(
        async () => {
          const taker = createTask(async () => {
            let sum = 0;
            for await (const number of queue) sum += number;
            return sum;
          });
          const locked = numbers.map((number) => () => lock.run(async () => order.push(number)));
          const turns = numbers.map(() => () => sleep(0));
          await gather(
            switching,
            async () => {
              for (const number of numbers) await queue.put(number);
              queue.shutdown();
            },
            ...turns,
            ...locked,
          );
          return await taker;
        },
        { loop },
      );

      assert.deepEqual([sum, order], [(49 * 50) / 2, numbers]);
    });
  }

  test("what is no boolean is refused", () => {
    assert.throws(() => new HostLoop().setDebug("on" as never), {
      message: '`loop.setDebug` expects a boolean, got "on"',
    });
  });
});
