// The primitives, the ordered queues and the joins that own nothing, against the rules that every
// operation keeps. Each case has seeds of its own; together they cover more than 200.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import * as asyncio from "../../src/index.ts";
import { type Case, conforms, conformsJoin } from "../conformance.ts";

/** Calls outside every task: code that any lock lets release it. */
const outside: <R>(call: () => R) => R = AsyncLocalStorage.snapshot();

class CountedSemaphore extends asyncio.Semaphore {
  get free(): number {
    return this.value;
  }
}

conforms("Lock.acquire", { wakes: "one", hasFastPath: true }, () => {
  const lock = new asyncio.Lock();
  outside(() => void lock.acquire());
  return {
    begin: () => lock.acquire().then(() => "held"),
    complete() {
      if (lock.locked()) outside(() => lock.release());
      return "held";
    },
    check: ({ offered, completed }) => assert.equal(lock.locked(), offered === completed),
  };
});

conforms("Semaphore.acquire", { wakes: "one", hasFastPath: true }, () => {
  const semaphore = new CountedSemaphore(0);
  return {
    begin: () => semaphore.acquire().then(() => "permitted"),
    complete() {
      semaphore.release();
      return "permitted";
    },
    check: ({ offered, completed }) => assert.equal(semaphore.free, offered - completed),
  };
});

conforms("Event.wait", { wakes: "all", hasFastPath: true }, () => {
  const event = new asyncio.Event();
  return {
    begin: () => event.wait(),
    complete() {
      event.set();
      return true;
    },
  };
});

/** Notifies from outside every task, with the lock held. */
function notify(condition: asyncio.Condition): void {
  outside(() => {
    const isFree = !condition.locked();
    if (isFree) void condition.acquire();
    condition.notify();
    if (isFree) condition.release();
  });
}

conforms("Condition.wait", { wakes: "own" }, () => {
  const condition = new asyncio.Condition();
  return {
    begin: () => condition.run(() => condition.wait()),
    complete() {
      notify(condition);
      return true;
    },
    check: () => assert.equal(condition.locked(), false),
  };
});

conforms("Condition.waitFor", { wakes: "one", hasFastPath: true }, () => {
  const condition = new asyncio.Condition();
  let available = 0;
  return {
    begin: () =>
      condition.run(async () => {
        await condition.waitFor(() => available > 0);
        available--;
        return "taken";
      }),
    complete() {
      available++;
      notify(condition);
      return "taken";
    },
    check({ offered, completed }) {
      assert.equal(available, offered - completed);
      assert.equal(condition.locked(), false);
    },
  };
});

conforms("Barrier.wait", { wakes: "own" }, () => {
  const barrier = new asyncio.Barrier(2);
  return {
    begin: () => barrier.wait(),
    complete() {
      if (barrier.nWaiting > 0) outside(() => void barrier.wait());
      return 0;
    },
    check: () => assert.equal(barrier.nWaiting, 0),
  };
});

for (const OrderedQueue of [asyncio.PriorityQueue, asyncio.LifoQueue]) {
  conforms(`${OrderedQueue.name}.get`, { wakes: "one", hasFastPath: true }, () => {
    const queue: asyncio.Queue<number> = new OrderedQueue<number>();
    let put = 0;
    return {
      begin: () => queue.get(),
      complete() {
        queue.putNowait(++put);
        return put;
      },
      check: ({ offered, completed }) => assert.equal(queue.qsize(), offered - completed),
    };
  });

  conforms(`${OrderedQueue.name}.put`, { wakes: "one", hasFastPath: true }, () => {
    const queue: asyncio.Queue<number> = new OrderedQueue<number>(1);
    let begun = 0;
    queue.putNowait(begun);
    return {
      begin: () => queue.put(++begun),
      complete: () => void queue.getNowait(),
      check({ offered, completed }) {
        assert.equal(queue.qsize(), 1 - offered + completed);
        assert.equal(queue.full(), offered === completed);
      },
    };
  });
}

/** An operation on one future, which nothing but `complete` ends. */
function futureCase(begin: (future: asyncio.Future<string>) => PromiseLike<unknown>): Case {
  let future: asyncio.Future<string> | undefined;
  const made = (): asyncio.Future<string> => {
    future ??= new asyncio.Future();
    return future;
  };
  return {
    begin: () => begin(made()),
    complete() {
      if (!made().done()) made().setResult("set");
      return "set";
    },
    check: ({ offered }) => assert.equal(made().done(), offered > 0),
  };
}

conforms("wait", { wakes: "all", hasFastPath: true }, () =>
  futureCase(async (future) => {
    const { done } = await asyncio.wait([future]);
    return [...done][0]?.result();
  }),
);

conforms("wait with a delay", { wakes: "all", hasFastPath: true }, () =>
  futureCase(async (future) => {
    const { done } = await asyncio.wait([future], { delay: 3600, returnWhen: "FIRST_COMPLETED" });
    return [...done][0]?.result();
  }),
);

conforms("wait, until its delay is over", { wakes: "own" }, () => {
  const future = new asyncio.Future();
  return {
    async begin() {
      const { done, pending } = await asyncio.wait([future], { delay: 1 });
      return `${done.size} done, ${pending.size} pending`;
    },
    delay: 1,
    value: "0 done, 1 pending",
  };
});

conforms("asCompleted().next", { wakes: "own" }, () => {
  let completions: AsyncIterableIterator<asyncio.Future<string>> | undefined;
  return futureCase(async (future) => {
    completions ??= asyncio.asCompleted([future]);
    const { value } = await completions.next();
    return value?.result();
  });
});

conforms("shield", { wakes: "all" }, () => futureCase((future) => asyncio.shield(future)));

conformsJoin("waitFor", (work) => asyncio.waitFor(work, 3600), { runsInCaller: true });

conformsJoin("waitFor, of a task", (work) => asyncio.waitFor(asyncio.createTask(work), 3600), {
  detaches: true,
});

const never = (): Promise<never> => asyncio.sleep(Number.POSITIVE_INFINITY, "never" as never);

conformsJoin("race", (work) => asyncio.race(work), { runsInCaller: true });

conformsJoin("race, of two", (work) => asyncio.race(never, work), { runsInCaller: true });

conformsJoin("staggeredRace", async (work) => (await asyncio.staggeredRace([work], null))[0], {
  runsInCaller: true,
});
