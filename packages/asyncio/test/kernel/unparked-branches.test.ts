import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  abortSignal,
  CancelledError,
  CancelScope,
  Condition,
  cleanup,
  createTask,
  Event,
  Future,
  Lock,
  moveOnAfter,
  Queue,
  race,
  Semaphore,
  sleep,
  taskGroup,
  throwIfCancelled,
  timeout,
} from "../../src/index.ts";
import { park, type Wait } from "../../src/lowlevel.ts";
import { explore } from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { rejection } from "../virtual.ts";

const forEver = 3600;

/** A region with a branch that is parked for ever, beside the one under test. */
async function besideParked(scope: CancelScope, branch: () => Promise<unknown>): Promise<void> {
  await scope.run(() => Promise.allSettled([branch(), sleep(forEver)]));
}

/** Awaits `start()` under `depth` async functions more. */
async function wrapped<T>(depth: number, start: () => Promise<T>): Promise<T> {
  return depth === 0 ? await start() : await wrapped(depth - 1, start);
}

/** Some macrotasks, without a step of the loop. */
async function hostTurns(): Promise<void> {
  for (let left = 3; left > 0; left--) await new Promise(setImmediate);
}

/**
 * Cancels the region of `body` when that has begun: a short deadline may strike before, on a busy
 * machine.
 */
async function cancelledSoon(body: () => Promise<unknown>): Promise<void> {
  const scope = new CancelScope();
  const running = scope.run(body);
  await sleep(0.001);
  scope.cancel();
  await running;
}

