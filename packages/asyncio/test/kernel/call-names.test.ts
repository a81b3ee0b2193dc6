// Every message about a wrong argument or a wrong moment names the call that was made, and no
// other.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { rejection } from "../virtual.ts";

// biome-ignore lint/suspicious/noExplicitAny: the arguments are wrong on purpose
const wrong = (value: unknown): any => value;

const loop = () => asyncio.getRunningLoop();
const aborted = { signal: wrong({}) };

/** What is called wrongly, and the name that its message begins with. */
const calls: Record<string, () => unknown> = {
  "`loop.callSoon`": () => loop().callSoon(wrong(1)),
  "`loop.callLater`": () => loop().callLater(1, wrong(undefined)),
  "`loop.callLater` expects a delay": () => loop().callLater(wrong("1"), () => {}),
  "`loop.callAt`": () => loop().callAt(1, wrong(1)),
  "`addDoneCallback`": () => new asyncio.Future().addDoneCallback(wrong(5)),
  "`addDoneCallback` expects a function": () =>
    asyncio.createTask(() => asyncio.sleep(0)).addDoneCallback(wrong({})),
  "`run` expects a function": () => asyncio.run(wrong(1)),
  "`run` expects `shutdownDelay`": () => asyncio.run(() => asyncio.sleep(0), { shutdownDelay: -1 }),
  "`run` expects `signals`": () =>
    asyncio.run(() => asyncio.sleep(0), { signals: wrong("SIGINT") }),
  "`run` expects `signal`": () => asyncio.run(() => asyncio.sleep(0), aborted),
  "`new Runner` expects an object": () => new asyncio.Runner(wrong(null)),
  "`new Runner` expects `cancelGrace`": () => new asyncio.Runner({ cancelGrace: -1 }),
  "`runner.run`": () => new asyncio.Runner().run(wrong(1)),
  "`new HostLoop`": () => new asyncio.HostLoop({ cancelGrace: Number.NaN }),
  "`new VirtualLoop`": () => new VirtualLoop({ cancelGrace: wrong("1") }),
  "`createTask`": () => asyncio.createTask(wrong(1)),
  "`createTask` expects `cancelGrace`": () =>
    asyncio.createTask(() => asyncio.sleep(0), { cancelGrace: wrong("1") }),
  "`group.createTask`": () =>
    asyncio.taskGroup(async (group) => void group.createTask(wrong(1))).catch(firstOf),
  "`group.createTask` expects `cancelGrace`": () =>
    asyncio
      .taskGroup(async (group) => {
        group.createTask(() => asyncio.sleep(0), { cancelGrace: wrong("1") });
      })
      .catch(firstOf),
  "`group.start`": () => asyncio.taskGroup((group) => group.start(wrong(1))).catch(firstOf),
  "`group.start` expects `cancelGrace`": () =>
    asyncio
      .taskGroup((group) => group.start(() => asyncio.sleep(0), { cancelGrace: wrong("1") }))
      .catch(firstOf),
  "`new CancelScope`": () => new asyncio.CancelScope({ deadline: wrong("1") }),
  "`CancelScope.deadline`": () => {
    new asyncio.CancelScope().deadline = wrong("1");
  },
  "`CancelScope.run`": () => new asyncio.CancelScope().run(wrong(1)),
  "`ExceptionGroup.split`": () => new asyncio.ExceptionGroup("x", []).split(wrong(1)),
  "`ExceptionGroup.subgroup`": () => new asyncio.ExceptionGroup("x", []).subgroup(wrong(1)),
};

function firstOf(error: unknown): never {
  throw (error as AggregateError).errors[0];
}

/** Those of closed loops. */
const late: Record<string, (closed: asyncio.HostLoop, runner: asyncio.Runner) => unknown> = {
  "`loop.callSoon` was called on a closed loop": (closed) => closed.callSoon(() => {}),
  "`loop.callLater` was called on a closed loop": (closed) => closed.callLater(1, () => {}),
  "`loop.callAt` was called on a closed loop": (closed) => closed.callAt(1, () => {}),
  "`run` was called on a closed loop": (closed) =>
    asyncio.run(() => asyncio.sleep(0), { loop: closed }),
  "`runner.run` was called on a closed loop": (closed) =>
    new asyncio.Runner({ loop: closed }).run(() => asyncio.sleep(0)),
};

describe("section 5: a message names the call that was made", () => {
  for (const [name, call] of Object.entries(calls)) {
    test(name, async () => {
      const error = await asyncio.run(() => rejection((async () => await call())()));

      assert.ok(error instanceof TypeError || error instanceof RangeError, String(error));
      assert.ok(error.message.startsWith(name), error.message);
    });
  }

  for (const [name, call] of Object.entries(late)) {
    test(name, async () => {
      const closed = new asyncio.HostLoop();
      closed.close();

      const error = await rejection((async () => await call(closed, new asyncio.Runner()))());

      assert.ok((error as Error).message.startsWith(name), String(error));
    });
  }
});
