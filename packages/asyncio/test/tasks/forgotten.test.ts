import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { runTest, VirtualLoop } from "../../src/testing.ts";
import { collectGarbage } from "../gc.ts";
import { collectReports } from "../virtual.ts";

const { mapConcurrent, sleep } = asyncio;

const work = async (item: number): Promise<number> => item;

async function reportsOf(
  body: () => Promise<unknown>,
  loop: asyncio.EventLoop = new VirtualLoop(),
): Promise<asyncio.ExceptionContext[]> {
  const reports = collectReports(loop);
  await asyncio.run(body, { loop }).catch(() => {});
  return reports;
}

const loops: Record<string, () => asyncio.EventLoop> = {
  "in virtual time": () => new VirtualLoop(),
  "in real time": () => new asyncio.HostLoop(),
};

test("a map whose `forEach` was refused is not reported on top of that", async () => {
  const reports = await reportsOf(async () => {
    const wrong = mapConcurrent([1, 2], work, { limit: 2 }).forEach(undefined as never);
    await assert.rejects(wrong, TypeError);
  });

  assert.deepEqual(reports, []);
});

describe("a map that nobody has asked for a result is reported", () => {
  for (const [name, makeLoop] of Object.entries(loops)) {
    test(`with the line that made it, when main has returned, ${name}`, async () => {
      const reports = await reportsOf(async () => {
        await mapConcurrent([1, 2], work, { limit: 2 });
      }, makeLoop());

      const [{ message, sourceTraceback, task } = { message: "" }] = reports;
      assert.equal(reports.length, 1);
      assert.match(message, /^`mapConcurrent` has done nothing.* before task "main" ended\. Use/);
      assert.match(sourceTraceback?.split("\n")[0] ?? "", /forgotten\.test\.ts/);
      assert.equal(task?.getName(), "main");
    });

    test(`when the task that made it has returned, ${name}`, async () => {
      const loop = makeLoop();
      let reported = 0;

      await reportsOf(async () => {
        const reports = collectReports(loop);
        const child = async (): Promise<void> => {
          await asyncio.timeout(1, async () => void mapConcurrent([1], work, { limit: 1 }));
        };
        await asyncio.createTask(child, { name: "child" });
        reported = reports.length;
      }, loop);

      assert.equal(reported, 1);
    });
  }

  test("by name of the task", async () => {
    const reports = await reportsOf(async () => {
      await asyncio.taskGroup(async (group) => {
        group.createTask(async () => void mapConcurrent([1], work, { limit: 1 }), { name: "tick" });
      });
    });

    assert.match(reports[0]?.message ?? "", /before task "tick" ended/);
  });

  test("once a place, however often", async () => {
    const reports = await reportsOf(async () => {
      const forgetful = async (): Promise<void> => void mapConcurrent([1], work, { limit: 1 });
      for (let round = 0; round < 5; round++) await asyncio.createTask(forgetful);
    });

    assert.equal(reports.length, 1);
  });

  test("when it is collected, if the task that made it goes on", async () => {
    const loop = new asyncio.HostLoop();
    let reported = 0;

    await reportsOf(async () => {
      const reports = collectReports(loop);
      (() => void mapConcurrent([1], work, { limit: 1 }))();
      await collectGarbage();
      reported = reports.length;
    }, loop);

    assert.equal(reported, 1);
  });

  test("and fails a test that makes it", async () => {
    const call = runTest(async () => void mapConcurrent([1], work, { limit: 1 }));

    await assert.rejects(call, /mapConcurrent` has done nothing/);
  });
});

describe("nothing is reported of a map", () => {
  const innocent: Record<string, () => Promise<unknown>> = {
    "that was iterated": async () => {
      for await (const _ of mapConcurrent([1], work, { limit: 1 }));
    },
    "that was left at once": () => mapConcurrent([1], work, { limit: 1 }).return(),
    "that a function has returned": async () => {
      const make = async () => mapConcurrent([1], work, { limit: 1 });
      await (await make()).toArray();
    },
    "that a timeout has returned": async () => {
      const results = await asyncio.timeout(1, async () => mapConcurrent([1], work, { limit: 1 }));
      await results.toArray();
    },
    "that a task has returned": async () => {
      const task = asyncio.createTask(async () => mapConcurrent([1], work, { limit: 1 }));
      await (await task).toArray();
    },
    "whose task was cancelled before it could use it": async () => {
      await asyncio.moveOnAfter(1, () =>
        asyncio.createTask(async () => {
          const results = mapConcurrent([1], work, { limit: 1 });
          await sleep(3600);
          await results.toArray();
        }),
      );
    },
    "whose task has failed before it could use it": async () => {
      mapConcurrent([1], work, { limit: 1 });
      throw new Error("broken");
    },
    "that was refused": async () => {
      assert.throws(() => mapConcurrent([1], work, { limit: 0 }), RangeError);
    },
  };

  for (const [which, body] of Object.entries(innocent))
    test(which, async () => {
      assert.deepEqual(await reportsOf(body), []);
    });
});

test("maps that are used leave nothing with the task that made them", async () => {
  await asyncio.run(async () => {
    const before = await heapAfter(2_000);
    const after = await heapAfter(20_000);

    assert.ok(after - before < 1_000_000, `${after - before} bytes more`);
  });
});

async function heapAfter(rounds: number): Promise<number> {
  for (let round = 0; round < rounds; round++)
    await mapConcurrent([1], work, { limit: 1 }).toArray();
  await collectGarbage();
  return process.memoryUsage().heapUsed;
}
