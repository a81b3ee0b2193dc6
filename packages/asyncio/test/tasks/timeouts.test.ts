import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  CancelScope,
  cleanup,
  createTask,
  currentTask,
  moveOnAfter,
  sleep,
  type Timeout,
  TimeoutError,
  timeLeft,
  timeout,
  timeoutAt,
} from "../../src/index.ts";
import { rejection, virtual } from "../virtual.ts";

const forever = (): Promise<void> => sleep(Number.POSITIVE_INFINITY);

describe("timeout", () => {
  test(
    "gives what the body returns in time",
    virtual(async (loop) => {
      assert.equal(await timeout(2, () => sleep(1, "done")), "done");
      assert.equal(loop.time(), 1);
    }),
  );

  test(
    "rejects with a TimeoutError at the deadline, whose cause is the CancelledError (S83)",
    virtual(async (loop) => {
      const error = await rejection(timeout(1.5, forever));

      assert.ok(error instanceof TimeoutError);
      assert.equal(error.code, "ERR_ASYNCIO_TIMEOUT");
      assert.equal(error.message, "`timeout` cancelled the body: the deadline of 1.5 s has passed");
      assert.ok(error.cause instanceof CancelledError);
      assert.equal(error.cause.source, "deadline");
      assert.equal(loop.time(), 1.5);
    }),
  );

  test(
    "waits for the body to clean up, beyond the deadline",
    virtual(async (loop) => {
      await rejection(timeout(1, () => forever().finally(() => sleep(2))));

      assert.equal(loop.time(), 3);
    }),
  );

  test(
    "leaves its task uncancelled, and the scope around it usable",
    virtual(async () => {
      await rejection(timeout(1, forever));

      await sleep(1);
      assert.equal(currentTask()?.cancelling(), 0);
    }),
  );

  test(
    "a body that swallows the cancellation ends normally, and has expired",
    virtual(async () => {
      let scope: Timeout | undefined;
      const result = await timeout(1, async (own) => {
        scope = own;
        await forever().catch(() => {});
        await sleep(1);
        return "all the same";
      });

      assert.equal(result, "all the same");
      assert.equal(scope?.expired(), true);
    }),
  );

  test(
    "an error of the body passes through (S82)",
    virtual(async () => {
      const error = new Error("mine");

      assert.equal(await rejection(timeout(1, () => Promise.reject(error))), error);
    }),
  );

  test(
    "an error that the body makes of the cancellation passes through (S82)",
    virtual(async () => {
      const error = new Error("mine");
      const body = () =>
        forever().catch(() => {
          throw error;
        });

      assert.equal(await rejection(timeout(1, body)), error);
    }),
  );

  test(
    "a cancellation from outside is never converted",
    virtual(async () => {
      const task = createTask(() => timeout(5, forever));
      await sleep(1);
      task.cancel("outside");

      const error = await rejection(task);

      assert.ok(error instanceof CancelledError);
      assert.equal(error.scope, task.scope);
    }),
  );

  test(
    "a cancellation from outside in the step of the deadline is not swallowed (S80)",
    virtual(async (loop) => {
      const task = createTask(() => timeout(1, forever));
      await sleep(0.5);
      loop.addTimer(1, { timerDue: () => task.cancel("outside") });

      const error = await rejection(task);

      assert.ok(error instanceof CancelledError);
      assert.deepEqual([error.scope, error.reason], [task.scope, "outside"]);
      assert.ok(error.cause instanceof CancelledError && error.cause.source === "deadline");
    }),
  );

  test(
    "works in the cleanup of a task that was cancelled",
    virtual(async (loop) => {
      const task = createTask(() =>
        forever().finally(async () => {
          assert.ok((await rejection(timeout(1, forever))) instanceof TimeoutError);
        }),
      );
      await sleep(1);
      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
      assert.equal(loop.time(), 2);
    }),
  );

  test(
    "branches beside it are not touched",
    virtual(async () => {
      const [timed, other] = await Promise.allSettled([timeout(1, forever), sleep(2, "other")]);

      assert.equal(timed.status, "rejected");
      assert.deepEqual(other, { status: "fulfilled", value: "other" });
    }),
  );

  test(
    "cancels the task that the body awaits",
    virtual(async () => {
      const task = createTask(forever);

      assert.ok((await rejection(timeout(1, async () => await task))) instanceof TimeoutError);
      assert.ok(task.cancelled());
    }),
  );

  test(
    "of 0 lets a body succeed that never waits, and has not expired",
    virtual(async () => {
      let scope: Timeout | undefined;
      const result = await timeout(0, async (own) => {
        scope = own;
        await null;
        return 1;
      });

      assert.equal(result, 1);
      assert.equal(scope?.expired(), false);
    }),
  );

  test(
    "of 0 or less ends the first wait, be it sleep(0) (S78)",
    virtual(async (loop) => {
      for (const seconds of [0, -1, Number.NEGATIVE_INFINITY]) {
        assert.ok((await rejection(timeout(seconds, () => sleep(0)))) instanceof TimeoutError);
      }
      assert.equal(loop.time(), 0);
    }),
  );

  test(
    "of null or Infinity has no deadline",
    virtual(async (loop) => {
      for (const seconds of [null, Number.POSITIVE_INFINITY]) {
        await timeout(seconds, async (scope) => {
          assert.equal(scope.when(), undefined);
          await sleep(1e6);
        });
      }
      assert.equal(loop.time(), 2e6);
    }),
  );

  test(
    "of null or Infinity has no deadline in `moveOnAfter` either, and a signal ends it all the same",
    virtual(async (loop) => {
      for (const seconds of [null, Number.POSITIVE_INFINITY])
        assert.deepEqual(await moveOnAfter(seconds, () => sleep(1e6, "x")), {
          cancelled: false,
          value: "x",
        });
      assert.equal(loop.time(), 2e6);

      const outer = await moveOnAfter(5, () => moveOnAfter(null, forever));
      assert.deepEqual([outer, loop.time()], [{ cancelled: true }, 2e6 + 5]);
      assert.equal(loop.statistics().timers, 0);

      const controller = new AbortController();
      const left = moveOnAfter(null, forever, { signal: controller.signal });
      controller.abort("enough");
      assert.equal(await rejection(left), "enough");
    }),
  );

  test(
    "a body that throws before it returns a promise rejects",
    virtual(async () => {
      const body = (): Promise<void> => {
        throw new Error("sync");
      };

      assert.equal(((await rejection(timeout(1, body))) as Error).message, "sync");
    }),
  );

  test(
    "of a task without any other wait leaves no timer behind",
    virtual(async (loop) => {
      await timeout(100, async () => {});

      assert.equal(loop.statistics().timers, 0);
    }),
  );

  test(
    "timeoutAt takes the deadline on the clock of the loop",
    virtual(async (loop) => {
      await sleep(10);

      const error = await rejection(timeoutAt(12, forever));

      assert.ok(error instanceof TimeoutError);
      assert.equal(error.message, "`timeoutAt` cancelled the body: the deadline has passed");
      assert.equal(loop.time(), 12);
      assert.equal(await timeoutAt(null, () => sleep(1, "x")), "x");
    }),
  );
});

