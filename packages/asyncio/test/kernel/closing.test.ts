import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  CancelScope,
  createTask,
  Future,
  gather,
  moveOnAfter,
  Queue,
  run,
  sleep,
  type Task,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { runFixture } from "../child.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

/** A branch whose promise is looked at, so that node:test does not mind. */
function branch(body: () => Promise<unknown>): Promise<unknown> {
  const promise = body();
  promise.catch(() => {});
  return promise;
}

describe("R16: a scope closes when its body settles", () => {
  const scopes: Record<string, (body: () => Promise<unknown>) => Promise<unknown>> = {
    "a task": async (body) => await createTask(body),
    "an eager task": async (body) => await createTask(body, { eagerStart: true }),
    timeout: (body) => timeout(3600, body),
    moveOnAfter: (body) => moveOnAfter(3600, body),
    "CancelScope.run": (body) => new CancelScope().run(body),
    taskGroup: (body) => taskGroup(body),
    "a thunk of gather": (body) => gather(body),
  };
  for (const [name, open] of Object.entries(scopes)) {
    test(
      `waits that floating branches still have in ${name} are cut off, and their finally blocks run`,
      virtual(async (loop) => {
        const log: string[] = [];
        const floating = async (): Promise<void> => {
          await sleep(3600).finally(() => log.push("finally"));
        };

        await open(async () => void branch(floating));
        await sleep(0);
        await sleep(0);

        assert.deepEqual([log, loop.time()], [["finally"], 0]);
      }),
    );

    onBothLoops(
      `what a branch of ${name} begins later rejects, also if nothing was cut off`,
      async () => {
        const foreign = Promise.withResolvers<void>();
        let late: Promise<unknown> | undefined;
        const floating = async (): Promise<void> => {
          await foreign.promise; // <- nobody is parked when the scope closes
          await sleep(0.001);
        };

        await open(async () => {
          late = branch(floating);
        });
        foreign.resolve();

        assert.ok((await rejection(late as Promise<unknown>)) instanceof CancelledError);
      },
    );
  }

  test(
    "a body that fails closes its scope as well",
    virtual(async () => {
      const log: string[] = [];
      const task = createTask(async () => {
        branch(() => sleep(3600).finally(() => log.push("finally")));
        throw new Error("expected");
      });

      await rejection(task);
      await sleep(0);
      await sleep(0);

      assert.deepEqual(log, ["finally"]);
    }),
  );

  test(
    "later operations of a floating branch reject",
    virtual(async () => {
      const queue = new Queue<number>();
      const log: unknown[] = [];
      let floating: Promise<unknown> | undefined;
      await timeout(3600, async () => {
        floating = branch(async () => {
          await sleep(3600).catch((error) => log.push(error.source));
          await queue.put(1);
        });
      });

      const error = await rejection(floating as Promise<unknown>);

      assert.ok(error instanceof CancelledError);
      assert.deepEqual([log, error.source, queue.qsize()], [["closed"], "closed", 0]);
    }),
  );

  test(
    "the losers of a Promise.race are cleaned up when its scope ends",
    virtual(async (loop) => {
      const ended: string[] = [];
      const contend = (seconds: number, name: string): Promise<string> =>
        sleep(seconds, name).finally(() => ended.push(name));

      const winner = await timeout(3600, () =>
        Promise.race([contend(1, "fast"), contend(100, "slow")]),
      );
      await sleep(0);
      await sleep(0);

      assert.deepEqual([winner, ended, loop.time()], ["fast", ["fast", "slow"], 1]);
    }),
  );

  test(
    "the loser of a Promise.race stays parked until its scope closes",
    virtual(async () => {
      const queue = new Queue<number>();
      await timeout(3600, async () => {
        await Promise.race([queue.get(), sleep(1)]);
        queue.putNowait(1);
        assert.equal(queue.qsize(), 0);
        await sleep(0);
      });
    }),
  );

  test(
    "a task that a finished body started and caught goes on",
    virtual(async () => {
      const log: unknown[] = [];
      let work: Task<string> | undefined;
      await createTask(async () => {
        work = createTask(() => sleep(10, "finished"));
        work.catch((error) => log.push(error));
      });

      assert.equal(await work, "finished");
      assert.deepEqual(log, []);
    }),
  );

  test(
    "a floating branch that awaits a task is cut off, and the task is not touched",
    virtual(async () => {
      const work = createTask(() => sleep(10, "finished"));
      let floating: Promise<unknown> | undefined;
      await timeout(3600, async () => {
        floating = branch(async () => await work);
        await sleep(1);
      });

      const error = await rejection(floating as Promise<unknown>);

      assert.equal((error as CancelledError).source, "closed");
      assert.equal(work.cancelling(), 0);
      assert.equal(await work, "finished");
    }),
  );

  test(
    "a floating branch that awaits a future is cut off, and the future is not touched",
    virtual(async () => {
      const future = new Future<string>();
      let floating: Promise<unknown> | undefined;
      await createTask(async () => {
        floating = branch(async () => await future);
        await sleep(1);
      });

      await rejection(floating as Promise<unknown>);
      future.setResult("value");

      assert.equal(await future, "value");
    }),
  );

  test(
    "a floating branch in gather: what it was given is not touched, what it started is cancelled",
    virtual(async () => {
      const given = createTask(() => sleep(10, "finished"));
      const log: string[] = [];
      const owned = (): Promise<unknown> => sleep(10).finally(() => log.push("cancelled"));
      await timeout(3600, async () => {
        branch(() => gather(given, owned));
        await sleep(1);
      });

      assert.equal(await given, "finished");
      assert.deepEqual(log, ["cancelled"]);
    }),
  );

  test(
    "a nested scope of a floating branch is closed with the scope around it",
    virtual(async (loop) => {
      const log: string[] = [];
      await createTask(async () => {
        branch(() => moveOnAfter(3600, () => sleep(3600).finally(() => log.push("finally"))));
        await sleep(1);
      });
      await sleep(0);
      await sleep(0);

      assert.deepEqual([log, loop.time()], [["finally"], 1]);
    }),
  );

  test("debug mode reports each floating branch that was cut off, and where it was waiting", async () => {
    const loop = new VirtualLoop({ debug: true });
    const reports = collectReports(loop);

    await run(
      () =>
        createTask(
          async () => {
            branch(() => new Queue(0, { name: "urls" }).get());
            branch(() => sleep(3600));
            await sleep(1);
          },
          { name: "hasty" },
        ),
      { loop },
    );

    const messages = reports.map(({ message }) => message);
    assert.equal(messages.length, 2);
    assert.match(messages[0] ?? "", /cut off while waiting for Queue "urls"\.get/);
    assert.match(messages[1] ?? "", /cut off while waiting for sleep/);
    assert.match(reports[0]?.sourceTraceback ?? "", /closing\.test\.ts/);
    assert.equal(reports[0]?.task?.getName(), "hasty");
  });

  test("without debug mode nothing is reported", async () => {
    const loop = new VirtualLoop({ debug: false });
    const reports = collectReports(loop);

    await run(async () => void branch(() => sleep(3600)), { loop });

    assert.deepEqual(reports, []);
  });
});

