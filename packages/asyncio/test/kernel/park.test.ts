import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  cancellable,
  createTask,
  currentTask,
  Future,
  gather,
  HostLoop,
  moveOnAfter,
  Queue,
  run,
  sleep,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { checkpoint, complete, interruption, park, WaitList } from "../../src/lowlevel.ts";
import { rejection, virtual } from "../virtual.ts";

const macrotask = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("R5: state changes in the call", () => {
  test(
    "get takes its item before its promise is awaited (S15)",
    virtual(async () => {
      const queue = new Queue<number>();
      queue.putNowait(1);

      const got = queue.get();

      assert.equal(queue.qsize(), 0);
      assert.equal(await got, 1);
    }),
  );

  test(
    "put hands its item to a waiting getter in the call",
    virtual(async () => {
      const queue = new Queue<number>();
      const first = queue.get();

      const put = queue.put(1);
      queue.putNowait(2);

      assert.equal(queue.qsize(), 1);
      assert.deepEqual([await first, await queue.get()], [1, 2]);
      await put;
    }),
  );

  test(
    "get lets a waiting putter in in the same call",
    virtual(async () => {
      const queue = new Queue<number>(1);
      queue.putNowait(1);
      const put = queue.put(2);

      assert.equal(queue.getNowait(), 1);

      assert.equal(queue.full(), true);
      assert.equal(queue.getNowait(), 2);
      await put;
    }),
  );

  test(
    "park registers a wait with the running task and gives its promise",
    virtual(async () => {
      const wait = park<string>("a word");
      const waitingFor = currentTask()?.waitingFor();

      wait.resume("done");

      assert.deepEqual(waitingFor, ["a word"]);
      assert.equal(await wait.promise, "done");
    }),
  );
});

describe("R6: a wait ends once, and a completed wait wins", () => {
  test(
    "a second end of a wait is refused and changes nothing",
    virtual(async () => {
      const wait = park<number>("a number");

      const ends = [wait.resume(1), wait.resume(2), wait.fail(new Error("late"))];

      assert.deepEqual(ends, [true, false, false]);
      assert.equal(await wait.promise, 1);
    }),
  );

  test(
    "an item that was handed over reaches a task that is cancelled in the same step (S37, S120)",
    virtual(async () => {
      const queue = new Queue<string>();
      const got: string[] = [];
      const task = createTask(async () => {
        got.push(await queue.get());
        await sleep(1);
        got.push("not reached");
      });
      await sleep(0);

      queue.putNowait("item");
      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
      assert.deepEqual(got, ["item"]);
    }),
  );

  test(
    "a cancelled getter takes nothing, also if an item comes in the same step (S120)",
    virtual(async () => {
      const queue = new Queue<string>();
      const cancelled = createTask(() => queue.get());
      const next = createTask(() => queue.get());
      await sleep(0);

      cancelled.cancel();
      queue.putNowait("item");

      assert.equal(await next, "item");
      assert.equal(cancelled.cancelled(), true);
    }),
  );

  test(
    "resume tells whoever has a value that the wait was cancelled before (S12)",
    virtual(async () => {
      let resume: (value: string) => boolean = () => true;
      const task = createTask(async () => {
        const wait = park<string>("a word");
        resume = (value) => wait.resume(value);
        await wait.promise;
      });
      await sleep(0);

      task.cancel();

      assert.equal(resume("lost?"), false);
      await rejection(task);
    }),
  );

  test(
    "a failure that was delivered is not replaced by a cancellation",
    virtual(async () => {
      const future = new Future<void>();
      const failure = new Error("expected");
      const task = createTask(async () => await future);
      await sleep(0);

      future.setException(failure);
      task.cancel();

      assert.equal(await rejection(task), failure);
    }),
  );

  test(
    "a wait that was cancelled leaves its line",
    virtual(async () => {
      const line = new WaitList();
      const task = createTask(async () => {
        const wait = park<void>("its turn");
        line.add(wait);
        await wait.promise;
      });
      await sleep(0);
      const before = line.length;

      task.cancel();

      assert.deepEqual([before, line.length, line.first], [1, 0, undefined]);
      await rejection(task);
    }),
  );

  test(
    "a cancelled wait sets no timer to work later",
    virtual(async (loop) => {
      const task = createTask(() => sleep(3600), { cancelGrace: Number.POSITIVE_INFINITY });
      await sleep(0);
      const before = loop.statistics().timers;

      task.cancel();

      assert.deepEqual([before, loop.statistics().timers], [1, 0]);
      await rejection(task);
    }),
  );
});