describe("nested timeouts", () => {
  test(
    "the inner deadline is the inner one's",
    virtual(async (loop) => {
      const result = await timeout(2, async () => {
        await rejection(timeout(1, forever));
        return "goes on";
      });

      assert.equal(result, "goes on");
      assert.equal(loop.time(), 1);
    }),
  );

  test(
    "the outer deadline passes through the inner one",
    virtual(async () => {
      let inner: unknown;
      const outer = await rejection(
        timeout(1, () =>
          timeout(2, forever).catch((error) => {
            inner = error;
            throw error;
          }),
        ),
      );

      assert.ok(inner instanceof CancelledError);
      assert.ok(outer instanceof TimeoutError);
    }),
  );

  test(
    "both due at once: the outermost raises, and both have expired",
    virtual(async () => {
      const scopes: Timeout[] = [];
      let inner: unknown;
      const outer = await rejection(
        timeout(1, (first) =>
          timeout(1, (second) => {
            scopes.push(first, second);
            return forever();
          }).catch((error) => {
            inner = error;
            throw error;
          }),
        ),
      );

      assert.ok(inner instanceof CancelledError, String(inner));
      assert.ok(outer instanceof TimeoutError);
      assert.deepEqual(
        scopes.map((scope) => scope.expired()),
        [true, true],
      );
    }),
  );

  test(
    "the outer one due during the cleanup for the inner one raises",
    virtual(async (loop) => {
      let inner: unknown;
      const outer = await rejection(
        timeout(2, () =>
          timeout(1, () => forever().finally(() => sleep(3))).catch((error) => {
            inner = error;
            throw error;
          }),
        ),
      );

      assert.ok(inner instanceof CancelledError);
      assert.ok(outer instanceof TimeoutError);
      assert.equal(loop.time(), 2);
    }),
  );
});

