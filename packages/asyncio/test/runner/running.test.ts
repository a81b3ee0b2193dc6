import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  createTask,
  currentTask,
  DeadlockError,
  Future,
  gather,
  getRunningLoop,
  HostLoop,
  InvalidStateError,
  Queue,
  Runner,
  run,
  sleep,
  type Task,
  TimeoutError,
  timeout,
} from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

describe("R25: run and its shutdown", () => {
  test("gives what main returns, and rejects with what it throws", async () => {
    const failure = new Error("expected");

    assert.equal(await run(async () => "value"), "value");
    assert.equal(await rejection(run(() => Promise.reject(failure))), failure);
  });

  test("the seed program runs as it is written", async () => {
    const log: string[] = [];
    const myTask = async (x: number): Promise<void> => {
      log.push(`Processing ${x}`);
      await sleep(1);
      log.push(`Done with ${x}`);
    };
    const main = async (): Promise<void> => {
      await gather(myTask(1), myTask(2), myTask(3));
    };

    await run(main, { loop: new VirtualLoop() });

    assert.deepEqual(log, [
      ...["Processing 1", "Processing 2", "Processing 3"],
      ...["Done with 1", "Done with 2", "Done with 3"],
    ]);
  });

  test("main is a task called main", async () => {
    assert.equal(await run(async () => currentTask()?.getName()), "main");
  });

  test("leftover tasks are cancelled and awaited before run settles (S175)", async () => {
    const log: string[] = [];
    const leftover = async (): Promise<void> => {
      try {
        await sleep(3600);
      } catch (error) {
        log.push((error as CancelledError).source);
        await sleep(1);
        log.push("cleaned up");
      }
    };

    const value = await run(
      async () => {
        createTask(leftover);
        await sleep(0);
        return "value";
      },
      { loop: new VirtualLoop() },
    );

    assert.deepEqual([value, log], ["value", ["shutdown", "cleaned up"]]);
  });

  test("tasks that start while others are shut down are shut down too, until none is left (S177)", async () => {
    const loop = new VirtualLoop();
    const ended: number[] = [];
    const spawn = async (generation: number): Promise<void> => {
      try {
        await sleep(3600);
      } finally {
        ended.push(generation);
        if (generation < 3) createTask(() => spawn(generation + 1));
      }
    };

    await run(
      async () => {
        createTask(() => spawn(1));
        await sleep(0);
      },
      { loop },
    );

    assert.deepEqual([ended, loop.statistics().tasks], [[1, 2, 3], 0]);
  });

  test("a leftover task that fails is reported, and does not change the outcome (S176)", async () => {
    const loop = new VirtualLoop();
    const reports = collectReports(loop);
    const failure = new Error("expected");

    const value = await run(
      async () => {
        createTask(
          () =>
            sleep(3600).catch(() => {
              throw failure;
            }),
          { name: "leftover" },
        );
        await sleep(0);
        return "value";
      },
      { loop },
    );

    assert.equal(value, "value");
    assert.equal(reports.length, 1);
    assert.equal(reports[0]?.exception, failure);
    assert.match(reports[0]?.message ?? "", /"leftover" has failed while .* shutting down/);
  });

  test("what is alive after shutdownDelay is listed with what it waits for, and run settles as main did", async () => {
    const loop = new VirtualLoop({ cancelGrace: Number.POSITIVE_INFINITY });
    const reports = collectReports(loop);
    const stuck = async (): Promise<void> => {
      await sleep(3600).catch(() => {});
      await new Queue(0, { name: "never" }).get();
    };

    const value = await run(
      async () => {
        createTask(stuck, { name: "stuck" });
        await sleep(0);
        return "value";
      },
      { loop, shutdownDelay: 7 },
    );

    assert.deepEqual([value, loop.time(), loop.statistics().tasks], ["value", 7, 0]);
    assert.equal(reports.length, 1);
    assert.match(reports[0]?.message ?? "", /not ended 7 s after/);
    assert.match(reports[0]?.message ?? "", /task "stuck" is waiting for Queue "never"\.get/);
  });

  test("a failing main fails the run after the leftovers have ended", async () => {
    const log: string[] = [];
    const failure = new Error("expected");

    const error = await rejection(
      run(
        async () => {
          createTask(() => sleep(3600).finally(() => log.push("leftover ends")));
          await sleep(0);
          throw failure;
        },
        { loop: new VirtualLoop() },
      ),
    );

    assert.equal(error, failure);
    assert.deepEqual(log, ["leftover ends"]);
  });

  test("run makes a loop of its own, and closes it (S175)", async () => {
    const loop = await run(async () => getRunningLoop());

    assert.ok(loop instanceof HostLoop);
    assert.equal(loop.isClosed(), true);
  });

  test("a loop that was passed in stays open", async () => {
    const loop = new VirtualLoop();

    await run(() => sleep(1), { loop });
    await run(() => sleep(1), { loop });

    assert.deepEqual([loop.isClosed(), loop.time()], [false, 2]);
  });

  test("one loop runs one run at a time (S167)", async () => {
    const loop = new VirtualLoop();
    const first = run(() => sleep(1), { loop });

    assert.ok((await rejection(run(() => sleep(1), { loop }))) instanceof InvalidStateError);
    await first;
  });

  test("cancelGrace and debug are those of the loop that run makes", async () => {
    const loop = await run(async () => getRunningLoop(), { cancelGrace: 2, debug: true });

    assert.deepEqual([loop.cancelGrace, loop.getDebug()], [2, true]);
    await assert.rejects(
      run(async () => {}, { loop: new VirtualLoop(), debug: true }),
      TypeError,
    );
  });

  test("a Runner runs several mains on one loop, and refuses more once it is closed (S181)", async () => {
    const runner = new Runner();

    const loops = [
      await runner.run(async () => getRunningLoop()),
      await runner.run(async () => getRunningLoop()),
    ];
    await runner.close();
    await runner.close();

    assert.equal(loops[0], loops[1]);
    assert.equal(loops[0]?.isClosed(), true);
    await assert.rejects(
      runner.run(async () => {}),
      InvalidStateError,
    );
    assert.throws(() => runner.getLoop(), InvalidStateError);
  });

  for (const [where, makeLoop, seconds] of [
    ["in real time", () => undefined, 0.001],
    ["in virtual time", () => new VirtualLoop(), 1],
  ] as const) {
    test(`${where} a Runner's background tasks live until it is closed (S181)`, async () => {
      const runner = new Runner({ loop: makeLoop() });
      let ticks = 0;
      const log: string[] = [];
      await runner.run(async () => {
        createTask(async () => {
          try {
            for (;;) {
              await sleep(seconds);
              ticks++;
            }
          } finally {
            await sleep(seconds);
            log.push("ticker ends");
          }
        });
      });
      const before = ticks;

      await runner.run(async () => {
        while (ticks < before + 3) await sleep(seconds);
      });
      log.push("second run ends");
      await runner.close();

      assert.deepEqual(log, ["second run ends", "ticker ends"]);
    });
  }

  test("what the runs of a Runner leave is reported when it is closed (S176)", async () => {
    const loop = new VirtualLoop();
    const reports = collectReports(loop);
    const runner = new Runner({ loop, shutdownDelay: 2 });
    await runner.run(async () => {
      createTask(() => Promise.reject(new Error("expected")), { name: "failing" });
      createTask(() => new Promise(() => {}), { name: "stuck" });
      await sleep(1);
    });
    const before = reports.length;

    await runner.close();

    assert.equal(before, 0);
    assert.deepEqual(
      reports.map(({ task }) => task?.getName()),
      ["stuck", "failing"],
    );
    assert.equal(loop.statistics().tasks, 0);
  });

  test("a Runner leaves the tasks that its loop had before to others", async () => {
    const loop = new VirtualLoop();
    const [first, second] = [new Runner({ loop }), new Runner({ loop })];
    const log: string[] = [];
    const background = (name: string) => async () => {
      createTask(() => sleep(3600).finally(() => log.push(`${name} ends`)));
      await sleep(0);
    };
    await first.run(background("first"));
    await second.run(background("second"));

    await second.close();
    log.push("second is closed");
    await first.close();

    assert.deepEqual(log, ["second ends", "second is closed", "first ends"]);
  });

  test("a Runner that nobody closes ends with the run that it was made in", async () => {
    const log: string[] = [];
    await run(
      async () => {
        const runner = new Runner({ loop: new VirtualLoop() });
        await runner.run(async () => {
          createTask(() => sleep(3600).finally(() => log.push("background ends")));
        });
        log.push("main ends");
      },
      { loop: new VirtualLoop() },
    );

    assert.deepEqual(log, ["main ends", "background ends"]);
  });

  test("a deadlock of one main leaves a Runner's next one alone", async () => {
    await using runner = new Runner({ loop: new VirtualLoop() });

    const error = await rejection(runner.run(() => new Queue().get()));

    assert.ok(error instanceof DeadlockError);
    assert.equal(await runner.run(() => sleep(1, "value")), "value");
  });

  for (const [where, makeLoop] of [
    ["in real time", () => undefined],
    ["in virtual time", () => new VirtualLoop()],
    ["in a random order", () => new VirtualLoop({ seed: 3 })],
  ] as const) {
    test(`${where} callbacks that are due when main ends run before run settles (S175)`, async () => {
      const log: string[] = [];

      await run(
        async () => {
          const loop = getRunningLoop();
          loop.callSoon(() => {
            log.push("soon");
            loop.callSoon(() => log.push("of a callback"));
          });
          loop.callLater(0, () => log.push("later"));
          for (let count = 0; count < 1000; count++) loop.callSoon(() => {});
          loop.callSoon(() => log.push("last"));
          const task = createTask(() => sleep(3600), { name: "leftover" });
          task.addDoneCallback((done) => {
            log.push(`${done.getName()} done`);
            createTask(async () => log.push("started by a done callback"));
          });
          loop.callLater(3600, () => log.push("not reached"));
        },
        { loop: makeLoop() },
      );

      assert.deepEqual(log.slice(-2), ["leftover done", "started by a done callback"]);
      const before = ["last", "later", "of a callback", "soon"];
      assert.deepEqual(log.slice(0, -2).sort(), before);
    });
  }

  test("callbacks that make others ready without end do not keep run from settling", async () => {
    let count = 0;
    const again = (): void => {
      count++;
      getRunningLoop().callSoon(again);
    };

    const loop = await run(async () => {
      again();
      return getRunningLoop();
    });
    await new Promise(setImmediate);
    const after = count;
    await new Promise(setImmediate);

    assert.deepEqual([loop.isClosed(), count], [true, after]);
  });

  test("a Runner cannot be closed while it runs", async () => {
    const runner = new Runner({ loop: new VirtualLoop() });
    const running = runner.run(() => sleep(1));

    await assert.rejects(runner.close(), InvalidStateError);

    await running;
    await runner.close();
  });

  test("await using closes a Runner", async () => {
    let loop: HostLoop | undefined;
    {
      await using runner = new Runner();
      loop = runner.getLoop();
      await runner.run(() => sleep(0));
    }

    assert.equal(loop.isClosed(), true);
  });

  test("a main that ends cancelled rejects with its CancelledError", async () => {
    const error = await rejection(
      run(async () => {
        currentTask()?.cancel("by itself");
        await sleep(1);
      }),
    );

    assert.ok(error instanceof CancelledError);
    assert.equal(error.reason, "by itself");
  });
});

