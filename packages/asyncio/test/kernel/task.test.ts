import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, test } from "node:test";
import {
  allTasks,
  Context,
  createTask,
  currentTask,
  gather,
  HostLoop,
  InvalidStateError,
  run,
  sleep,
  Task,
} from "../../src/index.ts";
import { collectGarbage } from "../gc.ts";
import { rejection, virtual } from "../virtual.ts";

describe("R21: createTask", () => {
  test(
    "runs nothing in the call: the first step is in the next iteration (S13)",
    virtual(async () => {
      const log: string[] = [];
      const task = createTask(async () => log.push("first step"));

      log.push("createTask returns");
      await task;

      assert.deepEqual(log, ["createTask returns", "first step"]);
    }),
  );

  test(
    "starts tasks in the order of their creation, in line with other ready work (S13)",
    virtual(async (loop) => {
      const log: string[] = [];
      createTask(async () => log.push("a"));
      loop.callSoon(() => log.push("callback"));
      createTask(async () => log.push("b"));

      await sleep(0);

      assert.deepEqual(log, ["a", "callback", "b"]);
    }),
  );

  test("starts tasks in the order of their creation in real time as well", async () => {
    const log = await run(async () => {
      const names: string[] = [];
      await gather(["a", "b", "c"].map((name) => async () => names.push(name)));
      return names;
    });

    assert.deepEqual(log, ["a", "b", "c"]);
  });

  test(
    "with eagerStart runs the body up to its first wait in the call (S189)",
    virtual(async () => {
      const log: string[] = [];
      const task = createTask(
        async () => {
          log.push("before the wait");
          await sleep(0);
          log.push("after the wait");
        },
        { eagerStart: true },
      );

      log.push("createTask returns");
      await task;

      assert.deepEqual(log, ["before the wait", "createTask returns", "after the wait"]);
    }),
  );

  test(
    "with eagerStart makes the task the current one for that step alone (S190)",
    virtual(async () => {
      let inside: unknown;
      const task = createTask(
        async () => {
          inside = currentTask();
        },
        { eagerStart: true },
      );

      assert.equal(inside, task);
      assert.notEqual(currentTask(), task);
      await task;
    }),
  );

  test(
    "an eager task can be cancelled once it waits (S192)",
    virtual(async () => {
      const task = createTask(() => sleep(10), { eagerStart: true });

      task.cancel();
      await rejection(task);

      assert.equal(task.cancelled(), true);
    }),
  );

  test(
    "an eager task that throws at once does not throw into its creator",
    virtual(async () => {
      const failure = new Error("expected");
      const task = createTask(
        () => {
          throw failure;
        },
        { eagerStart: true },
      );

      assert.equal(await rejection(task), failure);
    }),
  );

  test(
    "a coroutine that throws before it returns a promise fails its task",
    virtual(async () => {
      const failure = new Error("expected");
      const task = createTask(() => {
        throw failure;
      });

      assert.equal(await rejection(task), failure);
    }),
  );

  test(
    "gives tasks names that count up, unless they are given one (S24)",
    virtual(async () => {
      const tasks = [1, 2].map(() => createTask(() => sleep(0)));
      const named = createTask(() => sleep(0), { name: "writer" });
      const [first, second] = tasks.map((task) => Number(/^Task-(\d+)$/.exec(task.getName())?.[1]));

      assert.equal(second, (first ?? 0) + 1);
      assert.equal(named.getName(), "writer");
      named.setName("reader");
      assert.equal(named.getName(), "reader");
      await gather([...tasks, named]);
    }),
  );

  test(
    "refuses what is no function, and tells why a promise is none (S20)",
    virtual(async () => {
      const wrong = Promise.resolve() as unknown as () => Promise<void>;

      assert.throws(() => createTask(undefined as unknown as () => Promise<void>), TypeError);
      assert.throws(() => createTask(wrong), {
        name: "TypeError",
        code: "ERR_ASYNCIO_INVALID_ARGUMENT",
        message: /pass `\(\) => work\(\)` instead/,
      });
    }),
  );

  test(
    "refuses a `context` that is none, and leaves no task behind",
    virtual(async () => {
      const context = new Map() as never;
      for (const eagerStart of [false, true])
        assert.throws(() => createTask(() => sleep(1), { context, eagerStart }), {
          name: "TypeError",
          code: "ERR_ASYNCIO_INVALID_ARGUMENT",
          message: "`createTask` expects `context` of type Context, got an instance of Map",
        });

      assert.equal(allTasks().size, 1); // main
    }),
  );

  test("works anywhere, also outside run", async () => {
    const task = createTask(() => sleep(0, "value"));

    assert.ok(allTasks().has(task));
    assert.equal(await task, "value");
    assert.equal(allTasks().has(task), false);
  });

  test("refuses a closed loop (S21)", async () => {
    const inside = await run(async () => AsyncLocalStorage.snapshot());

    assert.throws(() => inside(() => createTask(() => sleep(0))), InvalidStateError);
  });

  test(
    "keeps a task alive although nobody holds it (S29)",
    virtual(async () => {
      const log: string[] = [];
      createTask(async () => {
        await sleep(5);
        log.push("ends");
      });

      await sleep(10);

      assert.deepEqual(log, ["ends"]);
    }),
  );
});

