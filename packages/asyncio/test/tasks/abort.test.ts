import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  abortSignal,
  CancelledError,
  CancelScope,
  createTask,
  currentTask,
  InvalidStateError,
  moveOnAfter,
  Runner,
  run,
  type SignalOption,
  sleep,
  taskGroup,
  timeout,
  timeoutAt,
} from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { rejection, virtual } from "../virtual.ts";

type Opener = (body: () => Promise<unknown>, options: SignalOption) => Promise<unknown>;

const openers: Record<string, Opener> = {
  timeout: (body, options) => timeout(100, body, options),
  timeoutAt: (body, options) => timeoutAt(100, body, options),
  moveOnAfter: (body, options) => moveOnAfter(100, body, options),
  "CancelScope.run": (body, options) => new CancelScope(options).run(body),
  taskGroup: (body, options) => taskGroup(body, options),
  run: (body, options) => run(body, { ...options, loop: new VirtualLoop() }),
};

/** A signal that tells how many listeners it has now and has ever had. */
function countedSignal(): { controller: AbortController; now: () => number; ever: () => number } {
  const controller = new AbortController();
  const { signal } = controller;
  let [added, removed] = [0, 0];
  const add = signal.addEventListener.bind(signal) as (...args: unknown[]) => void;
  const remove = signal.removeEventListener.bind(signal) as (...args: unknown[]) => void;
  signal.addEventListener = (...args: unknown[]) => {
    added++;
    add(...args);
  };
  signal.removeEventListener = (...args: unknown[]) => {
    removed++;
    remove(...args);
  };
  return { controller, now: () => added - removed, ever: () => added };
}

