import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createTask,
  DeadlockError,
  Event,
  Future,
  gather,
  Lock,
  mapConcurrent,
  run,
  shield,
  sleep,
  type Task,
  taskGroup,
  wait,
} from "../../src/index.ts";
import { runTest, VirtualLoop } from "../../src/testing.ts";
import { rejection } from "../virtual.ts";

const circle = (...names: string[]): string =>
  `They wait for each other in a circle: ${names.map((name) => JSON.stringify(name)).join(" -> ")}`;

/** The last line of the error with which a run of `main` ends that nothing can wake. */
async function lastLine(main: () => Promise<unknown>): Promise<string> {
  const error = await rejection(run(main, { loop: new VirtualLoop() }));
  assert.ok(error instanceof DeadlockError, String(error));
  return error.message.split("\n").at(-1) ?? "";
}

/** Takes `first`, lets the others have theirs, and asks for what one of them holds. */
async function takeBoth(first: Lock, second: () => Promise<unknown>): Promise<void> {
  using _guard = await first.acquire();
  await sleep(0);
  await sleep(0);
  await second();
}

describe("R27: a deadlock shows who waits for each other in a circle", () => {
  test("two locks, taken in different orders", async () => {
    const [a, b] = [new Lock(), new Lock()];
    const main = (): Promise<unknown> =>
      taskGroup(async (group) => {
        group.createTask(() => takeBoth(a, () => b.acquire()), { name: "ann" });
        group.createTask(() => takeBoth(b, () => a.acquire()), { name: "bob" });
      });

    assert.equal(await lastLine(main), circle("ann", "bob", "ann"));
  });

  const joins: Record<string, (task: Task<void>) => Promise<unknown>> = {
    await: async (task) => await task,
    gather: (task) => gather([task, () => sleep(0)]),
    wait: (task) => wait([task]),
    shield: (task) => shield(task),
  };
  for (const [name, join] of Object.entries(joins)) {
    test(`a lock on one side, ${name} on the other`, async () => {
      const lock = new Lock();
      const main = async (): Promise<void> => {
        const waiter = createTask(() => sleep(0).then(() => lock.run(() => sleep(0))), {
          name: "waiter",
        });
        await takeBoth(lock, () => join(waiter));
      };

      assert.equal(await lastLine(main), circle("main", "waiter", "main"));
    });
  }

  test("by way of the worker of a map", async () => {
    const lock = new Lock();
    const main = async (): Promise<void> => {
      const waiter = createTask(() => lock.run(() => sleep(0)), { name: "waiter" });
      const join = async (): Promise<void> => await waiter;
      await takeBoth(lock, () => mapConcurrent([1], join, { limit: 1 }).toArray());
    };

    assert.equal(await lastLine(main), circle("main", "mapConcurrent", "waiter", "main"));
  });

  test("a circle that main is not in, three tasks long", async () => {
    const [a, b, c] = [new Lock(), new Lock(), new Lock()];
    const main = async (): Promise<void> => {
      createTask(() => takeBoth(a, () => b.acquire()), { name: "a" });
      createTask(() => takeBoth(b, () => c.acquire()), { name: "b" });
      createTask(() => takeBoth(c, () => a.acquire()), { name: "c" });
      await new Event().wait();
    };

    assert.equal(await lastLine(main), circle("a", "b", "c", "a"));
  });

  test("where there is none, nothing is said of one", async () => {
    const lock = new Lock();
    const main = async (): Promise<void> => {
      createTask(() => takeBoth(lock, async () => await new Future<void>()), { name: "holder" });
      await sleep(0);
      await lock.acquire();
    };

    assert.doesNotMatch(String(await rejection(run(main, { loop: new VirtualLoop() }))), /circle/);
  });

  test("in a test, too", async () => {
    const [a, b] = [new Lock(), new Lock()];
    const body = (): Promise<unknown> =>
      gather([() => takeBoth(a, () => b.acquire()), () => takeBoth(b, () => a.acquire())]);

    assert.match(String(await rejection(runTest(body))), /in a circle: "Task-1" -> "Task-2"/);
  });
});
