import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as nextMacrotask } from "node:timers/promises";
import * as asyncio from "../../src/index.ts";
import { cancelSweep, explore } from "../../src/testing.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

const { CancelledError, createTask, joined, moveOnAfter, sleep, TimeoutError, timeout } = asyncio;

/** Foreign work, as the other side sees it. */
class Work<T> {
  readonly #outcome = Promise.withResolvers<T>();
  /** What has happened to it, in order. */
  readonly log: string[] = [];
  signal: AbortSignal | undefined = undefined;
  /** Called when it is told to abort. */
  onAbort: () => void = () => {};

  readonly start = (signal: AbortSignal): Promise<T> => {
    this.signal = signal;
    signal.addEventListener("abort", () => {
      this.log.push("abort");
      this.onAbort();
    });
    return this.#outcome.promise;
  };

  succeed(value: T): void {
    this.log.push("value");
    this.#outcome.resolve(value);
  }

  fail(error: unknown): void {
    this.log.push("failure");
    this.#outcome.reject(error);
  }
}

/** What the call ends with when it is cancelled with its work under way. */
async function cancelled<T>(
  start: (signal: AbortSignal) => Promise<T>,
  options: asyncio.JoinedOptions<T>,
): Promise<Error> {
  const task = createTask(() => joined(start, options));
  await nextMacrotask();
  task.cancel("enough");
  return (await rejection(task)) as Error;
}

/** Seconds, whatever the loop's clock says: it may hold still. */
const now = (): number => performance.now() / 1000;

type Body = (loop: asyncio.EventLoop, reports: asyncio.ExceptionContext[]) => Promise<void>;

/** Declares a test in virtual time and one on the real host. */
function onBoth(name: string, body: Body, debug = false): void {
  test(
    `${name}, in virtual time`,
    virtual((loop) => body(loop, collectReports(loop)), { debug }),
  );
  test(`${name}, in real time`, async () => {
    const loop = new asyncio.HostLoop({ debug });
    const reports = collectReports(loop);

    await asyncio.run(() => body(loop, reports), { loop, signals: false });

    assert.equal(loop.statistics().timers, 0);
  });
}

describe("a call that is left alone", () => {
  onBoth("gives what the work gives, and leaves no timer", async (loop) => {
    const value = await joined(async () => "rows", { grace: 3600, destroy: () => {} });

    assert.equal(value, "rows");
    assert.equal(loop.statistics().timers, 0);
  });

  onBoth("rejects with what the work rejects with, or throws in the call", async () => {
    const error = new Error("refused");
    const thrower = (): Promise<void> => {
      throw error;
    };

    assert.equal(await rejection(joined(() => Promise.reject(error), { grace: 1 })), error);
    assert.equal(await rejection(joined(thrower, { grace: 1 })), error);
  });

  onBoth("starts nothing under a pending cancellation", async () => {
    const work = new Work<string>();
    const late = await moveOnAfter(0, () => joined(work.start, { grace: 1 }));

    assert.deepEqual(late, { cancelled: true });
    assert.equal(work.signal, undefined);
  });

  test(
    "reports tell the name of the work, and what is waited for",
    virtual(async () => {
      const work = new Work<string>();
      const load = (signal: AbortSignal): Promise<string> => work.start(signal);
      const told: string[] = [];
      const task: asyncio.Task<string> = createTask(() =>
        joined(load, { grace: 1, destroy: () => told.push(...task.waitingFor()) }),
      );
      await sleep(0);
      await sleep(0);
      told.push(...task.waitingFor());
      task.cancel();
      told.push(...task.waitingFor());
      collectReports(asyncio.getRunningLoop());
      await rejection(task);

      assert.deepEqual(told, [
        "foreign work load",
        "foreign work load to end, which was told to abort",
        "foreign work load to end, which was destroyed",
      ]);
    }),
  );
});

