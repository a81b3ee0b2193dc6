// The library's own primitives under the library's own tools: what each of them promises holds in
// every order of steps, and wherever a task is cancelled nothing is lost, doubled or left.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";

const { createTask, gather, sleep, taskGroup } = asyncio;

/** A program whose tasks do something, and count what they have done. */
interface Promised<S> {
  readonly name: string;
  readonly setup: () => S;
  readonly body: (t: testing.TestContext, state: S) => Promise<unknown>;
  /** Holds at the end, whoever was cancelled. */
  readonly invariant: (state: S) => void;
  /** Holds at the end if nobody was. */
  readonly completed?: (state: S) => void;
  /** True if the program can end although one of its tasks was cancelled. */
  readonly survivesTasks?: boolean;
}

function promise<S>(program: Promised<S>): void {
  const { name, setup, body, invariant, completed, survivesTasks = true } = program;
  test(name, async () => {
    await testing.explore(
      async (t, state) => {
        await body(t, state);
        completed?.(state);
      },
      { setup, invariant, iterations: 600, seconds: Number.POSITIVE_INFINITY },
    );
    const victims = survivesTasks ? (["body", "tasks"] as const) : (["body"] as const);
    for (const who of victims) {
      const search = { schedules: 6, seconds: Number.POSITIVE_INFINITY };
      const options = { setup, invariant, victims: who, mayReturn: true, ...search };
      const sweep = await testing.cancelSweep(body, options);
      assert.ok(sweep.complete && sweep.places > 0);
    }
  });
}

/** Runs them side by side; one that is cancelled does not end the others. */
async function together(...bodies: readonly (() => Promise<unknown>)[]): Promise<void> {
  await taskGroup(async (group) => {
    for (const body of bodies) group.createTask(body);
  });
}

/** Lets the schedule decide whether others go first. */
async function maybeWait(t: testing.TestContext): Promise<void> {
  if (t.choose(2) === 1) await sleep(0);
}

suite("synchronisation", () => {
  for (const way of ["guard", "run"] as const) {
    promise({
      name: `a Lock lets one task in at a time (${way})`,
      setup: () => ({ lock: new asyncio.Lock(), inside: 0, most: 0, entered: 0 }),
      body: async (t, state) => {
        const work = async () => {
          state.entered++;
          state.most = Math.max(state.most, ++state.inside);
          try {
            await maybeWait(t);
          } finally {
            state.inside--;
          }
        };
        const enter = async () => {
          if (way === "run") return await state.lock.run(work);
          using _guard = await state.lock.acquire();
          await work();
        };
        await together(enter, enter, enter);
      },
      invariant: ({ lock, inside, most }) =>
        assert.deepEqual([lock.locked(), inside, most <= 1], [false, 0, true]),
      completed: ({ entered }) => assert.equal(entered, 3),
    });
  }

  promise({
    name: "a Lock serves those who wait in the order in which they came",
    setup: () => ({ lock: new asyncio.Lock(), came: [] as number[], served: [] as number[] }),
    body: async (_t, state) => {
      const enter = (id: number) => async () => {
        await sleep(0);
        const acquired = state.lock.acquire();
        state.came.push(id);
        const leave = () => void state.came.splice(state.came.indexOf(id), 1);
        acquired.catch(leave);
        using _guard = await acquired;
        state.served.push(id);
        await sleep(0);
      };
      await together(enter(1), enter(2), enter(3));
    },
    invariant: ({ lock, came, served }) => {
      assert.equal(lock.locked(), false);
      assert.deepEqual(served, came);
    },
  });

  for (const Kind of [asyncio.Semaphore, asyncio.BoundedSemaphore]) {
    promise({
      name: `a ${Kind.name} gives out no more permits than it has, and gets all back`,
      setup: () => ({ semaphore: new Kind(2), inside: 0, most: 0 }),
      body: async (t, state) => {
        const enter = async () => {
          using _permit = await state.semaphore.acquire();
          state.most = Math.max(state.most, ++state.inside);
          try {
            await maybeWait(t);
          } finally {
            state.inside--;
          }
        };
        await together(enter, enter, enter, enter);
      },
      invariant: ({ semaphore, inside, most }) =>
        assert.deepEqual([semaphore.leftover(), inside, most <= 2], [undefined, 0, true]),
      completed: ({ most }) => assert.ok(most >= 1),
    });
  }

  promise({
    name: "an Event wakes everybody who waits, and nobody waits once it is set",
    setup: () => ({ event: new asyncio.Event(), woken: 0 }),
    body: async (t, state) => {
      const wait = async () => {
        await maybeWait(t);
        await state.event.wait();
        state.woken++;
      };
      const set = async () => {
        try {
          await maybeWait(t);
        } finally {
          state.event.set();
        }
      };
      await together(wait, set, wait);
    },
    invariant: () => {},
    completed: ({ woken }) => assert.equal(woken, 2),
  });

  promise({
    name: "a Condition wakes one waiter for each notification, with the lock held",
    setup: () => ({ condition: new asyncio.Condition(), items: 0, taken: 0 }),
    body: async (t, state) => {
      const { condition } = state;
      const consume = () =>
        condition.run(async () => {
          await condition.waitFor(() => state.items > 0);
          state.items--;
          state.taken++;
        });
      await taskGroup(async (group) => {
        group.createTask(consume);
        group.createTask(consume);
        group.createTask(async () => {
          for (let item = 0; item < 2; item++) {
            await maybeWait(t);
            await condition.run(async () => {
              state.items++;
              condition.notify();
            });
          }
        });
      });
    },
    survivesTasks: false, // a producer that is gone leaves its consumers waiting
    invariant: ({ condition, items, taken }) => {
      assert.equal(condition.locked(), false);
      assert.ok(items >= 0 && items + taken <= 2);
    },
    completed: ({ items, taken }) => assert.deepEqual([items, taken], [0, 2]),
  });

  promise({
    name: "a Barrier lets each round go when it is complete, and not before",
    setup: () => ({ barrier: new asyncio.Barrier(2), rounds: [0, 0] }),
    body: async (t, { barrier, rounds }) => {
      const walk = (me: number) => async () => {
        for (let round = 1; round <= 2; round++) {
          await maybeWait(t);
          await barrier.wait();
          rounds[me] = round;
          assert.ok(Math.abs((rounds[0] ?? 0) - (rounds[1] ?? 0)) <= 1);
        }
      };
      await gather(walk(0), walk(1));
    },
    survivesTasks: false, // who is alone at a barrier waits for ever
    invariant: ({ barrier }) => assert.equal(barrier.nWaiting, 0),
    completed: ({ rounds }) => assert.deepEqual(rounds, [2, 2]),
  });
});

