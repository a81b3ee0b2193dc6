// What every operation that waits has to do.

import assert from "node:assert/strict";
import * as asyncio from "../../src/index.ts";
import type { Traits } from "./case.ts";
import { type Outcome, outcomeOf, type Trial } from "./trial.ts";

export interface Check {
  readonly name: string;
  readonly applies?: (traits: Traits) => boolean;
  readonly run: (trial: Trial) => Promise<void>;
}

export const checks: readonly Check[] = [
  {
    name: "gives its value when it completes",
    async run(trial) {
      const task = trial.performer();
      await trial.quiet();

      const value = trial.complete();

      assert.deepEqual(await outcomeOf(task), { value });
      await trial.check(1);
    },
  },
  {
    name: "rejects when it is cancelled while it waits, and leaves no trace",
    async run(trial) {
      const task = trial.performer();
      await trial.quiet();

      task.cancel("enough");

      trial.assertCancelled(await outcomeOf(task), task, "enough");
      await trial.check(0);
      if (trial.traits.wakes === "own") return;
      const other = trial.performer();
      await trial.quiet();
      const value = trial.complete();
      assert.deepEqual(await outcomeOf(other), { value });
      await trial.check(1);
    },
  },
  {
    name: "is cancelled once by two cancellations in a row",
    async run(trial) {
      const task = trial.task(async () => {
        const first = await outcomeOf(trial.case.begin());
        await asyncio.sleep(0);
        return first;
      });
      await trial.quiet();

      task.cancel("first");
      task.cancel("second");

      trial.assertCancelled(await task, task, "first");
      assert.equal(task.cancelling(), 2);
      await trial.check(0);
    },
  },
  {
    name: "keeps its value when it is cancelled in the step that completes it",
    applies: ({ cancellationWins = false }) => !cancellationWins,
    async run(trial) {
      const start = () =>
        trial.task(async () => {
          const value = await trial.case.begin();
          await trial.hop();
          return [value, await outcomeOf(asyncio.sleep(0))] as const;
        });
      let task: ReturnType<typeof start> | undefined;

      const value = await trial.race(
        "complete, cancel",
        () => {
          task = start();
          return task;
        },
        "late",
      );

      assert.ok(task);
      const [given, next] = await task;
      assert.equal(given, value);
      trial.assertCancelled(next, task, "late");
      await trial.check(1);
    },
  },
  {
    name: "takes nothing when it is cancelled before it completes, in the same step",
    applies: ({ wakes }) => wakes !== "all",
    async run(trial) {
      let task: asyncio.Task<unknown> | undefined;

      const value = await trial.race("cancel, complete", () => {
        task = trial.performer();
        return task;
      });

      assert.ok(task);
      trial.assertCancelled(await outcomeOf(task), task);
      await trial.check(0);
      if (trial.traits.wakes !== "one") return;
      assert.equal(await trial.case.begin(), value);
      await trial.check(1);
    },
  },
  {
    name: "lets the next in line have what a cancelled one does not take",
    applies: ({ wakes }) => wakes !== "own",
    async run(trial) {
      const first = trial.performer();
      await trial.quiet();
      const second = trial.performer();
      await trial.quiet();

      first.cancel();
      const value = trial.complete();

      trial.assertCancelled(await outcomeOf(first), first);
      assert.deepEqual(await outcomeOf(second), { value });
      await trial.check(1);
    },
  },
  {
    name: "rejects after the deadline before anything has changed",
    async run(trial) {
      const late = [
        () => asyncio.timeout(0, () => trial.case.begin()),
        () => asyncio.timeoutAt(trial.loop.time() - 1, () => trial.case.begin()),
      ];

      for (const begin of late) {
        const outcome = await outcomeOf(trial.task(begin));
        assert.ok("error" in outcome && outcome.error instanceof asyncio.TimeoutError);
        await trial.untouched();
      }
    },
  },
  {
    name: "rejects under a pending cancellation before anything has changed",
    async run(trial) {
      const task = trial.task(async () => {
        asyncio.currentTask()?.cancel("before");
        return await trial.case.begin();
      });

      trial.assertCancelled(await outcomeOf(task), task, "before");
      await trial.untouched();
    },
  },
  {
    name: "rejects under a pending cancellation although it could complete at once",
    applies: ({ hasFastPath = false }) => hasFastPath,
    async run(trial) {
      trial.complete();
      const task = trial.task(async () => {
        asyncio.currentTask()?.cancel("before");
        return await trial.case.begin();
      });

      trial.assertCancelled(await outcomeOf(task), task, "before");
      await trial.check(0);
    },
  },
  {
    name: "is cut off when its scope ends, and its finally block runs",
    applies: ({ outlives = false }) => !outlives,
    async run(trial) {
      const log: string[] = [];
      let branch: Promise<Outcome> | undefined;
      const floating = async (): Promise<unknown> => {
        try {
          return await trial.case.begin();
        } finally {
          log.push("finally");
        }
      };
      const task = trial.task(async () => {
        branch = outcomeOf(floating());
        await trial.quiet();
      });

      await outcomeOf(task);

      assert.ok(branch);
      const outcome = await branch;
      trial.assertCancelled(outcome, task);
      assert.ok(
        "error" in outcome && (outcome.error as asyncio.CancelledError).source === "closed",
      );
      assert.deepEqual(log, ["finally"]);
      await trial.check(0);
    },
  },
  {
    name: "rejects when it is begun in a scope that has ended",
    applies: ({ outlives = false }) => !outlives,
    async run(trial) {
      const gone = Promise.withResolvers<void>();
      let branch: Promise<Outcome> | undefined;
      const floating = async (): Promise<unknown> => {
        await gone.promise;
        return await trial.case.begin();
      };
      const task = trial.task(async () => {
        branch = outcomeOf(floating());
      });
      await outcomeOf(task);

      gone.resolve();

      assert.ok(branch);
      trial.assertCancelled(await branch, task);
      await trial.untouched();
    },
  },
  {
    name: "rejects again and again in a scope past its grace",
    async run(trial) {
      const insist = async (): Promise<Outcome[]> => {
        const first = await outcomeOf(trial.case.begin());
        return [first, await outcomeOf(trial.case.begin()), await outcomeOf(trial.case.begin())];
      };
      const task = trial.task(insist, { cancelGrace: 0 });
      await trial.quiet();

      task.cancel("for good");

      for (const outcome of await task) trial.assertCancelled(outcome, task, "for good");
      await trial.check(0);
    },
  },
  {
    name: "is ended by a scope around it, and the task goes on",
    async run(trial) {
      const scope = new asyncio.CancelScope();
      const task = trial.task(async () => {
        const result = await scope.run(async () => await trial.case.begin());
        await asyncio.sleep(0);
        return [result, scope.cancelled];
      });
      await trial.quiet();

      scope.cancel();

      assert.deepEqual(await task, [undefined, true]);
      assert.equal(task.cancelling(), 0);
      await trial.check(0);
    },
  },
  {
    name: "serves those who wait in the order in which they came",
    applies: ({ wakes }) => wakes === "one",
    async run(trial) {
      const scopes = [0, 1, 2, 3].map(() => new asyncio.CancelScope());
      const task = trial.task(() =>
        Promise.all(scopes.map((scope) => scope.run(async () => await trial.case.begin()))),
      );
      await trial.quiet();

      scopes[1]?.cancel();
      const values = [trial.complete(), trial.complete(), trial.complete()];

      assert.deepEqual(await task, [values[0], undefined, values[1], values[2]]);
      await trial.check(3);
    },
  },
  {
    name: "lets the host have its turn, however often it completes at once",
    applies: ({ hasFastPath = false }) => hasFastPath,
    async run(trial) {
      let hasHopped = false;
      setImmediate(() => {
        hasHopped = true;
      });

      for (let round = 1; round <= 1024; round++) {
        trial.complete();
        await trial.case.begin();
      }

      assert.ok(hasHopped);
      await trial.check(1024);
    },
  },
];