describe("R29: a signal cancels what it is given to", () => {
  for (const [name, open] of Object.entries(openers)) {
    test(
      `${name} rejects with the signal's reason verbatim`,
      virtual(async () => {
        const controller = new AbortController();
        const reason = { any: "value" };
        const log: string[] = [];
        const running = rejection(
          open(() => sleep(50).finally(() => log.push("finally")), { signal: controller.signal }),
        );
        await sleep(0);

        controller.abort(reason);

        assert.equal(await running, reason);
        assert.deepEqual(log, ["finally"]);
      }),
    );

    test(
      `${name} rejects before any side effect when the signal has aborted already`,
      virtual(async () => {
        const reason = new Error("aborted before");
        const log: string[] = [];
        const body = async (): Promise<void> => void log.push("ran");

        assert.equal(await rejection(open(body, { signal: AbortSignal.abort(reason) })), reason);

        assert.deepEqual(log, []);
      }),
    );

    const paths: Record<string, () => Promise<unknown>> = {
      "the body returns": async () => "value",
      "the body fails": () => Promise.reject(new Error("expected")),
      "the body throws at once": () => {
        throw new Error("expected");
      },
      "the deadline passes": () => sleep(1000),
    };
    for (const [path, body] of Object.entries(paths)) {
      if (path === "the deadline passes" && !/timeout|moveOn/.test(name)) continue;
      test(
        `${name} removes its listener when ${path}`,
        virtual(async () => {
          const { controller, now, ever } = countedSignal();

          await open(body, { signal: controller.signal }).catch(() => {});

          assert.deepEqual([now(), ever()], [0, 1]);
        }),
      );
    }

    test(
      `${name} removes its listener when it is rejected at its start`,
      virtual(async () => {
        const { controller, now } = countedSignal();
        const task = createTask(async () => {
          currentTask()?.cancel();
          await open(async () => {}, { signal: controller.signal });
        });

        await Promise.allSettled([task]);

        assert.equal(now(), 0);
      }),
    );

    test(
      `${name} gives the value of a body that returns one although the signal aborts`,
      virtual(async () => {
        const controller = new AbortController();
        const body = async (): Promise<string> => {
          controller.abort();
          return "value";
        };

        const outcome = await open(body, { signal: controller.signal }).catch(() => "rejected");

        const expected = name === "moveOnAfter" ? { cancelled: false, value: "value" } : "value";
        assert.deepEqual(outcome, expected);
      }),
    );
  }

  test(
    "a task ends cancelled, and its CancelledError has the reason as its cause",
    virtual(async () => {
      const controller = new AbortController();
      const reason = new Error("changed my mind");
      const task = createTask(() => sleep(10), { signal: controller.signal });
      await sleep(1);

      controller.abort(reason);
      const error = (await rejection(task)) as CancelledError;

      assert.equal(task.cancelled(), true);
      assert.ok(error instanceof CancelledError);
      assert.equal(error.cause, reason);
    }),
  );

  test(
    "a task whose signal has aborted already is cancelled in the call, and starts nothing",
    virtual(async () => {
      const reason = new Error("aborted before");
      let hasStarted = false;
      const body = async (): Promise<void> => {
        hasStarted = true;
      };

      const task = createTask(body, { signal: AbortSignal.abort(reason) });
      assert.equal(task.cancelled(), true);
      const error = await rejection(task);

      assert.ok(error instanceof CancelledError);
      assert.deepEqual([error.cause, hasStarted], [reason, false]);
    }),
  );

  test(
    "a child of a group takes a signal of its own",
    virtual(async () => {
      const controller = new AbortController();
      const children = await taskGroup(async (group) => {
        const cancelled = group.createTask(() => sleep(10), { signal: controller.signal });
        const other = group.createTask(() => sleep(2, "value"));
        await sleep(1);
        controller.abort();
        return [cancelled, other];
      });

      assert.deepEqual(
        children.map((child) => child.cancelled()),
        [true, false],
      );
    }),
  );

  test(
    "a task removes its listener when it has ended, whichever way",
    virtual(async () => {
      const { controller, now } = countedSignal();
      const { signal } = controller;
      const tasks = [
        createTask(async () => {}, { signal }),
        createTask(() => Promise.reject(new Error("expected")), { signal }),
        createTask(() => sleep(10), { signal }),
      ];
      await sleep(0);

      tasks[2]?.cancel();
      await Promise.allSettled(tasks);

      assert.equal(now(), 0);
    }),
  );

  for (const [where, loop] of [
    ["in virtual time", () => new VirtualLoop()],
    ["on the real loop", () => undefined],
  ] as const) {
    test(`a CancelScope tells that an abort has cut its body off, ${where}`, async () => {
      const fresh = loop();
      await run(
        async () => {
          const controller = new AbortController();
          const [cut, free] = [1, 2].map(() => new CancelScope({ signal: controller.signal }));
          assert.ok(cut && free);
          await assert.rejects(
            free.run(() => Promise.reject(new Error("a failure of the body"))),
            { message: "a failure of the body" },
          );
          const running = rejection(cut.run(() => sleep(100)));
          controller.abort();

          assert.equal(await running, controller.signal.reason);
          assert.deepEqual([cut.cancelCalled, cut.cancelled], [true, true]);
          assert.equal(free.cancelled, false);
        },
        { signals: false, ...(fresh && { loop: fresh }) },
      );
    });
  }

  test(
    "one signal has one listener, whatever the number of scopes",
    virtual(async () => {
      const { controller, now, ever } = countedSignal();
      const { signal } = controller;
      const tasks = Array.from({ length: 1000 }, () => createTask(() => sleep(10), { signal }));
      await sleep(1);
      const during = now();

      controller.abort();
      await Promise.allSettled(tasks);

      assert.ok(tasks.every((task) => task.cancelled()));
      assert.deepEqual([during, ever(), now()], [1, 1, 0]);
    }),
  );

  test(
    "a signal can be used again after all its scopes have ended",
    virtual(async () => {
      const controller = new AbortController();
      const { signal } = controller;
      await timeout(10, () => sleep(1), { signal });
      const running = rejection(timeout(10, () => sleep(5), { signal }));
      await sleep(1);

      controller.abort("second");

      assert.equal(await running, "second");
    }),
  );

  test(
    "an abort that comes while the body cleans up after something else changes nothing",
    virtual(async () => {
      const controller = new AbortController();
      const body = (): Promise<unknown> => Promise.reject(new Error("the body's own"));

      const error = await rejection(timeout(10, body, { signal: controller.signal }));
      controller.abort();

      assert.equal((error as Error).message, "the body's own");
    }),
  );

  for (const started of ["a task", "a child of a group"] as const) {
    test(
      `${started} that starts in the call and aborts its own signal there is cancelled`,
      virtual(async () => {
        const controller = new AbortController();
        const body = async (): Promise<void> => {
          controller.abort("enough");
          await sleep(100);
        };
        const options = { eagerStart: true, signal: controller.signal };

        const error = await rejection(
          started === "a task"
            ? createTask(body, options)
            : taskGroup(async (group) => group.createTask(body, options)),
        );

        assert.ok(error instanceof CancelledError);
        assert.deepEqual([error.source, error.reason], ["abort", "enough"]);
      }),
    );
  }

  for (const [where, makeLoop] of [
    ["in real time", () => undefined],
    ["in virtual time", () => new VirtualLoop()],
  ] as const) {
    test(`${where} a main that comes after the signal of its Runner has aborted fails with the reason`, async () => {
      const controller = new AbortController();
      const reason = new Error("enough");
      await using runner = new Runner({ loop: makeLoop(), signal: controller.signal });
      controller.abort(reason);

      assert.equal(await rejection(runner.run(async () => {})), reason);
    });
  }

  test("what is no signal is refused", async () => {
    const options = { signal: "signal" as unknown as AbortSignal };

    await assert.rejects(
      timeout(1, () => sleep(0), options),
      TypeError,
    );
    assert.throws(() => createTask(() => sleep(0), options), TypeError);
  });

  test(
    "CancelScope still refuses a second run when it has a signal",
    virtual(async () => {
      const scope = new CancelScope({ signal: new AbortController().signal });
      await scope.run(async () => {});

      await assert.rejects(
        scope.run(async () => {}),
        InvalidStateError,
      );
    }),
  );
});

