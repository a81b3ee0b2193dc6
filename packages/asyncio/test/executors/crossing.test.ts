// What goes to a worker and comes back: values, errors, calls, items.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import {
  BrokenExecutorError,
  callback,
  module,
  NotSendableError,
  ProcessPoolExecutor,
  ThreadPoolExecutor,
  WorkerLostError,
  WorkerModuleError,
} from "../../src/executors.ts";
import {
  CancelledError,
  createTask,
  DeadlockError,
  Event,
  ExceptionGroup,
  InvalidStateError,
  moveOnAfter,
  run,
  sleep,
  TimeoutError,
} from "../../src/index.ts";
import { checkCancelled, currentJob, progress, sharedContextVar } from "../../src/worker.ts";
import { rejection } from "../virtual.ts";
import { begun, board, isQuiet, jobs, threads } from "./pools.ts";
import "./leftovers.ts";

for (const kind of ["threads", "processes"] as const)
  test(`an object that many jobs get is a copy of its own in each of them, in ${kind}`, () =>
    run(async () => {
      const Executor = kind === "threads" ? ThreadPoolExecutor : ProcessPoolExecutor;
      await using pool = new Executor({ maxWorkers: 1 });
      for (let n = 0; n < 20; n++) await pool.run(jobs.add, n, n); // from now on it gets many at a time
      const list: number[] = [];
      const calls = Array.from({ length: 6 }, (_, n) =>
        n % 3 === 0 ? pool.run(jobs.add, n, 1) : pool.run(jobs.pushOne, list),
      );

      assert.deepEqual(await Promise.all(calls), [1, 1, 1, 4, 1, 1]);
      assert.deepEqual(list, []);
    }));

describe("an error", () => {
  test(
    "comes with its class, code, own properties, causes and both stacks (10)",
    threads(async (pool) => {
      async function caller(): Promise<void> {
        await pool.run(jobs.fail);
      }
      const error = (await rejection(caller())) as TypeError & Record<string, unknown>;

      assert.ok(error instanceof TypeError);
      assert.deepEqual(
        [error.name, error.message, error.code, error.details],
        ["OwnError", "own", "E_OWN", { line: 7 }],
      );
      const cause = error.cause as Error;
      assert.ok(cause instanceof Error);
      assert.deepEqual([cause.message, cause.cause], ["why", "because"]);
      assert.match(
        String(error.stack),
        /at fail .*jobs\.ts[\s\S]*called from\n[\s\S]*at async caller/,
      );
    }),
  );

  test(
    "may hang together with itself, and be a group (10)",
    threads(async (pool) => {
      const circle = (await rejection(pool.run(jobs.failInCircle))) as Error;
      const group = (await rejection(pool.run(jobs.failInGroup))) as ExceptionGroup;

      const second = circle.cause as Error;
      assert.deepEqual([second.message, second.cause], ["second", circle]);
      assert.ok(group instanceof ExceptionGroup);
      assert.ok(group.errors[0] instanceof TimeoutError);
      assert.ok(group.errors[1] instanceof RangeError);
      assert.deepEqual(group.flatten(), group.errors);
    }),
  );

  test(
    "loses what cannot be sent, and says so (9)",
    threads(async (pool) => {
      const error = (await rejection(pool.run(jobs.failUnsendably))) as Error;
      const thrown = await rejection(pool.run(jobs.throwFunction));

      assert.equal(error.message, "with a function");
      assert.deepEqual({ ...error }, { port: 80, notSent: ["close"] });
      assert.ok(thrown instanceof NotSendableError);
      assert.equal(thrown.path, "thrown.close");
    }),
  );
});

describe("what cannot be sent", () => {
  test(
    "is refused with its path, there and here, and costs no worker (9)",
    threads(async (pool) => {
      const closing = { on: [{ done: () => {} }] };
      const bad = {
        get secret() {
          throw new Error("not for you");
        },
      };
      const errors = await Promise.all([
        rejection(pool.run(jobs.same, () => {})),
        rejection(pool.run(jobs.same, closing)),
        rejection(pool.run(jobs.same, bad)),
        rejection(pool.run(jobs.same, Symbol("s"))),
        rejection(pool.run(jobs.same, new Map([["k", Promise.resolve()]]))),
        rejection(pool.run(jobs.unsendable)),
        rejection(pool.run(jobs.badGetter)),
        rejection(pool.run(jobs.failAt, 1)),
      ]);

      const paths = errors.map((error) => {
        assert.ok(error instanceof NotSendableError, String(error));
        return error.path;
      });
      assert.deepEqual(paths, [
        "args[0]",
        "args[0].on[0].done",
        "args[0].secret",
        "args[0]",
        'args[0].get("k")',
        "result.items[1].close",
        "result.secret",
        "result",
      ]);
      assert.deepEqual([await pool.run(jobs.add, 1, 2), pool.stats().replaced], [3, 0]);
    }),
  );

  test(
    "is not what `module` gave",
    threads(async (pool) => {
      assert.throws(() => pool.submit((() => 5) as never), /A closure cannot go to a worker/);
    }),
  );

  test("is a module without a file", () => {
    for (const [url, cure] of [
      ["./work.ts", /new URL\("\.\/work\.ts", import\.meta\.url\)/],
      ["data:text/javascript,export const f = () => 5", /Workers load files only/],
      ["https://example.com/work.js", /Workers load files only/],
      ["lodash", /import\.meta\.resolve\("lodash"\)/],
    ] as const)
      assert.throws(() => module(url), cure);
  });
});

