import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  createTask,
  currentTask,
  Event,
  gather,
  Queue,
  shield,
  sleep,
  type Task,
  timeout,
} from "../../src/index.ts";
import { onBothLoops } from "../both-loops.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

/** A task that gives `name` after `delay` seconds. */
function after(delay: number, name: string): Task<string> {
  return createTask(() => sleep(delay, name), { name });
}

/** A task that fails after `delay` seconds. */
function failing(delay: number, message = "broken"): Task<never> {
  return createTask(async () => {
    await sleep(delay);
    throw new Error(message);
  });
}

function _names(tasks: Iterable<Task<unknown>>): string[] {
  return [...tasks].map((task) => task.getName());
}

describe("shield", () => {
  test(
    "gives what the work gives",
    virtual(async () => {
      assert.equal(await shield(after(1, "task")), "task");
      assert.equal(await shield(() => sleep(1, "thunk")), "thunk");
      assert.equal(await shield(Promise.resolve("promise")), "promise");
      await assert.rejects(shield(failing(1)), /broken/);
    }),
  );

  test(
    "that is cancelled rejects at once, and the work goes on (S66)",
    virtual(async (loop) => {
      const inner = after(3, "saved");
      const outer = createTask(() => shield(inner));
      await sleep(1);

      outer.cancel();

      assert.ok((await rejection(outer)) instanceof CancelledError);
      assert.equal(loop.time(), 1);
      assert.deepEqual([await inner, inner.cancelling()], ["saved", 0]);
    }),
  );

  test(
    "makes a task of its own of a thunk, which a cancellation does not reach (S66)",
    virtual(async () => {
      const log: string[] = [];
      const work = async () => {
        await sleep(2);
        log.push("saved");
      };

      await rejection(timeout(1, () => shield(work)));
      await sleep(2);

      assert.deepEqual(log, ["saved"]);
    }),
  );

  test(
    "ends with a cancellation of the inner task (S67)",
    virtual(async () => {
      const inner = after(3, "a");
      const outer = createTask(() => shield(inner));
      await sleep(1);

      inner.cancel("enough");

      const error = await rejection(outer);
      assert.ok(error instanceof CancelledError);
      assert.deepEqual([error.reason, outer.cancelled()], ["enough", true]);
    }),
  );

  test(
    "of what is done gives its result without a wait (S67)",
    virtual(async (loop) => {
      const inner = after(0, "a");
      await inner;

      assert.equal(await shield(inner), "a");
      assert.equal(loop.time(), 0);
    }),
  );

  test(
    "that was cancelled reports a later failure of the work, once, also when there were two (S68)",
    virtual(async (loop) => {
      const reports = collectReports(loop);
      const inner = failing(3);
      inner.setName("saving");
      const shields = [1, 2].map(() => createTask(() => shield(inner)));
      await sleep(1);
      for (const each of shields) each.cancel();

      await sleep(5);

      assert.deepEqual(
        reports.map(({ message, task }) => [message, task]),
        [['task "saving" has failed after the shield around it was cancelled', inner]],
      );
      assert.match(String(reports[0]?.exception), /broken/);
      for (const each of shields) await rejection(each);
    }),
  );

  test(
    "that was cancelled is silent when the work succeeds or is cancelled (S68)",
    virtual(async () => {
      const [saved, cancelled] = [after(3, "saved"), after(3, "cancelled")];
      const shields = [saved, cancelled].map((inner) => createTask(() => shield(inner)));
      await sleep(1);
      for (const each of shields) each.cancel();
      await sleep(1);

      cancelled.cancel();

      await sleep(5);
      assert.equal(saved.result(), "saved");
    }),
  );

  test(
    "in gather keeps the cancellation of gather from the children (S69)",
    virtual(async () => {
      const children = [after(3, "a"), after(3, "b")];
      const outer = createTask(() => gather(children.map((child) => () => shield(child))));
      await sleep(1);

      outer.cancel();

      assert.ok((await rejection(outer)) instanceof CancelledError);
      assert.deepEqual(await gather(children), ["a", "b"]);
    }),
  );

  test(
    "round gather lets the children finish (S69)",
    virtual(async () => {
      const children = [after(3, "a"), after(3, "b")];
      const outer = createTask(() => shield(() => gather(children)));
      await sleep(1);

      outer.cancel();

      assert.ok((await rejection(outer)) instanceof CancelledError);
      await sleep(5);
      assert.deepEqual(
        children.map((child) => child.result()),
        ["a", "b"],
      );
    }),
  );

  onBothLoops("under a pending cancellation starts a thunk all the same, and rejects", async () => {
    const done: string[] = [];
    const task = createTask(async () => {
      try {
        currentTask()?.cancel();
      } finally {
        await shield(async () => done.push("written"));
      }
    });

    assert.ok((await rejection(task)) instanceof CancelledError);
    await sleep(0);
    assert.deepEqual(done, ["written"]);
  });

  const begun: Record<string, () => Promise<unknown>> = {
    sleep: () => sleep(0.002),
    "event.wait": () => new Event().wait(),
    "queue.get": () => new Queue().get(),
  };
  for (const [name, begin] of Object.entries(begun)) {
    onBothLoops(
      `refuses ${name} that has begun: it would be cancelled with the caller`,
      async () => {
        const task = createTask(() => shield(begin()));

        await assert.rejects(task, {
          name: "TypeError",
          message:
            "`shield` expects a function, not an operation that has begun, got a promise. It waits in this scope, and is cancelled with it: shield(() => work())",
        });
      },
    );
  }

  test(
    "tells what it shields; other arguments are a TypeError",
    virtual(async () => {
      const inner = after(2, "saving");
      const outer = createTask(() => shield(inner));
      await sleep(1);

      assert.deepEqual(outer.waitingFor(), ['shield of task "saving"']);
      await assert.rejects(shield(5 as never), {
        name: "TypeError",
        message: "`shield` expects a task, a future, a function or a promise, got 5",
      });
      await outer;
    }),
  );
});
