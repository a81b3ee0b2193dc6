// Bugs in how tasks wait for each other: orders that are assumed, wake-ups that are lost, locks
// that cross.

import assert from "node:assert/strict";
import * as asyncio from "../../../src/index.ts";
import { type Specimen, turns } from "./specimen.ts";

const {
  Barrier,
  BoundedSemaphore,
  Condition,
  createTask,
  Event,
  gather,
  Lock,
  Queue,
  sleep,
  taskGroup,
} = asyncio;

export const coordination: readonly Specimen[] = [
  {
    bug: "deadlock by lock order",
    name: "two transfers lock the same accounts the other way round",
    finder: "explore",
    deviations: 2,
    failure: "DeadlockError",
    body: (fixed) => async () => {
      const ann = new Lock({ name: "ann" });
      const bob = new Lock({ name: "bob" });
      const transfer = async (first: asyncio.Lock, second: asyncio.Lock, delay: number) => {
        await turns(delay);
        using _first = await first.acquire();
        await sleep(0);
        using _second = await second.acquire();
      };
      await gather(
        () => transfer(ann, bob, 0),
        () => (fixed ? transfer(ann, bob, 2) : transfer(bob, ann, 2)),
      );
    },
  },
  {
    bug: "deadlock by lock order",
    name: "three philosophers take the left fork first",
    finder: "explore",
    deviations: 0,
    failure: "DeadlockError",
    body: (fixed) => async () => {
      const forks = [0, 1, 2].map((name) => new Lock({ name: `fork ${name}` }));
      const eat = async (seat: number) => {
        const order = [seat, (seat + 1) % 3];
        if (fixed) order.sort();
        const [left, right] = order.map((index) => forks[index] as asyncio.Lock);
        using _left = await left?.acquire();
        await sleep(0);
        using _right = await right?.acquire();
      };
      await gather([0, 1, 2].map((seat) => () => eat(seat)));
    },
  },
  {
    bug: "self-deadlock",
    name: "a method that locks calls another one that locks",
    finder: "explore",
    deviations: 0,
    failure: "DeadlockError",
    body: (fixed) => async () => {
      const lock = new Lock({ name: "account" });
      const log = async () => {
        if (fixed) return;
        using _guard = await lock.acquire();
      };
      const deposit = async () => {
        using _guard = await lock.acquire();
        await log();
      };
      await deposit();
    },
  },
  {
    bug: "lost wakeup",
    name: "an event is set and cleared before its waiter waits",
    finder: "explore",
    deviations: 2,
    failure: "DeadlockError",
    body: (fixed) => async () => {
      const changed = new Event({ name: "changed" });
      const consumer = () => changed.wait();
      const producer = async () => {
        await sleep(0);
        changed.set();
        if (!fixed) changed.clear(); // ready for the next change
      };
      await gather(consumer, producer);
    },
  },
  {
    bug: "lost wakeup",
    name: "a condition is notified between the check and the wait",
    finder: "explore",
    deviations: 2,
    failure: "DeadlockError",
    body: (fixed) => async () => {
      const condition = new Condition(undefined, { name: "ready" });
      let isReady = false;
      const waiter = async () => {
        if (fixed) await condition.run(() => condition.waitFor(() => isReady));
        else if (!isReady) {
          await sleep(0); // says that it waits
          await condition.run(() => condition.wait());
        }
      };
      const setter = async () => {
        await turns(2);
        isReady = true;
        await condition.run(async () => condition.notify());
      };
      await gather(waiter, setter);
    },
  },
  {
    bug: "condition checked once",
    name: "a woken consumer finds that another one was faster",
    finder: "explore",
    deviations: 3,
    failure: "AssertionError",
    body: (fixed) => async () => {
      const condition = new Condition();
      const items: string[] = [];
      const taken: (string | undefined)[] = [];
      const consume = async (delay: number) => {
        await turns(delay);
        await condition.run(async () => {
          if (fixed) await condition.waitFor(() => items.length > 0);
          else if (items.length === 0) await condition.wait();
          taken.push(items.shift());
        });
      };
      const produce = async () => {
        await turns(2);
        for (const item of ["a", "b"]) {
          await condition.run(async () => {
            items.push(item);
            condition.notify();
          });
          await turns(3);
        }
      };
      await gather(
        () => consume(0),
        () => consume(5),
        produce,
      );
      assert.ok(!taken.includes(undefined));
    },
  },
  {
    bug: "order violation",
    name: "a request is served before the configuration is read",
    finder: "explore",
    deviations: 1,
    failure: "TypeError",
    body: (fixed) => async () => {
      let config: { readonly port: number } | undefined;
      const loaded = new Event();
      const load = async () => {
        await sleep(0);
        config = { port: 80 };
        loaded.set();
      };
      const serve = async () => {
        if (fixed) await loaded.wait();
        else await sleep(0);
        return (config as { readonly port: number }).port;
      };
      await gather(load, serve);
    },
  },
  {
    bug: "order violation",
    name: "a log is read before its writer has come to the end",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      const log: string[] = [];
      const writer = createTask(async () => {
        for (const line of ["one", "two"]) {
          await sleep(0);
          log.push(line);
        }
      });
      if (!fixed)
        await turns(3); // long enough
      else await writer;
      const seen = log.length;
      await writer;
      assert.equal(seen, 2);
    },
  },
  {
    bug: "ends too early",
    name: "one sentinel for two workers",
    finder: "explore",
    deviations: 0,
    failure: "DeadlockError",
    body: (fixed) => async () => {
      const queue = new Queue<number | undefined>(0, { name: "jobs" });
      const work = async () => {
        while ((await queue.get()) !== undefined) await sleep(0);
      };
      for (const job of [1, 2, undefined]) queue.putNowait(job);
      if (fixed) queue.putNowait(undefined);
      await gather(work, work);
    },
  },
  {
    bug: "ends too early",
    name: "the queue is shut down by the first producer that is done",
    finder: "explore",
    deviations: 1,
    failure: "QueueShutDown",
    body: (fixed) => async () => {
      const queue = new Queue<number>();
      let producers = 2;
      const produce = async (delay: number) => {
        await turns(delay);
        await queue.put(delay);
        producers--;
        await sleep(0);
        if (!fixed || producers === 0) queue.shutdown();
      };
      await gather(
        () => produce(1),
        () => produce(1),
      );
    },
  },
  {
    bug: "done too early",
    name: "a counter of open jobs touches zero before all are counted",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      let open = 0;
      let finished = 0;
      const idle = new Event();
      const start = (jobs: number) => {
        for (let job = 0; job < jobs; job++) {
          if (fixed) open++;
          tasks.push(createTask(run));
        }
      };
      const run = async () => {
        if (!fixed) open++;
        await sleep(0);
        finished++;
        if (--open === 0) idle.set();
      };
      const tasks: asyncio.Task<void>[] = [];
      start(3);
      await idle.wait();
      const seen = finished;
      await gather(tasks);
      assert.equal(seen, 3);
    },
  },
  {
    bug: "join without taskDone",
    name: "the work on an item goes on after join",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      const queue = new Queue<number>();
      let stored = 0;
      const worker = async () => {
        for await (const item of queue) {
          if (!fixed) queue.taskDone();
          await sleep(0);
          stored += item;
          if (fixed) queue.taskDone();
        }
      };
      await taskGroup(async (group) => {
        group.createTask(worker);
        queue.putNowait(1);
        await sleep(0);
        await sleep(0);
        await queue.join();
        const seen = stored;
        queue.shutdown();
        assert.equal(seen, 1);
      });
    },
  },
  {
    bug: "barrier with the wrong number",
    name: "a barrier for three is met by two",
    finder: "explore",
    deviations: 0,
    failure: "DeadlockError",
    body: (fixed) => async () => {
      const barrier = new Barrier(fixed ? 2 : 3, { name: "start" });
      await gather(
        () => barrier.wait(),
        () => barrier.wait(),
      );
    },
  },
  {
    bug: "double close",
    name: "two owners find a file open and close it",
    finder: "explore",
    deviations: 1,
    failure: "Error",
    body: (fixed) => async () => {
      const file = {
        isOpen: true,
        close() {
          if (!this.isOpen) throw new Error("closed twice");
          this.isOpen = false;
        },
      };
      const release = async (delay: number) => {
        await turns(delay);
        if (!file.isOpen) return;
        await sleep(0); // flushes
        if (!fixed || file.isOpen) file.close();
      };
      await gather(
        () => release(0),
        () => release(1),
      );
    },
  },
  {
    bug: "double shutdown",
    name: "a signal and an error shut down at the same time",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      let state: "running" | "stopping" | "stopped" = "running";
      let stops = 0;
      const stop = async (delay: number) => {
        await turns(delay);
        if (state !== "running") return;
        if (fixed) state = "stopping";
        await sleep(0); // says goodbye to the clients
        state = "stopped";
        stops++;
      };
      await gather(
        () => stop(0),
        () => stop(1),
      );
      assert.equal(stops, 1);
    },
  },
  {
    bug: "use after close",
    name: "a query goes out on a connection that was just closed",
    finder: "explore",
    deviations: 2,
    failure: "Error",
    body: (fixed) => async () => {
      const connection = { isOpen: true };
      const inUse = new Lock();
      const query = async () => {
        using _guard = fixed ? await inUse.acquire() : undefined;
        if (!connection.isOpen) return;
        await sleep(0); // plans it
        if (!connection.isOpen) throw new Error("the connection is closed");
      };
      const close = async () => {
        await turns(2);
        using _guard = fixed ? await inUse.acquire() : undefined;
        connection.isOpen = false;
      };
      await gather(query, close);
    },
  },
  {
    bug: "gather instead of a group",
    name: "a sibling goes on after the failure and uses what is closed",
    finder: "explore",
    deviations: 0,
    failure: "UnhandledError",
    body: (fixed) => async () => {
      let isOpen = true;
      const fail = async () => {
        await sleep(1);
        throw new RangeError("no");
      };
      const write = async () => {
        await sleep(2);
        if (!isOpen) throw new Error("written after close");
      };
      try {
        if (!fixed) await gather(fail, write);
        else
          await taskGroup(async (group) => {
            group.createTask(fail);
            group.createTask(write);
          });
      } catch {
        isOpen = false;
      }
      await sleep(5);
    },
  },
  {
    bug: "forgotten await",
    name: "an audit entry is written by nobody",
    finder: "explore",
    deviations: 0,
    failure: "UnhandledError",
    body: (fixed) => async () => {
      const audit = async () => {
        await sleep(0.1);
      };
      const handle = async () => {
        if (fixed) await audit();
        else void audit().catch(() => {}); // what can go wrong?
      };
      await gather(handle);
    },
  },
  {
    bug: "task leaked",
    name: "a poller is started and never stopped",
    finder: "explore",
    deviations: 0,
    failure: "LeakError",
    body: (fixed) => async () => {
      const poll = async () => {
        for (;;) await sleep(10);
      };
      const poller = createTask(poll, { name: "poller" });
      await sleep(5);
      if (!fixed) return;
      poller.cancel();
      await asyncio.wait([poller]);
    },
  },
  {
    bug: "timer leaked",
    name: "an alarm is not cleared when the answer comes in time",
    finder: "explore",
    deviations: 0,
    failure: "LeakError",
    body: (fixed) => async () => {
      const alarm = asyncio.getRunningLoop().callLater(30, () => {});
      await sleep(1);
      if (fixed) alarm.cancel();
    },
  },
  {
    bug: "over-release",
    name: "a permit is given back that was never taken",
    finder: "explore",
    deviations: 0,
    failure: "InvalidStateError",
    body: (fixed) => async () => {
      const permits = new BoundedSemaphore(1);
      const work = async (isAllowed: boolean) => {
        try {
          if (!isAllowed) return;
          await permits.acquire();
          await sleep(0);
        } finally {
          if (!fixed || isAllowed) permits.release();
        }
      };
      await work(false);
    },
  },
  {
    bug: "livelock",
    name: "two tasks yield to each other for ever",
    finder: "explore",
    deviations: 0,
    failure: "LivelockError",
    options: { maxSteps: 1000 },
    body: (fixed) => async () => {
      let waiting = 2;
      const polite = async (rank: number) => {
        while (waiting > (fixed ? 1 + rank : 1)) await sleep(0); // after you
        waiting--;
      };
      await gather(
        () => polite(0),
        () => polite(1),
      );
    },
  },
];
