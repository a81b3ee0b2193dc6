// R14: what a child ends with to which a cancellation was passed on. The body of the scope may meet
// it before its own cancellation: it was in a foreign await, and then looked at the child.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  asCompleted,
  CancelledError,
  CancelScope,
  createTask,
  Event,
  ExceptionGroup,
  gather,
  getRunningLoop,
  run,
  sleep,
  type Task,
  TimeoutError,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { onBothLoops } from "../both-loops.ts";
import { limitOnceWaiting } from "../limit-once-waiting.ts";
import { rejection } from "../virtual.ts";

type Owner = (begun: () => void) => Promise<unknown>;

/** Tells that it has ended, by a promise of the host. */
function child(): { body: () => Promise<void>; ended: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const body = async (): Promise<void> => {
    try {
      await sleep(10);
    } finally {
      resolve();
    }
  };
  return { body, ended: promise };
}

/** The last steps of a task come after what its body did last. */
async function afterwards(task: Task<unknown>): Promise<void> {
  while (!task.done()) await Promise.resolve();
}

/** A group whose body looks at its child when that has ended. */
const groupThat =
  (looksAt: (task: Task<void>) => Promise<void>): Owner =>
  (begun) =>
    taskGroup(async (group) => {
      const { body, ended } = child();
      const task = group.createTask(body);
      await sleep(0.001);
      begun();
      await ended;
      await afterwards(task);
      await looksAt(task);
    });

const owners: Record<string, Owner> = {
  "a group": groupThat(async (task) => await task),
  "a group, of which the child has no place yet": (begun) =>
    taskGroup(async (group) => {
      const { body, ended } = child();
      group.limit = 1;
      group.createTask(body);
      const held = group.createTask(() => sleep(1));
      await sleep(0.001);
      begun();
      await ended;
      await afterwards(held);
      await held;
    }),
  "a gather": async (begun) => {
    const { body, ended } = child();
    const task = createTask(body);
    const both = gather([task]);
    both.catch(() => {});
    await sleep(0.001);
    begun();
    await ended;
    await afterwards(task);
    await task;
  },
  "a group, by code that throws an error of its own for it": groupThat((task) =>
    task.catch((cause) => Promise.reject(new Error("not fetched", { cause }))),
  ),
  "a scope inside": (begun) => new CancelScope().run(() => (owners["a group"] as Owner)(begun)),
};