describe("F19 and F26: currentTask and allTasks", () => {
  test(
    "currentTask follows tasks that take turns (S27)",
    virtual(async () => {
      const check = async (): Promise<boolean> => {
        const mine = currentTask();
        await sleep(1);
        const afterSleep = currentTask();
        await Promise.resolve();
        return mine !== undefined && afterSleep === mine && currentTask() === mine;
      };

      assert.deepEqual(await gather(check, check, check), [true, true, true]);
    }),
  );

  test(
    "currentTask is undefined in a callback (S27)",
    virtual(async (loop) => {
      const seen: unknown[] = [];
      loop.callSoon(() => seen.push(currentTask()));
      loop.callLater(1, () => seen.push(currentTask()));

      await sleep(2);

      assert.deepEqual(seen, [undefined, undefined]);
    }),
  );

  test("currentTask is undefined outside every task (S27)", () => {
    assert.equal(currentTask(), undefined);
  });

  test(
    "allTasks lists the live tasks of the loop in the order of creation",
    virtual(async () => {
      const main = currentTask();
      const a = createTask(() => sleep(1));
      const b = createTask(() => sleep(2));

      const before = [...allTasks()];
      await a;
      const after = [...allTasks()];
      await b;

      assert.deepEqual(before, [main, a, b]);
      assert.deepEqual(after, [main, b]);
    }),
  );

  test(
    "an eager task that waits is listed (S191)",
    virtual(async () => {
      const waiting = createTask(() => sleep(1), { eagerStart: true });

      assert.ok(allTasks().has(waiting));
      await waiting;
    }),
  );

  test(
    "what allTasks gives is a copy",
    virtual(async () => {
      allTasks().clear();

      assert.equal(allTasks().size, 1);
    }),
  );

  test("allTasks knows the tasks of its own loop only", async () => {
    const outside = createTask(() => sleep(0.001));

    const inside = await run(async () => allTasks().has(outside));

    assert.equal(inside, false);
    await outside;
  });
});

describe("a task's handle", () => {
  test(
    "waitingFor lists one wait for each branch, and nothing once the task is done",
    virtual(async () => {
      const task = createTask(() => Promise.all([sleep(1), sleep(2)]));
      await sleep(0);

      assert.deepEqual(task.waitingFor(), ["sleep, 1 s left", "sleep, 2 s left"]);
      await task;
      assert.deepEqual(task.waitingFor(), []);
    }),
  );

  test(
    "getContext and getLoop give what the task runs in",
    virtual(async (loop) => {
      const context = new Context();
      const task = createTask(() => sleep(0), { context });

      assert.equal(task.getContext(), context);
      assert.equal(task.getLoop(), loop);
      await task;
    }),
  );

  test("one that has returned does not keep its scope, and has its variables", () =>
    run(async () => {
      const context = new Context();
      const scopes: WeakRef<object>[] = [];
      const task: Task<unknown> = createTask(async () => scopes.push(new WeakRef(task.scope)), {
        context,
      });
      await task;

      await collectGarbage();

      assert.equal(scopes[0]?.deref(), undefined);
      assert.equal(task.getContext(), context);
      assert.deepEqual([task.cancelling(), task.scope.closed], [0, true]);
    }));

  test(
    "instanceof tells tasks from other promises",
    virtual(async () => {
      const task = createTask(() => sleep(0));

      assert.deepEqual([task instanceof Task, Promise.resolve() instanceof Task], [true, false]);
      await task;
    }),
  );

  test("a task can be cancelled by a callback of the host", async () => {
    const error = await run(
      async () => {
        const task = createTask(() => sleep(3600));
        setImmediate(() => task.cancel("from outside"));
        return await rejection(task);
      },
      { loop: new HostLoop() },
    );

    assert.equal((error as { reason?: unknown }).reason, "from outside");
  });
});