describe("reschedule", () => {
  test(
    "moves the deadline, later and earlier",
    virtual(async (loop) => {
      for (const when of [5, 6]) {
        await rejection(
          timeout(3, async (scope) => {
            scope.reschedule(when);
            assert.equal(scope.when(), when);
            await forever();
          }),
        );
        assert.equal(loop.time(), when);
      }
    }),
  );

  test(
    "to null removes the deadline",
    virtual(async (loop) => {
      await timeout(1, async (scope) => {
        scope.reschedule(null);
        await sleep(5);
      });

      assert.equal(loop.time(), 5);
    }),
  );

  test(
    "to the past ends the next wait",
    virtual(async (loop) => {
      await sleep(2);
      const error = await rejection(
        timeout(5, async (scope) => {
          scope.reschedule(1);
          await sleep(0);
        }),
      );

      assert.ok(error instanceof TimeoutError);
      assert.equal(loop.time(), 2);
    }),
  );

  test(
    "to the past ends waits that are there already",
    virtual(async (loop) => {
      const error = await rejection(
        timeout(5, async (scope) => {
          const branch = forever();
          scope.reschedule(-1);
          await branch;
        }),
      );

      assert.ok(error instanceof TimeoutError);
      assert.equal(loop.time(), 0);
    }),
  );

  test(
    "after the deadline throws",
    virtual(async () => {
      await timeout(1, async (scope) => {
        await forever().catch(() => {});
        assert.throws(() => scope.reschedule(9), {
          name: "InvalidStateError",
          message: "`timeout.reschedule` came too late: the deadline has passed",
        });
      });
    }),
  );

  test(
    "after the end of the body throws",
    virtual(async () => {
      const { scope } = await timeout(1, async (own) => ({ scope: own }));

      assert.throws(() => scope.reschedule(9), {
        code: "ERR_ASYNCIO_INVALID_STATE",
        message: "`timeout.reschedule` came too late: the body has ended",
      });
      assert.equal(scope.expired(), false);
    }),
  );

  test(
    "to what is no time throws",
    virtual(async () => {
      await timeout(1, async (scope) => {
        assert.throws(() => scope.reschedule(Number.NaN), RangeError);
        assert.throws(() => scope.reschedule("1" as never), {
          name: "TypeError",
          message:
            '`timeout.reschedule` expects a time in seconds on the clock of `loop.time()`, or null, got "1"',
        });
        assert.equal(scope.when(), 1);
      });
    }),
  );
});

describe("moveOnAfter", () => {
  test(
    "tells whether the body was cut off",
    virtual(async () => {
      assert.deepEqual(await moveOnAfter(1, forever), { cancelled: true });
      assert.deepEqual(await moveOnAfter(1, async () => 5), { cancelled: false, value: 5 });
    }),
  );

  test(
    "a body that swallows the cancellation was not cut off",
    virtual(async () => {
      const moved = await moveOnAfter(1, () => forever().catch(() => "kept"));

      assert.deepEqual(moved, { cancelled: false, value: "kept" });
    }),
  );

  test(
    "lets errors and cancellations from outside pass",
    virtual(async () => {
      const error = new Error("mine");
      assert.equal(await rejection(moveOnAfter(1, () => Promise.reject(error))), error);

      const task = createTask(() => moveOnAfter(5, forever));
      await sleep(1);
      task.cancel();
      assert.ok((await rejection(task)) instanceof CancelledError);
    }),
  );
});

describe("cleanup", () => {
  test(
    "keeps cancellations out: a cancelled task can await in its finally block",
    virtual(async (loop) => {
      const log: unknown[] = [];
      const task = createTask(async () => {
        try {
          await forever();
        } finally {
          log.push(await cleanup(5, () => sleep(2, "closed")));
        }
      });
      await sleep(1);
      task.cancel();
      await sleep(1);
      task.cancel("again");

      assert.ok((await rejection(task)) instanceof CancelledError);
      assert.deepEqual(log, ["closed"]);
      assert.equal(loop.time(), 3);
    }),
  );

  test(
    "begins under a pending cancellation, which comes back after it",
    virtual(async () => {
      const task = createTask(async () => {
        currentTask()?.cancel();
        return [await cleanup(1, () => sleep(0.5, "closed")), await rejection(sleep(1))];
      });

      const [result, next] = await task;

      assert.equal(result, "closed");
      assert.ok(next instanceof CancelledError);
    }),
  );

  test(
    "is over after its seconds, without an error",
    virtual(async (loop) => {
      assert.equal(await cleanup(2, forever), undefined);
      assert.equal(loop.time(), 2);
    }),
  );

  test(
    "works in a scope past its grace",
    virtual(async () => {
      const task = createTask(() => forever().catch(() => cleanup(1, () => sleep(0.5, "closed"))), {
        cancelGrace: 0,
      });
      await sleep(1);
      task.cancel();

      assert.equal(await task, "closed");
    }),
  );

  test(
    "lets errors pass",
    virtual(async () => {
      const error = new Error("mine");

      assert.equal(await rejection(cleanup(1, () => Promise.reject(error))), error);
    }),
  );
});

