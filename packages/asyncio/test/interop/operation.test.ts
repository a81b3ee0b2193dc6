import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { taskPath } from "../../src/lowlevel.ts";
import { TaskQueue } from "../../src/patterns.ts";
import * as testing from "../../src/testing.ts";

const pathHere = async (): Promise<string[]> => {
  const task = asyncio.currentTask();
  assert.ok(task);
  return taskPath(task).map((one) => one.getName());
};

describe("taskPath", () => {
  test("names the owners of a task, from the outermost on", () =>
    testing.runTest(async () => {
      const inner = (group: asyncio.TaskGroup) =>
        asyncio.timeout(9, () => group.createTask(pathHere, { name: "inner" }));
      const branch = () => asyncio.taskGroup(inner);
      const outer = asyncio.createTask(
        async () => await asyncio.gather([asyncio.createTask(branch, { name: "branch" }), branch]),
        { name: "outer" },
      );
      const [, path] = await outer;
      assert.deepEqual([path[0], path.at(-1)], ["outer", "inner"]);
    }));

  test("begins with a task that is merely awaited", () =>
    testing.runTest(async () => {
      assert.deepEqual(await asyncio.createTask(pathHere, { name: "alone" }), ["alone"]);
    }));

  test("leads from a job to the task that owns its queue", () =>
    testing.runTest(async () => {
      const owner = asyncio.createTask(
        () =>
          asyncio.taskGroup(async (group) => {
            const queue = new TaskQueue({ limit: 1, owner: group });
            return await queue.add(pathHere, { name: "job" });
          }),
        { name: "owner" },
      );
      assert.deepEqual(await owner, ["owner", "a TaskQueue", "job"]);
    }));
});
