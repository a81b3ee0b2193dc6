import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createTask,
  gather,
  getRunningLoop,
  HostLoop,
  InvalidStateError,
  Queue,
  run,
  sleep,
  type Task,
} from "../../src/index.ts";
import { realHost } from "../../src/kernel/host.ts";
import { EventLoop } from "../../src/kernel/loop.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

describe("R22: callSoon, callLater, callAt and time", () => {
  test(
    "callSoon calls with its arguments in the next iteration, in order",
    virtual(async (loop) => {
      const log: unknown[] = [];
      loop.callSoon((a: string, b: number) => log.push([a, b]), "a", 1);
      loop.callSoon(() => log.push("second"));
      log.push("callSoon returns");

      await sleep(0);

      assert.deepEqual(log, ["callSoon returns", ["a", 1], "second"]);
    }),
  );

  test(
    "what a callback schedules runs in the next iteration (S160)",
    virtual(async (loop) => {
      const log: string[] = [];
      loop.callSoon(() => {
        loop.callSoon(() => log.push("inner"));
        log.push("outer");
      });
      loop.callSoon(() => log.push("beside"));

      await sleep(0);
      await sleep(0);

      assert.deepEqual(log, ["outer", "beside", "inner"]);
    }),
  );

  test(
    "callLater and callAt call by deadline, equal ones in the order they were set (S162)",
    virtual(async (loop) => {
      const log: unknown[] = [];
      const note = (name: string): void => void log.push([name, loop.time()]);
      loop.callLater(2, note, "later 2");
      loop.callAt(1, note, "at 1");
      loop.callAt(2, note, "at 2");
      loop.callLater(-5, note, "negative");

      await sleep(3);

      assert.deepEqual(log, [
        ["negative", 0],
        ["at 1", 1],
        ["later 2", 2],
        ["at 2", 2],
      ]);
    }),
  );

  test(
    "eight equal deadlines fire in the order they were set, whoever set them (S162)",
    virtual(async (loop) => {
      const log: number[] = [];
      const sleepers = [0, 2, 4, 6].map((index) => {
        const sleeping = sleep(1).then(() => log.push(index));
        loop.callLater(1, () => log.push(index + 1));
        return sleeping;
      });

      await Promise.all(sleepers);
      await sleep(1);

      assert.deepEqual(log, [0, 1, 2, 3, 4, 5, 6, 7]);
    }),
  );

  test(
    "a handle that is cancelled is not called and leaves no timer",
    virtual(async (loop) => {
      const log: string[] = [];
      const soon = loop.callSoon(() => log.push("soon"));
      const later = loop.callLater(1, () => log.push("later"));

      soon.cancel();
      later.cancel();

      assert.deepEqual([soon.cancelled(), later.cancelled()], [true, true]);
      assert.deepEqual([soon.when(), later.when()], [undefined, 1]);
      assert.equal(loop.statistics().timers, 0);
      await sleep(2);
      assert.deepEqual(log, []);
    }),
  );

  test(
    "a timer that is due can still be cancelled by a callback that runs before it",
    virtual(async (loop) => {
      const log: string[] = [];
      loop.callLater(1, () => second.cancel());
      const second = loop.callLater(1, () => log.push("second"));

      await sleep(2);

      assert.deepEqual(log, []);
    }),
  );

  test("a callback that fails goes to the exception handler, and the others still run", async () => {
    const loop = new VirtualLoop();
    const reports = collectReports(loop);
    const failure = new Error("expected");
    const log: string[] = [];

    await run(
      async () => {
        loop.callSoon(() => {
          throw failure;
        });
        loop.callSoon(() => log.push("still runs"));
        await sleep(1);
      },
      { loop },
    );

    assert.deepEqual(log, ["still runs"]);
    assert.equal(reports[0]?.exception, failure);
    assert.equal(reports.length, 1);
  });

  test("arguments that are none are refused in the call", () => {
    const loop = new VirtualLoop();
    const noFunction = undefined as unknown as () => void;

    assert.throws(() => loop.callSoon(noFunction), TypeError);
    assert.throws(() => loop.callLater(Number.NaN, () => {}), RangeError);
    assert.throws(() => loop.callAt("1" as unknown as number, () => {}), TypeError);
  });

  test("time never goes back", async () => {
    const loop = getRunningLoop();
    const before = loop.time();

    await sleep(0.001);

    assert.ok(loop.time() >= before + 0.001);
  });
});

