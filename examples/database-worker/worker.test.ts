import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { Program } from "../program.ts";
import { Bell, type JobSource, reopen, work } from "./worker.ts";

const { sleep, taskGroup } = asyncio;

/** Jobs in memory. One is put back when it is cancelled, as a transaction does. */
class FakeJobs implements JobSource {
  readonly ready: number[] = [];
  readonly done: string[] = [];

  async doNext(): Promise<boolean> {
    const job = this.ready.shift();
    let isDone = false;
    try {
      await sleep(0.01); // the way of the answer
      if (job === undefined) return false;
      await sleep(1);
      isDone = true;
    } finally {
      if (job !== undefined && !isDone) this.ready.unshift(job);
    }
    this.done.push(`${job} at ${Math.floor(asyncio.getRunningLoop().time())}`);
    return true;
  }
}

/** Workers for ever; the body adds jobs, and then they are stopped. */
async function working(
  jobs: FakeJobs,
  body: (bell: Bell) => Promise<void>,
  { workers = 2, pollSeconds = 30 } = {},
): Promise<void> {
  const bell = new Bell();
  await taskGroup(async (group) => {
    for (let count = 0; count < workers; count++)
      group.createTask(() => work(jobs, bell, { pollSeconds }), { name: `worker-${count}` });
    await body(bell);
    group.cancel();
  });
}

describe("workers, in virtual time", () => {
  test("do what is there, several at a time, and what comes when the bell rings", () =>
    testing.runTest(async () => {
      const jobs = new FakeJobs();
      jobs.ready.push(1, 2, 3);
      await working(jobs, async (bell) => {
        await sleep(10);
        jobs.ready.push(4);
        bell.ring();
        await sleep(5);
      });
      assert.deepEqual(jobs.done, ["1 at 1", "2 at 1", "3 at 2", "4 at 11"]);
    }));

  test("look again by themselves when nobody rings", () =>
    testing.runTest(async () => {
      const jobs = new FakeJobs();
      await working(jobs, async () => {
        await sleep(10);
        jobs.ready.push(1);
        await sleep(30);
      });
      assert.deepEqual(jobs.done, ["1 at 31"]);
    }));

  test("are back after a loss, later each time, and fail by what is no loss", () =>
    testing.runTest(async () => {
      const loop = asyncio.getRunningLoop();
      const startedAt: number[] = [];
      const body = async () => {
        startedAt.push(loop.time());
        throw new Error(startedAt.length < 5 ? "lost" : "a mistake");
      };
      const isLost = (error: unknown) => (error as Error).message === "lost";

      const ended = reopen(body, isLost, undefined, () => 1);

      await assert.rejects(ended, /a mistake/);
      assert.deepEqual(
        startedAt.map((time) => time.toFixed(1)),
        ["0.0", "0.1", "0.3", "0.7", "1.5"],
      );
    }));

  /** A job that is rung for is begun at once, whatever the workers are doing just then. */
  const ringing = async () => {
    const jobs = new FakeJobs();
    await working(
      jobs,
      async (bell) => {
        await sleep(0.005); // just now the worker looks, and finds nothing
        for (const job of [1, 2, 3]) {
          jobs.ready.push(job);
          bell.ring();
          await sleep(1.015);
        }
        await sleep(20);
        assert.equal(jobs.done.length, 3);
      },
      { workers: 1, pollSeconds: 1000 },
    );
  };

  test("miss no bell that rings while they look, under any schedule", async () => {
    await testing.explore(ringing, { iterations: 100, seconds: 30 });
  });

  test("wherever they are cancelled, no job is lost", async () => {
    await testing.cancelSweep(
      async () => {
        const jobs = new FakeJobs();
        jobs.ready.push(1, 2, 3);
        await working(jobs, () => sleep(10)).catch((error: unknown) => {
          if (!(error instanceof asyncio.ExceptionGroup)) throw error;
        });
        assert.equal(jobs.done.length + jobs.ready.length, 3);
      },
      { victims: /worker/, mayReturn: true, depth: 1, seconds: 10 },
    );
  });
});

test("wrong arguments and an absent server end with a sentence", async () => {
  for (const args of [["fly"], ["work", "--workers", "0", "cat"]]) {
    const { code, stderr } = await new Program("database-worker/main.ts", ...args).end();
    assert.equal(code, 2);
    assert.match(stderr, /^[^\n]+\n\nUsage: /);
  }
  const env = { PGHOST: "/nowhere" };
  const { code, stderr } = await new Program(env, "database-worker/main.ts", "add", "x").end();
  assert.equal(code, 1);
  assert.match(stderr, /^connect ENOENT \/nowhere\/.*\n$/);
});