describe("R7: resuming goes through the ready queue, first in, first out", () => {
  test(
    "tasks go on in the order in which they were resumed",
    virtual(async () => {
      const [a, b, c] = [new Future<void>(), new Future<void>(), new Future<void>()];
      const log: string[] = [];
      const follow = async (name: string, future: Future<void>): Promise<void> => {
        await future;
        log.push(name);
      };
      const all = gather(
        () => follow("a", a),
        () => follow("b", b),
        () => follow("c", c),
      );
      await sleep(0);

      for (const future of [c, a, b]) future.setResult();
      await all;

      assert.deepEqual(log, ["c", "a", "b"]);
    }),
  );

  test(
    "the resumed task does not run inside the call that resumes it",
    virtual(async () => {
      const queue = new Queue<number>();
      const log: string[] = [];
      const task = createTask(async () => log.push(`got ${await queue.get()}`));
      await sleep(0);

      queue.putNowait(1);
      log.push("put returns");
      await task;

      assert.deepEqual(log, ["put returns", "got 1"]);
    }),
  );

  test(
    "getters are served in the order in which they came",
    virtual(async () => {
      const queue = new Queue<number>();
      const getters = gather(
        () => queue.get(),
        () => queue.get(),
        () => queue.get(),
      );
      await sleep(0);

      for (const item of [1, 2, 3]) queue.putNowait(item);

      assert.deepEqual(await getters, [1, 2, 3]);
    }),
  );

  test(
    "sleep(0) lets everything run that was ready before it",
    virtual(async (loop) => {
      const log: string[] = [];
      loop.callSoon(() => log.push("callback"));
      createTask(async () => log.push("task"));

      await sleep(0);

      assert.deepEqual(log, ["callback", "task"]);
    }),
  );

  test(
    "a wait that is born complete is never linked into its scope, and cannot be cancelled",
    virtual(async () => {
      const log: unknown[] = [];
      const task = createTask(async () => {
        await sleep(0);
        log.push("sleep(0) ends");
        await sleep(0);
        log.push("not reached");
      });
      await sleep(0);

      log.push(task.waitingFor());
      task.cancel();
      await rejection(task);

      assert.deepEqual(log, [[], "sleep(0) ends"]);
    }),
  );
});

describe("R8: a pending cancellation is delivered at the start of an operation", () => {
  const cancelMyself = (): void => void currentTask()?.cancel();

  test(
    "put rejects and puts nothing in",
    virtual(async () => {
      const queue = new Queue<number>();
      const task = createTask(async () => {
        cancelMyself();
        await queue.put(1);
      });

      await rejection(task);

      assert.deepEqual([task.cancelled(), queue.qsize()], [true, 0]);
    }),
  );

  test(
    "get rejects and takes nothing",
    virtual(async () => {
      const queue = new Queue<number>();
      queue.putNowait(1);
      const task = createTask(async () => {
        cancelMyself();
        await queue.get();
      });

      await rejection(task);

      assert.deepEqual([task.cancelled(), queue.qsize()], [true, 1]);
    }),
  );

  test(
    "an own primitive that asks interruption is not entered",
    virtual(async () => {
      const log: string[] = [];
      const operation = (): Promise<void> => {
        const stop = interruption("operation");
        if (stop !== undefined) return stop;
        log.push("entered");
        return complete("operation", undefined);
      };
      const task = createTask(async () => {
        cancelMyself();
        await operation();
      });

      await rejection(task);

      assert.deepEqual(log, []);
    }),
  );

  const never = new Promise<never>(() => {});
  const operations: Record<string, (log: string[]) => PromiseLike<unknown>> = {
    "sleep(0)": () => sleep(0),
    "sleep(1)": () => sleep(1),
    checkpoint: () => checkpoint(),
    "gather of nothing": () => gather(),
    "gather of thunks": (log) => gather(async () => log.push("ran")),
    taskGroup: (log) => taskGroup(async () => log.push("ran")),
    timeout: (log) => timeout(1, async () => log.push("ran")),
    moveOnAfter: (log) => moveOnAfter(1, async () => log.push("ran")),
    cancellable: (log) =>
      cancellable(() => {
        log.push("ran");
        return never;
      }),
    "awaiting a pending future": () => new Future<void>(),
    join: () => {
      const queue = new Queue<number>();
      queue.putNowait(1);
      return queue.join();
    },
  };
  for (const [name, operation] of Object.entries(operations)) {
    test(
      `${name} rejects before it has done anything`,
      virtual(async () => {
        const log: string[] = [];
        const task = createTask(async () => {
          cancelMyself();
          await operation(log);
          log.push("went on");
        });

        await rejection(task);

        assert.deepEqual([task.cancelled(), log], [true, []]);
      }),
    );
  }

  test(
    "it is delivered once: the operation after it works",
    virtual(async () => {
      const task = createTask(async () => {
        cancelMyself();
        await rejection(sleep(1));
        return await sleep(1, "cleaned up");
      });

      assert.equal(await task, "cleaned up");
    }),
  );
});

