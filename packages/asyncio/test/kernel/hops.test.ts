// The engine does not promise how many microtasks an await takes, and transpilers, wrappers and
// other hosts take more. So the rules must hold whatever the number: the same scenes, with extra
// hops at every place where there may be one.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  CancelScope,
  cleanup,
  createTask,
  currentTask,
  EventLoop,
  type ExceptionGroup,
  Future,
  gather,
  HostLoop,
  Queue,
  run,
  sleep,
  taskGroup,
} from "../../src/index.ts";
import type { Host } from "../../src/lowlevel.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { collectReports, rejection } from "../virtual.ts";

const forEver = Number.POSITIVE_INFINITY;

/** Takes some microtasks, or none. */
type Hop = () => Promise<void>;

interface Scene {
  readonly expected: unknown;
  play(hop: Hop): Promise<unknown>;
}

/** A coroutine with hops before and after it. */
function wrap<T>(hop: Hop, body: () => PromiseLike<T>): () => Promise<T> {
  return async () => {
    await hop();
    try {
      return await body();
    } finally {
      await hop();
    }
  };
}

/** Everything that can happen has happened. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 60; turn++) await sleep(0);
}

async function outcomeOf(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    return await promise;
  } catch (error) {
    return error instanceof CancelledError ? "cancelled" : (error as Error).message;
  }
}

const scenes: Record<string, Scene> = {
  "R6: an item that was handed over is not lost": {
    expected: ["item", "cancelled"],
    async play(hop) {
      const queue = new Queue<string>();
      const got: unknown[] = [];
      const task = createTask(
        wrap(hop, async () => {
          got.push(await queue.get());
          await hop();
          await sleep(forEver);
        }),
      );
      await settle();
      queue.putNowait("item");
      task.cancel();
      got.push(await outcomeOf(task));
      return got;
    },
  },

  "R6: a cancelled getter takes nothing": {
    expected: ["cancelled", "item"],
    async play(hop) {
      const queue = new Queue<string>();
      const getters = [1, 2].map(() => createTask(wrap(hop, () => queue.get())));
      await settle();
      getters[0]?.cancel();
      queue.putNowait("item");
      return await Promise.all(getters.map(outcomeOf));
    },
  },

  "R8: an operation begun after a cancellation changes nothing": {
    expected: ["cancelled", 0],
    async play(hop) {
      const queue = new Queue<number>();
      const task = createTask(
        wrap(hop, async () => {
          currentTask()?.cancel();
          await hop();
          await queue.put(1);
        }),
      );
      return [await outcomeOf(task), queue.qsize()];
    },
  },

  "R13: a scope is cancelled with what is nested in it, and what is beside it is not": {
    expected: [undefined, "beside", ["inner", "outer"]],
    async play(hop) {
      const scope = new CancelScope();
      const ended: string[] = [];
      const release = new Future<string>();
      const inner = wrap(hop, () => sleep(forEver).finally(() => ended.push("inner")));
      const outer = wrap(hop, () =>
        new CancelScope().run(inner).finally(() => ended.push("outer")),
      );
      const both = Promise.all([scope.run(outer), wrap(hop, async () => await release)()]);
      await settle();
      scope.cancel();
      await settle();
      release.setResult("beside");
      return [...(await both), ended];
    },
  },

  "R13: a shield keeps a cancellation out until it has ended": {
    expected: ["shielded", "cancelled"],
    async play(hop) {
      const release = new Future<string>();
      const log: unknown[] = [];
      const task = createTask(
        wrap(hop, async () => {
          log.push(
            await cleanup(
              forEver,
              wrap(hop, async () => await release),
            ),
          );
          await hop();
          await sleep(forEver);
        }),
      );
      await settle();
      task.cancel();
      await settle();
      release.setResult("shielded");
      log.push(await outcomeOf(task));
      return log;
    },
  },

  "R14: an own error in answer to a cancellation replaces it": {
    expected: "replaced",
    async play(hop) {
      const task = createTask(
        wrap(hop, async () => {
          try {
            await sleep(forEver);
          } catch {
            await hop();
            throw new Error("replaced");
          }
        }),
      );
      await settle();
      task.cancel();
      return await outcomeOf(task);
    },
  },

  "R15: a cancellation is delivered once, cleaning up may wait": {
    expected: [["catch", "finally"], "cancelled"],
    async play(hop) {
      const log: string[] = [];
      const task = createTask(
        wrap(hop, async () => {
          try {
            await sleep(forEver);
          } catch (error) {
            await hop();
            log.push(await sleep(0, "catch"));
            throw error;
          } finally {
            await hop();
            log.push(await sleep(0, "finally"));
          }
        }),
        { cancelGrace: forEver },
      );
      await settle();
      task.cancel();
      const outcome = await outcomeOf(task);
      return [log, outcome];
    },
  },

  "R15: past the grace every operation rejects": {
    expected: ["cancelled", "cancelled", "cancelled", "end"],
    async play(hop) {
      const log: unknown[] = [];
      const task = createTask(
        wrap(hop, async () => {
          for (let count = 0; count < 3; count++) {
            log.push(await outcomeOf(sleep(forEver)));
            await hop();
          }
          return "end";
        }),
        { cancelGrace: 0 },
      );
      await settle();
      task.cancel();
      log.push(await outcomeOf(task));
      return log;
    },
  },

  "R16: floating branches are cut off when their scope ends": {
    expected: ["body", ["a", "b"]],
    async play(hop) {
      const ended: string[] = [];
      const float = (name: string): void => {
        const branch = wrap(hop, () => sleep(forEver).finally(() => ended.push(name)));
        branch().catch(() => {});
      };
      const value = await createTask(
        wrap(hop, async () => {
          float("a");
          await hop();
          float("b");
          return "body";
        }),
      );
      await settle();
      return [value, ended.sort()];
    },
  },

  "R16: a task that a finished body started goes on": {
    expected: "finished",
    async play(hop) {
      const release = new Future<string>();
      const started = await createTask(
        wrap(hop, async () => {
          const task = createTask(wrap(hop, async () => await release));
          task.catch(() => {});
          return { task };
        }),
      );
      await settle();
      release.setResult("finished");
      return await outcomeOf(started.task);
    },
  },

  "R17: a task that is cancelled before its first step starts": {
    expected: [["starts"], "cancelled"],
    async play(hop) {
      const log: string[] = [];
      const task = createTask(
        wrap(hop, async () => {
          log.push("starts");
          await sleep(forEver);
        }),
      );
      task.cancel();
      return [log, await outcomeOf(task)];
    },
  },

  "R18: a cancellation travels down the chain of awaits, and its end travels up": {
    expected: [["bottom", "middle", "top"], true, true, "CancelledError"],
    async play(hop) {
      const ended: string[] = [];
      const note = (name: string, body: () => PromiseLike<unknown>) =>
        createTask(
          wrap(hop, async () => {
            try {
              return await body();
            } finally {
              ended.push(name);
            }
          }),
        );
      const bottom = note("bottom", () => sleep(forEver));
      const middle = note("middle", async () => await bottom);
      const top = note("top", async () => await middle);
      await settle();
      top.cancel();
      const error = (await rejection(top)) as Error;
      const cause = error.cause as Error;
      return [ended, bottom.cancelled(), middle.cancelled(), cause.name];
    },
  },

  "F1: the value of a task that swallowed the cancellation is handed over": {
    expected: ["value", "cancelled"],
    async play(hop) {
      const log: unknown[] = [];
      const inner = createTask(
        wrap(hop, () =>
          sleep(forEver).catch(async () => {
            await hop();
            return "value";
          }),
        ),
      );
      const outer = createTask(
        wrap(hop, async () => {
          log.push(await inner);
          await hop();
          await sleep(forEver);
        }),
      );
      await settle();
      outer.cancel();
      log.push(await outcomeOf(outer));
      return log;
    },
  },

  "F6: a group that is cancelled waits for its children": {
    expected: [["a", "b", "body"], "cancelled"],
    async play(hop) {
      const ended: string[] = [];
      const child = (name: string) =>
        wrap(hop, async () => {
          try {
            await sleep(forEver);
          } finally {
            await hop();
            await sleep(0);
            ended.push(name);
          }
        });
      const task = createTask(
        wrap(hop, () =>
          taskGroup(async (group) => {
            group.createTask(child("a"));
            group.createTask(child("b"));
            await child("body")();
          }),
        ),
        { cancelGrace: forEver },
      );
      await settle();
      task.cancel();
      const outcome = await outcomeOf(task);
      return [ended.sort(), outcome];
    },
  },

  "F7: the failures of a group come in the order of its children": {
    expected: ["body", "a", "b"],
    async play(hop) {
      const failing = (message: string) =>
        wrap(hop, () => sleep(forEver).catch(() => Promise.reject(new Error(message))));
      const error = await rejection(
        taskGroup(async (group) => {
          group.createTask(failing("a"));
          group.createTask(failing("b"));
          await settle();
          throw new Error("body");
        }),
      );
      return (error as ExceptionGroup).errors.map(({ message }) => message);
    },
  },

  "F8: group.cancel ends the group with a value": {
    expected: ["value", ["child"]],
    async play(hop) {
      const ended: string[] = [];
      const value = await taskGroup<string>(async (group) => {
        group.createTask(wrap(hop, () => sleep(forEver).finally(() => ended.push("child"))));
        await settle();
        group.cancel("value");
        await hop();
        return await sleep(forEver, "not reached");
      });
      return [value, ended];
    },
  },

  "F22: a gather that is cancelled waits for its children": {
    expected: [["a", "b"], "cancelled"],
    async play(hop) {
      const ended: string[] = [];
      const child = (name: string) =>
        wrap(hop, async () => {
          try {
            await sleep(forEver);
          } finally {
            await sleep(0);
            await hop();
            ended.push(name);
          }
        });
      const task = createTask(wrap(hop, () => gather(child("a"), child("b"))));
      await settle();
      task.cancel();
      const outcome = await outcomeOf(task);
      return [ended.sort(), outcome];
    },
  },

  "R13: uncancel before the delivery takes the cancellation back": {
    expected: "value",
    async play(hop) {
      const task = createTask(
        wrap(hop, async () => {
          currentTask()?.cancel();
          await hop();
          currentTask()?.uncancel();
          await hop();
          return await sleep(0, "value");
        }),
      );
      return await outcomeOf(task);
    },
  },
};

/** A repeatable number below `limit` each time. */
function dice(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

function hopper(roll: (limit: number) => number): Hop {
  return async () => {
    for (let count = roll(6); count > 0; count--) await null;
  };
}

/** A host that takes extra microtasks each time it is asked for one. */
function slowHost(roll: (limit: number) => number): Host {
  return {
    now: () => performance.now() / 1000,
    microtask(step) {
      let left = roll(8);
      const next = (): void => (left-- > 0 ? queueMicrotask(next) : step());
      queueMicrotask(next);
    },
    afterMicrotasks: (step) => process.nextTick(step),
    macrotask: (step) => void setImmediate(step),
    setTimer(when, step) {
      const delay = Math.min(Math.max(when * 1000 - performance.now(), 1), 2 ** 31 - 1);
      const timer = setTimeout(step, delay);
      return {
        ref: () => timer.ref(),
        unref: () => timer.unref(),
        clear: () => clearTimeout(timer),
      };
    },
    onDry: () => () => {},
    report: (text) => assert.fail(text),
  };
}

const SEEDS = 10;

const worlds: Record<string, (seed: number) => { loop: EventLoop; hop: Hop }> = {
  "without extra hops": () => ({ loop: new HostLoop(), hop: async () => {} }),
  "in virtual time, with extra hops": (seed) => ({
    loop: new VirtualLoop(),
    hop: hopper(dice(seed)),
  }),
  "in virtual time in a drawn order, with extra hops": (seed) => ({
    loop: new VirtualLoop({ seed }),
    hop: hopper(dice(seed)),
  }),
  "in real time, with extra hops": (seed) => ({
    loop: new HostLoop(),
    hop: hopper(dice(seed)),
  }),
  "on a host with extra hops": (seed) => ({
    loop: new EventLoop(slowHost(dice(seed))),
    hop: async () => {},
  }),
  "on a host with extra hops, with extra hops": (seed) => ({
    loop: new EventLoop(slowHost(dice(seed))),
    hop: hopper(dice(seed + 100)),
  }),
  "in debug mode, with extra hops": (seed) => ({
    loop: new HostLoop({ debug: true }),
    hop: hopper(dice(seed)),
  }),
};

for (const [world, make] of Object.entries(worlds)) {
  describe(`the rules ${world}`, () => {
    for (const [name, { expected, play }] of Object.entries(scenes)) {
      test(name, async () => {
        for (let seed = 1; seed <= SEEDS; seed++) {
          const { loop, hop } = make(seed);
          collectReports(loop);

          const outcome = await run(() => play(hop), { loop });

          assert.deepEqual(outcome, expected, `seed ${seed}`);
          assert.equal(loop.statistics().tasks, 0);
          loop.close();
        }
      });
    }
  });
}
