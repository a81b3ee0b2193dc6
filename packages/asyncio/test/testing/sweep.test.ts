import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";

const { createTask, sleep } = asyncio;
const { cancelSweep, fault, faultSweep } = testing;

async function scheduleErrorOf(work: Promise<unknown>): Promise<testing.ScheduleError> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof testing.ScheduleError, `nothing was found: ${String(error)}`);
  return error;
}

suite("cancelSweep", () => {
  test("cancels at every wait, and as each of them ends", async () => {
    const cancelledAt: string[] = [];

    const sweep = await cancelSweep(
      async (t) => {
        for (const step of ["one", "two"]) {
          try {
            await sleep(1);
          } catch (error) {
            cancelledAt.push(`${step} at ${t.now}`);
            throw error;
          }
        }
      },
      { depth: 1 },
    );

    // Waiting for one; as one ends, which two's wait learns; waiting for two; as two ends, which
    // nobody learns.
    assert.deepEqual(cancelledAt, ["one at 0", "two at 1", "two at 1"]);
    assert.deepEqual([sweep.runs, sweep.places, sweep.complete], [5, 4, true]);
  });

  test("cancels as an operation completes that need not wait", async () => {
    const error = await scheduleErrorOf(
      cancelSweep(async () => {
        const [first, second] = [new asyncio.Lock({ name: "first" }), new asyncio.Lock()];
        await first.acquire();
        await second.acquire(); // nobody holds it, but a cancellation may have come before
        try {
          await sleep(1);
        } finally {
          second.release();
          first.release();
        }
      }),
    );

    assert.ok(error.cause instanceof testing.LeakError);
    assert.deepEqual(error.cause.leftovers, ['Lock "first", held by task "main"']);
    assert.match(error.table, /is cancelled as an operation completes {2}sweep\.test\.ts:\d+/);
    assert.equal(error.deviations, 1);
  });

  test("cancels again while it cleans up", async () => {
    let cleanups = 0;
    let interrupted = 0;

    await cancelSweep(async () => {
      try {
        await sleep(1);
      } finally {
        cleanups++;
        await sleep(1).catch((error) => {
          interrupted++;
          throw error;
        });
      }
    });

    assert.ok(interrupted > 0 && interrupted < cleanups);
  });

  test("finds what is left, and shows where it was cancelled", async () => {
    const error = await scheduleErrorOf(
      cancelSweep(async () => {
        const lock = new asyncio.Lock({ name: "db" });
        await lock.acquire();
        await sleep(1);
        lock.release();
      }),
    );

    assert.ok(error.cause instanceof testing.LeakError);
    assert.match(error.table, />>> task "main" is cancelled while it waits/);
    assert.match(error.message, /drawn by the sweep, differs from FIFO in 1 place/);
  });

  test("finds a swallowed cancellation, unless that is meant", async () => {
    const body = async () => {
      await sleep(1).catch(() => {});
    };

    const error = await scheduleErrorOf(cancelSweep(body));
    assert.ok(error.cause instanceof testing.SweepError);
    assert.match(error.message, /returned as if nothing had happened/);

    await cancelSweep(body, { mayReturn: true });
  });

  test("takes back a cancellation that was taken back", async () => {
    await cancelSweep(
      async () => {
        try {
          await sleep(1);
        } catch {
          asyncio.currentTask()?.uncancel();
        }
      },
      { depth: 1 },
    );
  });

  test("lets nothing but a CancelledError leave the body", async () => {
    const error = await scheduleErrorOf(
      cancelSweep(async () => {
        try {
          await sleep(1);
        } catch {
          throw new Error("converted");
        }
      }),
    );

    assert.match(error.message, /only a CancelledError may leave .* Error: converted/);
  });

  test("cancels single tasks by their names", async () => {
    const cancelled = new Set<string>();
    const body = async () => {
      const work = (name: string) =>
        createTask(
          async () => {
            try {
              await sleep(1);
            } catch (error) {
              cancelled.add(name);
              throw error;
            }
          },
          { name },
        );
      await asyncio.wait([work("reader"), work("writer")]);
    };

    await cancelSweep(body, { victims: /read/ });
    assert.deepEqual([...cancelled], ["reader"]);
    await cancelSweep(body, { victims: "tasks" });
    assert.deepEqual([...cancelled], ["reader", "writer"]);
  });

  test("tries other schedules, too", async () => {
    const body = () =>
      asyncio.gather(
        () => sleep(0),
        () => sleep(0),
      );

    const one = await cancelSweep(body);
    const five = await cancelSweep(body, { schedules: 5 });

    assert.ok(five.runs > 2 * one.runs);
  });

  test("stops at `iterations`, and says that it is not complete", async () => {
    const body = async () => {
      for (let turn = 0; turn < 50; turn++) await sleep(0);
    };

    assert.deepEqual((await cancelSweep(body, { iterations: 7 })).complete, false);
  });

  test("checks the state after each run", async () => {
    const error = await scheduleErrorOf(
      cancelSweep(
        async (_t, state) => {
          state.open++;
          await sleep(1);
          state.open--;
        },
        {
          setup: () => ({ open: 0 }),
          invariant: ({ open }) => assert.equal(open, 0),
        },
      ),
    );

    assert.match(error.table, /the invariant/);
  });

  test("replays a failure by its string", async () => {
    const body = async () => {
      createTask(() => sleep(5), { name: "child" });
      await sleep(6);
    };

    const error = await scheduleErrorOf(cancelSweep(body));
    const again = await scheduleErrorOf(cancelSweep(body, { replay: error.replay }));

    assert.deepEqual([again.table, again.replay], [error.table, error.replay]);
  });
});