describe("R16: an abandoned CancelledError does not crash the process, anything else does", () => {
  for (const scenario of ["abandoned branch", "branch of a finished run", "abandoned task"]) {
    test(`${scenario}: the program ends normally`, async () => {
      const { code, stdout, stderr } = await runFixture("rejections", scenario);

      assert.equal(code, 0);
      if (scenario === "abandoned task") assert.equal(stderr, "");
      else
        assert.match(
          stderr,
          /^asyncio: .* has ended, and a branch that nobody awaited was cut off/,
        );
      assert.match(stdout, scenario === "abandoned task" ? /^end$/m : /^finally\nend$/m);
    });
  }

  test("nor does the AbortError with which the host answers for it, but any other does", async () => {
    const [ours, before, other] = await Promise.all([
      runFixture("rejections", "abandoned branch with an AbortError of the host"),
      runFixture("rejections", "AbortError in a scope that was cancelled before"),
      runFixture("rejections", "AbortError of somebody else's signal"),
    ]);

    for (const { code, stdout, stderr } of [ours, before])
      assert.deepEqual([code, stdout, stderr], [0, "finally\nend\n", ""]);
    assert.deepEqual([other.code, other.stdout], [1, "finally\n"]);
  });

  test("the CancelledError of a run that nobody awaits is none of an abandoned branch", async () => {
    const { code, stdout, stderr } = await runFixture("rejections", "run that nobody awaits");

    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /CancelledError: cancelled by task "main"/);
  });

  test("that of a branch is, also if the run ends with the same one", async () => {
    const scenario = "branch with the error of a run that is awaited";
    const { code, stdout, stderr } = await runFixture("rejections", scenario);

    assert.deepEqual([code, stdout, stderr], [0, "CancelledError\nend\n", ""]);
  });

  test("that of a run whose caller was cancelled is", async () => {
    const scenario = "abandoned run of a cancelled caller";
    const { code, stdout, stderr } = await runFixture("rejections", scenario);

    assert.deepEqual([code, stdout, stderr], [0, "end\n", ""]);
  });

  for (const flags of [
    [],
    ["--unhandled-rejections=warn"],
    ["--unhandled-rejections=none"],
    ["--unhandled-rejections=warn-with-error-codes"],
  ]) {
    test(`any other unhandled rejection ends as without us ${flags.join()}`, async () => {
      const [withUs, withoutUs] = await Promise.all([
        runFixture("rejections", "foreign rejection with us", { flags }),
        runFixture("rejections", "foreign rejection without us", { flags }),
      ]);

      assert.equal(withUs.stdout.replace("finally\n", ""), withoutUs.stdout);
      assert.deepEqual([withUs.code, withUs.signal], [withoutUs.code, withoutUs.signal]);
      assert.equal(withUs.stderr === "", withoutUs.stderr === "");
      assert.equal(
        withUs.stderr.includes("nobody listens"),
        withoutUs.stderr.includes("nobody listens"),
      );
    });
  }

  test("by default it crashes with code 1 and the origin unhandledRejection", async () => {
    const { code, stdout, stderr } = await runFixture("rejections", "foreign rejection with us");

    assert.equal(code, 1);
    assert.match(stdout, /^origin unhandledRejection$/m);
    assert.match(stderr, /Error: nobody listens/);
  });

  test("under strict the host asks nobody first, and a branch that is awaited is none", async () => {
    const flags = ["--unhandled-rejections=strict"];
    const [abandoned, awaited] = await Promise.all([
      runFixture("rejections", "abandoned branch", { flags }),
      runFixture("rejections", "awaited branch", { flags }),
    ]);

    assert.deepEqual([abandoned.code, abandoned.stdout], [1, "finally\n"]);
    assert.match(abandoned.stderr, /CancelledError: cut off/);
    assert.deepEqual([awaited.code, awaited.stdout, awaited.stderr], [0, "finally\nend\n", ""]);
  });

  test("a rejection with something that is no error crashes as well", async () => {
    const { code, stderr } = await runFixture("rejections", "rejection with a value");

    assert.equal(code, 1);
    assert.match(stderr, /just text/);
  });

  test("a listener of the program's own hears of it once", async () => {
    const { code, stdout } = await runFixture("rejections", "own listener");

    assert.equal(code, 0);
    assert.equal(stdout.match(/Error: nobody listens/g)?.length, 1);
  });
});

describe("R20: a failure that nobody has observed is reported", () => {
  test("at the end of the run, with the name of the task, and the program ends normally", async () => {
    const { code, stdout, stderr } = await runFixture("rejections", "unobserved failure");

    assert.deepEqual([code, stdout], [0, "end\n"]);
    assert.match(stderr, /task "careless" has failed, and nobody has looked/);
    assert.match(stderr, /Error: nobody looked\n\s+at /);
  });

  test("when the task or future is collected, while the program runs on", async () => {
    const { code, stderr } = await runFixture("rejections", "collected failure", {
      flags: ["--expose-gc"],
    });

    const [before = ""] = stderr.split("still running");
    assert.equal(code, 0);
    assert.match(before, /task "careless" has failed/);
    assert.match(before, /a future has failed/);
    assert.equal(stderr.match(/careless/g)?.length, 1);
  });
});