suite("queues", () => {
  const kinds = {
    Queue: (maxsize: number) => new asyncio.Queue<number>(maxsize),
    PriorityQueue: (maxsize: number) => new asyncio.PriorityQueue<number>(maxsize),
    LifoQueue: (maxsize: number) => new asyncio.LifoQueue<number>(maxsize),
  };
  for (const [kind, make] of Object.entries(kinds)) {
    for (const maxsize of [0, 1]) {
      promise({
        name: `a ${kind} of ${maxsize} loses and doubles no item`,
        setup: () => ({ queue: make(maxsize), put: [] as number[], got: [] as number[] }),
        body: async (t, { queue, put, got }) => {
          const producer = (first: number) => async () => {
            for (const item of [first, first + 1]) {
              await maybeWait(t);
              await queue.put(item);
              put.push(item);
            }
          };
          const consumer = async () => {
            for (;;) {
              const next = await asyncio.moveOnAfter(1, () => queue.get());
              if (next.cancelled) return;
              got.push(next.value);
              await maybeWait(t);
            }
          };
          await together(producer(10), producer(20), consumer, consumer);
        },
        survivesTasks: maxsize === 0, // without consumers a bounded queue stays full
        invariant: ({ queue, put, got }) => {
          // A put that was cancelled after it had handed its item over counts as got, not as put.
          const left: number[] = [];
          while (!queue.empty()) left.push(queue.getNowait());
          const all = [...got, ...left].sort();
          assert.equal(new Set(all).size, all.length);
          for (const item of put) assert.ok(all.includes(item), `${item} is lost`);
        },
        completed: ({ got }) => assert.deepEqual(got.sort(), [10, 11, 20, 21]),
      });
    }
  }

  promise({
    name: "a Queue gives items in the order in which they were put",
    setup: () => ({ got: [] as number[] }),
    body: async (t, { got }) => {
      const queue = new asyncio.Queue<number>(2);
      await together(
        async () => {
          for (const item of [1, 2, 3, 4]) await queue.put(item);
          queue.shutdown();
        },
        async () => {
          for await (const item of queue) {
            got.push(item);
            await maybeWait(t);
          }
        },
      );
    },
    survivesTasks: false,
    invariant: ({ got }) => assert.deepEqual(got, [1, 2, 3, 4].slice(0, got.length)),
    completed: ({ got }) => assert.equal(got.length, 4),
  });

  promise({
    name: "`join` waits for every item that was put",
    setup: () => ({ done: 0 }),
    body: async (t, state) => {
      const queue = new asyncio.Queue<number>();
      await taskGroup(async (group) => {
        for (let worker = 0; worker < 2; worker++) {
          group.createTask(async () => {
            for (;;) {
              await queue.get();
              await maybeWait(t);
              state.done++;
              queue.taskDone();
            }
          });
        }
        for (const item of [1, 2, 3]) queue.putNowait(item);
        await queue.join();
        assert.equal(state.done, 3);
        group.cancel();
      });
    },
    survivesTasks: false, // an item whose worker was cancelled is never done
    invariant: () => {},
    completed: ({ done }) => assert.equal(done, 3),
  });
});

