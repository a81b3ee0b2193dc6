// Every operation of the library that can wait, against the rules that all of them keep.

import assert from "node:assert/strict";
import * as asyncio from "../src/index.ts";
import { conforms, conformsJoin, Gate } from "./conformance.ts";

conforms("park", { wakes: "one", hasFastPath: true }, () => {
  const gate = new Gate<number>();
  let opened = 0;
  return {
    begin: () => gate.pass(),
    complete: () => gate.open(++opened),
    check({ offered, completed }) {
      assert.equal(gate.kept, offered - completed);
      assert.equal(gate.waiting, 0);
    },
  };
});

conforms("sleep", { wakes: "own" }, () => ({
  begin: () => asyncio.sleep(1, "awake"),
  delay: 1,
  value: "awake",
}));

conforms("Queue.get", { wakes: "one", hasFastPath: true }, () => {
  const queue = new asyncio.Queue<number>();
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

conforms("Queue.put", { wakes: "one", hasFastPath: true }, () => {
  const queue = new asyncio.Queue<number>(1);
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

conforms("Queue.join", { wakes: "all", hasFastPath: true }, () => {
  const queue = new asyncio.Queue<number>();
  let isFinished = false;
  queue.putNowait(1);
  return {
    begin: () => queue.join(),
    complete() {
      if (!isFinished) queue.taskDone();
      isFinished = true;
    },
  };
});

conforms("await future", { wakes: "own" }, () => {
  let future = new asyncio.Future<object>();
  return {
    async begin() {
      future = new asyncio.Future();
      return await future;
    },
    complete() {
      const value = {};
      if (!future.done()) future.setResult(value);
      return value;
    },
  };
});

conforms("cancellable", { wakes: "own", holdsTime: true }, () => {
  let resolve: (value: object) => void = () => {};
  let signal: AbortSignal | undefined;
  // Its reactions run in the call that resolves it: an end of foreign work that is known in the
  // very step.
  const work: PromiseLike<object> = {
    // biome-ignore lint/suspicious/noThenProperty: a thenable is what is wanted
    then(onFulfilled) {
      resolve = onFulfilled as (value: object) => void;
      return work as PromiseLike<never>;
    },
  };
  return {
    begin: () =>
      asyncio.cancellable((given) => {
        signal = given;
        return work;
      }),
    complete() {
      const value = {};
      resolve(value);
      return value;
    },
    check({ offered, completed }) {
      if (signal !== undefined)
        assert.equal(signal.aborted, offered > completed || completed === 0);
    },
    untouched: () => assert.equal(signal, undefined),
  };
});

const hostFetch = globalThis.fetch;

conforms(
  "fetch",
  {
    wakes: "own",
    holdsTime: true,
    async within(check) {
      try {
        await check();
      } finally {
        globalThis.fetch = hostFetch;
      }
    },
  },
  () => {
    let resolve: (response: object) => void = () => {};
    let signal: AbortSignal | undefined;
    // As above: an answer of the host that is known in the very step.
    const answer: PromiseLike<object> = {
      // biome-ignore lint/suspicious/noThenProperty: a thenable is what is wanted
      then(onFulfilled) {
        resolve = onFulfilled as (value: object) => void;
        return answer as PromiseLike<never>;
      },
    };
    return {
      begin() {
        globalThis.fetch = ((_input: unknown, init: RequestInit) => {
          signal = init.signal ?? undefined;
          return answer;
        }) as unknown as typeof fetch;
        return asyncio.fetch("https://example.org");
      },
      complete() {
        const value = {};
        resolve(value);
        return value;
      },
      check({ offered, completed }) {
        if (signal !== undefined)
          assert.equal(signal.aborted, offered > completed || completed === 0);
      },
      untouched: () => assert.equal(signal, undefined),
    };
  },
);

conformsJoin("joined", (work) => asyncio.joined(() => work(), { grace: 3600 }), {
  runsInCaller: true,
  holdsTime: true,
});

conformsJoin("await task", async (work) => await asyncio.createTask(work), { detaches: true });

conformsJoin("requestScope", (work) => asyncio.requestScope(new AbortController().signal, work), {
  outlives: true,
});

conformsJoin("gather", async (work) => (await asyncio.gather(work))[0]);

const never = (): Promise<unknown> => asyncio.sleep(Number.POSITIVE_INFINITY);

conformsJoin("race", (work) => asyncio.race(never, work), { runsInCaller: true });

conformsJoin("timeout", (work) => asyncio.timeout(3600, work), { runsInCaller: true });

conformsJoin("taskGroup, in its body", (work) => asyncio.taskGroup(work), { runsInCaller: true });

conformsJoin(
  "taskGroup, waiting for a child",
  (work) =>
    asyncio
      .taskGroup(async (group: asyncio.TaskGroup<{ child: asyncio.Task<unknown> }>) => {
        const child = group.createTask(work);
        return { child };
      })
      .then(({ child }) => child.result()),
  { cancellationWins: true },
);

let group: asyncio.TaskGroup | undefined;
conformsJoin(
  "group.start",
  async (work) => await group?.start(async (started) => started(await work())),
  {
    within: (check) =>
      asyncio.taskGroup(async (outer: asyncio.TaskGroup) => {
        group = outer;
        await check();
      }),
  },
);

conformsJoin("run inside run", (work) => asyncio.run(work), { holdsTime: true });
