import assert from "node:assert/strict";
import { test } from "node:test";
import { createTask, run, sleep, taskGroup } from "../../src/index.ts";
import { listenAfterGroup } from "../../src/tasks/group-child.ts";
import { VirtualLoop } from "../../src/testing.ts";

test("several who listen after a group are all told, whichever way its child ends", async () => {
  const told: string[] = [];
  await run(
    async () => {
      const ways = { ended: () => sleep(1), cancelled: () => sleep(3600) };
      await taskGroup(async (group) => {
        for (const [way, body] of Object.entries(ways)) {
          const task = group.createTask(body);
          for (const name of ["first", "second"])
            listenAfterGroup(task, { futureDone: () => told.push(`${name} ${way}`) });
          await sleep(2);
          task.cancel();
        }
      });
    },
    { loop: new VirtualLoop() },
  );
  assert.deepEqual(told, ["first ended", "second ended", "first cancelled", "second cancelled"]);
});

test("a task without a group, and one that is done, tell as well", async () => {
  const told: string[] = [];
  await run(
    async () => {
      const task = createTask(() => sleep(1));
      listenAfterGroup(task, { futureDone: () => told.push("alone") });
      await task;
      listenAfterGroup(task, { futureDone: () => told.push("late") });
    },
    { loop: new VirtualLoop() },
  );
  assert.deepEqual(told, ["alone", "late"]);
});