describe("R30: abortSignal", () => {
  test(
    "there is one for each scope",
    virtual(async () => {
      const outer = abortSignal();

      const inner = await timeout(1, async () => {
        const first = abortSignal();
        await sleep(0);
        assert.equal(abortSignal(), first);
        return first;
      });

      assert.notEqual(inner, outer);
      assert.equal(abortSignal(), outer);
    }),
  );

  test(
    "it aborts with the CancelledError as its reason when its scope is cancelled",
    virtual(async () => {
      let signal: AbortSignal | undefined;
      const task = createTask(async () => {
        signal = abortSignal();
        await sleep(10);
      });
      await sleep(1);

      task.cancel("enough");
      await rejection(task);

      assert.equal(signal?.aborted, true);
      assert.ok(signal?.reason instanceof CancelledError);
      assert.equal(signal.reason.reason, "enough");
    }),
  );

  test(
    "it aborts when a scope around its own is cancelled, but not through a shield",
    virtual(async () => {
      const signals: AbortSignal[] = [];
      await moveOnAfter(1, async () => {
        const shielded = new CancelScope({ shield: true }).run(async () => {
          signals.push(abortSignal());
          await sleep(3);
        });
        await Promise.all([
          shielded,
          timeout(10, async () => {
            signals.push(abortSignal());
            await sleep(5);
          }),
        ]);
      });

      assert.deepEqual(
        signals.map(({ aborted }) => aborted),
        [false, true],
      );
      await sleep(5);
    }),
  );

  test(
    "its listeners run from the ready queue, in the scope that owns it",
    virtual(async () => {
      const log: unknown[] = [];
      const task = createTask(async () => {
        abortSignal().addEventListener("abort", () => log.push(currentTask()?.getName()));
        await sleep(10);
      });
      task.setName("owner");
      await sleep(1);

      task.cancel();
      log.push("cancel returns");
      await rejection(task);

      assert.deepEqual(log, ["cancel returns", "owner"]);
    }),
  );

  test(
    "a scope that ends normally does not abort it",
    virtual(async () => {
      const signal = await timeout(5, async () => abortSignal());
      const ofTask = await createTask(async () => abortSignal());

      await sleep(10);

      assert.deepEqual([signal.aborted, ofTask.aborted], [false, false]);
    }),
  );

  test(
    "asked for in a scope with a pending cancellation, it is aborted already",
    virtual(async () => {
      const task = createTask(async () => {
        currentTask()?.cancel();
        return abortSignal().aborted;
      });

      assert.equal(await task, true);
    }),
  );

  test("outside every scope it never aborts", () => {
    assert.equal(abortSignal().aborted, false);
    assert.equal(abortSignal(), abortSignal());
  });

  test(
    "cancelling many waits adds no abort listeners",
    virtual(async () => {
      const { controller, ever } = countedSignal();
      const body = (): Promise<unknown> =>
        Promise.all(Array.from({ length: 100 }, () => sleep(10)));
      const running = rejection(timeout(5, body, { signal: controller.signal }));
      await sleep(1);
      const listeners = ever();

      controller.abort("enough");

      assert.equal(listeners, 1);
      await running;
    }),
  );
});
