// F6: a cancellation from outside reaches the children of a group at once, whatever the body does.
// What it has cut off is told, also if the body returns a value: else that would say that all is
// done.

import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  CancelledError,
  CancelScope,
  cleanup,
  createTask,
  currentTask,
  moveOnAfter,
  sleep,
  type TaskGroup,
  TimeoutError,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { onBothLoops } from "../both-loops.ts";
import { limitOnceWaiting } from "../limit-once-waiting.ts";
import { rejection } from "../virtual.ts";
import { messages } from "./groups.ts";

type Child = () => Promise<unknown>;
type Body = (group: TaskGroup<void>, child: Child) => Promise<void>;

const upload: Child = () => sleep(10, "uploaded");
const swallowed = (): Promise<unknown> => sleep(10).catch(() => {});

/** Bodies that return a value although the scope around their group is cancelled. */
const bodies: Record<string, Body> = {
  "that was in a shield": async (group, child) => {
    group.createTask(child);
    await cleanup(1, () => sleep(0.02));
  },
  "that swallows the cancellation": async (group, child) => {
    group.createTask(child);
    await swallowed();
  },
  "that swallows it, with a child that takes its time": async (group, child) => {
    group.createTask(() => child().finally(() => sleep(0.005)));
    await swallowed();
  },
  "that was in a foreign await": async (group, child) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const task = group.createTask(() => child().finally(resolve));
    await promise;
    while (!task.done()) await Promise.resolve();
  },
  "whose child was held": async (group, child) => {
    group.limit = 1;
    group.createTask(() => child().catch(() => "an answer"));
    group.createTask(child);
    await swallowed();
  },
};

async function returning(body: Body, child: Child): Promise<string> {
  await taskGroup((group) => body(group, child));
  return "all uploaded";
}

describe("F6: a cancellation that has cut children off is told by the group", () => {
  for (const [name, body] of Object.entries(bodies)) {
    onBothLoops(`with a body ${name}`, async () => {
      const moved = await moveOnAfter(0.01, () => returning(body, upload));

      assert.deepEqual(moved, { cancelled: true });
    });

    onBothLoops(`of the task, with a body ${name}`, async () => {
      const task = createTask(() => returning(body, upload));
      await sleep(0.002);

      task.cancel("outside");
      const error = await rejection(task);

      assert.ok(error instanceof CancelledError);
      assert.deepEqual([error.reason, task.cancelled()], ["outside", true]);
    });
  }

  onBothLoops("once: what follows can wait", async () => {
    const log: unknown[] = [];
    const scope = new CancelScope();
    const running = scope.run(async () => {
      const group = taskGroup(async (given) => {
        given.createTask(upload);
        await cleanup(1, () => sleep(0.005));
      });
      log.push((await rejection(group)) instanceof CancelledError);
      log.push(await sleep(0.001, "waited"));
    });
    await sleep(0.001);

    scope.cancel();
    await running;

    assert.deepEqual(log, [true, "waited"]);
  });

  onBothLoops("not if they have answered with values", async () => {
    const child = (): Promise<unknown> => upload().catch(() => "an answer");
    const value = await limitOnceWaiting(() =>
      taskGroup(async (group) => {
        const task = group.createTask(child);
        await swallowed();
        return (await task) as string;
      }),
    );

    assert.deepEqual(value, { cancelled: false, value: "an answer" });
  });

  onBothLoops("not if it was taken back", async () => {
    const task = createTask(() =>
      taskGroup(async (group) => {
        group.createTask(upload);
        await swallowed();
        currentTask()?.uncancel();
        return "all the same";
      }),
    );
    await sleep(0.002);
    task.cancel();

    assert.equal(await task, "all the same");
  });

  onBothLoops("also if the group was about to end early", async () => {
    const error = await rejection(
      timeout(0.01, () =>
        taskGroup<string>(async (group) => {
          group.createTask(() => upload().finally(() => sleep(0.02)));
          await sleep(0.001);
          group.cancel("enough");
          await swallowed();
          await swallowed();
          return "all uploaded";
        }),
      ),
    );

    assert.ok(error instanceof TimeoutError);
  });

  onBothLoops("behind failures it comes back at the next wait (F5)", async () => {
    const log: unknown[] = [];
    const moved = await limitOnceWaiting(async () => {
      const group = taskGroup(async (given) => {
        given.createTask(upload);
        given.createTask(() => upload().catch(() => Promise.reject(new Error("in the cleanup"))));
        await cleanup(1, () => sleep(0.02));
      });
      log.push(...(messages(await rejection(group)) as string[]));
      log.push(await sleep(0.001, "not reached"));
    });

    assert.deepEqual([log, moved], [["in the cleanup"], { cancelled: true }]);
  });
});

describe("a cancellation from outside that was taken back is over for the group", () => {
  onBothLoops("a child that fails then cancels the body", async () => {
    const log: string[] = [];
    const task = createTask(() =>
      taskGroup(async (group) => {
        await swallowed();
        currentTask()?.uncancel();
        group.createTask(() => Promise.reject(new Error("a child")));
        await sleep(0.05).then(
          () => log.push("slept on"),
          () => log.push("cancelled"),
        );
      }),
    );
    await sleep(0.002);
    task.cancel();

    assert.deepEqual(messages(await rejection(task)), ["a child"]);
    assert.deepEqual(log, ["cancelled"]);
  });

  onBothLoops("group.cancel reaches a child that has taken it back, too", async () => {
    const log: string[] = [];
    const task = createTask(() =>
      taskGroup(async (group) => {
        group.createTask(async () => {
          await sleep(10).catch(() => log.push("once"));
          currentTask()?.uncancel();
          await sleep(0.05).then(
            () => log.push("slept on"),
            () => log.push("twice"),
          );
        });
        await swallowed();
        currentTask()?.uncancel();
        await sleep(0.002);
        group.cancel();
      }),
    );
    await sleep(0.002);
    task.cancel();

    await task;
    assert.deepEqual(log, ["once", "twice"]);
  });
});
