// Bugs that only a cancellation, a failure or a deadline shows.

import assert from "node:assert/strict";
import * as asyncio from "../../../src/index.ts";
import * as testing from "../../../src/testing.ts";
import type { Specimen } from "./specimen.ts";

const { cleanup, createTask, Lock, Queue, Semaphore, sleep, timeout } = asyncio;

export const interruptions: readonly Specimen[] = [
  {
    bug: "missing unlock on cancel",
    name: "a lock is released only on the path without a cancellation",
    finder: "cancelSweep",
    deviations: 1,
    failure: "LeakError",
    body: (fixed) => async () => {
      const lock = new Lock({ name: "db" });
      if (fixed) await lock.run(() => sleep(1));
      else {
        await lock.acquire();
        await sleep(1);
        lock.release();
      }
    },
  },
  {
    bug: "missing unlock on cancel",
    name: "a second lock is free, and taken outside of the try block of the first",
    finder: "cancelSweep",
    deviations: 1,
    failure: "LeakError",
    body: (fixed) => async () => {
      const [accounts, audit] = [new Lock({ name: "accounts" }), new Lock({ name: "audit" })];
      const write = () => audit.run(() => sleep(1));
      if (fixed) await accounts.run(write);
      else {
        await accounts.acquire();
        await audit.acquire();
        try {
          await sleep(1);
        } finally {
          audit.release();
          accounts.release();
        }
      }
    },
  },
  {
    bug: "missing permit release",
    name: "a permit is lost with the task that had it",
    finder: "cancelSweep",
    deviations: 1,
    failure: "LeakError",
    body: (fixed) => async () => {
      const permits = new Semaphore(2, { name: "connections" });
      if (fixed) await permits.run(() => sleep(1));
      else {
        await permits.acquire();
        await sleep(1);
        permits.release();
      }
    },
  },
  {
    bug: "cancelled but consumed",
    name: "an item is taken, and its work is cancelled",
    finder: "cancelSweep",
    deviations: 1,
    failure: "SweepError",
    body: (fixed) => async () => {
      const queue = new Queue<string>();
      const stored: string[] = [];
      queue.putNowait("order");
      try {
        const item = await queue.get();
        try {
          await sleep(1); // works on it
          stored.push(item);
        } catch (error) {
          if (fixed) queue.putNowait(item);
          throw error;
        }
      } finally {
        assert.equal(stored.length + queue.qsize(), 1);
      }
    },
  },
  {
    bug: "swallowed cancellation",
    name: "a retry loop takes a cancellation for a failure",
    finder: "cancelSweep",
    deviations: 1,
    failure: "SweepError",
    body: (fixed) => async () => {
      for (let attempt = 1; attempt <= 3; attempt++) {
        try {
          await sleep(1);
          return;
        } catch (error) {
          if (fixed && error instanceof asyncio.CancelledError) throw error;
        }
      }
    },
  },
  {
    bug: "half done on cancel",
    name: "money leaves an account and arrives nowhere",
    finder: "cancelSweep",
    deviations: 1,
    failure: "SweepError",
    body: (fixed) => async () => {
      const bank = { ann: 100, bob: 0 };
      try {
        if (fixed) await sleep(1);
        bank.ann -= 10;
        if (!fixed) await sleep(1);
        bank.bob += 10;
      } finally {
        assert.equal(bank.ann + bank.bob, 100);
      }
    },
  },
  {
    bug: "cleanup interrupted",
    name: "a cancellation strikes in the finally block",
    finder: "cancelSweep",
    deviations: 1,
    failure: "LeakError",
    body: (fixed) => async () => {
      const lock = new Lock({ name: "file" });
      await lock.acquire();
      try {
        await sleep(1);
      } finally {
        if (fixed) await cleanup(5, () => sleep(0.1));
        else await sleep(0.1); // flushes
        lock.release();
      }
    },
  },
  {
    bug: "child leaked on cancel",
    name: "a helper task goes on when its owner is cancelled",
    finder: "cancelSweep",
    deviations: 1,
    failure: "LeakError",
    body: (fixed) => async () => {
      const heartbeat = async () => {
        for (;;) await sleep(10);
      };
      if (fixed)
        await asyncio.taskGroup(async (group) => {
          group.createTask(heartbeat, { name: "heartbeat" });
          await sleep(5);
          group.cancel();
        });
      else {
        const helper = createTask(heartbeat, { name: "heartbeat" });
        await sleep(5);
        helper.cancel();
        await asyncio.wait([helper]);
      }
    },
  },
  {
    bug: "join that never ends",
    name: "a cancelled worker has not told that its item is done",
    finder: "cancelSweep",
    deviations: 1,
    failure: "DeadlockError",
    options: { victims: /worker/ },
    body: (fixed) => async () => {
      const queue = new Queue<number>();
      queue.putNowait(1);
      const worker = createTask(
        async () => {
          await queue.get();
          try {
            await sleep(1);
            if (!fixed) queue.taskDone();
          } finally {
            if (fixed) queue.taskDone();
          }
        },
        { name: "worker" },
      );
      await sleep(0.5);
      await queue.join();
      await asyncio.wait([worker]);
    },
  },
  {
    bug: "missing unlock on error",
    name: "a write fails while the lock is held",
    finder: "faultSweep",
    deviations: 1,
    failure: "LeakError",
    body: (fixed) => async () => {
      const lock = new Lock({ name: "journal" });
      const guard = await lock.acquire();
      try {
        testing.fault("write");
        await sleep(0.1);
        if (!fixed) guard[Symbol.dispose]();
      } finally {
        if (fixed) guard[Symbol.dispose]();
      }
    },
  },
  {
    bug: "partial write",
    name: "the index is written, and the data is not",
    finder: "faultSweep",
    deviations: 1,
    failure: "SweepError",
    body: (fixed) => async () => {
      const disk = { index: 0, data: 0 };
      const write = async (part: "index" | "data") => {
        testing.fault(`write ${part}`);
        await sleep(0.1);
        disk[part]++;
      };
      try {
        if (fixed) await write("data");
        await write("index");
        if (!fixed) await write("data");
      } finally {
        assert.ok(disk.data >= disk.index, "the index points to nothing");
      }
    },
  },
  {
    bug: "counter not lowered",
    name: "a request that fails stays counted as open",
    finder: "faultSweep",
    deviations: 1,
    failure: "SweepError",
    body: (fixed) => async () => {
      let open = 0;
      const request = async () => {
        open++;
        try {
          testing.fault("connect", () => new Error("ECONNREFUSED"));
          await sleep(1);
          if (!fixed) open--;
        } finally {
          if (fixed) open--;
        }
      };
      try {
        await request();
      } finally {
        assert.equal(open, 0);
      }
    },
  },
  {
    bug: "half done on timeout",
    name: "a deadline passes between two steps that belong together",
    finder: "faultSweep",
    deviations: 1,
    failure: "SweepError",
    body: (fixed) => async () => {
      const order = { paid: false, shipped: false };
      try {
        await timeout(60, async () => {
          if (fixed) await sleep(1);
          order.paid = true;
          if (!fixed) await sleep(1); // asks the warehouse
          order.shipped = true;
        });
      } finally {
        assert.equal(order.paid, order.shipped);
      }
    },
  },
  {
    bug: "retry that repeats",
    name: "a charge that timed out is charged again",
    finder: "faultSweep",
    deviations: 1,
    failure: "SweepError",
    body: (fixed) => async () => {
      const charges = new Set<string>();
      let total = 0;
      const charge = async (key: string) => {
        if (!charges.has(key)) total += 10;
        charges.add(key);
        await sleep(1); // the answer
      };
      for (let attempt = 1; ; attempt++) {
        try {
          await timeout(5, () => charge(fixed ? "order 1" : `attempt ${attempt}`));
          break;
        } catch (error) {
          if (!(error instanceof asyncio.TimeoutError) || attempt === 3) throw error;
        }
      }
      assert.equal(total, 10);
    },
  },
  {
    bug: "half done on timeout",
    name: "a deadline passes while a helper is between two steps",
    finder: "faultSweep",
    deviations: 1,
    failure: "SweepError",
    body: (fixed) => async () => {
      const order = { paid: false, shipped: false };
      const helper = async () => {
        await sleep(1); // looks the order up
        order.paid = true;
        if (!fixed) await sleep(1); // asks the warehouse
        order.shipped = true;
      };
      try {
        await timeout(60, () =>
          asyncio.taskGroup(async (group) => void group.createTask(helper, { name: "helper" })),
        );
      } finally {
        assert.equal(order.paid, order.shipped);
      }
    },
  },
  {
    bug: "somebody else's deadline",
    name: "whatever interrupts an attempt is taken for its own timeout",
    finder: "faultSweep",
    deviations: 1,
    failure: "SweepError",
    body: (fixed) => async () => {
      const attempt = async () => {
        try {
          return await timeout(5, () => sleep(1, "answer"));
        } catch (error) {
          if (fixed && !(error instanceof asyncio.TimeoutError)) throw error;
          throw new Error("the server has not answered in time");
        }
      };
      if (fixed) await timeout(60, attempt).catch(() => {});
      else await timeout(60, attempt);
    },
  },
];
