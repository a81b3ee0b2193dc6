import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  createTask,
  ExceptionGroup,
  InvalidStateError,
  moveOnAfter,
  run,
  sleep,
  TimeoutError,
} from "../../src/index.ts";
import { type Ended, type Resource, resource, resources } from "../../src/patterns.ts";
import { cancelSweep, explore, VirtualLoop } from "../../src/testing.ts";
import { conformsJoin } from "../conformance.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

conformsJoin("resources", (work) => resources(work), { runsInCaller: true });

conformsJoin("resource.use", (work) => resource(noop, noop).use(work), { runsInCaller: true });

function noop(): void {}

/** Writes down when it is opened and closed, and how the body ended. */
function logged(log: string[], name: string, seconds = 0): Resource<string> {
  return resource(
    async () => {
      await sleep(seconds);
      log.push(`open ${name}`);
      return name;
    },
    async (_item, ended: Ended) => {
      await sleep(seconds);
      log.push(`close ${name}: ${ended.how}`);
    },
    { name },
  );
}

/** What is reported while `body` runs in virtual time. */
async function reportsOf(body: (loop: VirtualLoop) => Promise<void>): Promise<string[]> {
  const loop = new VirtualLoop();
  const reports = collectReports(loop);
  await run(() => body(loop), { loop });
  return reports.map(({ exception }) => String(exception));
}

describe("use", () => {
  test(
    "closes on every path, and tells how the body ended",
    virtual(async () => {
      const log: string[] = [];
      const thing = logged(log, "a", 1);

      assert.equal(await thing.use(async (name) => `${name}!`), "a!");
      await assert.rejects(
        thing.use(() => Promise.reject(new Error("broken"))),
        /broken/,
      );
      await moveOnAfter(1.5, () => thing.use(() => sleep(9)));

      const closings = ["returned", "failed", "cancelled"].map((how) => `close a: ${how}`);
      assert.deepEqual(
        log.filter((line) => line.startsWith("close")),
        closings,
      );
    }),
  );

  test(
    "cancelled while it opens, there is nothing to close",
    virtual(async () => {
      const log: string[] = [];
      await moveOnAfter(0.5, () => logged(log, "a", 1).use(noop));
      assert.deepEqual(log, []);
    }),
  );

  test(
    "a failure of closing is thrown if the body has succeeded",
    virtual(async () => {
      const fails = resource(noop, () => Promise.reject(new Error("still busy")));
      await assert.rejects(fails.use(noop), /still busy/);
    }),
  );

  test("else it is reported, and the body's comes out", async () => {
    const reports = await reportsOf(async () => {
      const fails = resource(noop, () => Promise.reject(new Error("still busy")));
      await assert.rejects(
        fails.use(() => Promise.reject(new Error("broken"))),
        /broken/,
      );
    });
    assert.deepEqual(reports, ["Error: still busy"]);
  });
});

describe("a release", () => {
  test(
    "has its time, and is cancelled then",
    virtual(async (loop) => {
      const slow = resource(noop, () => sleep(9), { name: "the cache", releaseDelay: 2 });

      const error = await rejection(slow.use(noop));

      assert.ok(error instanceof TimeoutError);
      assert.equal(error.message, "the release of the cache was cancelled: its 2 s are over");
      assert.equal(loop.time(), 2);
    }),
  );

  test(
    "in a foreign await is left behind a second later",
    virtual(async (loop) => {
      const stuck = resource(noop, () => new Promise(noop), { releaseDelay: 2 });

      await assert.rejects(stuck.use(noop), /a resource has not ended, and is left behind/);
      assert.equal(loop.time(), 3);
    }),
  );

  test(
    "with no time at all is cancelled at its first wait",
    virtual(async (loop) => {
      const log: string[] = [];
      const hasty = resource(
        noop,
        async () => {
          log.push("begun");
          await sleep(9);
        },
        { releaseDelay: 0 },
      );

      await assert.rejects(hasty.use(noop), TimeoutError);
      assert.deepEqual([log, loop.time()], [["begun"], 0]);
    }),
  );

  test(
    "that ends while it unwinds has ended",
    virtual(async (loop) => {
      const late = resource(
        noop,
        async () => {
          await sleep(9).catch(noop);
          await sleep(0.5);
        },
        { releaseDelay: 2 },
      );

      await late.use(noop);
      assert.equal(loop.time(), 2.5);
    }),
  );

  test(
    "is shielded, and the cancellation waits",
    virtual(async (loop) => {
      const log: string[] = [];
      const task = createTask(async () => {
        const value = await logged(log, "a", 1).use(async () => 5);
        log.push(String(value));
        await sleep(9);
      });
      await sleep(1.5);

      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
      assert.deepEqual([log, loop.time()], [["open a", "close a: returned", "5"], 2]);
    }),
  );
});