describe("R6: a cancellation that comes after a completed wait ends the next one", () => {
  const makeWaits = {
    "queue.get": () => {
      const queue = new Queue<number>();
      return [() => queue.get(), () => queue.putNowait(1)];
    },
    "queue.put": () => {
      const queue = new Queue<number>(1);
      queue.putNowait(0);
      return [() => queue.put(1), () => queue.getNowait()];
    },
    "event.wait": () => {
      const event = new Event();
      return [() => event.wait(), () => event.set()];
    },
    "semaphore.acquire": () => {
      const semaphore = new Semaphore(0);
      return [() => semaphore.acquire(), () => semaphore.release()];
    },
    "await future": () => {
      const future = new Future<number>();
      return [async () => await future, () => future.setResult(1)];
    },
    "await a future that fails": () => {
      const future = new Future<number>();
      const failing = async (): Promise<void> => {
        try {
          await future;
        } catch {}
      };
      return [failing, () => future.setException(new Error("no"))];
    },
  } satisfies Record<string, () => [wait: () => Promise<unknown>, complete: () => void]>;

  for (const [name, makeWait] of Object.entries(makeWaits)) {
    for (const depth of [0, 7]) {
      onBothLoops(`${name}, ${depth} functions deep, beside a parked branch`, async () => {
        const [wait, complete] = makeWait() as [() => Promise<unknown>, () => void];
        const scope = new CancelScope();
        const log: unknown[] = [];
        const running = besideParked(scope, async () => {
          await wrapped(depth, wait);
          log.push("completed");
          await sleep(forEver).catch((error) => log.push(error));
        });
        await sleep(0.001);

        complete();
        scope.cancel();
        await running;

        assert.equal(log[0], "completed");
        assert.ok(log[1] instanceof CancelledError);
      });
    }
  }

  onBothLoops("two branches are completed, and each hears of it", async () => {
    const queue = new Queue<number>();
    const scope = new CancelScope();
    const cut: unknown[] = [];
    const branch = async (): Promise<void> => {
      const item = await queue.get();
      await sleep(forEver).catch(() => cut.push(item));
    };
    const running = scope.run(() => Promise.allSettled([branch(), branch()]));
    await sleep(0.001);

    queue.putNowait(1);
    queue.putNowait(2);
    scope.cancel();
    await running;

    assert.deepEqual(cut, [1, 2]);
  });

  onBothLoops("the completed wait is the only one, and a foreign await follows it", async () => {
    const queue = new Queue<number>();
    const scope = new CancelScope({ cancelGrace: Number.POSITIVE_INFINITY });
    const log: unknown[] = [];
    const running = scope.run(async () => {
      log.push(await queue.get());
      await hostTurns();
      await sleep(0.001).catch(() => log.push("cut"));
    });
    await sleep(0.001);

    queue.putNowait(1);
    scope.cancel();
    await running;

    assert.deepEqual(log, [1, "cut"]);
  });

  onBothLoops("the completed wait is in a nested scope, the parked one is around it", async () => {
    const queue = new Queue<number>();
    const scope = new CancelScope();
    const log: unknown[] = [];
    const running = besideParked(scope, async () => {
      log.push(await timeout(forEver, () => queue.get()));
      await queue.get().catch((error) => log.push(error instanceof CancelledError));
    });
    await sleep(0.001);

    queue.putNowait(1);
    scope.cancel();
    await running;

    assert.deepEqual(log, [1, true]);
  });

  onBothLoops("a notified waiter has its lock, and its next wait rejects", async () => {
    const condition = new Condition();
    const scope = new CancelScope();
    const log: unknown[] = [];
    const running = besideParked(scope, () =>
      condition.run(async () => {
        await condition.wait();
        log.push(condition.locked());
        await sleep(forEver).catch(() => log.push("cut"));
      }),
    );
    await sleep(0.001);

    await condition.run(async () => condition.notify());
    scope.cancel();
    await running;

    assert.deepEqual(log, [true, "cut"]);
  });

  onBothLoops("whoever cancels the scope it runs in hears of it at its next wait", async () => {
    const scope = new CancelScope();
    let isCut = false;
    await besideParked(scope, async () => {
      await sleep(0.001);
      scope.cancel();
      await sleep(forEver).catch(() => {
        isCut = true;
      });
    });

    assert.ok(isCut);
  });

  for (const isFirst of [true, false])
    onBothLoops(
      `the branch parked ${isFirst ? "before" : "behind"} a getter is cancelled once, and can clean up`,
      async () => {
        const queue = new Queue<number>();
        const scope = new CancelScope();
        const log: string[] = [];
        const branches = [() => sleep(forEver), () => queue.get()]; // <- nothing follows the getter
        if (!isFirst) branches.reverse();
        const running = scope.run(async () => {
          try {
            await Promise.all(branches.map((begin) => begin()));
          } finally {
            log.push(await sleep(0, "first"));
            log.push(await sleep(0.001, "second"));
          }
        });
        await sleep(0.001);

        queue.putNowait(1);
        scope.cancel();
        await running;

        assert.deepEqual(log, ["first", "second"]);
      },
    );

  const parked: Record<string, () => Promise<void>> = {
    "in the scope": () => sleep(forEver),
    "in a nested one": () => timeout(forEver, () => sleep(forEver)),
    "in a shield, which does not hear": () => cleanup(forEver, () => sleep(0.005)),
  };
  for (const [name, park] of Object.entries(parked))
    onBothLoops(
      `a branch whose first operation it is, while another one waits ${name}`,
      async () => {
        const scope = new CancelScope({ cancelGrace: Number.POSITIVE_INFINITY });
        let isCut = false;
        const branch = async (): Promise<void> => {
          scope.cancel();
          await sleep(0.001).catch(() => {
            isCut = true;
          });
        };
        await scope.run(() => Promise.allSettled([park(), branch()]));

        assert.ok(isCut);
      },
    );

  onBothLoops("two branches in nested scopes, when nobody is parked", async () => {
    const scope = new CancelScope({ cancelGrace: Number.POSITIVE_INFINITY });
    const foreign = Promise.withResolvers<void>();
    const cut: number[] = [];
    const branch = (name: number): Promise<void> =>
      timeout(forEver, async () => {
        await foreign.promise;
        await sleep(0.001).catch(() => cut.push(name));
      });
    const running = scope.run(() => Promise.allSettled([branch(1), branch(2)]));
    await sleep(0.001);

    scope.cancel();
    foreign.resolve();
    await running;

    assert.deepEqual(cut, [1, 2]);
  });

  onBothLoops("a branch that takes it without waiting leaves it to the others", async () => {
    const scope = new CancelScope({ cancelGrace: Number.POSITIVE_INFINITY });
    const foreign = Promise.withResolvers<void>();
    const hasBranches = new Event();
    const log: string[] = [];
    const running = scope.run(async () => {
      await Promise.all([sleep(0.001), sleep(0.001)]); // <- so the scope has branches
      hasBranches.set();
      await Promise.allSettled([
        foreign.promise.then(throwIfCancelled).catch(() => log.push("thrown")),
        foreign.promise.then(() => sleep(0.001)).catch(() => log.push("cut")),
      ]);
    });
    await hasBranches.wait();
    await sleep(0.001);

    scope.cancel();
    foreign.resolve();
    await running;

    assert.deepEqual(log.sort(), ["cut", "thrown"]);
  });

  onBothLoops("the error of another branch does not take its place", async () => {
    const scope = new CancelScope({ cancelGrace: Number.POSITIVE_INFINITY });
    const log: string[] = [];
    const saved = createTask(() => cleanup(forEver, () => sleep(0.002, "saved")));
    const running = scope.run(() =>
      Promise.allSettled([
        timeout(forEver, async () => {
          await sleep(forEver).finally(() => cleanup(forEver, () => sleep(0.005)));
        }),
        (async () => {
          log.push((await saved) as string); // <- passes the cancellation on, and has a value all the same
          await cleanup(forEver, () => sleep(0.01)); // <- meanwhile, the error of the other branch leaves its scope
          await sleep(0.02).catch(() => log.push("cut"));
        })(),
      ]),
    );
    await sleep(0.001);
    scope.cancel();
    await running;

    assert.deepEqual(log, ["saved", "cut"]);
  });

  onBothLoops("a cancellation that is taken back ends nothing", async () => {
    const queue = new Queue<number>();
    const got = await taskGroup(async (group) => {
      const task = group.createTask(async () => {
        const item = queue.get();
        const parked = sleep(0.002);
        await item;
        const more = await sleep(0.001, "more");
        await parked.catch(() => {});
        return more;
      });
      await sleep(0.001);
      queue.putNowait(1);
      task.cancel();
      task.uncancel();
      return await task;
    });

    assert.equal(got, "more");
  });

  onBothLoops("it takes the place of the inner error, whoever else is parked", async () => {
    const [scope, future] = [new CancelScope(), new Future<void>()];
    let error: unknown;
    const running = besideParked(scope, async () => {
      error = await rejection((async () => await future)());
    });
    await sleep(0.001);

    future.cancel(); // <- its await has failed, and has not had its turn
    const inner = await rejection((async () => await future)());
    scope.cancel();
    await running;

    assert.ok(error instanceof CancelledError);
    assert.ok(error === inner || error.cause === inner);
  });

  for (const [kind, onCancel] of Object.entries({ hook: () => true, "no hook": undefined })) {
    onBothLoops(`a wait with ${kind} is completed while another one is withdrawn`, async () => {
      const scope = new CancelScope();
      let isCut = false;
      const running = scope.run(async () => {
        let completed: Wait<void> | undefined;
        const completes = (): boolean => completed?.resume() === true;
        const withdrawn = park<void>("a wait whose end completes another", completes);
        completed = park<void>("a wait", onCancel);
        const branch = completed.promise.then(async () => {
          await sleep(forEver).catch(() => {
            isCut = true;
          });
        });
        await Promise.allSettled([withdrawn.promise, branch]);
      });
      await sleep(0.001);

      scope.cancel();
      await running;

      assert.ok(isCut);
    });
  }

  test("in every order in which the branches may run", async () => {
    await explore(async () => {
      const queue = new Queue<number>();
      const scope = new CancelScope();
      const log: string[] = [];
      const running = createTask(() =>
        besideParked(scope, async () => {
          await queue.get();
          await sleep(forEver).catch(() => log.push("cut"));
        }),
      );
      await sleep(1);
      queue.putNowait(1);
      scope.cancel();
      await running;
      assert.deepEqual(log, ["cut"]);
    });
  });
});

