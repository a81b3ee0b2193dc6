// Behaviours of asyncio's event loop and runner that no other test pins; docs/parity.md has them
// all.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type CancelledError,
  ContextVar,
  createTask,
  currentTask,
  type EventLoop,
  Future,
  getRunningLoop,
  HostLoop,
  Runner,
  run,
  sleep,
} from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { runFixture } from "../child.ts";
import { collectReports, rejection } from "../virtual.ts";

const loops: Record<string, () => EventLoop> = {
  "in virtual time": () => new VirtualLoop(),
  "in real time": () => new HostLoop(),
};

for (const [name, makeLoop] of Object.entries(loops)) {
  test(`what is ready comes before the timers that are due ${name} (S161)`, async () => {
    const loop = makeLoop();
    const log: string[] = [];

    await run(
      async () => {
        loop.callLater(0, () => log.push("due"));
        loop.callSoon(() => log.push("ready 1"));
        loop.callSoon(() => log.push("ready 2"));
        await sleep(0.001);
      },
      { loop },
    );

    assert.deepEqual(log, ["ready 1", "ready 2", "due"]);
  });
}

test("no timer fires before its time, however short it is (S163)", async () => {
  const early = await run(async () => {
    const loop = getRunningLoop();
    const gaps: number[] = [];
    for (let count = 1; count <= 20; count++) {
      const when = loop.time() + count * 0.00013;
      const fired = new Future<number>();
      loop.callAt(when, () => fired.setResult(loop.time()));
      gaps.push((await fired) - when);
    }
    return gaps.filter((gap) => gap < 0);
  });

  assert.deepEqual(early, []);
});

describe("the exception handler", () => {
  /** What it sees of a variable, and which task. */
  async function seenBy(body: (variable: ContextVar<string>) => Promise<void>): Promise<unknown[]> {
    const loop = new VirtualLoop();
    const variable = new ContextVar("variable", { default: "default" });
    const seen: unknown[] = [];
    loop.setExceptionHandler(() => seen.push(variable.get(), currentTask()?.getName()));
    await run(() => body(variable), { loop });
    return seen;
  }

  test("runs in the context of the callback that has failed (S169)", async () => {
    const seen = await seenBy(async (variable) => {
      variable.set("at registration");
      getRunningLoop().callSoon(() => {
        variable.set(`${variable.get()}, callback`);
        throw new Error("expected");
      });
      variable.set("later");
      await sleep(1);
    });

    assert.deepEqual(seen, ["at registration, callback", undefined]);
  });

  test("runs in the context of the task that has failed unseen (S169)", async () => {
    const seen = await seenBy(async (variable) => {
      createTask(async () => {
        variable.set("task");
        await sleep(1);
        throw new Error("expected");
      });
      await sleep(2);
    });

    assert.deepEqual(seen, ["task", undefined]);
  });
});

test("an async function may be a callback, and its failure is reported (S170)", async () => {
  const loop = new VirtualLoop();
  const reports = collectReports(loop);
  const failure = new Error("expected");

  await run(
    async () => {
      loop.callSoon(async () => {
        throw failure;
      });
      await sleep(1);
    },
    { loop },
  );

  assert.deepEqual(
    reports.map(({ exception }) => exception),
    [failure],
  );
});

test("a main that spins without waiting for anything is cancelled by a signal as well (S178)", async () => {
  const source = await run(async () => {
    setImmediate(() => process.kill(process.pid, "SIGINT"));
    try {
      for (;;) await sleep(0);
    } catch (error) {
      return (error as CancelledError).source;
    }
  });

  assert.equal(source, "shutdown");
});

const runningAlready = { promise: Promise.resolve(1), future: new Future<number>() };
for (const [name, what] of Object.entries(runningAlready)) {
  test(`run and Runner.run refuse a ${name}, which runs already (S182)`, async () => {
    const runner = new Runner({ loop: new VirtualLoop() });

    await assert.rejects(run(what as never), TypeError);
    await assert.rejects(runner.run(what as never), TypeError);
    await runner.close();
  });
}

test("debug mode is that of the environment when the loop is made, and can be switched while it runs (S171)", (t) => {
  const before = process.env.ASYNCIO_DEBUG;
  t.after(() => {
    if (before === undefined) delete process.env.ASYNCIO_DEBUG;
    else process.env.ASYNCIO_DEBUG = before;
  });

  process.env.ASYNCIO_DEBUG = "1";
  const [loop, quiet] = [new HostLoop(), new HostLoop({ debug: false })];
  process.env.ASYNCIO_DEBUG = "0";

  const modes = [loop, quiet, new HostLoop()].map((one) => one.getDebug());
  assert.deepEqual(modes, [true, false, false]);
  quiet.setDebug(true);
  assert.equal(quiet.getDebug(), true);
});

test("a signal that meets a main which is cancelled already ends the process as well (S179)", async () => {
  const ended = await runFixture("interrupted-cleanup", "", {
    onOutput: (_output, child) => child.kill("SIGINT"),
  });

  assert.deepEqual([ended.signal, ended.stdout], ["SIGINT", "cleaning up\n"]);
});

test("a signal that no process can listen to is refused by name (S172)", async () => {
  const error = (await rejection(
    run(async () => {}, { signals: ["SIGKILL" as "SIGINT"] }),
  )) as Error;

  assert.match(error.message, /an array of SIGHUP, SIGINT, .* got "SIGKILL"/);
});
