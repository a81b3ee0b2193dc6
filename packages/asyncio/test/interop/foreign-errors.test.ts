// Foreign code answers to our signals with errors of its own, which have our CancelledError as
// their cause. Every test runs in virtual time and on the real host.

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import * as asyncio from "../../src/index.ts";
import { cancelSweep } from "../../src/testing.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

const { abortSignal, CancelledError, createTask, sleep } = asyncio;

/** Ends with what the host makes of the abort. */
const hostWork = (signal: AbortSignal = abortSignal()): Promise<unknown> =>
  once(new EventEmitter(), "never", { signal });

class QueryError extends Error {
  override readonly name = "QueryError";
}

/** What an ORM does with every failure of its driver. */
async function orm<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new QueryError("Failed query: select 1", { cause });
  }
}

/** Foreign code in each of the ways in which it fails after an abort. */
const answers: Record<string, () => Promise<unknown>> = {
  "an AbortError of the host": () => hostWork(),
  "an error that wraps the CancelledError": () => orm(() => sleep(3600)),
  "an error that wraps an AbortError twice": () => orm(() => orm(() => hostWork())),
  "an AggregateError of nothing else": () => Promise.any([hostWork(), orm(() => hostWork())]),
  "a group of nothing else in an error": () => orm(() => Promise.any([hostWork()])),
};

/**
 * Declares a test in virtual time, where nothing may be left or reported, and one on the real host.
 */
function onBoth(name: string, body: (loop: asyncio.EventLoop) => Promise<void>): void {
  test(`${name}, in virtual time`, virtual(body));
  test(`${name}, in real time`, async () => {
    const loop = new asyncio.HostLoop();
    const reports = collectReports(loop);

    await asyncio.run(() => body(loop), { loop, signals: false });

    assert.deepEqual(reports, []);
  });
}