describe("a block of resources", () => {
  test(
    "closes the last first, and tells all how the body ended",
    virtual(async () => {
      const log: string[] = [];
      const block = resources(async (scope) => {
        await scope.open(logged(log, "a"));
        scope.defer((ended) => log.push(`deferred: ${ended.how}`));
        scope.use({ [Symbol.dispose]: () => log.push("disposed") });
        const kept = scope.use({ [Symbol.asyncDispose]: async () => void log.push("async") });
        assert.ok(Symbol.asyncDispose in kept);
        await scope.open(logged(log, "b"));
        throw new Error("broken");
      });

      await assert.rejects(block, /broken/);

      assert.deepEqual(log, [
        "open a",
        "open b",
        "close b: failed",
        "async",
        "disposed",
        "deferred: failed",
        "close a: failed",
      ]);
    }),
  );

  test(
    "failures of closing keep no other from closing, and come as a group",
    virtual(async () => {
      const log: string[] = [];
      const block = resources(async (scope) => {
        await scope.open(logged(log, "a"));
        scope.defer(() => Promise.reject(new Error("one")));
        scope.defer(() => assert.fail("two"));
      });

      const error = await rejection(block);

      assert.ok(error instanceof ExceptionGroup);
      assert.deepEqual(
        error.errors.map(({ message }) => message),
        ["two", "one"],
      );
      assert.deepEqual(log, ["open a", "close a: returned"]);
    }),
  );

  test(
    "a signal cuts the body off, and its reason comes out",
    virtual(async () => {
      const log: string[] = [];
      const controller = new AbortController();
      const body = async () => {
        await sleep(1);
        controller.abort(new Error("the user left"));
        await sleep(9);
      };

      const block = resources(
        async (scope) => {
          await scope.open(logged(log, "a"));
          await body();
        },
        { signal: controller.signal },
      );

      await assert.rejects(block, /the user left/);
      assert.deepEqual(log, ["open a", "close a: cancelled"]);
    }),
  );

  test(
    "nothing can be opened when it has ended",
    virtual(async () => {
      const kept = await resources(async (scope) => scope);
      await assert.rejects(kept.open(resource(noop, noop)), InvalidStateError);
      assert.throws(() => kept.defer(noop), /when the block of `resources` had ended/);
    }),
  );
});

test("whatever is cancelled, whatever is open gets closed once", async () => {
  const sweep = await cancelSweep(
    async () => {
      const open = new Set<number>();
      const thing = (n: number) =>
        resource(
          async () => {
            await sleep(0);
            open.add(n);
          },
          async () => {
            await sleep(0);
            assert.ok(open.delete(n));
          },
        );
      try {
        await resources(async (scope) => {
          await scope.open(thing(1));
          await scope.open(thing(2));
          await sleep(1);
        });
      } finally {
        assert.equal(open.size, 0);
      }
    },
    { schedules: 3, mayReturn: true },
  );
  assert.ok(sweep.complete);
});

test("two blocks side by side under every schedule", async () => {
  await explore(async (t) => {
    const log: string[] = [];
    const block = (name: string) => () =>
      moveOnAfter(t.random() * 3, () =>
        resources(async (scope) => {
          await scope.open(logged(log, name, 0.5));
          await sleep(t.random());
        }),
      );
    await Promise.all([createTask(block("a")), createTask(block("b"))]);
    const count = (word: string) => log.filter((line) => line.startsWith(word)).length;
    assert.equal(count("open"), count("close"));
  });
});

test("what cannot be opened or disposed of is refused in the call", async () => {
  const inScope = (call: "open" | "use", value: unknown) =>
    resources(async (scope) => {
      if (call === "open") await scope.open(value as never);
      else scope.use(value as never);
    });

  await assert.rejects(
    inScope("open", async () => 5),
    /^TypeError: `scope.open` expects a resource, got .*\. Make one with `resource\(open, close\)`/,
  );
  for (const value of [5, {}, undefined, null])
    await assert.rejects(
      inScope("use", value),
      /^TypeError: `scope.use` expects something that can be disposed of, got /,
    );
});