describe("R10: an abandoned wait never crashes the process", () => {
  // node:test fails a test in which a rejection was not handled.

  test(
    "a wait that is cancelled and that nobody awaits stays quiet",
    virtual(async () => {
      const queue = new Queue<number>();
      await moveOnAfter(1, async () => {
        void sleep(10);
        void queue.get();
        void gather(() => sleep(10));
        void cancellable(() => Promise.resolve());
        await sleep(10);
      });

      await macrotask();
    }),
  );

  test(
    "an operation that is rejected at its start and that nobody awaits stays quiet",
    virtual(async () => {
      await rejection(
        createTask(async () => {
          currentTask()?.cancel();
          void sleep(10);
          await macrotask();
          await macrotask();
          throw new Error("expected");
        }),
      );
    }),
  );

  test(
    "a get or put on a queue that is shut down and that nobody awaits stays quiet",
    virtual(async () => {
      const queue = new Queue<number>(1);
      const getter = new Queue<number>();
      queue.putNowait(1);
      void queue.put(2);
      void getter.get();

      queue.shutdown();
      getter.shutdown();
      void queue.put(3);
      void getter.get();

      await macrotask();
    }),
  );

  test(
    "a future and a task that nobody awaits and that are cancelled stay quiet",
    virtual(async () => {
      new Future<void>().cancel();
      createTask(() => sleep(10)).cancel();

      await sleep(1);
      await macrotask();
    }),
  );
});

describe("R12: each wait knows what it waits for", () => {
  const descriptions: Record<string, [operation: () => PromiseLike<unknown>, RegExp]> = {
    "a sleep": [() => sleep(3.25), /^sleep, 3\.25 s left$/],
    "an endless sleep": [() => sleep(Number.POSITIVE_INFINITY), /^sleep, for ever$/],
    "a get": [() => new Queue(0, { name: "urls" }).get(), /^Queue "urls"\.get$/],
    "a put": [() => fullQueue().put(2), /^Queue "urls"\.put$/],
    "a join": [() => fullQueue().join(), /^Queue "urls"\.join, 1 items? unfinished$/],
    "a task": [() => createTask(() => sleep(1), { name: "writer" }), /^task "writer"$/],
    "a future": [() => new Future<void>(), /^a future$/],
    "a gather": [
      () =>
        gather(
          () => sleep(1),
          () => sleep(1),
        ),
      /^gather, 2 of 2 missing$/,
    ],
    "a group": [
      () =>
        taskGroup(async (group) => void group.createTask(() => sleep(1), { name: "child" }), {
          name: "crawl",
        }),
      /^the one task of task group "crawl" \(child\)$/,
    ],
    "foreign work": [
      () =>
        cancellable(function fetchPage() {
          return new Promise<never>(() => {});
        }),
      /^foreign work fetchPage$/,
    ],
  };
  for (const [what, [operation, expected]] of Object.entries(descriptions)) {
    test(
      `${what} is described`,
      virtual(async () => {
        const task = createTask(async () => await operation());
        await sleep(0.0);
        await sleep(0.0);
        const description = task.waitingFor();

        task.cancel();
        await rejection(task);

        assert.equal(description.length, 1);
        assert.match(description[0] ?? "", expected);
      }),
    );
  }

  test(
    "a description is made when somebody asks, and not before",
    virtual(async () => {
      let asked = 0;
      const task = createTask(async () => {
        const subject = { describeWait: () => `asked ${++asked} times` };
        await park<void>(subject).promise;
      });
      await sleep(0);
      const before = asked;

      const description = task.waitingFor();
      task.cancel();
      await rejection(task);

      assert.deepEqual([before, description], [0, ["asked 1 times"]]);
    }),
  );

  test("a loop in real time describes how long a sleep has left", async () => {
    const [description] = await run(
      async () => {
        const task = createTask(() => sleep(3600));
        await sleep(0);
        const described = task.waitingFor();
        task.cancel();
        await rejection(task);
        return described;
      },
      { loop: new HostLoop() },
    );

    assert.match(description ?? "", /^sleep, (3600|3599\.\d+) s left$/);
  });

  function fullQueue(): Queue<number> {
    const queue = new Queue<number>(1, { name: "urls" });
    queue.putNowait(1);
    return queue;
  }
});