suite("tasks", () => {
  /** Counts bodies that run: what a combinator has started must have ended when it ends. */
  const counted = (t: testing.TestContext, state: { running: number }) => async () => {
    state.running++;
    try {
      await maybeWait(t);
      await sleep(1);
    } finally {
      await maybeWait(t).catch(() => {});
      state.running--;
    }
  };
  const joins: Record<string, (work: () => Promise<void>) => Promise<unknown>> = {
    gather: (work) => gather(work, work, work),
    taskGroup: (work) =>
      taskGroup(async (group) => {
        group.createTask(work);
        group.createTask(work);
        await work();
      }),
    "taskGroup with a limit": (work) =>
      taskGroup(
        async (group) => {
          for (let child = 0; child < 4; child++) group.createTask(work);
        },
        { limit: 2 },
      ),
    "group.start": (work) =>
      taskGroup(async (group) => {
        const value = await group.start<number>(async (started) => {
          await sleep(0);
          started(7);
          await work();
        });
        assert.equal(value, 7);
      }),
    race: (work) => asyncio.race(work, work, work),
    staggeredRace: (work) => asyncio.staggeredRace([work, work, work], 0.5),
    timeout: (work) => asyncio.timeout(0.5, work).catch(ignoreTimeout),
    moveOnAfter: (work) => asyncio.moveOnAfter(0.5, work),
    waitFor: (work) => asyncio.waitFor(work, 0.5).catch(ignoreTimeout),
    CancelScope: (work) => new asyncio.CancelScope({ deadline: 0.5 }).run(work),
    mapConcurrent: async (work) => {
      for await (const _ of asyncio.mapConcurrent([1, 2, 3], work, { limit: 2 }));
    },
    "a task that is awaited": async (work) => await createTask(work),
  };
  for (const [name, join] of Object.entries(joins)) {
    promise({
      name: `${name} leaves nothing running`,
      setup: () => ({ running: 0 }),
      body: async (t, state) => {
        await join(counted(t, state));
        assert.equal(state.running, 0);
      },
      survivesTasks: false, // whoever awaits a task that was cancelled gets its CancelledError
      invariant: ({ running }) => assert.equal(running, 0),
    });
  }

  promise({
    name: "`cleanup` runs to its end wherever its task is cancelled",
    setup: () => ({ opened: 0, closed: 0 }),
    body: async (_t, state) => {
      const work = async () => {
        state.opened++;
        try {
          await sleep(1);
        } finally {
          await asyncio.cleanup(5, async () => {
            await sleep(0.1);
            state.closed++;
          });
        }
      };
      await together(work, work);
    },
    invariant: ({ opened, closed }) => assert.equal(closed, opened),
  });

  promise({
    name: "`wait` and `asCompleted` give each task once",
    setup: () => ({ seen: [] as number[] }),
    body: async (t, { seen }) => {
      const start = (value: number) =>
        createTask(async () => {
          await maybeWait(t);
          return await sleep(t.choose(2), value);
        });
      const tasks = [start(1), start(2), start(3)];
      try {
        const first = await asyncio.wait(tasks, { returnWhen: "FIRST_COMPLETED" });
        assert.equal(first.done.size + first.pending.size, 3);
        for await (const task of asyncio.asCompleted(tasks)) seen.push(await task);
      } finally {
        for (const task of tasks) task.cancel();
        await asyncio.cleanup(5, () => asyncio.wait(tasks));
      }
    },
    survivesTasks: false,
    invariant: ({ seen }) => assert.equal(new Set(seen).size, seen.length),
    completed: ({ seen }) => assert.deepEqual(seen.sort(), [1, 2, 3]),
  });

  function ignoreTimeout(error: unknown): void {
    if (!(error instanceof asyncio.TimeoutError)) throw error;
  }
});
