import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, test } from "node:test";
import {
  CancelledError,
  createTask,
  gather,
  Queue,
  run,
  sleep,
  taskGroup,
} from "../../src/index.ts";

describe("R7: those who wait for the next turn in a row", () => {
  test("go on in their order, whatever stands between them in the ready queue", async () => {
    const order: string[] = [];

    await run(async () => {
      const queue = new Queue<string>();
      const turn = async (name: string): Promise<void> => {
        await sleep(0);
        order.push(name);
      };
      const get = async (): Promise<void> => {
        order.push(await queue.get());
      };
      await gather(get, async () => {
        const first = [turn("a"), turn("b")];
        queue.putNowait("item");
        await Promise.all([...first, turn("c"), turn("d")]);
      });
    });

    assert.deepEqual(order, ["a", "b", "item", "c", "d"]);
  });

  test("start and go on each in the async context of their own", async () => {
    const request = new AsyncLocalStorage<number>();
    const seen: (number | undefined)[][] = [];

    await run(async () => {
      const work = async (): Promise<void> => {
        const before = request.getStore();
        await sleep(0);
        seen.push([before, request.getStore()]);
      };
      await taskGroup(async (group) => {
        for (let id = 0; id < 3; id++) request.run(id, () => group.createTask(work));
        group.createTask(work);
      });
    });

    assert.deepEqual(seen, [
      [0, 0],
      [1, 1],
      [2, 2],
      [undefined, undefined],
    ]);
  });

  test("count each against the budget: the host has its turn after 512 (R9)", async () => {
    let turns = 0;
    let turnsBeforeHost = Number.NaN;

    await run(async () => {
      let isOver = false;
      setImmediate(() => {
        turnsBeforeHost = turns;
        isOver = true;
      });
      await taskGroup(async (group) => {
        for (let task = 0; task < 50; task++) {
          group.createTask(async () => {
            while (!isOver) {
              await sleep(0);
              turns++;
            }
          });
        }
      });
    });

    assert.ok(turnsBeforeHost <= 2 * 512, `${turnsBeforeHost} turns before the host had its own`);
  });
});

describe("R11: the stack of a CancelledError", () => {
  test("has the functions that waited, the innermost first, and none of ours", async () => {
    const error = await run(async () => {
      const queue = new Queue<never>();
      const innermost = async (): Promise<void> => void (await queue.get());
      const outermost = async (): Promise<void> => await innermost();
      const tasks = [createTask(outermost), createTask(outermost)];
      await sleep(0);
      for (const task of tasks) task.cancel();
      const [, error] = await gather(tasks, { returnExceptions: true });
      return error;
    });

    assert.ok(error instanceof CancelledError);
    const frames = (error.stack ?? "").split("\n").slice(1);
    const names = frames.map((frame) => /at (?:async )?(\w+)/.exec(frame)?.[1]);
    assert.deepEqual(names, ["innermost", "outermost"]);
  });
});