describe("a module", () => {
  test(
    "that does not load, or lacks the function, gives an error that says so",
    threads(async (pool) => {
      const missing = module<{ f(): void }>(new URL("./missing.ts", import.meta.url));
      const other = (name: string) => (jobs as Record<string, unknown>)[name] as typeof jobs.refuse;
      const errors = await Promise.all([
        rejection(pool.run(missing.f)),
        rejection(pool.run(other("nothing"))),
        rejection(pool.run(other("notAFunction"))),
        rejection(pool.run(other("constructor"))),
      ]);

      for (const error of errors) assert.ok(error instanceof WorkerModuleError, String(error));
      const [first, second, third] = errors.map((error) => (error as Error).message);
      assert.match(String(first), /does not load.*If the program was bundled/);
      assert.match(String(second), /has no export "nothing". It has .*add/);
      assert.match(String(third), /has no function "notAFunction"/);
      assert.equal(await pool.run(jobs.add, 1, 2), 3);
    }),
  );
});

describe("a buffer", () => {
  test(
    "is moved to the worker and back",
    threads(async (pool) => {
      const buffer = new ArrayBuffer(1000);
      const there = await pool.run(jobs.same.with({ transfer: [buffer] }), buffer);
      const back = await pool.run(jobs.givePair, 500);

      assert.deepEqual([buffer.byteLength, (there as ArrayBuffer).byteLength], [0, 1000]);
      assert.deepEqual([back.data.length, back.data[0]], [500, 7]);
    }),
  );

  test("that is moved excludes another attempt (14)", () => {
    assert.throws(
      () => jobs.same.with({ transfer: [new ArrayBuffer(1)], idempotent: true }),
      InvalidStateError,
    );
  });
});

describe("a callback", () => {
  test(
    "gives results and errors to the worker, and is cancelled with the caller (S195)",
    threads(async (pool) => {
      const log: string[] = [];
      const double = callback(async (n: number) => sleep(0.001, n * 2));
      const refuse = callback(async (_n: number): Promise<number> => {
        throw new RangeError("no");
      });
      const never = callback(async (n: number) => {
        try {
          return await sleep(3600, n);
        } finally {
          log.push("left");
        }
      });

      assert.equal(await pool.run(jobs.ask, double), 41);
      assert.ok((await rejection(pool.run(jobs.ask, refuse))) instanceof RangeError);
      const moved = await moveOnAfter(0.2, () => pool.run(jobs.ask, never));
      assert.deepEqual([moved.cancelled, log], [true, ["left"]]);
    }),
  );

  test(
    "has ended before the job has, also where the job does not wait for it any more (S197)",
    threads(async (pool) => {
      const log: string[] = [];
      const called = new Event();
      const slow = callback(async () => {
        called.set();
        try {
          await sleep(3600);
        } finally {
          log.push("ended");
        }
      });

      const hasBegun = callback(async () => void (await called.wait()));

      assert.equal(await pool.run(jobs.askAndLeave, slow, hasBegun), "left");
      assert.deepEqual(log, ["ended"]);
    }),
  );

  test(
    "is called synchronously, and deep in an argument",
    threads(async (pool) => {
      const double = callback((n: number) => n * 2, { sync: true });
      const deep = { on: [{ ask: callback(async (n: number) => n + 1) }] as const };

      assert.equal(await pool.run(jobs.askSync, double), 41);
      assert.equal(await pool.run(jobs.askDeep, deep as never), 2);
    }),
  );

  test(
    "that is called synchronously ends with a CancelledError when the caller is cancelled (12)",
    threads(async (pool) => {
      const never = callback(async (n: number) => sleep(3600, n), { sync: true });
      const asking = jobs.askSync.with({ stopDelay: 3600 });
      const moved = await moveOnAfter(0.2, () => pool.run(asking, never as never));

      assert.equal(moved.cancelled, true);
      assert.deepEqual([await pool.run(jobs.add, 1, 2), pool.stats().replaced], [3, 0]);
    }),
  );

  test(
    "that needs the very pool is a deadlock with a name (11)",
    threads(async (pool) => {
      const nested = callback(async (n: number) => pool.run(jobs.add, n, 1));
      const error = await rejection(pool.run(jobs.ask, nested));

      assert.ok(error instanceof DeadlockError, String(error));
      assert.match(error.message, /\(ask\) has a worker.*\n.*\(add\) waits for a worker/);
      assert.equal(await pool.run(jobs.add, 1, 2), 3);
    }),
  );
});