describe("R13: a scope in which nobody is parked hears of the cancellation when its branch comes back", () => {
  const ms = 0.001;

  onBothLoops("a branch of a race that was in a shield", async (loop) => {
    const scope = new CancelScope({ deadline: loop.time() + 2 * ms });
    await scope.run(() =>
      race(
        () => sleep(forEver),
        async () => {
          await cleanup(forEver, () => sleep(6 * ms));
          await sleep(forEver);
        },
      ),
    );

    assert.ok(scope.cancelled);
  });

  onBothLoops("a branch of a race that was in a foreign await, under a deadline", async () => {
    const moved = await moveOnAfter(2 * ms, () =>
      race(
        () => sleep(forEver),
        async () => {
          await new Promise((resolve) => setTimeout(resolve, 8));
          await sleep(forEver);
        },
      ),
    );

    assert.ok(moved.cancelled);
  });

  onBothLoops("a nested timeout that was in a foreign await", async () => {
    const moved = await moveOnAfter(2 * ms, () =>
      Promise.allSettled([
        sleep(forEver),
        timeout(forEver, async () => {
          await new Promise((resolve) => setTimeout(resolve, 8));
          await sleep(forEver);
        }),
      ]),
    );

    assert.ok(moved.cancelled || moved.value.every(({ status }) => status === "rejected"));
  });

  onBothLoops("a nested timeout beside one in whose depths somebody is parked", async () => {
    const scope = new CancelScope({ cancelGrace: Number.POSITIVE_INFINITY });
    const foreign = Promise.withResolvers<void>();
    let isCut = false;
    const deep = (depth: number): Promise<unknown> =>
      depth === 0 ? sleep(forEver) : timeout(forEver, () => deep(depth - 1));
    const running = scope.run(() =>
      Promise.allSettled([
        deep(3),
        timeout(forEver, async () => {
          await foreign.promise;
          await sleep(ms).catch(() => {
            isCut = true;
          });
        }),
      ]),
    );
    await sleep(ms);
    scope.cancel();
    await sleep(ms);
    foreign.resolve();
    await running;

    assert.ok(isCut);
  });

  onBothLoops("two cancellations are one for a branch that comes back between them", async () => {
    const scope = new CancelScope({ cancelGrace: Number.POSITIVE_INFINITY });
    const foreign = Promise.withResolvers<void>();
    const release = new Event();
    const saved = createTask(() => cleanup(forEver, () => release.wait()));
    const log: string[] = [];
    const running = scope.run(() =>
      Promise.allSettled([
        sleep(forEver),
        (async () => await saved)(), // <- stays parked
        timeout(forEver, async () => {
          await foreign.promise;
          try {
            await sleep(forEver); // <- hears of the first one
          } finally {
            log.push(await sleep(ms, "cleaned up"));
          }
        }),
      ]),
    );
    await sleep(ms);
    scope.cancel();
    foreign.resolve();
    await null;
    await null;
    scope.cancel(); // <- nobody has got an error so far
    release.set();
    await running;

    assert.deepEqual(log, ["cleaned up"]);
  });

  onBothLoops("a branch that comes back leaves the cleanup of another one alone", async () => {
    const scope = new CancelScope({ cancelGrace: Number.POSITIVE_INFINITY });
    const [foreign, other] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const log: string[] = [];
    const running = scope.run(() =>
      Promise.allSettled([
        sleep(forEver).finally(async () => {
          await other.promise;
          log.push(await sleep(ms, "cleaned up"));
        }),
        timeout(forEver, () => foreign.promise), // <- ends without a wait: what follows would hear
      ]),
    );
    await sleep(ms);
    scope.cancel();
    await sleep(ms);
    await hostTurns();
    foreign.resolve();
    await hostTurns();
    other.resolve();
    await running;

    assert.deepEqual(log, ["cleaned up"]);
  });

  onBothLoops("it hears once, and can clean up", async () => {
    const log: string[] = [];
    await cancelledSoon(() =>
      race(
        () => sleep(forEver),
        async () => {
          await cleanup(forEver, () => sleep(6 * ms));
          try {
            await sleep(forEver);
          } finally {
            log.push(await sleep(ms, "cleaned up"));
          }
        },
      ),
    );

    assert.deepEqual(log, ["cleaned up"]);
  });

  for (const [name, open] of Object.entries({
    timeout: (body: () => Promise<void>) => timeout(forEver, body),
    moveOnAfter: (body: () => Promise<void>) => moveOnAfter(forEver, body),
    "cancelScope.run": (body: () => Promise<void>) => new CancelScope().run(body),
    taskGroup: (body: () => Promise<void>) => taskGroup(body),
  })) {
    for (const depth of [0, 7]) {
      onBothLoops(
        `the scope of a ${name}, ${depth} functions deep, ends without another wait: the next one around it`,
        async () => {
          const scope = new CancelScope();
          const log: string[] = [];
          const running = besideParked(scope, async () => {
            await wrapped<unknown>(depth, () => open(() => cleanup(forEver, () => sleep(4 * ms))));
            try {
              log.push(await sleep(forEver, "not cut"));
            } finally {
              log.push(await sleep(ms, "cleaned up"));
            }
          });
          await sleep(ms);
          scope.cancel();
          await running;

          assert.deepEqual(log, ["cleaned up"]);
        },
      );
    }
  }

  onBothLoops("a branch that has heard by its signal can clean up", async () => {
    const log: string[] = [];
    const work = (signal: AbortSignal): Promise<never> =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    await cancelledSoon(() =>
      race(
        () => sleep(forEver),
        async () => {
          try {
            await timeout(forEver, () => work(abortSignal()));
          } finally {
            log.push(await sleep(ms, "cleaned up"));
          }
        },
      ),
    );

    assert.deepEqual(log, ["cleaned up"]);
  });

  onBothLoops("a scope that was cut off by its own deadline, too, is told once", async (loop) => {
    const scope = new CancelScope();
    const log: string[] = [];
    const running = besideParked(scope, async () => {
      try {
        await new CancelScope({ deadline: loop.time() + 3 * ms }).run(async () => {
          await cleanup(forEver, () => sleep(6 * ms));
          await sleep(forEver);
        });
        log.push("went on");
      } finally {
        log.push(await sleep(ms, "cleaned up"));
      }
    });
    await sleep(ms);
    scope.cancel();
    await running;

    assert.deepEqual(log, ["cleaned up"]);
  });

  onBothLoops(
    "a join that had a value is followed up in its own branch, whoever waits first",
    async () => {
      const scope = new CancelScope({ cancelGrace: Number.POSITIVE_INFINITY });
      const log: string[] = [];
      const saves = (time: number) => createTask(() => cleanup(forEver, () => sleep(time)));
      const next = async (name: string): Promise<void> => {
        try {
          log.push(`${name} ${await sleep(30 * ms, "not cut")}`);
        } finally {
          log.push(`${name} ${await sleep(ms, "cleaned up")}`);
        }
      };
      const [quick, slow] = [saves(2 * ms), saves(6 * ms)];
      const running = scope.run(() =>
        race(
          async () => {
            await quick; // <- passes the cancellation on, and has a value all the same
            await cleanup(forEver, () => sleep(10 * ms)); // <- meanwhile the other branch comes to its next wait
            await next("first");
          },
          async () => {
            await cleanup(forEver, () => slow);
            await next("second");
          },
        ),
      );
      await sleep(ms);
      scope.cancel();
      await running;

      assert.deepEqual(log.sort(), ["first cleaned up", "second cleaned up"]);
    },
  );

  onBothLoops(
    "a join that had a value is followed up, though a nested scope has missed the same cancellation",
    async () => {
      const scope = new CancelScope({ cancelGrace: Number.POSITIVE_INFINITY });
      const [nested, after] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const log: string[] = [];
      const release = new Event();
      const saved = createTask(() => cleanup(forEver, () => release.wait()));
      const running = scope.run(() =>
        Promise.allSettled([
          timeout(forEver, async () => {
            await nested.promise;
            await sleep(forEver).catch(() => log.push("nested")); // <- hears of what its scope has missed
            after.resolve();
          }),
          (async () => {
            await saved; // <- passes the cancellation on, and has a value all the same
            nested.resolve();
            await after.promise;
            await sleep(ms).catch(() => log.push("after the join"));
          })(),
        ]),
      );
      await sleep(ms);
      scope.cancel();
      release.set();
      await running;

      assert.deepEqual(log, ["nested", "after the join"]);
    },
  );

  onBothLoops(
    "the CancelledError of a future, which is of no scope, leaves a nested one as it is",
    async () => {
      const future = new Future<void>();
      future.cancel();
      await assert.rejects(
        timeout(forEver, async () => await future),
        CancelledError,
      );
    },
  );

  test("a grace period without end changes nothing", async () => {
    const lock = new Lock();
    const scope = new CancelScope({ cancelGrace: Number.POSITIVE_INFINITY });
    const running = scope.run(() =>
      race(
        () => sleep(forEver),
        async () => {
          await cleanup(forEver, () => lock.run(() => sleep(0.005)));
          await sleep(forEver);
        },
      ),
    );
    await sleep(0.002);
    scope.cancel();
    await running;

    assert.ok(scope.cancelled);
  });
});