describe("R23: iterations", () => {
  const loops: Record<string, () => EventLoop> = {
    "in virtual time": () => new VirtualLoop(),
    "in real time": () => new HostLoop(),
    "in real time in debug mode": () => new HostLoop({ debug: true }),
  };
  for (const [name, makeLoop] of Object.entries(loops)) {
    test(`tasks of the same shape take turns in order ${name}`, async () => {
      const log: string[] = [];
      const count = async (task: string): Promise<void> => {
        for (let turn = 1; turn <= 3; turn++) {
          log.push(task + turn);
          await sleep(0);
        }
      };

      await run(
        () =>
          gather(
            () => count("a"),
            () => count("b"),
          ),
        { loop: makeLoop() },
      );

      assert.deepEqual(log, ["a1", "b1", "a2", "b2", "a3", "b3"]);
    });

    test(`sleep(0) lets everything run that was ready before it ${name}`, async () => {
      const log: string[] = [];

      await run(
        async () => {
          const tasks = ["a", "b", "c"].map((task) => createTask(async () => log.push(task)));
          await sleep(0);
          log.push("main");
          await gather(tasks);
        },
        { loop: makeLoop() },
      );

      assert.deepEqual(log, ["a", "b", "c", "main"]);
    });
  }

  test(
    "a loop in virtual time has exact iterations, however deep a task is nested",
    virtual(async () => {
      const log: string[] = [];
      const deep = async (depth: number): Promise<void> => {
        if (depth > 0) return await deep(depth - 1);
        await sleep(0);
      };
      const count = async (task: string, depth: number): Promise<void> => {
        for (let turn = 1; turn <= 2; turn++) {
          await deep(depth);
          log.push(task + turn);
        }
      };

      await gather(
        () => count("deep", 20),
        () => count("flat", 0),
      );

      assert.deepEqual(log, ["deep1", "flat1", "deep2", "flat2"]);
    }),
  );

  test(
    "a loop in virtual time resumes the next task when the last one has come as far as it can",
    virtual(async () => {
      const log: string[] = [];
      const hop = async (task: string): Promise<void> => {
        for (let count = 0; count < 10; count++) await null;
        log.push(task);
      };

      await gather(
        () => hop("a"),
        async () => void log.push("b"),
      );

      assert.deepEqual(log, ["a", "b"]);
    }),
  );
});

describe("F28: a loop in virtual time", () => {
  test("begins at 0, and sleeps take no time", async () => {
    const loop = new VirtualLoop();
    const before = loop.time();

    await run(() => sleep(1_000_000), { loop });

    assert.deepEqual([before, loop.time()], [0, 1_000_000]);
  });

  test("with a seed draws an order that is the same every time", async () => {
    const order = async (seed: number): Promise<string> => {
      const log: number[] = [];
      const thunks = Array.from({ length: 10 }, (_, index) => async () => log.push(index));
      await run(() => gather(thunks), { loop: new VirtualLoop({ seed }) });
      return log.join(" ");
    };

    const orders = await Promise.all([1, 1, 2, 3, 4].map(order));

    assert.equal(orders[0], orders[1]);
    assert.ok(new Set(orders).size >= 4, orders.join("; "));
  });

  test(
    "holds its clock still while foreign work is in flight",
    virtual(async (loop) => {
      const { cancellable } = await import("../../src/index.ts");
      const work = (): Promise<number> =>
        new Promise((resolve) => setTimeout(() => resolve(loop.time()), 3));

      const [seen] = await gather(
        () => cancellable(work),
        () => sleep(1000),
      );

      assert.equal(seen, 0);
    }),
  );

  test("a closed loop cannot be used again (S166)", async () => {
    const loop = new VirtualLoop();
    loop.close();
    loop.close();

    assert.equal(loop.isClosed(), true);
    assert.throws(() => loop.callLater(1, () => {}), InvalidStateError);
    assert.ok((await rejection(run(() => sleep(0), { loop }))) instanceof InvalidStateError);
  });

  test("a loop with live tasks cannot be closed (S166)", async () => {
    const loop = new VirtualLoop();

    await run(
      async () => {
        assert.throws(() => loop.close(), InvalidStateError);
      },
      { loop },
    );
  });
});