describe("timeLeft", () => {
  test(
    "is the time to the nearest deadline around",
    virtual(async () => {
      const seen = [timeLeft()];
      await timeout(5, async () => {
        await sleep(1);
        seen.push(timeLeft());
        await timeout(2, async () => seen.push(timeLeft()));
        await timeout(20, async () => seen.push(timeLeft()));
      });

      assert.deepEqual(seen, [Number.POSITIVE_INFINITY, 4, 2, 4]);
    }),
  );

  test(
    "is 0 once the deadline has passed or a cancellation is due",
    virtual(async () => {
      const task = createTask(async () => {
        const past = await timeout(0, async () => timeLeft());
        currentTask()?.cancel();
        return [past, timeLeft()];
      });

      assert.deepEqual(await task, [0, 0]);
    }),
  );

  test(
    "does not look beyond a shield",
    virtual(async () => {
      await timeout(1, async () => {
        const shield = new CancelScope({ shield: true });
        assert.equal(await shield.run(async () => timeLeft()), Number.POSITIVE_INFINITY);
      });
    }),
  );
});

describe("signals", () => {
  const reason = { why: "user" };
  const openers: Record<
    string,
    (signal: AbortSignal, body: () => Promise<void>) => Promise<unknown>
  > = {
    timeout: (signal, body) => timeout(100, body, { signal }),
    timeoutAt: (signal, body) => timeoutAt(100, body, { signal }),
    moveOnAfter: (signal, body) => moveOnAfter(100, body, { signal }),
    CancelScope: (signal, body) => new CancelScope({ signal }).run(body),
  };

  for (const [name, open] of Object.entries(openers)) {
    test(
      `${name}: an abort ends the body, and the caller gets the reason as it is`,
      virtual(async () => {
        const controller = new AbortController();
        const task = createTask(() => open(controller.signal, forever));
        await sleep(1);
        controller.abort(reason);

        assert.equal(await rejection(task), reason);
      }),
    );

    test(
      `${name}: a signal that has aborted rejects before the body runs`,
      virtual(async () => {
        let ran = false;
        const body = async (): Promise<void> => {
          ran = true;
        };

        assert.equal(await rejection(open(AbortSignal.abort(reason), body)), reason);
        assert.ok(!ran);
      }),
    );

    test(
      `${name}: what is no signal is a TypeError`,
      virtual(async () => {
        for (const wrong of ["signal", { aborted: false }]) {
          const error = await rejection((async () => open(wrong as never, forever))());

          assert.ok(error instanceof TypeError);
          assert.match(
            error.message,
            /expects `signal` of type AbortSignal, got (?:"signal"|an object)$/,
          );
        }
      }),
    );
  }
});

describe("wrong arguments", () => {
  const calls: [string, () => Promise<unknown>][] = [
    [
      '`timeout` expects a number of seconds, or null, got "5"',
      () => timeout("5" as never, forever),
    ],
    ["`timeout` expects a number of seconds, or null, got NaN", () => timeout(Number.NaN, forever)],
    [
      "`moveOnAfter` expects a number of seconds, or null, got NaN",
      () => moveOnAfter(Number.NaN, forever),
    ],
    ["`cleanup` expects a number of seconds, got NaN", () => cleanup(Number.NaN, forever)],
    [
      "`timeoutAt` expects a time in seconds on the clock of `loop.time()`, or null, got an object",
      () => timeoutAt({} as never, forever),
    ],
    ["`timeout` expects a function that returns a promise, got 1", () => timeout(1, 1 as never)],
  ];

  for (const [message, call] of calls) {
    test(
      message,
      virtual(async () => {
        const error = await rejection(call());

        assert.equal((error as Error).message, message);
        assert.equal((error as { code?: string }).code, "ERR_ASYNCIO_INVALID_ARGUMENT");
      }),
    );
  }

  test(
    "a bare promise is refused with the cure by each of them",
    virtual(async () => {
      const promise = Promise.resolve() as never;
      const refused = {
        timeout: timeout(1, promise),
        timeoutAt: timeoutAt(1, promise),
        moveOnAfter: moveOnAfter(1, promise),
        cleanup: cleanup(1, promise),
        "CancelScope.run": new CancelScope().run(promise),
      };

      for (const [api, call] of Object.entries(refused)) {
        assert.match(
          ((await rejection(call)) as Error).message,
          new RegExp(
            `\`${api}\` expects .* pass \`\\(\\) => work\\(\\)\` instead of \`work\\(\\)\``,
          ),
        );
      }
    }),
  );
});
