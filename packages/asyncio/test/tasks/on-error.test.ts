// Groups in which a failure does something else than ending all with an ExceptionGroup.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  createTask,
  currentTask,
  ExceptionGroup,
  type OnError,
  sleep,
  type Task,
  type TaskGroup,
  taskGroup,
} from "../../src/index.ts";
import { cancelSweep, explore } from "../../src/testing.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

async function fail(after: number, words: string): Promise<never> {
  await sleep(after);
  throw new Error(words);
}

const words = (error: unknown): string => String(error);

describe('onError: "bare"', () => {
  test(
    "the failure that came first comes out, and the others are cancelled",
    virtual(async (loop) => {
      const reports = collectReports(loop);
      let other: Task<void> | undefined;

      const error = await rejection(
        taskGroup(
          async (group) => {
            group.createTask(() => fail(2, "second"), { name: "late" });
            group.createTask(() => fail(1, "first"));
            other = group.createTask(() => sleep(9));
            group.createTask(
              async () => {
                try {
                  await sleep(9);
                } finally {
                  await fail(1, "while it ends");
                }
              },
              { name: "ending" },
            );
          },
          { onError: "bare" },
        ),
      );

      assert.equal(words(error), "Error: first");
      assert.ok(other?.cancelled());
      assert.deepEqual(
        reports.map(({ message }) => message),
        ['task "ending" of a task group has failed after another one'],
      );
    }),
  );

  test(
    "the body's failure is one of them, and a child's that it saw is the same one",
    virtual(async () => {
      const own = rejection(taskGroup(() => fail(1, "body"), { onError: "bare" }));
      assert.equal(words(await own), "Error: body");
      const seen = taskGroup(async (group) => await group.createTask(() => fail(1, "child")), {
        onError: "bare",
      });
      assert.equal(words(await rejection(seen)), "Error: child");
    }),
  );
});

describe('onError: "isolate"', () => {
  test(
    "nobody is cancelled; whoever awaits the child is told, else it is reported at once",
    virtual(async (loop) => {
      const reports = collectReports(loop);
      const log: string[] = [];

      const value = await taskGroup(
        async (group) => {
          const awaited = group.createTask(() => fail(1, "awaited"));
          group.createTask(() => fail(2, "alone"), { name: "alone" });
          group.createTask(() => sleep(5).then(() => void log.push("other")));
          log.push(words(await rejection(awaited)));
          await sleep(2);
          log.push(`${reports.length} reported`);
          return "done";
        },
        { onError: "isolate" },
      );

      assert.equal(value, "done");
      assert.deepEqual(log, ["Error: awaited", "1 reported", "other"]);
      assert.match(reports[0]?.message ?? "", /task "alone" has failed, and nobody has looked/);
    }),
  );

  test(
    "the body's own failure cancels all, and is bare",
    virtual(async () => {
      let child: Task<void> | undefined;
      const error = await rejection(
        taskGroup(
          async (group) => {
            child = group.createTask(() => sleep(9));
            await fail(1, "body");
          },
          { onError: "isolate" },
        ),
      );
      assert.deepEqual([words(error), child?.cancelled()], ["Error: body", true]);
    }),
  );
});

describe("onError, a function", () => {
  test(
    "is told at once, in the task of the caller, and the group waits for it",
    virtual(async () => {
      const log: string[] = [];
      const caller = currentTask();

      await taskGroup(
        async (group) => {
          group.createTask(() => fail(1, "broken"), { name: "one" });
          group.createTask(() => sleep(2).then(() => void log.push("other")));
        },
        {
          onError: async (error, task) => {
            log.push(`${task.getName()}: ${error}, ${currentTask() === caller}`);
            await sleep(5);
            log.push("told");
          },
        },
      );

      assert.deepEqual(log, ["one: Error: broken, true", "other", "told"]);
    }),
  );

  test(
    "what it throws is a failure of the body",
    virtual(async () => {
      let other: Task<void> | undefined;
      const error = await rejection(
        taskGroup(
          async (group) => {
            group.createTask(() => fail(1, "broken"));
            other = group.createTask(() => sleep(9));
          },
          {
            onError() {
              throw new Error("cannot cope");
            },
          },
        ),
      );
      assert.deepEqual([words(error), other?.cancelled()], ["Error: cannot cope", true]);
    }),
  );

  test(
    "it can start another in its place",
    virtual(async () => {
      let attempts = 0;
      const work = (): Promise<unknown> => (++attempts < 3 ? fail(1, "again") : sleep(1));
      let groupOf: TaskGroup<never> | undefined;
      await taskGroup(
        async (group) => {
          groupOf = group as TaskGroup<never>;
          group.createTask(work);
        },
        { onError: () => void groupOf?.createTask(work) },
      );
      assert.equal(attempts, 3);
    }),
  );
});