describe("cancelled, the call goes on when the work has ended", () => {
  onBoth("the work's failure becomes the cause of the CancelledError", async () => {
    const work = new Work<string>();
    const answer = new Error("canceled on user request");
    work.onAbort = () => setImmediate(() => work.fail(answer));

    const error = await cancelled(work.start, { grace: 3600 });
    work.log.push("caller goes on");

    assert.ok(error instanceof CancelledError && error.reason === "enough");
    assert.equal(error.cause, answer);
    assert.deepEqual(work.log, ["abort", "failure", "caller goes on"]);
  });

  onBoth("the reason of the signal is the CancelledError, and is not its own cause", async () => {
    const work = new Work<string>();
    work.onAbort = () => work.fail(work.signal?.reason);

    const error = await cancelled(work.start, { grace: 3600 });

    assert.ok(error instanceof CancelledError && error.reason === "enough");
    assert.equal(error.cause, undefined);
  });

  onBoth("a value that comes all the same is handed over, and the cancellation stays", async () => {
    const work = new Work<string>();
    work.onAbort = () => work.succeed("rows");
    const task = createTask(async () => {
      const value = await joined(work.start, { grace: 3600 });
      return [value, await rejection(sleep(0))] as const;
    });
    await nextMacrotask();
    task.cancel("soon");

    const [value, next] = await task;

    assert.equal(value, "rows");
    assert.ok(next instanceof CancelledError && next.reason === "soon");
  });

  onBoth("work that cancels the scope it is started in is told in its call", async () => {
    const scope = new asyncio.CancelScope();
    const work = new Work<string>();
    work.onAbort = () => work.fail(new Error("stopped"));
    await scope.run(() =>
      joined(
        (signal) => {
          scope.cancel();
          return work.start(signal);
        },
        { grace: 3600 },
      ),
    );

    assert.ok(scope.cancelled);
    assert.deepEqual(work.log, ["abort", "failure"]);
  });

  test("two deadlines abort it once, and the outer one raises", async () => {
    const work = new Work<string>();
    const body = () =>
      timeout(null, async (outer) => {
        const inner = new asyncio.CancelScope({ cancelGrace: 3600 });
        const joining = inner.run(() => joined(work.start, { grace: 3600 }));
        const now = asyncio.getRunningLoop().time(); // the work has started, however slow the machine is
        inner.deadline = now + 0.001;
        outer.reschedule(now + 0.002);
        await joining;
      });
    work.onAbort = () => setTimeout(() => work.fail(new Error("slow")), 5);

    const error = await asyncio.run(() => rejection(body()), { signals: false });

    assert.ok(error instanceof TimeoutError && error.cause instanceof CancelledError);
    assert.deepEqual(work.log, ["abort", "failure"]);
  });

  onBoth("a branch that its scope cuts off is joined too", async () => {
    const work = new Work<string>();
    work.onAbort = () => work.fail(new Error("stopped"));
    let branch: Promise<unknown> | undefined;
    await moveOnAfter(3600, async () => {
      branch = rejection(joined(work.start, { grace: 3600 }));
    });

    const error = await branch;

    assert.ok(error instanceof CancelledError && error.source === "closed");
  });
});

describe("work that does not hear of the abort", () => {
  onBoth("is destroyed after `grace` seconds, in the scope of the caller", async () => {
    const work = new Work<string>();
    let [destroyedIn, seconds]: [unknown, number] = [undefined, 0];
    const began = now();

    const error = await cancelled(work.start, {
      grace: 0.003,
      destroy: () => {
        destroyedIn = asyncio.currentTask();
        seconds = now() - began;
        work.fail(new Error("socket hang up"));
      },
    });

    assert.ok(destroyedIn instanceof asyncio.Task && destroyedIn !== asyncio.currentTask());
    assert.ok(seconds >= 0.002, `after ${seconds} s`); // timers of the host may be a millisecond early
    assert.equal((error.cause as Error).message, "socket hang up");
  });

  onBoth("is left behind with a report when that does not help either", async (_, reports) => {
    const work = new Work<string>();
    let discarded: string | undefined;
    const began = now();
    const error = await cancelled((signal) => work.start(signal), {
      grace: 0.003,
      destroy: () => work.log.push("destroy"),
      discard: (value) => {
        discarded = value;
      },
    });

    assert.ok(error instanceof CancelledError);
    assert.ok(now() - began >= 0.004);
    assert.deepEqual(work.log, ["abort", "destroy"]);
    assert.deepEqual(
      reports.map(({ message }) => message),
      ["foreign work has not ended 0.003 s after `destroy` was called, and is left behind"],
    );

    work.succeed("a connection");
    await nextMacrotask();

    assert.equal(discarded, "a connection");
  });

  onBoth("is left behind after `grace` where there is nothing to destroy", async (_, reports) => {
    const work = new Work<string>();
    const error = await cancelled((signal) => work.start(signal), { grace: 0.002 });

    assert.ok(error instanceof CancelledError);
    assert.deepEqual(
      reports.map(({ message }) => message),
      ["foreign work has not ended 0.002 s after it was told to abort, and is left behind"],
    );

    work.fail(new Error("at last")); // nobody's failure
    await nextMacrotask();
    assert.equal(reports.length, 1);
  });

  onBoth(
    "has a turn of the host after the abort and after `destroy`, if `grace` is 0",
    async () => {
      for (const grace of [0, -1]) {
        const work = new Work<string>();
        const destroy = (): void => work.fail(new Error("destroyed"));

        const error = await cancelled(work.start, { grace, destroy });

        assert.equal((error.cause as Error).message, "destroyed");
      }
    },
  );

  onBoth("a `destroy` that fails is reported, and waited for all the same", async (_, reports) => {
    const failures = [
      (): void => {
        throw new Error("in the call");
      },
      () => Promise.reject(new Error("later")),
    ];
    for (const destroy of failures) {
      const work = new Work<string>();
      await cancelled((signal) => work.start(signal), { grace: 0.001, destroy });
    }

    const left =
      "foreign work has not ended 0.001 s after `destroy` was called, and is left behind";
    assert.deepEqual(
      reports.map(({ message, exception }) => (exception as Error | undefined)?.message ?? message),
      ["in the call", left, "later", left],
    );
  });

  onBoth("is waited for without end, if `grace` is Infinity", async () => {
    const work = new Work<string>();
    const destroy = (): number => work.log.push("destroy");
    const task = createTask(() => joined(work.start, { grace: Number.POSITIVE_INFINITY, destroy }));
    await nextMacrotask();
    task.cancel();
    await nextMacrotask();
    assert.equal(task.done(), false);
    work.fail(new Error("at last"));

    assert.ok((await rejection(task)) instanceof CancelledError);
    assert.deepEqual(work.log, ["abort", "failure"]);
  });
});

