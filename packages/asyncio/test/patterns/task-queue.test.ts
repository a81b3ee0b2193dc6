import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { suite, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { type Job, RateLimiter, TaskQueue } from "../../src/patterns.ts";
import * as testing from "../../src/testing.ts";
import { conforms, conformsJoin } from "../conformance.ts";
import { collectReports, virtual as inVirtualTime, rejection } from "../virtual.ts";

const { createTask, gather, sleep, taskGroup, timeout } = asyncio;

conformsJoin("await queue.add", async (work) => await new TaskQueue().add(work), {
  detaches: true,
});
conformsJoin(
  "await queue.add, in line",
  async (work) => {
    const queue = new TaskQueue({ limit: 1 });
    queue.add(async () => {});
    return await queue.add(work);
  },
  { detaches: true },
);

conforms("TaskQueue.join", { wakes: "all", hasFastPath: true }, () => {
  const queue = new TaskQueue({ paused: true });
  let isComplete = false;
  return {
    begin() {
      if (queue.idle && !isComplete) queue.add(async () => {});
      return queue.join();
    },
    complete() {
      isComplete = true;
      queue.clear();
    },
  };
});

conforms("TaskQueue.whenBelow", { wakes: "all", hasFastPath: true }, () => {
  const queue = new TaskQueue({ paused: true });
  let isComplete = false;
  return {
    begin() {
      if (queue.idle && !isComplete) queue.add(async () => {});
      return queue.whenBelow(1);
    },
    complete() {
      isComplete = true;
      queue.clear();
    },
  };
});

/** In virtual time; what is ready at the end, such as the end of a keeper, has its turn. */
const virtual: typeof inVirtualTime = (body) =>
  inVirtualTime(async (loop) => {
    await body(loop);
    await sleep(0);
  });

/** Jobs that log their beginning and end, and take a second. */
function logging(log: string[]) {
  return (name: string, seconds = 1) =>
    async (): Promise<string> => {
      log.push(name);
      await sleep(seconds);
      return name;
    };
}

suite("the line", () => {
  test(
    "so many run at a time, the others in the order in which they came",
    virtual(async (loop) => {
      const log: string[] = [];
      const job = logging(log);
      const queue = new TaskQueue({ limit: 2 });

      const jobs = ["a", "b", "c", "d", "e"].map((name) => queue.add(job(name)));

      assert.deepEqual(await gather(jobs), ["a", "b", "c", "d", "e"]);
      assert.deepEqual([log, loop.time()], [["a", "b", "c", "d", "e"], 3]);
    }),
  );

  test(
    "the least priority number goes first, equal ones in order",
    virtual(async () => {
      const log: string[] = [];
      const job = logging(log);
      const queue = new TaskQueue({ limit: 1 });

      for (const name of ["0a", "5a", "-1a", "5b", "0b", "-1b"])
        queue.add(job(name), { priority: Number.parseInt(name, 10) });
      await queue.join();

      assert.deepEqual(log, ["0a", "-1a", "-1b", "0b", "5a", "5b"]);
    }),
  );

  test(
    "many priorities keep their order, whoever leaves the line",
    virtual(async () => {
      let seed = 7;
      const random = () => {
        seed = (seed * 48_271) % 2_147_483_647;
        return seed / 2_147_483_647;
      };
      const queue = new TaskQueue({ limit: 0 });
      const expected: { priority: number; index: number }[] = [];
      const log: number[] = [];
      for (let index = 0; index < 3000; index++) {
        const priority = Math.floor(random() * 1000) - 500;
        const job = queue.add(async () => void log.push(index), { priority });
        if (random() < 0.8)
          job.cancel(); // most ranks become empty
        else expected.push({ priority, index });
      }

      assert.equal(queue.statistics().waiting, expected.length);
      queue.limit = 1;
      await queue.join();

      const inOrder = expected.toSorted((a, b) => a.priority - b.priority || a.index - b.index);
      assert.deepEqual(
        log,
        inOrder.map(({ index }) => index),
      );
    }),
  );

  test(
    "the limit can be changed: 0 starts none, more starts those in line",
    virtual(async () => {
      const log: string[] = [];
      const queue = new TaskQueue({ limit: 0 });
      for (const name of ["a", "b", "c"]) queue.add(logging(log)(name, 10));
      await sleep(1);
      assert.deepEqual(log, []);

      queue.limit = 2;
      await sleep(1);

      assert.deepEqual([log, queue.statistics().waiting], [["a", "b"], 1]);
      queue.limit = Number.POSITIVE_INFINITY;
      await queue.join();
      assert.deepEqual(log, ["a", "b", "c"]);
    }),
  );

  test(
    "a pause lasts until its guard is gone, or `resume`",
    virtual(async () => {
      const log: string[] = [];
      const queue = new TaskQueue({ paused: true });
      const first = queue.pause();
      queue.add(logging(log)("a"));
      queue.resume();
      await sleep(0.5);
      first[Symbol.dispose]();
      {
        using _paused = queue.pause();
        assert.ok(queue.paused);
        queue.add(logging(log)("b"));
        await sleep(5);
        assert.deepEqual(log, ["a"]);
      }

      await queue.join();
      assert.deepEqual(log, ["a", "b"]);
    }),
  );

  test(
    "clear cancels what has not begun, and nothing else",
    virtual(async () => {
      const queue = new TaskQueue({ limit: 1 });
      const [runs, waits] = ["a", "b"].map((name) => queue.add(logging([])(name)));
      await sleep(0.5);

      assert.equal(queue.clear("the user left"), 1);

      const error = await rejection(waits as Job<string>);
      assert.ok(error instanceof asyncio.CancelledError);
      assert.deepEqual(
        [error.reason, error.requestedBy, await runs],
        ["the user left", "main", "a"],
      );
    }),
  );

  test(
    "cancel cancels all, waits for them, and leaves the queue open",
    virtual(async () => {
      const ended: string[] = [];
      const queue = new TaskQueue({ limit: 1 });
      const work = async () => {
        try {
          await sleep(10);
        } finally {
          await sleep(1);
          ended.push("cleaned up");
        }
      };
      for (let n = 0; n < 2; n++) queue.add(work);
      await sleep(1);

      await queue.cancel("enough");

      assert.deepEqual([ended, queue.idle], [["cleaned up"], true]);
      assert.equal(await queue.add(async () => "open"), "open");
      assert.deepEqual(
        { ...queue.statistics() },
        {
          limit: 1,
          running: 0,
          waiting: 0,
          paused: false,
          done: 1,
          failed: 0,
          cancelled: 2,
        },
      );
    }),
  );

  test(
    "whenBelow holds those up who add faster than jobs are done",
    virtual(async (loop) => {
      const queue = new TaskQueue({ limit: 1 });
      let most = 0;
      for (let n = 0; n < 10; n++) {
        await queue.whenBelow(3);
        queue.add(() => sleep(1));
        most = Math.max(most, queue.statistics().waiting);
      }

      assert.deepEqual([most, loop.time()], [3, 6]);
      await queue.join();
    }),
  );

  test(
    "a job given up while it waits for the rate leaves it to the one that waits now",
    virtual(async (loop) => {
      const begun: number[] = [];
      const rate = new RateLimiter({ rate: 1 });
      const queue = new TaskQueue({ limit: 5, rate });
      assert.ok(rate.tryTake());
      const [first] = Array.from({ length: 4 }, () => queue.add(() => begun.push(loop.time())));
      await sleep(0.5);

      first?.abandon();
      await sleep(0);

      assert.deepEqual(queue.statistics().running, 1);
      await queue.join();
      assert.deepEqual(begun, [1, 2, 3]);
    }),
  );

  test(
    "a rate spaces the beginnings, and the most urgent comes next",
    virtual(async (loop) => {
      const log: string[] = [];
      const queue = new TaskQueue({ limit: 5, rate: new RateLimiter({ rate: 2 }) });
      const job = (name: string) => async () => void log.push(`${name} at ${loop.time()}`);

      for (const priority of [0, 2, 1]) queue.add(job(`${priority}`), { priority });
      const dropped = queue.add(job("-1"), { priority: -1 });
      await sleep(0.25);
      dropped.cancel();
      await queue.join();

      assert.deepEqual(log, ["0 at 0", "1 at 0.5", "2 at 1"]);
    }),
  );
});

suite("a job", () => {
  test(
    "is the task that runs, has its name, and its context variables from the start",
    virtual(async () => {
      const user = new asyncio.ContextVar("user", { default: "nobody" });
      const queue = new TaskQueue({ limit: 1 });
      user.set("ann");
      const first = queue.add(async () => [asyncio.currentTask()], { name: "first" });
      const second: Job<string> = queue.add(async () => asyncio.currentTask()?.getName() ?? "");
      const inLine = [second.getContext().get(user), asyncio.allTasks().has(second)];
      user.set("bob");

      assert.deepEqual(await first, [first]);
      assert.equal(await second, second.getName());
      assert.deepEqual([first.getName(), ...inLine], ["first", "ann", false]);
    }),
  );

  test(
    "that awaits itself is told so",
    virtual(async () => {
      const queue = new TaskQueue();
      const job: Job<void> = queue.add(async () => {
        await sleep(1);
        await job;
      });

      assert.match(String(await rejection(job)), /awaits itself/);
    }),
  );

  test("in line and awaited by the job that runs is reported as a deadlock", async () => {
    const queue = new TaskQueue({ limit: 1, name: "mail" });
    const main = async () => await queue.add(async () => await queue.add(async () => {}));

    const error = await rejection(asyncio.run(main, { loop: new testing.VirtualLoop() }));

    assert.ok(error instanceof asyncio.DeadlockError);
    assert.match(error.message, /its turn|TaskQueue "mail"/);
  });

  test(
    "is cancelled and awaited with `cancelAndWait`, in line and running",
    virtual(async (loop) => {
      const queue = new TaskQueue({ limit: 1 });
      const jobs = [queue.add(() => sleep(10)), queue.add(() => sleep(10))];
      await sleep(1);

      for (const job of jobs.toReversed()) await job.cancelAndWait("enough");

      assert.deepEqual([jobs.map((job) => job.cancelled()), loop.time()], [[true, true], 1]);
    }),
  );

  test(
    "runs with the context variables and the async context of who added it",
    virtual(async () => {
      const user = new asyncio.ContextVar("user", { default: "nobody" });
      const storage = new AsyncLocalStorage<string>();
      const queue = new TaskQueue({ limit: 1 });
      const seen = async () => `${user.get()}, ${storage.getStore()}`;
      const addAs = (name: string) =>
        createTask(async () => {
          user.set(name);
          const jobs = storage.run(`store of ${name}`, () => [queue.add(seen), queue.add(seen)]);
          user.set("changed later");
          return await gather(jobs);
        });

      const all = await gather(addAs("ann"), addAs("bob"));

      assert.deepEqual(all, [
        ["ann, store of ann", "ann, store of ann"],
        ["bob, store of bob", "bob, store of bob"],
      ]);
    }),
  );

  test(
    "is cancelled with its waiter, in the line and while it runs",
    virtual(async (loop) => {
      const log: string[] = [];
      const queue = new TaskQueue({ limit: 1 });
      const first = queue.add(logging(log)("first", 5));
      const inLine = () => timeout(1, async () => await queue.add(logging(log)("never")));

      await assert.rejects(inLine, asyncio.TimeoutError);
      assert.deepEqual([queue.statistics().waiting, loop.time()], [0, 1]);
      await assert.rejects(
        timeout(1, async () => await first),
        asyncio.TimeoutError,
      );

      assert.deepEqual([log, queue.idle, first.cancelled()], [["first"], true, true]);
    }),
  );

  test(
    "has a deadline from its first step, its own or that of the queue",
    virtual(async (loop) => {
      const queue = new TaskQueue({ limit: 1, timeout: 2 });
      const [a, b, c] = [
        queue.add(() => sleep(10)),
        queue.add(() => sleep(1.5, "in time")),
        queue.add(() => sleep(10), { timeout: 1 }),
      ];

      assert.ok((await rejection(a)) instanceof asyncio.TimeoutError);
      assert.equal(await b, "in time");
      assert.ok((await rejection(c)) instanceof asyncio.TimeoutError);
      assert.equal(loop.time(), 4.5);
    }),
  );

  test(
    "that fails tells whoever awaits it, and cancels nobody",
    virtual(async () => {
      const queue = new TaskQueue();
      const broken = queue.add(() => Promise.reject(new Error("broken")));
      const other = queue.add(() => sleep(1, "fine"));

      await assert.rejects(async () => await broken, /broken/);
      assert.equal(await other, "fine");
      assert.equal(queue.statistics().failed, 1);
    }),
  );

  test("that fails unseen is reported by its name, or given to `onError`", async () => {
    const told: unknown[] = [];
    const reports = await reportsOf(async () => {
      const fail = () => Promise.reject(new Error("broken"));
      const onError = (error: unknown, job: Job<unknown>) =>
        void told.push(String(error), job.done());
      new TaskQueue({ onError }).add(fail);
      new TaskQueue().add(fail, { name: "mail" });
      await sleep(1);
    });

    assert.deepEqual(told, ["Error: broken", true]);
    assert.deepEqual(reports, ['job "mail" has failed, and nobody has looked at its failure']);
  });

  test("an `onError` that fails is reported, whether it throws or rejects", async () => {
    const reports = await reportsOf(async () => {
      const fail = () => Promise.reject(new Error("broken"));
      const rejects = async () => Promise.reject(new Error("cannot log"));
      const throws = () => {
        throw new Error("cannot log");
      };
      new TaskQueue({ onError: rejects, name: "a" }).add(fail);
      new TaskQueue({ onError: throws, name: "b" }).add(fail);
      await sleep(1);
    });

    assert.deepEqual(reports, [
      '`onError` of TaskQueue "a" has failed',
      '`onError` of TaskQueue "b" has failed',
    ]);
  });

  test(
    "ends with its signal, in line, running, and if that has aborted already",
    virtual(async () => {
      const queue = new TaskQueue({ limit: 1 });
      const controller = new AbortController();
      const { signal } = controller;
      let began = 0;
      const work = async () => {
        began++;
        await sleep(10);
      };
      const jobs = [queue.add(work, { signal }), queue.add(work, { signal })];
      await sleep(1);
      controller.abort("gone");
      jobs.push(queue.add(work, { signal }));

      const errors = await gather(jobs, { returnExceptions: true });

      for (const error of errors as unknown[]) {
        assert.ok(error instanceof asyncio.CancelledError);
        assert.deepEqual([error.source, error.cause], ["abort", "gone"]);
      }
      assert.equal(began, 1);
    }),
  );

  test(
    "says what it waits for, and gives null and undefined as they are",
    virtual(async () => {
      const queue = new TaskQueue({ limit: 1, name: "mail" });
      const [first, second] = [queue.add(() => sleep(1, null)), queue.add(async () => {})];
      await sleep(0.5);

      assert.deepEqual(
        [first.waitingFor(), second.waitingFor()],
        [["sleep, 0.5 s left"], ["its turn"]],
      );
      const joining = createTask(() => queue.join());
      await sleep(0);
      assert.deepEqual(joining.waitingFor(), [
        'the jobs of TaskQueue "mail", 1 running, 1 in line',
      ]);
      assert.deepEqual([await first, await second, first.waitingFor()], [null, undefined, []]);
      await joining;
    }),
  );
});

suite("its owner", () => {
  test(
    "waits for the jobs when its body has returned, those in line too",
    virtual(async (loop) => {
      const log: string[] = [];
      await taskGroup(async (group) => {
        const queue = new TaskQueue({ limit: 1, owner: group });
        for (const name of ["a", "b", "c"]) queue.add(logging(log)(name));
        queue.add(async () => void queue.add(logging(log)("added by a job")));
      });

      assert.deepEqual([log, loop.time()], [["a", "b", "c", "added by a job"], 4]);
    }),
  );

  test(
    "does not wait for a queue that is idle",
    virtual(async (loop) => {
      await taskGroup(async (group) => {
        const queue = new TaskQueue({ owner: group });
        await queue.add(() => sleep(1));
      });

      assert.equal(loop.time(), 1);
    }),
  );

  test(
    "fails: jobs are cancelled and awaited, and those in line never begin",
    virtual(async (loop) => {
      const log: string[] = [];
      let jobs: Job<unknown>[] = [];
      const group = taskGroup(async (group) => {
        const queue = new TaskQueue({ limit: 1, owner: group });
        const work = async () => {
          try {
            await sleep(10);
          } finally {
            await sleep(1);
            log.push("cleaned up");
          }
        };
        jobs = [queue.add(work), queue.add(logging(log)("never"))];
        await sleep(1);
        throw new Error("out of paper");
      });

      assert.match(String(await rejection(group)), /out of paper/);
      assert.deepEqual([log, loop.time()], [["cleaned up"], 2]);
      assert.deepEqual(
        jobs.map((job) => job.cancelled()),
        [true, true],
      );
    }),
  );

  test(
    "has ended, or is being cancelled: no job can be added",
    virtual(async () => {
      let queue: TaskQueue | undefined;
      await taskGroup(async (group) => {
        queue = new TaskQueue({ owner: group });
        queue.add(() => sleep(1));
      });
      assert.throws(
        () => queue?.add(async () => {}),
        /^InvalidStateError: `queue\.add` .*group has ended/,
      );

      const errors: unknown[] = [];
      const group = taskGroup(async (group) => {
        const queue = new TaskQueue({ owner: group });
        queue.add(async () => {
          try {
            await sleep(10);
          } finally {
            try {
              queue.add(async () => {});
            } catch (error) {
              errors.push(error);
            }
          }
        });
        await sleep(1);
        throw new Error("out of paper");
      });
      await rejection(group);
      assert.match(String(errors), /its owner is being cancelled/);
    }),
  );

  test(
    "with a limit that has no place for the queue cancels its jobs all the same",
    virtual(async () => {
      let job: Job<unknown> | undefined;
      const group = taskGroup(
        async (group) => {
          group.createTask(() => sleep(10));
          job = new TaskQueue({ owner: group }).add(() => sleep(20));
          await sleep(1);
          throw new Error("out of paper");
        },
        { limit: 1 },
      );

      await rejection(group);
      await sleep(0);
      assert.equal(job?.cancelled(), true);
    }),
  );

  test("is the run, if none is named", async () => {
    let job: Job<unknown> | undefined;
    await asyncio.run(
      async () => {
        job = new TaskQueue({ limit: 1 }).add(() => sleep(10));
        await sleep(1);
      },
      { loop: new testing.VirtualLoop() },
    );

    assert.equal(job?.cancelled(), true);
  });

  test("is told in a deadlock that the queue is paused", async () => {
    const stuck = taskGroupOf((queue) => void queue.add(async () => {}));
    const error = await rejection(asyncio.run(stuck, { loop: new testing.VirtualLoop() }));

    assert.match(String(error), /the jobs of TaskQueue "mail", paused, 0 running, 1 in line/);
  });

  function taskGroupOf(use: (queue: TaskQueue) => void): () => Promise<void> {
    return () =>
      taskGroup(async (group) => {
        use(new TaskQueue({ owner: group, paused: true, name: "mail" }));
      });
  }
});

test(
  "close takes no more, and waits for those there are; so does `await using`",
  virtual(async (loop) => {
    const queue = new TaskQueue({ limit: 1 });
    {
      await using _closing = queue;
      for (let n = 0; n < 2; n++) queue.add(() => sleep(1));
    }

    assert.deepEqual([loop.time(), queue.closed], [2, true]);
    assert.throws(() => queue.add(async () => {}), {
      name: "InvalidStateError",
      message:
        "`queue.add` cannot add a job to a TaskQueue: it is closed. Add it before that, or to a queue whose owner lives longer",
    });
  }),
);

test("limit, order and end hold in any order of steps, wherever a cancellation comes", async () => {
  const setup = () => ({
    running: 0,
    most: 0,
    jobs: [] as Job<unknown>[],
    queue: undefined as TaskQueue | undefined,
  });
  type State = ReturnType<typeof setup>;
  const body = async (t: testing.TestContext, state: State) => {
    await taskGroup(async (group) => {
      const queue = new TaskQueue({ limit: 2, owner: group });
      state.queue = queue;
      const work = async () => {
        state.most = Math.max(state.most, ++state.running);
        try {
          if (t.choose(2) === 1) await sleep(0);
        } finally {
          state.running--;
        }
      };
      for (const priority of [1, 0, 1]) state.jobs.push(queue.add(work, { priority }));
      group.createTask(async () => {
        using _pause = queue.pause();
        await sleep(0);
      });
      group.createTask(async () => {
        const job = queue.add(work);
        state.jobs.push(job);
        await asyncio.moveOnAfter(0, async () => await job);
      });
      group.createTask(() => queue.join());
    });
  };
  const invariant = ({ running, most, jobs, queue }: State) => {
    assert.ok(most <= 2 && running === 0);
    assert.ok(jobs.every((job) => job.done()));
    assert.ok(queue === undefined || (queue.idle && !queue.paused));
  };
  const seconds = Number.POSITIVE_INFINITY;

  await testing.explore(body, { setup, invariant, iterations: 400, seconds });
  // Whoever cancels the keeper ends the queue: the job that is added then is refused.
  for (const victims of ["body", /^(?!a TaskQueue)/] as const)
    await testing.cancelSweep(body, {
      setup,
      invariant,
      victims,
      mayReturn: true,
      schedules: 3,
      seconds,
    });
});

test("100,000 jobs end, and leave nothing", async () => {
  let done = 0;
  await asyncio.run(async () => {
    const queue = new TaskQueue({ limit: 100 });
    for (let n = 0; n < 100_000; n++) queue.add(async () => void done++);
    await queue.join();
    assert.deepEqual([queue.statistics().done, queue.idle], [100_000, true]);
  });
  assert.equal(done, 100_000);
});

test("wrong arguments are refused", () => {
  const queue = new TaskQueue();
  for (const limit of [-1, 1.5, Number.NaN]) {
    assert.throws(() => new TaskQueue({ limit }), RangeError);
    assert.throws(() => {
      queue.limit = limit;
    }, RangeError);
  }
  assert.throws(() => queue.add(Promise.resolve() as never), /A promise is already running/);
  assert.throws(() => queue.add(async () => {}, { priority: Number.NaN }), RangeError);
  assert.throws(() => new TaskQueue({ owner: {} as never }), /`owner` to be a task group/);
  assert.throws(() => new TaskQueue({ rate: 5 as never }), /`rate` to be a RateLimiter/);
  assert.ok(queue.idle);
});

/** The messages that the exception handler gets. */
async function reportsOf(body: () => Promise<void>): Promise<string[]> {
  const loop = new testing.VirtualLoop();
  const reports = collectReports(loop);
  await asyncio.run(body, { loop });
  return reports.map(({ message }) => message);
}
