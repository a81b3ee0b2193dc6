// F29: tasks that wait for each other. The call is refused where that can be seen; a cancellation
// ends them in any case.

import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  CancelledError,
  cleanup,
  createTask,
  currentTask,
  Event,
  gather,
  InvalidStateError,
  race,
  sleep,
  type Task,
  taskGroup,
  timeLeft,
  timeout,
} from "../../src/index.ts";
import { taskPath } from "../../src/lowlevel.ts";
import { onBothLoops } from "../both-loops.ts";
import { rejection } from "../virtual.ts";

type AnyTask = Task<unknown>;

const owners: Readonly<Record<string, (child: () => Promise<unknown>) => Promise<unknown>>> = {
  "a group": (child) => taskGroup(async (group) => group.createTask(child)),
  "a group in a group": (child) =>
    taskGroup((group) => group.createTask(() => taskGroup((inner) => inner.createTask(child)))),
  gather: (child) => gather([child]),
};

describe("F29: a child that waits for the task that owns it", () => {
  for (const [name, own] of Object.entries(owners)) {
    onBothLoops(`is told so, and not left to wait for ever: ${name}`, async () => {
      const told: unknown[] = [];
      const owner: AnyTask = createTask(() =>
        own(async () => {
          await sleep(0);
          told.push(await rejection(owner.cancelAndWait()));
          told.push(await rejection((async () => await owner)()));
        }),
      );
      await owner;

      assert.equal(told.length, 2);
      for (const error of told) {
        assert.ok(error instanceof InvalidStateError);
        assert.match(error.message, /in a circle: "Task-\d+" -> "Task-1" -> "Task-\d+"$/);
      }
    });
  }

  onBothLoops("may wait for one that has owned others before", async () => {
    const sibling = createTask(async () => {
      await taskGroup(async (group) => group.createTask(() => sleep(0)));
      return await sleep(0.002, "value");
    });
    await sleep(0);
    assert.equal(await gather([async () => await sibling]).then(([value]) => value), "value");
  });
});

describe("F29: what waits in a circle that no single call shows", () => {
  onBothLoops("ends when the grace period is over", async () => {
    const ended: unknown[] = [];
    const options = { cancelGrace: 0.01 };
    const stop = (other: () => AnyTask) => async (): Promise<void> => {
      await taskGroup(async (group) => {
        const child = async (): Promise<void> => {
          const self = currentTask();
          ended.push(await rejection(other().cancelAndWait()));
          assert.equal(self?.cancelling(), 1);
        };
        group.createTask(child, options);
      });
    };
    const first: AnyTask = createTask(
      stop(() => second),
      options,
    );
    const second: AnyTask = createTask(
      stop(() => first),
      options,
    );
    await Promise.allSettled([first, second]);

    assert.equal(ended.length, 2);
    assert.ok(ended.every((error) => error instanceof CancelledError));
    assert.ok(first.cancelled() && second.cancelled());
  });

  onBothLoops("also through a branch of its own", async () => {
    const task: AnyTask = createTask(
      () =>
        race(
          () => task.cancelAndWait(),
          () => sleep(3600),
        ),
      { cancelGrace: 0.01 },
    );
    await Promise.allSettled([task]);
    assert.ok(task.cancelled());
  });

  onBothLoops("while a join that is in none goes on until its task has ended", async () => {
    const log: string[] = [];
    const slow = createTask(() => sleep(3600).finally(() => cleanup(1, () => sleep(0.03))));
    const joins = createTask(
      async () => {
        try {
          await slow;
        } finally {
          log.push(slow.done() ? "the task has ended" : "let go");
        }
      },
      { cancelGrace: 0.01 },
    );
    await sleep(0);
    joins.cancel();
    await Promise.allSettled([joins]);
    assert.deepEqual([log, slow.done()], [["the task has ended"], true]);
  });

  onBothLoops(
    "and is looked for so far only that a long chain does not cost its square",
    async () => {
      const tasks: AnyTask[] = [];
      const chain = async (depth: number): Promise<void> => {
        if (depth === 0) return await sleep(3600);
        const next = createTask(() => chain(depth - 1), { cancelGrace: 0 });
        tasks.push(next);
        await next;
      };
      const top = createTask(() => chain(30_000), { cancelGrace: 0 });
      while (tasks.length < 30_000) await sleep(0);
      top.cancel();
      await Promise.allSettled([top]);

      assert.ok(tasks.every((task) => task.cancelled()));
    },
  );
});

describe("F29: a task that gathers a task which waits for it", () => {
  /** Its child gathers it, beside `others`. */
  function gatheredByItsChild(
    inChild: () => Promise<unknown>,
    others: readonly AnyTask[] = [],
  ): AnyTask {
    const owner: AnyTask = createTask(
      () =>
        taskGroup(async (group) => {
          group.createTask(async () => {
            await sleep(0);
            const gathered = gather([...others, owner]);
            group.createTask(inChild); // in the circle
            await gathered;
          });
        }),
      { cancelGrace: 0.005 },
    );
    return owner;
  }

  onBothLoops("is let go past the grace period: itself", async () => {
    const task: AnyTask = createTask(
      async () => {
        await sleep(0);
        await gather([task]);
      },
      { cancelGrace: 0.005 },
    );
    await sleep(0.001);
    task.cancel();

    assert.ok((await rejection(task)) instanceof CancelledError);
  });

  onBothLoops("is let go past the grace period: its owner", async () => {
    const other = createTask(() => sleep(10));
    const begun = new Event();
    const owner = gatheredByItsChild(async () => begun.set(), [other]);
    await begun.wait();
    owner.cancel();

    assert.ok((await rejection(owner)) instanceof CancelledError);
    assert.ok(other.cancelled());
  });

  onBothLoops("and a deadline inside the circle is looked for once round", async () => {
    const owner: AnyTask = createTask(() =>
      taskGroup(async (group) => {
        group.createTask(async () => {
          await sleep(0);
          gather([owner]).catch(() => {}); // nobody awaits it
          await sleep(0);
          await timeout(1, () => sleep(0.001)); // looks for deadlines around it
        });
        await sleep(0.005);
      }),
    );

    await owner;
  });

  onBothLoops("and code in it goes round no circle, under a deadline too", async () => {
    const done: unknown[] = [];
    const outside = createTask(() => sleep(0.004, "outside"));
    const end = new Event();
    const owner = gatheredByItsChild(async () => {
      const self = currentTask() as AnyTask;
      done.push(timeLeft(), taskPath(self).length);
      await timeout(1, () => sleep(0));
      done.push(await outside);
      end.set();
    });
    await end.wait();
    owner.cancel();
    await rejection(owner);

    assert.deepEqual(done, [Number.POSITIVE_INFINITY, 3, "outside"]);
  });
});
