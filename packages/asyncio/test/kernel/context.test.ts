import assert from "node:assert/strict";
import {
  AsyncLocalStorage,
  AsyncResource,
  createHook,
  executionAsyncResource,
} from "node:async_hooks";
import { describe, test } from "node:test";
import {
  ContextVar,
  createTask,
  currentTask,
  Future,
  gather,
  getRunningLoop,
  moveOnAfter,
  run,
  sleep,
  type TaskGroup,
  TimeoutError,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { park } from "../../src/lowlevel.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { collectGarbage } from "../gc.ts";
import { virtual } from "../virtual.ts";

const store = new AsyncLocalStorage<string>();

describe("R1: one slot, and callbacks run in their owner's context", () => {
  test(
    "a done callback sees the async context of whoever registered it",
    virtual(async () => {
      const future = new Future<void>();
      const seen: (string | undefined)[] = [];
      store.run("registrant", () => future.addDoneCallback(() => seen.push(store.getStore())));

      store.run("trigger", () => future.setResult());
      await sleep(0);

      assert.deepEqual(seen, ["registrant"]);
    }),
  );

  test(
    "a done callback sees the context variables as they were at its registration (S185)",
    virtual(async () => {
      const variable = new ContextVar("variable", { default: "default" });
      const future = new Future<void>();
      const seen: string[] = [];
      variable.set("registered");
      future.addDoneCallback(() => seen.push(variable.get()));

      variable.set("later");
      future.setResult();
      await sleep(0);

      assert.deepEqual(seen, ["registered"]);
    }),
  );

  test(
    "a done callback belongs to no task, whoever settles the future",
    virtual(async () => {
      const future = new Future<void>();
      const seen: unknown[] = [];
      future.addDoneCallback(() => seen.push(currentTask()));

      await createTask(async () => future.setResult());
      await sleep(0);

      assert.deepEqual(seen, [undefined]);
    }),
  );

  test(
    "a callback of callLater sees the async context of whoever armed it",
    virtual(async (loop) => {
      const seen: (string | undefined)[] = [];
      store.run("armed", () => loop.callLater(1, () => seen.push(store.getStore())));

      await store.run("waits", () => sleep(2));

      assert.deepEqual(seen, ["armed"]);
    }),
  );

  test(
    "a cancel hook runs in the task that waits, not in the one that cancels",
    virtual(async () => {
      const seen: unknown[] = [];
      const task = createTask(async () => {
        const wait = park<void>("a hook", () => seen.push(currentTask()) > 0);
        await wait.promise;
      });
      await sleep(0);

      await createTask(async () => task.cancel());
      await sleep(1);

      assert.deepEqual(seen, [task]);
    }),
  );

  test(
    "a task goes on in its own async context, whoever resumes it",
    virtual(async () => {
      const future = new Future<void>();
      const seen: unknown[] = [];
      const task = store.run("waiter", () =>
        createTask(async () => {
          await future;
          seen.push(store.getStore(), currentTask());
        }),
      );
      await sleep(0);

      store.run("resumer", () => future.setResult());
      await task;

      assert.deepEqual(seen, ["waiter", task]);
    }),
  );

  test(
    "starting a task leaves the scope of its creator as it is",
    virtual(async () => {
      const creator = currentTask();
      const seen: unknown[] = [];

      const task = createTask(() => sleep(1));
      seen.push(currentTask());
      const eager = createTask(() => sleep(1), { eagerStart: true });
      seen.push(currentTask());
      await task;
      await eager;
      seen.push(currentTask());

      assert.deepEqual(seen, [creator, creator, creator]);
    }),
  );

  test("a run leaves no scope behind in its caller", async () => {
    const loop = new VirtualLoop();

    const running = run(() => sleep(1), { loop });
    const during = currentTask();
    await running;

    assert.deepEqual([during, currentTask()], [undefined, undefined]);
    assert.notEqual(getRunningLoop(), loop);
  });

  test("a task started outside every run leaves no scope behind in its creator", async () => {
    const task = createTask(async () => currentTask()?.getName(), { eagerStart: true });
    const after = currentTask();

    assert.equal(await task, task.getName());
    assert.deepEqual([after, currentTask()], [undefined, undefined]);
  });

  test(
    "a thenable that a body merely returns is waited for in the scope of the body",
    virtual(async () => {
      const body = (): PromiseLike<void> => ({
        // biome-ignore lint/suspicious/noThenProperty: a thenable is the subject
        then: (resolve, reject) => sleep(5).then(resolve, reject),
      });

      await assert.rejects(timeout(1, body), TimeoutError);
    }),
  );

  test(
    "a thenable that a task's coroutine merely returns is waited for in the task (S20)",
    virtual(async () => {
      let owner: unknown;
      const task = createTask(
        (): PromiseLike<string> => ({
          // biome-ignore lint/suspicious/noThenProperty: a thenable is the subject
          then: (resolve, reject) => {
            owner = currentTask();
            return sleep(1, "value").then(resolve, reject);
          },
        }),
      );

      assert.equal(await task, "value");
      assert.equal(owner, task);
    }),
  );

  test("an armed host timer keeps nothing of the context that armed it alive", async () => {
    const stores = new AsyncLocalStorage<object>();
    const loop = getRunningLoop();
    const arm = (): WeakRef<object> => {
      const value = { big: true };
      stores.run(value, () => loop.callLater(3600, () => {}).cancel());
      return new WeakRef(value);
    };

    const kept = arm();
    await collectGarbage();

    assert.equal(kept.deref(), undefined);
  });

  test("a deadline keeps nothing of a body that has ended alive", async () => {
    const deadline = async (): Promise<WeakRef<object>> => {
      const local = { big: true };
      new ContextVar<object>("local").set(local);
      return new WeakRef(local);
    };

    const kept = await createTask(() => timeout(3600, deadline));
    await collectGarbage();

    assert.equal(kept.deref(), undefined);
  });
});

describe("R4: the scope outlives what the program does with storages of its own", () => {
  const inTask = (name: string, body: (other: AsyncLocalStorage<string>) => Promise<void>): void =>
    void test(
      name,
      virtual(() => createTask(() => body(new AsyncLocalStorage<string>()))),
    );

  inTask("entering one, for a call and for good", async (other) => {
    const task = currentTask();
    const seen: unknown[] = [];

    await other.run("called", async () => {
      await sleep(1);
      seen.push(other.getStore(), currentTask() === task);
    });
    seen.push(other.getStore());
    other.enterWith("entered");
    seen.push(other.getStore(), currentTask() === task);
    await sleep(1);
    seen.push(other.getStore(), currentTask() === task);
    seen.push(await createTask(async () => [other.getStore(), currentTask() === task]));

    assert.deepEqual(seen, [
      "called",
      true,
      undefined,
      "entered",
      true,
      "entered",
      true,
      ["entered", false],
    ]);
  });

  inTask("leaving one, and disabling one, entered or not", async (other) => {
    const task = currentTask();
    const seen: unknown[] = [];

    other.exit(() => seen.push(other.getStore(), currentTask() === task));
    other.disable();
    seen.push(currentTask() === task);
    await other.run("called", async () => {
      other.exit(() => seen.push(other.getStore(), currentTask() === task));
      other.disable();
      seen.push(other.getStore(), currentTask() === task);
      await sleep(1);
      seen.push(currentTask() === task);
    });

    assert.deepEqual(seen, [undefined, true, true, undefined, true, undefined, true, true]);
  });

  inTask("a resource and a snapshot that bring another context back", async (other) => {
    const task = currentTask();
    const seen: unknown[] = [];
    const read = (): number => seen.push(other.getStore(), currentTask() === task);
    const resource = new AsyncResource("test");
    const inCalled = other.run("called", () => AsyncLocalStorage.snapshot());

    await createTask(async () => {
      resource.runInAsyncScope(read);
      inCalled(read);
      seen.push(currentTask() === task);
    });

    assert.deepEqual(seen, [undefined, true, "called", true, false]);
  });
});

onBothLoops(
  "a tool that follows `async_hooks` finds what it has left, in tasks and scopes",
  async () => {
    // As tools did before there was AsyncLocalStorage: each resource takes over what its maker has.
    const trace = Symbol("trace");
    type Traced = { [trace]?: string | undefined };
    const hook = createHook({
      init(_id, _type, _trigger, resource) {
        (resource as Traced)[trace] = (executionAsyncResource() as Traced)[trace];
      },
    }).enable();
    const seen: (string | undefined)[] = [];
    const look = async (): Promise<void> => {
      seen.push((executionAsyncResource() as Traced)[trace]);
      await sleep(0);
      seen.push((executionAsyncResource() as Traced)[trace]);
    };
    try {
      await sleep(0);
      (executionAsyncResource() as Traced)[trace] = "request 7";
      await taskGroup(async (group) => {
        group.createTask(look);
        group.createTask(() => timeout(60, look));
        await moveOnAfter(60, look);
      });
    } finally {
      hook.disable();
    }

    assert.deepEqual(seen, new Array(6).fill("request 7"));
  },
);

describe("the memory of what has ended", () => {
  test("is free once nobody holds a task: the library does not hold the last one", async () => {
    const kept = await run(async () => {
      const result = { big: true };
      const task = createTask(async () => result);
      await task;
      return [new WeakRef(result), new WeakRef(task)];
    });
    await collectGarbage();

    assert.deepEqual(
      kept.map((reference) => reference.deref()),
      [undefined, undefined],
    );
  });

  test("is free although a task is kept that was cancelled before it had its place", async () => {
    const tasks: unknown[] = [];
    const hold = (group: TaskGroup): WeakRef<() => Promise<void>> => {
      const body = async (): Promise<void> => {};
      const task = group.createTask(body);
      task.cancel();
      tasks.push(task);
      return new WeakRef(body);
    };
    let body: WeakRef<() => Promise<void>> | undefined;
    await run(() =>
      taskGroup(
        async (group) => {
          group.createTask(() => sleep(0));
          body = hold(group);
        },
        { limit: 1 },
      ),
    );
    await collectGarbage();

    assert.deepEqual([tasks.length, body?.deref()], [1, undefined]);
  });

  test("is free although the CancelledError is kept that an awaited task got from its awaiter", async () => {
    const errors: unknown[] = [];
    const kept = await run(async () => {
      const inner = createTask(() => sleep(3600));
      inner.catch((error) => errors.push(error));
      const awaiter = createTask(async () => {
        const local = { big: true };
        try {
          await inner;
        } catch {}
        return new WeakRef(local);
      });
      await sleep(0);
      awaiter.cancel();
      return [await awaiter, new WeakRef(awaiter)];
    });
    await collectGarbage();

    assert.equal(errors.length, 1);
    assert.deepEqual(
      kept.map((reference) => reference.deref()),
      [undefined, undefined],
    );
  });
});

describe("R2: a task starts in the async context of its creator", () => {
  test(
    "other AsyncLocalStorage stores of the program reach a task",
    virtual(async () => {
      const task = store.run("request 7", () =>
        createTask(async () => {
          const first = store.getStore();
          await sleep(1);
          return [first, store.getStore()];
        }),
      );

      assert.deepEqual(await task, ["request 7", "request 7"]);
    }),
  );

  test(
    "they reach an eager task, a child of a group, and a thunk of gather",
    virtual(async () => {
      const read = async (): Promise<string | undefined> => {
        await sleep(0);
        return store.getStore();
      };

      const seen = await store.run("request 7", async () => [
        await createTask(read, { eagerStart: true }),
        await taskGroup(async (group) => await group.createTask(read)),
        ...(await gather(read)),
      ]);

      assert.deepEqual(seen, ["request 7", "request 7", "request 7"]);
    }),
  );

  test(
    "a child that waits for a place keeps the stores of its creator, not of whoever made room",
    virtual(async () => {
      const seen: (string | undefined)[] = [];
      await taskGroup(
        async (group) => {
          store.run("first", () => group.createTask(() => sleep(1)));
          store.run("second", () => group.createTask(async () => seen.push(store.getStore())));
        },
        { limit: 1 },
      );

      assert.deepEqual(seen, ["second"]);
    }),
  );

  onBothLoops(
    "more tasks than a turn takes start in order, each with its creator's stores",
    async () => {
      const names = Array.from({ length: 1500 }, (_, index) => `request ${index}`);
      const seen: (string | undefined)[] = [];

      await taskGroup(async (group) => {
        for (const name of names)
          store.run(name, () => group.createTask(async () => seen.push(store.getStore())));
      });

      assert.deepEqual(seen, names);
    },
  );

  test(
    "a store that is set in a scope reaches what is begun where it is set, and nothing beside that",
    virtual(async () => {
      const inner = new AsyncLocalStorage<string>();
      const read = async (): Promise<string | undefined> => {
        await sleep(0);
        return inner.getStore();
      };

      const seen = await timeout(1, async () => [
        await createTask(read),
        await inner.run("inside", () => createTask(read)),
        await inner.run("inside", () => timeout(1, () => timeout(1, read))),
        await timeout(1, read),
        await read(),
      ]);

      assert.deepEqual(seen, [undefined, "inside", "inside", undefined, undefined]);
    }),
  );

  test(
    "a store that a task enters stays inside it",
    virtual(async () => {
      await createTask(async () => store.enterWith("inside"), { eagerStart: false });

      assert.equal(store.getStore(), undefined);
    }),
  );
});

describe("R4: the scope survives everything that can be awaited", () => {
  const foreign: Record<string, () => Promise<unknown>> = {
    "a native promise": () => Promise.resolve(),
    "a macrotask": () => new Promise((resolve) => setImmediate(resolve)),
    "a thenable": async () =>
      // biome-ignore lint/suspicious/noThenProperty: a thenable is the subject
      await { then: (resolve: (value: unknown) => void) => queueMicrotask(() => resolve(1)) },
    "a caught rejection": () => Promise.reject(new Error("expected")).catch(() => {}),
    "for await": async () => {
      for await (const _ of [Promise.resolve(1), Promise.resolve(2)]);
    },
    "an async generator": async () => {
      async function* generate(): AsyncGenerator<number> {
        yield 1;
        await Promise.resolve();
        yield 2;
      }
      for await (const _ of generate());
    },
  };
  for (const [what, awaitIt] of Object.entries(foreign)) {
    test(
      `after awaiting ${what}, waits still belong to the task and the scope`,
      virtual(async () => {
        let task: unknown;
        const body = async (): Promise<void> => {
          await awaitIt();
          task = currentTask();
          await sleep(10);
        };

        assert.deepEqual(await moveOnAfter(1, body), { cancelled: true });
        assert.equal(task, currentTask());
      }),
    );
  }
});