suite("faultSweep", () => {
  test("lets every call of every site fail in turn", async () => {
    const failed: string[] = [];

    const sweep = await faultSweep(async () => {
      for (const site of ["read", "write", "read"]) {
        try {
          fault(site);
        } catch (error) {
          assert.ok(error instanceof testing.InjectedFault);
          failed.push(error.site);
          throw error;
        }
        await sleep(0);
      }
    });

    assert.deepEqual(failed.sort(), ["read", "read", "write"]);
    assert.deepEqual([sweep.runs, sweep.places], [4, 3]);
  });

  test("fails with an error of the author's choice", async () => {
    const reasons: unknown[] = [];

    await faultSweep(async () => {
      try {
        fault("connect", () => Object.assign(new Error("no"), { code: "ECONNREFUSED" }));
      } catch (error) {
        reasons.push((error as { code?: string }).code);
        throw new Error("no database", { cause: error });
      }
    });

    assert.deepEqual(reasons, ["ECONNREFUSED"]);
  });

  test("lets every deadline pass at every wait under it", async () => {
    const times: string[] = [];

    const sweep = await faultSweep(async (t) => {
      const moved = await asyncio.moveOnAfter(60, async () => {
        await sleep(1);
        await asyncio.timeout(30, () => sleep(1));
      });
      times.push(`${moved.cancelled} at ${t.now}`);
    });

    // The outer one passes in the first sleep, and as it ends; either in the second sleep, and, too
    // late, as it ends.
    assert.equal(sweep.places, 6);
    const late = ["false at 2", "false at 2"];
    assert.deepEqual(times, ["false at 2", "true at 0", "true at 1", "true at 1", ...late]);
  });

  test("lets a deadline pass at each wait of the tasks under it", async () => {
    const written = new Set<number>();

    const sweep = await faultSweep(async () => {
      let count = 0;
      try {
        await asyncio.timeout(60, () =>
          asyncio.taskGroup(async (group) => {
            group.createTask(async () => {
              for (; count < 3; count++) await sleep(1);
            });
          }),
        );
      } finally {
        written.add(count);
      }
    });

    assert.ok(sweep.complete);
    assert.deepEqual([...written].sort(), [0, 1, 2, 3]);
  });

  test("lets nothing but what was injected leave the body", async () => {
    const error = await scheduleErrorOf(
      faultSweep(async () => {
        let connection: { close(): void } | undefined;
        try {
          fault("connect");
          connection = { close() {} };
        } finally {
          (connection as { close(): void }).close();
        }
      }),
    );

    assert.match(error.message, /only the failure that was injected may leave .* TypeError/);
    assert.match(error.table, />>> fault injected at "connect" {2}sweep\.test\.ts:\d+/);
  });

  test("does nothing outside of a sweep, unless `explore` is told so", async () => {
    fault("outside");
    await testing.runTest(async () => fault("in a test"));
    await testing.explore(async () => fault("not told"));
    let failures = 0;

    await testing.explore(
      async () => {
        await sleep(0);
        try {
          fault("told");
        } catch {
          failures++;
        }
      },
      { faults: true },
    );

    assert.ok(failures > 0);
  });
});

test("refuses what it cannot use", async () => {
  const body = async () => {};
  // @ts-expect-error
  await assert.rejects(cancelSweep(5), TypeError);
  // @ts-expect-error
  await assert.rejects(cancelSweep(body, { victims: "all" }), TypeError);
  await assert.rejects(cancelSweep(body, { schedules: 0 }), RangeError);
  await assert.rejects(faultSweep(body, { depth: Number.NaN }), RangeError);
  await assert.rejects(cancelSweep(body, { replay: "x" }), testing.ReplayError);
});