test("what is no such word is refused", async () => {
  const error = await rejection(taskGroup(async () => {}, { onError: "ignore" as never }));
  assert.match(words(error), /expects `onError` to be "cancel", "bare", "isolate" or a function/);
});

describe("what is to be known of a group", () => {
  test(
    "its children, its figures, and a limit that changes while they run",
    virtual(async () => {
      const started: number[] = [];
      await taskGroup(
        async (group) => {
          for (const index of [0, 1, 2, 3, 4])
            group.createTask(() => sleep(1).then(() => void started.push(index)), {
              name: `child ${index}`,
            });
          assert.deepEqual(group.statistics(), { running: 2, waiting: 3, ended: 0, failed: 0 });
          group.limit = 1;
          await sleep(1.5);
          assert.deepEqual(group.statistics(), { running: 1, waiting: 2, ended: 2, failed: 0 });
          group.limit = 9;
          assert.deepEqual(
            group.children().map((child) => child.getName()),
            ["child 2", "child 3", "child 4"],
          );
          assert.equal(group.statistics().running, 3);
          assert.throws(() => (group.limit = 0), RangeError);
          assert.throws(() => (group.limit = "2" as never), TypeError);
        },
        { limit: 2 },
      );
      assert.deepEqual(started, [0, 1, 2, 3, 4]);
    }),
  );

  test(
    "`start` gives the task as well",
    virtual(async () => {
      await taskGroup(async (group) => {
        const body = async (started: (value: number) => void) => {
          started(8080);
          await sleep(3600);
        };
        const { value, task } = await group.start(body, { handle: true, name: "server" });
        assert.deepEqual([value, task.getName()], [8080, "server"]);
        await task.cancelAndWait();
        assert.ok(task.cancelled());
      });
    }),
  );
});

for (const onError of ["bare", "isolate", () => {}] as OnError[]) {
  const name = typeof onError === "function" ? "a function" : onError;
  const body = async (): Promise<void> => {
    let ended = 0;
    const child = async (fails: boolean): Promise<void> => {
      try {
        await sleep(0);
        if (fails) throw new Error("broken");
        await sleep(1);
      } finally {
        ended++;
      }
    };
    try {
      await taskGroup(
        async (group) => {
          const failing = group.createTask(() => child(true));
          for (let count = 0; count < 2; count++) group.createTask(() => child(false));
          await failing;
        },
        { onError, limit: 2 },
      );
    } catch (error) {
      if (error instanceof ExceptionGroup) throw error;
      if (!/broken/.test(words(error))) throw error;
    }
    assert.ok(ended <= 3);
  };

  test(`${name}: all have ended when the group has, in any schedule`, async () => {
    await explore(body);
  });

  test(`${name}: and wherever it is cancelled`, async () => {
    await cancelSweep(body);
  });
}

describe("a cancellation while `onError` waits", () => {
  for (const [where, body] of [
    ["the body runs", () => sleep(100)],
    ["the body has returned", () => {}],
  ] as const)
    test(
      `is delivered once, when ${where}`,
      virtual(async () => {
        const log: string[] = [];
        const owner = createTask(async () => {
          try {
            await taskGroup(
              async (group) => {
                group.createTask(() => fail(0, "told"));
                await body();
              },
              { onError: () => sleep(50) },
            );
          } finally {
            await sleep(1);
            log.push("cleaned up");
          }
        });
        await sleep(1);

        owner.cancel();

        const error = await rejection(owner);
        assert.ok(error instanceof CancelledError);
        assert.deepEqual(log, ["cleaned up"]);
      }),
    );
});