describe("R27: a deadlock ends the run with a DeadlockError", () => {
  test("not before callbacks that the host has to call, however late a busy machine comes to them", async () => {
    const hop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const outcomes: unknown[] = [];
    let stalled = true; // where the machine held this thread up by itself, the order is another: once more
    while (stalled) {
      const outcome = run(
        async () => {
          const woken = new Future<string>();
          setImmediate(async () => {
            const start = performance.now();
            await hop(); // the loop has seen that nothing is ready
            stalled = performance.now() - start > 10;
            setImmediate(() => woken.setResult("woken"));
            const until = performance.now() + 40; // the machine does something else
            while (performance.now() < until);
          });
          return await woken;
        },
        { loop: new VirtualLoop() },
      );
      outcomes.push(await outcome.catch((error) => error));
    }

    assert.equal(outcomes.at(-1), "woken");
  });

  test("that lists every task and what it waits for", async () => {
    const tasks: unknown[] = [];
    const error = await rejection(
      run(
        async () => {
          tasks.push(currentTask());
          tasks.push(createTask(async () => await new Future<void>(), { name: "worker" }));
          await new Queue<number>(0, { name: "results" }).get();
        },
        { loop: new VirtualLoop() },
      ),
    );

    assert.ok(error instanceof DeadlockError);
    assert.deepEqual(error.tasks, tasks);
    assert.match(
      error.message,
      /2 are still waiting:\n.*"main".*"results"\.get\n.*"worker".*future/,
    );
  });

  test("main's finally blocks run", async () => {
    const log: string[] = [];

    await rejection(
      run(
        async () => {
          try {
            await new Queue<number>().get();
          } finally {
            log.push(await sleep(1, "main cleans up"));
          }
        },
        { loop: new VirtualLoop() },
      ),
    );

    assert.deepEqual(log, ["main cleans up"]);
  });

  test("a sleep that lasts for ever is none while another task can still be woken", async () => {
    const value = await run(
      async () => {
        createTask(() => sleep(Number.POSITIVE_INFINITY));
        return await sleep(1, "value");
      },
      { loop: new VirtualLoop() },
    );

    assert.equal(value, "value");
  });

  test("a main that returns although it is told of the deadlock has succeeded", async () => {
    const value = await run(() => new Queue<string>().get().catch(() => "value"), {
      loop: new VirtualLoop(),
    });

    assert.equal(value, "value");
  });
});