describe("an error caused by the CancelledError of a scope that is ending counts as that", () => {
  for (const [what, work] of Object.entries(answers)) {
    onBoth(`timeout turns ${what} into a TimeoutError, and keeps it`, async () => {
      const error = await rejection(asyncio.timeout(0.05, work)); // by then it has begun

      assert.ok(error instanceof asyncio.TimeoutError);
      assert.ok(error.cause instanceof CancelledError);
      assert.ok(error.cause.cause instanceof Error);
    });

    onBoth(`moveOnAfter takes ${what} for the end of its time`, async () => {
      assert.deepEqual(await asyncio.moveOnAfter(0.002, work), { cancelled: true });
    });

    onBoth(`a CancelScope swallows ${what} when it was cancelled`, async () => {
      const scope = new asyncio.CancelScope();
      const running = scope.run(work);
      await sleep(0);
      scope.cancel();

      assert.equal(await running, undefined);
      assert.ok(scope.cancelled);
    });

    onBoth(`cleanup ends with its time when ${what} leaves it`, async () => {
      assert.equal(await asyncio.cleanup(0.002, work), undefined);
    });

    onBoth(`a task that ${what} leaves after cancel() is cancelled`, async () => {
      const task = createTask(work);
      await sleep(0);
      await sleep(0);
      task.cancel("enough");

      const error = await rejection(task);

      assert.ok(task.cancelled());
      assert.ok(error instanceof CancelledError && error.reason === "enough");
    });

    onBoth(`group.cancel ends the group whose body and child answer with ${what}`, async () => {
      const value = await asyncio.taskGroup<string>(async (group) => {
        group.createTask(work);
        createTask(async () => group.cancel("early"));
        await work();
        return "late";
      });

      assert.equal(value, "early");
    });

    onBoth(`gather under a deadline ends when ${what} leaves its children`, async () => {
      const late = asyncio.moveOnAfter(0.002, () => asyncio.gather(work, () => sleep(3600)));

      assert.deepEqual(await late, { cancelled: true });
    });

    onBoth(`a loser of a race may answer with ${what}`, async () => {
      assert.equal(await asyncio.race(work, () => sleep(0.002, "first")), "first");
    });

    onBoth(`an item of mapConcurrent may answer with ${what}`, async () => {
      const consume = async (): Promise<void> => {
        for await (const _ of asyncio.mapConcurrent([1, 2], work, { limit: 2 }));
      };

      assert.deepEqual(await asyncio.moveOnAfter(0.002, consume), { cancelled: true });
    });
  }

  onBoth("a failing sibling is the only failure of its group", async () => {
    const error = await rejection(
      asyncio.taskGroup(async (group) => {
        group.createTask(() => hostWork());
        group.createTask(async () => {
          throw new Error("out of paper");
        });
      }),
    );

    assert.ok(error instanceof asyncio.ExceptionGroup);
    assert.deepEqual(error.errors.map(String), ["Error: out of paper"]);
  });

  onBoth("children that hold the signal of the scope around their group end with it", async () => {
    const late = asyncio.moveOnAfter(0.002, async () => {
      const signal = abortSignal();
      await asyncio.taskGroup(async (group) => {
        for (let count = 0; count < 3; count++) group.createTask(() => hostWork(signal));
      });
    });

    assert.deepEqual(await late, { cancelled: true });
  });

  onBoth("the outermost of nested deadlines that are both due raises", async () => {
    const error = await rejection(
      asyncio.timeout(0.002, () =>
        asyncio.moveOnAfter(0.002, async () => {
          await orm(() => sleep(3600));
        }),
      ),
    );

    assert.ok(error instanceof asyncio.TimeoutError);
  });

  onBoth("a cancellation from outside passes through a deadline", async () => {
    const task = createTask(() => asyncio.timeout(3600, () => hostWork()));
    await sleep(0);
    await sleep(0);
    task.cancel("outside");

    const error = await rejection(task);

    assert.ok(error instanceof CancelledError && error.reason === "outside");
  });

  onBoth("a signal's reason comes out as it is", async () => {
    const controller = new AbortController();
    const reason = { any: "value" };
    const options = { signal: controller.signal };
    const open = rejection(asyncio.timeout(3600, () => orm(() => hostWork()), options));
    const task = createTask(() => hostWork(), options);
    await sleep(0);
    await sleep(0);
    controller.abort(reason);

    assert.equal(await open, reason);
    const error = await rejection(task);
    assert.ok(error instanceof CancelledError && error.cause === reason);
  });

  onBoth("it is delivered once: the cleanup after it may wait", async () => {
    const log: unknown[] = [];
    const task = createTask(async () => {
      try {
        await asyncio.timeout(3600, () => hostWork());
      } finally {
        log.push(await sleep(0, "cleaned up"));
      }
    });
    await sleep(0);
    await sleep(0);
    task.cancel();
    await rejection(task);

    assert.deepEqual(log, ["cleaned up"]);
  });

  onBoth("a bare promise of gather, shield or asCompleted ends cancelled, not failed", async () => {
    const uses: ((work: Promise<unknown>) => PromiseLike<unknown>)[] = [
      (work) => asyncio.gather(work),
      (work) => asyncio.shield(work),
      (work) => asyncio.asCompleted([work]).next(),
    ];
    for (const use of uses) {
      const late = asyncio.moveOnAfter(0.002, async () => await use(hostWork()));
      assert.deepEqual(await late, { cancelled: true });
    }
    await delay(1);
  });

  test("a cancelled handler of a server has not failed", async () => {
    const loop = new asyncio.HostLoop();
    const reports = collectReports(loop);
    await asyncio.run(
      async () => {
        const waiting = new asyncio.Event();
        const server = await asyncio.startServer(
          async () => {
            waiting.set();
            await orm(() => hostWork());
          },
          { host: "127.0.0.1" },
        );
        const { port } = server.sockets[0] as { port: number };
        const client = await asyncio.openConnection("127.0.0.1", port);
        await waiting.wait();
        await server.shutdown(0);
        client.writer.close();
      },
      { loop, signals: false },
    );

    assert.deepEqual(reports, []);
  });

  test("main that answers to a signal of the process with an AbortError ends cancelled", async () => {
    const controller = new AbortController();
    const running = asyncio.run(() => delay(3_600_000, undefined, { signal: abortSignal() }), {
      signal: controller.signal,
      signals: false,
    });
    setImmediate(() => controller.abort("stop"));

    assert.equal(await rejection(running), "stop");
  });

  test("cancelSweep takes it for the answer to its cancellation", async () => {
    const sweep = await cancelSweep(
      async () => {
        await orm(() => sleep(1));
      },
      { depth: 1 },
    );

    assert.ok(sweep.complete);
  });
});