describe("R14: the cancellation that a child got as well counts as that of the scope", () => {
  for (const [name, own] of Object.entries(owners)) {
    onBothLoops(`of a scope around ${name}, that swallows it`, async () => {
      const scope = new CancelScope();

      const value = await scope.run(() => own(() => scope.cancel("enough")));

      assert.equal(value, undefined);
    });

    onBothLoops(`of a deadline around ${name}`, async () => {
      const moved = await limitOnceWaiting((begins) => own(begins));
      const loop = getRunningLoop();
      const late = timeout(null, (limit) => own(() => limit.reschedule(loop.time() + 0.001)));
      const error = await rejection(late);

      assert.equal(moved.cancelled, true);
      assert.ok(error instanceof TimeoutError);
    });

    onBothLoops(`of a task around ${name}, with its reason`, async () => {
      const task: Task<unknown> = createTask(() => own(() => void task.cancel("enough")));

      const error = (await rejection(task)) as CancelledError;

      assert.deepEqual([task.cancelled(), error.reason], [true, "enough"]);
    });
  }

  onBothLoops("that of a signal has the reason as its cause, and no error of a child", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const begun = (): void => controller.abort(reason);
    const task: Task<unknown> = createTask(() => (owners["a group"] as Owner)(begun), {
      signal: controller.signal,
    });

    const error = (await rejection(task)) as CancelledError;

    assert.deepEqual([error.source, error.reason, error.cause], ["abort", reason, reason]);
  });

  onBothLoops("of a scope that is cancelled again while the child cleans up", async (loop) => {
    const scope = new CancelScope();

    const value = await scope.run(async () => {
      const { body, ended } = child();
      const task = createTask(() =>
        sleep(10).finally(() => {
          loop.callLater(0.001, () => scope.cancel("at once"));
          return body();
        }),
      );
      gather([task]).catch(() => {});
      await sleep(0.001);
      scope.cancel("enough");
      await ended;
      await afterwards(task);
      await task;
    });

    assert.equal(value, undefined);
  });

  onBothLoops("a child that somebody else has cancelled does not count as it", async () => {
    const error = await rejection(
      new CancelScope().run(async () => {
        const task = createTask(() => sleep(10));
        await sleep(0);
        task.cancel("by hand");
        await task;
      }),
    );

    assert.ok(error instanceof CancelledError);
    assert.equal(error.reason, "by hand");
  });

  onBothLoops(
    "but if the scope is cancelled as well, that is why its body ends (S77)",
    async () => {
      const { body, ended } = child();
      const scope = new CancelScope();
      await scope.run(async () => {
        const task = createTask(body);
        await sleep(0.001);
        task.cancel("by hand");
        await ended;
        scope.cancel("later");
        await afterwards(task);
        await task;
      });
    },
  );

  onBothLoops("also if it ends the cleanup of the body", async () => {
    const error = await rejection(
      timeout(10, async (scope) => {
        const task = createTask(() => sleep(10));
        try {
          scope.reschedule(0);
          await sleep(10);
        } finally {
          task.cancel("by hand");
          await task;
        }
      }),
    );

    assert.ok(error instanceof TimeoutError);
    const own = error.cause;
    assert.ok(own instanceof CancelledError);
    assert.ok(own.cause instanceof CancelledError);
    assert.deepEqual([own.source, own.cause.reason], ["deadline", "by hand"]);
  });

  onBothLoops("also if foreign code fails in the cleanup because of it", async () => {
    const mayEnd = new Event();
    const heard = Promise.withResolvers<unknown>();
    const other = createTask(() =>
      sleep(10).catch(async (error) => {
        heard.resolve(error);
        await mayEnd.wait(); // so it is ending all the while
        throw error;
      }),
    );
    await sleep(0);
    const scope = new CancelScope();

    const value = await scope.run(async () => {
      scope.cancel("enough");
      await sleep(10).catch(() => {});
      other.cancel("by hand");
      throw new Error("not fetched", { cause: await heard.promise });
    });

    assert.deepEqual([value, scope.cancelled], [undefined, true]);
    mayEnd.set();
    await rejection(other);
  });

  onBothLoops("but not if the cleanup only looks at it", async () => {
    const other = createTask(() => sleep(10));
    const look = async (): Promise<void> => void (await other);
    const seen: unknown[] = [];
    const scope = new CancelScope();

    await scope.run(async () => {
      scope.cancel();
      await sleep(10).catch(() => {});
      other.cancel("by hand");
      seen.push(...(await gather([look()], { returnExceptions: true })));
      seen.push(await rejection(gather([look()])));
      for await (const looked of asCompleted([look()])) seen.push(await rejection(looked));
    });

    const reasons = seen.map((error) => (error as CancelledError).reason);
    assert.deepEqual(reasons, ["by hand", "by hand", "by hand"]);
  });

  onBothLoops("nor if `onError` of a group fails with it", async () => {
    const other = createTask(() => sleep(10));
    const failure = new Error("no");
    const scope = new CancelScope();

    await scope.run(async () => {
      scope.cancel();
      await sleep(10).catch(() => {});
      const group = taskGroup(
        async (children) => void children.createTask(() => Promise.reject(failure)),
        {
          async onError() {
            other.cancel("by hand");
            await other;
          },
        },
      );
      const error = (await rejection(group)) as CancelledError;
      assert.equal(error.reason, "by hand");
    });
  });

  onBothLoops("a task that is cancelled tells why it was, and not why its child was", async () => {
    const task = createTask(async () => {
      const child = createTask(() => sleep(10));
      try {
        await sleep(10);
      } finally {
        child.cancel("by hand");
        await child;
      }
    });
    await sleep(0);
    task.cancel("enough");

    const error = await rejection(task);

    assert.ok(error instanceof CancelledError);
    assert.equal(error.reason, "enough");
  });

  onBothLoops("a task that is cancelled again tells why it was the second time", async () => {
    const task = createTask(async () => {
      await sleep(10).catch(() => {});
      await sleep(10);
    });
    await sleep(0);
    task.cancel("first");
    await sleep(0.001);
    task.cancel("second");

    const error = await rejection(task);

    assert.ok(error instanceof CancelledError);
    assert.deepEqual([error.reason, error.cause], ["second", undefined]);
  });

  onBothLoops("a failure that was caused by such a child stays a failure", async () => {
    const scope = new CancelScope();
    const error = await rejection(
      scope.run(async () => {
        const task = createTask(() => sleep(10));
        await sleep(0);
        task.cancel("by hand");
        await sleep(0.001);
        scope.cancel();
        await task.catch((cause) => {
          throw new Error("no child", { cause });
        });
      }),
    );

    assert.equal((error as Error).message, "no child");
  });

  test("a group that a failure has cancelled reports the failure alone", () =>
    run(async () => {
      const { body, ended } = child();
      const error = await rejection(
        taskGroup(async (group) => {
          const task = group.createTask(body);
          group.createTask(() => Promise.reject(new Error("first")));
          await ended;
          await afterwards(task);
          await task;
        }),
      );

      assert.ok(error instanceof ExceptionGroup);
      assert.deepEqual(
        error.errors.map(({ message }) => message),
        ["first"],
      );
    }));
});