describe("wrong options of run", () => {
  for (const [what, options, message] of [
    [
      "what is no object",
      null,
      /^`run` expects an object of options, got null\. Leave it out, or pass undefined$/,
    ],
    ["a loop that is none", { loop: {} }, /`loop` of type EventLoop, got an object$/],
    [
      "a loop by its one method",
      { loop: { callSoon() {} } },
      /`loop` of type EventLoop, got an object$/,
    ],
    ["a negative delay", { shutdownDelay: -1 }, /`shutdownDelay` of 0 seconds or more, got -1$/],
    ["a delay that is none", { cancelGrace: "5" }, /`cancelGrace` in seconds, got "5"$/],
    ["one signal without an array", { signals: "SIGINT" }, /`signals` to be false or an array/],
  ] as const) {
    test(`${what} is refused`, async () => {
      const wrong = options as never;

      await assert.rejects(
        run(async () => {}, wrong),
        { code: "ERR_ASYNCIO_INVALID_ARGUMENT", message },
      );
      const ofRunner = new RegExp(message.source.replace("`run`", "`new Runner`"));
      assert.throws(() => new Runner(wrong), { message: ofRunner });
    });
  }
});

describe("R28 and F19: a run inside a running program", () => {
  const inner = (log: string[]) => async () => {
    try {
      await sleep(3600);
    } finally {
      await sleep(0.02); // longer than a run takes to end
      log.push("inner has cleaned up");
    }
  };

  test("that nobody awaits ends before the outer one, also if that is cancelled", async () => {
    const log: string[] = [];
    await run(async () => {
      void run(inner(log)).catch(() => {});
      await sleep(0);
    });
    log.push("outer has ended");
    const controller = new AbortController();
    const aborted = run(
      async () => {
        void run(inner(log)).catch(() => {});
        await sleep(0);
        controller.abort();
        await sleep(3600);
      },
      { signal: controller.signal },
    );
    await rejection(aborted);

    assert.deepEqual(log, ["inner has cleaned up", "outer has ended", "inner has cleaned up"]);
  });

  test("that was called where nobody cancels it ends, too", async () => {
    const log: string[] = [];
    await run(async () => {
      const begun = new Future<void>();
      getRunningLoop().callSoon(() => {
        void run(inner(log)).catch(() => {});
        begun.setResult();
      });
      await begun;
    });

    assert.deepEqual(log, ["inner has cleaned up"]);
  });

  test("that does not end is told of, and left behind", async () => {
    const reports: string[] = [];
    let release = (): void => {};
    const stuck = new Promise<void>((resolve) => {
      release = resolve;
    });
    await run(
      async () => {
        getRunningLoop().setExceptionHandler((_loop, { message }) => reports.push(message));
        const inner = () => {
          getRunningLoop().setExceptionHandler(() => {});
          return stuck;
        };
        void run(inner, { shutdownDelay: 2 }).catch(() => {});
        await sleep(0);
      },
      { shutdownDelay: 0 },
    );

    release();
    assert.match(reports.join(), /a run has not ended within 0 s, and will be left behind/);
  });
  test(
    "is a root of its own, with its own loop (S167, S174)",
    virtual(async (loop) => {
      const inner = new VirtualLoop();

      const seen = await run(async () => [getRunningLoop(), currentTask()?.getName()], {
        loop: inner,
      });

      assert.deepEqual(seen, [inner, "main"]);
      assert.equal(getRunningLoop(), loop);
    }),
  );

  test("several may run at the same time", async () => {
    const values = await Promise.all(
      [1, 2, 3].map((value) => run(() => sleep(value, value), { loop: new VirtualLoop() })),
    );

    assert.deepEqual(values, [1, 2, 3]);
  });

  test("is cancelled with its caller, which waits until it has ended", async () => {
    const log: string[] = [];

    await run(async () => {
      const task = createTask(() =>
        run(async () => {
          await sleep(3600).finally(async () => {
            await sleep(0.001);
            log.push("inner main ends");
          });
        }),
      );
      await sleep(0.001);
      task.cancel("outside");
      const error = await rejection(task);
      log.push(String((error as CancelledError).reason), String(task.cancelled()));
    });

    assert.deepEqual(log, ["inner main ends", "outside", "true"]);
  });

  test("a deadline around it cuts it off", async () => {
    const error = await rejection(run(() => timeout(0.002, () => run(() => sleep(3600)))));

    assert.ok(error instanceof TimeoutError);
  });

  test("leaves the signals to the outermost run", async () => {
    const before = process.listenerCount("SIGINT");

    const counts = await run(async () => {
      const outer = process.listenerCount("SIGINT");
      return [outer, await run(async () => process.listenerCount("SIGINT"))];
    });

    assert.deepEqual(counts, [before + 1, before + 1]);
    assert.equal(process.listenerCount("SIGINT"), before);
  });

  test("a caller with a pending cancellation cancels it at its first wait", async () => {
    const log: string[] = [];

    const task = createTask(async () => {
      currentTask()?.cancel();
      await run(async () => {
        log.push("starts");
        await sleep(1);
        log.push("not reached");
      });
    });
    await rejection(task);

    assert.deepEqual([log.at(-1) === "not reached", task.cancelled()], [false, true]);
  });
});