describe("what is asked of the arguments", () => {
  const joinedAny = joined as (...args: unknown[]) => Promise<unknown>;
  const work = async (): Promise<void> => {};
  const wrong: [name: string, args: unknown[], message: string][] = [
    [
      "a promise",
      [Promise.resolve(), { grace: 1 }],
      "`joined` expects a function that returns a promise, got a promise. A promise is already running and could not be cancelled: pass `() => work()` instead of `work()`",
    ],
    ["no options", [work], "`joined` expects options with a `grace` in seconds, got undefined"],
    ["no grace", [work, {}], "`joined` expects `grace` in seconds, got undefined"],
    [
      "a grace of NaN",
      [work, { grace: Number.NaN }],
      "`joined` expects `grace` in seconds, got NaN",
    ],
    [
      "a destroy that cannot be called",
      [work, { grace: 1, destroy: "now" }],
      '`joined` expects `destroy` to be a function, got "now"',
    ],
    [
      "a discard that cannot be called",
      [work, { grace: 1, discard: {} }],
      "`joined` expects `discard` to be a function, got an object",
    ],
    [
      "work that is none",
      [() => 5, { grace: 1 }],
      "`joined` expects `start` to return a promise, got 5",
    ],
  ];
  for (const [name, args, message] of wrong) {
    onBoth(`${name} is refused`, async () => {
      assert.equal(((await rejection(joinedAny(...args))) as Error).message, message);
    });
  }
});

/**
 * One connection, which runs one query at a time, and takes some turns to run one and to stop one.
 */
class Session {
  queries = 0;
  destroyed = 0;

  query(signal: AbortSignal): Promise<string> {
    assert.equal(this.queries++, 0, "two queries at once");
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const turns = async (): Promise<void> => {
      for (let left = 3; left > 0 && !signal.aborted; left--) await sleep(0);
      if (signal.aborted) for (let left = 3; left > 0; left--) await sleep(0);
    };
    const server = createTask(turns);
    server.addDoneCallback(() => {
      this.queries--;
      if (signal.aborted) reject(new Error("57014"));
      else resolve("rows");
    });
    return promise;
  }
}

const queries = async (): Promise<void> => {
  const session = new Session();
  const lock = new asyncio.Lock();
  const options = { grace: 60, destroy: () => session.destroyed++ };
  const use = () => lock.run(() => joined((signal) => session.query(signal), options));
  await asyncio.taskGroup(async (group) => {
    const users = [1, 2, 3].map((number) => group.createTask(use, { name: `user ${number}` }));
    for (const user of users) {
      await sleep(0);
      user.cancel();
    }
  });
  assert.deepEqual([session.queries, session.destroyed], [0, 0]);
};

test("in every order of events one query has ended before the next begins", async () => {
  await explore(queries, { iterations: 100 });
});

test("also if a caller is cancelled at any of its waits", async () => {
  const sweep = await cancelSweep(queries, {
    depth: 1,
    victims: /user/,
  });

  assert.ok(sweep.complete);
});
