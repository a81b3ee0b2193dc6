import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { test } from "node:test";
import {
  abortSignal,
  CancelledError,
  CancelScope,
  ContextVar,
  cleanup,
  createTask,
  gather,
  sleep,
  type TaskGroup,
  TimeoutError,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { type Job, TaskQueue } from "../../src/patterns.ts";
import { cancelSweep } from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { virtual as inVirtualTime, rejection } from "../virtual.ts";

/** In virtual time; the end of a keeper has its turn. */
const virtual: typeof inVirtualTime = (body) =>
  inVirtualTime(async (loop) => {
    await body(loop);
    await sleep(0);
  });

test(
  "a job whose time is over says so by its name",
  virtual(async (loop) => {
    const queue = new TaskQueue({ timeout: 2 });
    const late = queue.add(() => sleep(10), { name: "late" });

    const error = await rejection(late);

    assert.ok(error instanceof TimeoutError);
    assert.match(error.message, /^job "late" was cancelled: its 2 s are over/);
    assert.ok(error.cause instanceof CancelledError);
    assert.deepEqual([late.cancelled(), queue.statistics().failed, loop.time()], [false, 1, 2]);
  }),
);

test(
  "its time begins when it does, and it may clean up when that is over",
  virtual(async (loop) => {
    const queue = new TaskQueue({ limit: 1, timeout: 2 });
    const first = queue.add(() => sleep(10).finally(() => cleanup(5, () => sleep(1))));
    const second = queue.add(() => sleep(1.5, "in time"));

    assert.ok((await rejection(first)) instanceof TimeoutError);
    assert.equal(loop.time(), 3);
    assert.equal(await second, "in time");
  }),
);

test(
  "one that is cancelled while it cleans up is cancelled",
  virtual(async () => {
    const queue = new TaskQueue();
    const job = queue.add(() => sleep(10).finally(() => cleanup(5, () => sleep(1))), {
      timeout: 1,
    });
    await sleep(1.5);

    job.cancel("enough");

    assert.ok((await rejection(job)) instanceof CancelledError);
    assert.equal(job.cancelled(), true);
  }),
);

test(
  "the deadline of its owner is not its own",
  virtual(async () => {
    const jobs: Job<unknown>[] = [];
    const owning = timeout(1, () =>
      taskGroup(async (owner) => {
        const queue = new TaskQueue({ owner, timeout: 5 });
        jobs.push(queue.add(() => sleep(10)));
      }),
    );

    await assert.rejects(owning, /`timeout` cancelled the body: the deadline of 1 s has passed/);
    assert.deepEqual(
      jobs.map((job) => job.cancelled()),
      [true],
    );
  }),
);

test(
  "one that answers to its deadline with an error of other code has a TimeoutError",
  virtual(async () => {
    const queue = new TaskQueue();
    const foreign = async () => {
      const signal = abortSignal();
      const aborted = new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reject(new Error("AbortError", { cause: signal.reason }));
        });
      });
      await Promise.all([aborted, sleep(10)]);
    };

    const error = await rejection(queue.add(foreign, { timeout: 1 }));

    assert.ok(error instanceof TimeoutError);
  }),
);

/** With a group, which waits until the keeper of its queue has ended as well. */
function owned(body: (owner: TaskGroup) => Promise<void>): () => Promise<void> {
  return () => taskGroup(body, { onError: "bare" });
}

onBothLoops(
  "jobs that begin together run each in the context of who added it",
  owned(async (owner) => {
    const user = new ContextVar("user", { default: "nobody" });
    const storage = new AsyncLocalStorage<string>();
    const queue = new TaskQueue({ owner, limit: 2 });
    const seen = async () => {
      const now = `${user.get()}, ${storage.getStore()}`;
      await sleep(0);
      return [now, `${user.get()}, ${storage.getStore()}`];
    };
    const addAs = (name: string) => () => {
      user.set(name);
      return storage.run(name, () => gather([queue.add(seen), queue.add(seen), queue.add(seen)]));
    };

    const all = await gather(addAs("ann"), addAs("bob"));

    const both = (name: string) => [`${name}, ${name}`, `${name}, ${name}`];
    assert.deepEqual(
      all,
      ["ann", "bob"].map((name) => [both(name), both(name), both(name)]),
    );
  }),
);

onBothLoops(
  "those that begin together do so in order, behind tasks that were made before",
  owned(async (owner) => {
    const log: string[] = [];
    const queue = new TaskQueue({ owner, limit: 0 });
    const add = (name: string) => queue.add(async () => void log.push(name));
    for (const name of ["a", "b"]) add(name);
    const task = createTask(async () => void log.push("task"));
    queue.limit = 9;
    add("c");

    await queue.join();
    await task;

    assert.deepEqual(log, ["task", "a", "b", "c"]);
    await sleep(0);
  }),
);

onBothLoops(
  "one that is given up when its turn has come never runs",
  owned(async (owner) => {
    const log: string[] = [];
    const queue = new TaskQueue({ owner, limit: 1 });
    const [first, second] = ["first", "second"].map((name) =>
      queue.add(async () => void log.push(name)),
    );

    first?.abandon();

    await second;
    assert.deepEqual([log, first?.cancelled()], [["second"], true]);
  }),
);

onBothLoops(
  "when it has ended, it has the variables that its body has set",
  owned(async (owner) => {
    const user = new ContextVar("user", { default: "nobody" });
    const job = new TaskQueue({ owner }).add(async () => void user.set("ann"));

    await job;

    assert.deepEqual([job.getContext().get(user), user.get()], ["ann", "nobody"]);
    assert.deepEqual([job.cancel(), job.cancelling(), job.waitingFor()], [false, 0, []]);
  }),
);

for (const [where, place] of [
  ["runs", 0],
  ["is in line", 1],
] as const)
  onBothLoops(
    `one that ${where} counts as cancelled by the scope whose cancellation was passed on to it`,
    owned(async (owner) => {
      const queue = new TaskQueue({ owner, limit: 1 });
      const jobs = ["first", "second"].map((name) => queue.add(() => sleep(10), { name }));
      const scope = new CancelScope();

      const value = await scope.run(async () => {
        gather(jobs).catch(() => {});
        await sleep(0.001);
        scope.cancel();
        const job = jobs[place] as Job<void>;
        while (!job.done()) await new Promise((resolve) => setImmediate(resolve));
        await job;
      });

      assert.equal(value, undefined);
    }),
  );

test("cancelled anywhere, a job with a deadline leaves no timer and no task", async () => {
  const sweep = await cancelSweep(
    async () => {
      await taskGroup(async (owner) => {
        const queue = new TaskQueue({ limit: 1, owner, timeout: 2 });
        queue.add(() => sleep(10)).addDoneCallback((job) => void job.exception());
        await queue.add(() => sleep(1));
      });
    },
    { schedules: 3, mayReturn: true },
  );
  assert.ok(sweep.complete);
});