describe("a stream", () => {
  test(
    "gives the items in order, the worker at most 16 ahead, and leaving it ends the job (13)",
    threads(async (pool) => {
      const at = board();
      const seen: number[] = [];
      for await (const n of pool.stream(jobs.numbers, 1000, at)) {
        seen.push(n);
        if (n === 2) {
          await delay(50);
          assert.ok(Atomics.load(at, 0) <= 2 + 16 + 1, `${Atomics.load(at, 0)}`);
        }
        if (n === 40) break;
      }

      assert.deepEqual(
        seen,
        Array.from({ length: 41 }, (_, n) => n),
      );
      assert.equal(Atomics.load(at, 1), 1);
      assert.ok(await isQuiet(at));
      assert.equal(pool.stats().replaced, 0);
    }),
  );

  test(
    "gives a failure after the items before it (13)",
    threads(async (pool) => {
      const seen: number[] = [];
      const reading = (async () => {
        for await (const n of pool.stream(jobs.failAt, 3)) seen.push(n);
      })();
      const error = (await rejection(reading)) as Error;

      assert.deepEqual([seen, error.message], [[0, 1, 2], "at 3"]);
    }),
  );

  test(
    "that is cancelled in the loop ends the job (13)",
    threads(async (pool) => {
      const at = board();
      const reading = createTask(async () => {
        for await (const _ of pool.stream(jobs.numbers, 1e9, at)) await sleep(0.01);
      });
      await begun(at);
      reading.cancel();
      await rejection(reading);

      assert.deepEqual([reading.cancelled(), Atomics.load(at, 1)], [true, 1]);
    }),
  );

  test(
    "wants an iterable",
    threads(async (pool) => {
      const notIterable = pool.stream(jobs.add as never, 1, 2)[Symbol.asyncIterator]();

      assert.match(String(await rejection(notIterable.next())), /expects a function that gives/);
    }),
  );
});

describe("the end of a worker", () => {
  test(
    "costs the job that it had, and no other (5)",
    threads(
      async (pool) => {
        const at = board();
        const other = createTask(() => pool.run(jobs.sleepAndSay, at));
        await begun(at);
        const exited = await rejection(pool.run(jobs.exit, 7));
        const uncaught = await rejection(pool.run(jobs.uncaughtLater));

        assert.ok(exited instanceof WorkerLostError);
        assert.deepEqual([exited.exitCode, exited.mayHaveRun], [7, true]);
        assert.ok(uncaught instanceof WorkerLostError);
        assert.match(String((uncaught.cause as Error).message), /thrown by a timer/);
        assert.equal(await pool.run(jobs.add, 1, 2), 3);
        assert.equal(other.done(), false);
        other.cancel();
        assert.ok((await rejection(other)) instanceof CancelledError);
      },
      { maxWorkers: 2 },
    ),
  );

  test(
    "is tried again where the function says that it may",
    threads(async (pool) => {
      const error = await rejection(pool.run(jobs.exit.with({ attempts: 2 }), 1));

      assert.ok(error instanceof WorkerLostError);
      assert.equal(pool.stats().replaced, 2);
    }),
  );

  test("again and again breaks the pool", async () => {
    await run(async () => {
      await using pool = new ThreadPoolExecutor({ maxWorkers: 1 });
      for (let n = 0; n < 5; n++) await rejection(pool.run(jobs.exit, 1));

      assert.ok((await rejection(pool.run(jobs.add, 1, 1))) instanceof BrokenExecutorError);
    });
  });

  test(
    "is not what garbage brings about that it sends",
    threads(async (pool) => {
      const { prototype } = Object;
      const before = Object.getOwnPropertyNames(prototype);

      assert.equal(await pool.run(jobs.sendGarbage), "still here");
      assert.equal(await pool.run(jobs.add, 1, 2), 3);
      assert.deepEqual(Object.getOwnPropertyNames(prototype), before);
    }),
  );
});

test("what belongs into a job says so outside one", () => {
  assert.throws(() => currentJob(), InvalidStateError);
  assert.throws(() => progress(1), InvalidStateError);
  checkCancelled();
  sharedContextVar("only once");
  assert.throws(() => sharedContextVar("only once"), InvalidStateError);
});
