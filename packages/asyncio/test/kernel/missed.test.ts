// R13: a branch in a nested scope that is elsewhere, as in a foreign await, has missed the
// cancellation of a scope around it: how long that is remembered, and by whom.

import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  CancelScope,
  cleanup,
  createTask,
  currentTask,
  Event,
  sleep,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { onBothLoops } from "../both-loops.ts";
import { rejection } from "../virtual.ts";

const forEver = 3600;
const ms = 0.001;
const noGrace = { cancelGrace: Number.POSITIVE_INFINITY };

/** Is parked until its task is cancelled, and takes that back. */
async function takesBack(isBack = new Event()): Promise<void> {
  await sleep(forEver).catch(() => currentTask()?.uncancel());
  isBack.set();
}

describe("a cancellation that was missed and taken back is forgotten, also if another one follows", () => {
  type Between = (next: Promise<void>, isThere: Event) => Promise<void>;
  const betweens: Record<string, Between> = {
    "has gone on": async (_next, isThere) => {
      await sleep(ms);
      isThere.set();
    },
    "has gone on, and is elsewhere again": async (next, isThere) => {
      await sleep(ms);
      isThere.set();
      await next;
    },
    "is elsewhere all the time": (next, isThere) => {
      isThere.set();
      return next;
    },
  };
  for (const [name, between] of Object.entries(betweens))
    onBothLoops(`its branch ${name}`, async () => {
      const [foreign, next] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const [isBack, isThere] = [new Event(), new Event()];
      const log: string[] = [];
      const work = async (): Promise<void> => {
        await foreign.promise;
        await between(next.promise, isThere);
        try {
          log.push(await sleep(forEver, "not cut"));
        } finally {
          log.push(await sleep(ms, "cleaned up"));
        }
      };
      const both = (): Promise<unknown> => Promise.all([takesBack(isBack), timeout(forEver, work)]);
      const task = createTask(both, noGrace);
      await sleep(ms);
      task.cancel(); // <- `work` has missed it
      await isBack.wait();
      foreign.resolve();
      await isThere.wait();
      await sleep(ms);
      task.cancel();
      next.resolve();
      await rejection(task);

      assert.deepEqual(log, ["cleaned up"]);
    });
});

onBothLoops("that of a scope further out does not take its place", async () => {
  const foreign = Promise.withResolvers<void>();
  const inner = new CancelScope(noGrace);
  const log: string[] = [];
  const work = async (): Promise<void> => {
    await foreign.promise;
    await takesBack();
    log.push(await sleep(ms, "went on behind the inner scope"));
  };
  const task = createTask(
    () => inner.run(() => Promise.allSettled([sleep(forEver), timeout(forEver, work)])),
    noGrace,
  );
  await sleep(ms);
  inner.cancel();
  await sleep(ms);
  task.cancel();
  foreign.resolve();
  await task;

  assert.deepEqual(log, []);
});

onBothLoops("it is heard behind the scope that has missed it, whatever began before", async () => {
  const scope = new CancelScope(noGrace);
  const foreign = Promise.withResolvers<void>();
  const log: string[] = [];
  const running = scope.run(() =>
    Promise.allSettled([
      sleep(forEver).finally(async () => {
        log.push(await sleep(ms, "cleaned up"));
        foreign.resolve();
      }),
      (async () => {
        await timeout(forEver, () => foreign.promise); // <- ends without a wait
        await sleep(ms).catch(() => log.push("cut"));
      })(),
    ]),
  );
  await sleep(ms);
  scope.cancel();
  await running;

  assert.deepEqual(log, ["cleaned up", "cut"]);
});

onBothLoops("it is heard after a join with a value, whatever began before", async () => {
  const scope = new CancelScope(noGrace);
  const foreign = Promise.withResolvers<void>();
  const release = new Event();
  const saved = createTask(() => cleanup(forEver, () => release.wait()));
  const log: string[] = [];
  const running = scope.run(() =>
    timeout(forEver, () =>
      Promise.allSettled([
        (async () => {
          await saved; // <- passes the cancellation on, and has a value all the same
          await foreign.promise;
          await sleep(ms).catch(() => log.push("cut"));
        })(),
        sleep(forEver).finally(async () => {
          log.push(await sleep(ms, "cleaned up"));
          release.set();
          await saved;
          foreign.resolve();
        }),
      ]),
    ),
  );
  await sleep(ms);
  scope.cancel();
  await running;

  assert.deepEqual(log, ["cleaned up", "cut"]);
});

onBothLoops("nobody hears after a join of one that was taken back meanwhile", async () => {
  const isBack = new Event();
  const saved = createTask(() => cleanup(forEver, () => isBack.wait()));
  const task = createTask(
    () =>
      Promise.all([
        takesBack(isBack),
        timeout(forEver, async () => {
          await saved; // <- passes the cancellation on, and has a value all the same
          return await sleep(ms, "went on");
        }),
      ]),
    noGrace,
  );
  await sleep(ms);
  task.cancel();

  assert.equal((await task)[1], "went on");
});

onBothLoops("nobody has missed what came to a join in a scope that has ended since", async () => {
  const scope = new CancelScope(noGrace);
  const hasFailed = new Event();
  const log: string[] = [];
  const child = async (): Promise<void> => {
    await sleep(forEver).catch(() => cleanup(forEver, () => sleep(ms)));
    throw new Error("no");
  };
  const failsAfterCleanup = (): Promise<void> =>
    taskGroup((group) => void group.createTask(child)).catch((error) => {
      log.push(error.name);
      hasFailed.set();
    });
  const running = scope.run(async () => {
    try {
      // The sleep ends it at once: the group is in a branch that nobody awaits from then on.
      await timeout(forEver, () => Promise.all([failsAfterCleanup(), sleep(forEver)]));
    } finally {
      await cleanup(forEver, () => hasFailed.wait());
      log.push(await sleep(ms, "cleaned up"));
    }
  });
  await sleep(ms);
  scope.cancel();
  await running;

  assert.deepEqual(log, ["ExceptionGroup", "cleaned up"]);
});