test("no virtual time passes when main has ended, however busy the loop of its caller is", async () => {
  const queue = new Queue<number>();
  const busy = createTask(async () => {
    for (;;) {
      queue.putNowait(1);
      await queue.get();
    }
  });
  const loop = new VirtualLoop();
  let left: Task<void> | undefined;

  await run(
    async () => {
      left = createTask(() => sleep(10));
      await sleep(1);
    },
    { loop },
  );
  busy.cancel();
  await rejection(busy);

  assert.deepEqual([loop.time(), left?.cancelled()], [1, true]);
});

describe("a stuck program in virtual time", () => {
  test("is ended by the watchdog, which lists its tasks", async () => {
    const never = new Promise<never>(() => {});

    const error = await rejection(
      run(
        async () => {
          createTask(() => sleep(5), { name: "sleeper" });
          await never.then(() => sleep(1));
        },
        { loop: new VirtualLoop({ watchdog: 0.005 }), shutdownDelay: 1 },
      ),
    );

    assert.ok(error instanceof TimeoutError);
    assert.match(error.message, /"main" is waiting for foreign work/);
  });

  test("is ended by the watchdog, too, where main has ended, and work outside goes on", async () => {
    const loop = new VirtualLoop({ watchdog: 0.005 });
    const reports = collectReports(loop);
    const deaf = async (): Promise<void> => {
      for (;;) await sleep(1).catch(() => {});
    };

    const value = await run(
      async () => {
        loop.host.io?.(1); // as a job in a thread has: time holds still
        createTask(deaf, { name: "deaf" });
        await sleep(0);
        return "value";
      },
      { loop, shutdownDelay: 1 },
    );

    assert.deepEqual([value, loop.time(), reports.length], ["value", 0, 1]);
    assert.match(
      reports[0]?.message ?? "",
      /^a task has not ended when the watchdog .*"deaf" is waiting for sleep/s,
    );
  });
});