describe("R24: the exception handler and debug mode", () => {
  test("the handler is told the loop and a context with message and exception (S168)", () => {
    const loop = new VirtualLoop();
    const told: unknown[] = [];
    const context = { message: "something", exception: new Error("expected") };
    loop.setExceptionHandler((...args) => told.push(...args));

    loop.callExceptionHandler(context);

    assert.deepEqual(told, [loop, context]);
  });

  test("a handler that fails is reported by the default one, with what it was told (S168)", (t) => {
    const printed = t.mock.method(console, "error", () => {});
    const loop = new HostLoop();
    loop.setExceptionHandler(() => {
      throw new Error("broken handler");
    });

    loop.callExceptionHandler({ message: "the original report" });

    const text = printed.mock.calls.map(({ arguments: [line] }) => line).join("\n");
    assert.match(text, /broken handler/);
    assert.match(text, /the original report/);
  });

  test("a handler that is an async function and fails is reported as well", async (t) => {
    const printed = t.mock.method(console, "error", () => {});
    const loop = new HostLoop();
    loop.setExceptionHandler(async () => {
      throw new Error("broken handler");
    });

    loop.callExceptionHandler({ message: "the original report" });
    await new Promise((resolve) => setImmediate(resolve));

    const text = printed.mock.calls.map(({ arguments: [line] }) => line).join("\n");
    assert.match(text, /broken handler/);
    assert.match(text, /the original report/);
  });

  test("the default handler prints the message, the task, and errors with their causes", (t) => {
    const printed = t.mock.method(console, "error", () => {});
    const loop = new HostLoop();
    const task = { getName: () => "writer" } as unknown as Task<unknown>;
    const exception = new AggregateError(
      [new Error("inner", { cause: new Error("the cause") }), "no error"],
      "outer",
    );

    loop.callExceptionHandler({ message: "failed", task, exception });

    const text = String(printed.mock.calls[0]?.arguments[0]);
    for (const part of ["asyncio: failed", '"writer"', "outer", "inner", "the cause", "no error"])
      assert.ok(text.includes(part), `${part} in ${text}`);
  });

  test("undefined restores the default handler", (t) => {
    const printed = t.mock.method(console, "error", () => {});
    const loop = new HostLoop();
    loop.setExceptionHandler(() => assert.fail("not called"));
    loop.setExceptionHandler(undefined);

    loop.callExceptionHandler({ message: "printed" });

    assert.equal(printed.mock.callCount(), 1);
  });

  test("debug mode reports a step that holds the loop, with its task (S170)", async () => {
    const loop = new VirtualLoop({ debug: true });
    const reports = collectReports(loop);
    loop.slowCallbackDuration = 0.002;

    await run(
      () =>
        createTask(
          async () => {
            const until = performance.now() + 4;
            while (performance.now() < until);
          },
          { name: "busy" },
        ),
      { loop },
    );

    const report = reports.find(({ task }) => task?.getName() === "busy");
    assert.match(report?.message ?? "", /task "busy" held the loop for 0\.\d+ s/);
  });

  for (const Loop of [HostLoop, VirtualLoop])
    test(`a callback that holds the loop is named in debug mode: ${Loop.name}`, async () => {
      const loop = new Loop({ debug: true });
      const reports = collectReports(loop);
      loop.slowCallbackDuration = 0.002;
      const compute = (): void => {
        const until = performance.now() + 4;
        while (performance.now() < until);
      };

      await run(
        async () => {
          loop.callSoon(compute);
          loop.callLater(0, () => compute());
          await sleep(0.001);
        },
        { loop },
      );

      const messages = reports.map(({ message }) => message).join("\n");
      assert.match(messages, /^a step of compute held the loop for 0\.\d+ s$/m);
      assert.match(messages, /^a step of a callback held the loop for 0\.\d+ s$/m);
    });

  test("debug mode is off unless it is asked for, by option or by ASYNCIO_DEBUG=1", () => {
    assert.deepEqual(
      [new HostLoop().getDebug(), new HostLoop({ debug: true }).getDebug()],
      [process.env.ASYNCIO_DEBUG === "1", true],
    );
  });

  test("debug mode takes the same turns as a loop in virtual time", async () => {
    const turns = async (loop: EventLoop): Promise<string[]> => {
      const log: string[] = [];
      const queue = new Queue<number>(1);
      const consume = async (name: string): Promise<void> => {
        for await (const item of queue) log.push(`${name} got ${item}`);
      };
      const produce = async (): Promise<void> => {
        for (const item of [1, 2, 3, 4]) {
          await queue.put(item);
          log.push(`put ${item}`);
        }
        queue.shutdown();
      };
      await run(
        () =>
          gather(
            () => consume("a"),
            () => consume("b"),
            produce,
          ),
        { loop },
      );
      return log;
    };

    // On a busy machine a turn may take so long that the host has its own before it goes on.
    const untimed = { ...realHost, now: () => 0 };
    const debug = new EventLoop(untimed, { debug: true });
    assert.deepEqual(await turns(debug), await turns(new VirtualLoop()));
  });
});
