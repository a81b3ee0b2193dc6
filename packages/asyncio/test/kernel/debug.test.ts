import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTask, gather, HostLoop, Lock, Queue, run, sleep } from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";

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

    test(`a step that switches it off is not reported when it is on again (${kind})`, async () => {
      const messages: string[] = [];
      const loop = makeLoop();
      loop.slowCallbackDuration = Number.POSITIVE_INFINITY;
      loop.setExceptionHandler((_loop, { message }) => messages.push(message));

      await run(
        async () => {
          loop.setDebug(true);
          await createTask(async () => loop.setDebug(false), { name: "off" });
          loop.slowCallbackDuration = -1; // each step takes longer
          loop.setDebug(true);
          await createTask(() => sleep(0), { name: "on" });
          loop.setDebug(false);
        },
        { loop },
      );

      assert.equal(messages.filter((message) => message.includes('"off"')).length, 0);
      assert.ok(messages.some((message) => message.includes('"on" held the loop')));
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