describe("so does one that comes when the scope has ended, in a branch that it left behind", () => {
  const { gather, moveOnAfter } = asyncio;
  const branches: Record<string, (work: (signal: AbortSignal) => Promise<never>) => unknown> = {
    "in a scope inside": (work) => moveOnAfter(null, () => work(abortSignal())),
    "in a gather": (work) => gather([work(abortSignal())]),
  };
  for (const [name, branch] of Object.entries(branches))
    onBoth(name, async () => {
      const isGone = Promise.withResolvers<void>();
      const answersLate = (signal: AbortSignal): Promise<never> =>
        orm(async () => {
          await once(signal, "abort");
          await isGone.promise;
          throw signal.reason;
        });
      const scope = new asyncio.CancelScope();
      let left: Promise<unknown> | undefined;

      await scope.run(async () => {
        left = rejection(branch(answersLate) as Promise<unknown>);
        scope.cancel();
        await sleep(3600);
      });
      isGone.resolve();

      assert.ok((await left) instanceof CancelledError);
      await sleep(0);
      await delay(1);
    });
});

describe("a failure stays one, whatever CancelledError is among its causes", () => {
  const stale = async (): Promise<unknown> =>
    await rejection(asyncio.timeout(0.001, () => sleep(3600)));

  onBoth("of a scope that has ended", async () => {
    const failure = new Error("real", { cause: await stale() });

    assert.equal(await rejection(asyncio.timeout(3600, () => Promise.reject(failure))), failure);
    const task = createTask(() => Promise.reject(failure));
    assert.equal(await rejection(task), failure);
    assert.ok(!task.cancelled());
  });

  onBoth("of a scope that has ended inside of one that is ending", async () => {
    const failure = new Error("real", { cause: (await stale()) as Error });
    const late = asyncio.moveOnAfter(0.001, async () => {
      await sleep(3600).catch(() => {});
      throw failure;
    });

    assert.equal(await rejection(late), failure);
  });

  onBoth("of a task that was cancelled by itself", async () => {
    const inner = createTask(() => sleep(3600));
    await sleep(0);
    inner.cancel();

    const error = await rejection(asyncio.timeout(3600, () => orm(async () => await inner)));

    assert.ok(error instanceof QueryError);
  });

  onBoth("of a cancellation that was taken back", async () => {
    const task = createTask(async () => {
      const cause = await rejection(sleep(3600));
      asyncio.currentTask()?.uncancel();
      throw new Error("real", { cause });
    });
    await sleep(0);
    task.cancel();

    assert.equal(((await rejection(task)) as Error).message, "real");
  });

  onBoth("that no scope has made", async () => {
    const failure = new Error("real", { cause: new CancelledError() });

    assert.equal(
      await rejection(asyncio.moveOnAfter(3600, () => Promise.reject(failure))),
      failure,
    );
  });

  onBoth("if an aggregate has another failure beside it", async () => {
    const late = asyncio.moveOnAfter(0.002, async () => {
      const cause = await rejection(hostWork());
      throw new AggregateError([cause, new Error("disk full")]);
    });

    assert.ok((await rejection(late)) instanceof AggregateError);
  });

  onBoth("and what only looks like an error comes through as it is", async () => {
    const circle = new Error("round");
    circle.cause = circle;
    const trap = Object.defineProperty(new Error("trap"), "cause", {
      get: () => {
        throw new Error("a getter");
      },
    });
    for (const thrown of [circle, trap, Object.create(null), null, undefined, "text"])
      assert.equal(await rejection(asyncio.timeout(3600, () => Promise.reject(thrown))), thrown);
  });
});
