// What an operation has to do as well that starts work and waits for it.

import assert from "node:assert/strict";
import * as asyncio from "../../src/index.ts";
import type { Check } from "./checks.ts";
import { type Outcome, outcomeOf } from "./trial.ts";

export type Work = () => Promise<unknown>;

/** `around` is what the work does around its own wait. */
export const joinChecks: readonly (Check & { around(work: Work): Promise<unknown> })[] = [
  {
    name: "is not rejected before the work has cleaned up",
    async around(work) {
      try {
        return await work();
      } finally {
        for (let turns = 0; turns < 3; turns++) await asyncio.sleep(0);
        cleaned.push("cleaned");
      }
    },
    async run(trial) {
      cleaned.length = 0;
      const task = trial.task(async () => {
        const outcome = await outcomeOf(trial.case.begin());
        cleaned.push("ended");
        return outcome;
      });
      await trial.quiet();

      task.cancel();

      trial.assertCancelled(await task, task);
      assert.deepEqual(cleaned, ["cleaned", "ended"]);
    },
  },
  {
    name: "hands over the value of work that swallows the cancellation, which comes back at the next wait",
    applies: ({ cancellationWins = false, runsInCaller = false }) =>
      !cancellationWins && !runsInCaller,
    around: (work) => work().catch(() => "all the same"),
    async run(trial) {
      const task = trial.task(async () => {
        const value = await trial.case.begin();
        return [value, await outcomeOf(asyncio.sleep(0))] as const;
      });
      await trial.quiet();

      task.cancel("in vain");

      const [value, next] = await task;
      assert.equal(value, "all the same");
      trial.assertCancelled(next, task, "in vain");
    },
  },
  {
    name: "rejects with the failure of work that fails to clean up, and the cancellation comes back",
    applies: ({ runsInCaller = false }) => !runsInCaller,
    async around(work) {
      try {
        return await work();
      } catch {
        throw new Error("stuck");
      }
    },
    async run(trial) {
      const task = trial.task(async () => {
        const first = await outcomeOf(trial.case.begin());
        return [first, await outcomeOf(asyncio.sleep(0))] as const;
      });
      await trial.quiet();

      task.cancel("soon");

      const [first, next] = await task;
      assert.deepEqual(messagesOf(first), ["stuck"]);
      trial.assertCancelled(next, task, "soon");
    },
  },
  {
    name: "leaves work that is not its own alone when its scope ends",
    applies: ({ detaches = false }) => detaches,
    around: (work) => work(),
    async run(trial) {
      let branch: Promise<Outcome> | undefined;
      const task = trial.task(async () => {
        branch = outcomeOf(trial.case.begin());
        await trial.quiet();
      });
      await outcomeOf(task);
      assert.ok(branch);
      trial.assertCancelled(await branch, task);

      trial.complete();

      await trial.check(1);
    },
  },
  {
    name: "passes the failure of the work on",
    async around(work) {
      await work();
      throw new Error("broken");
    },
    async run(trial) {
      const task = trial.performer();
      await trial.quiet();

      trial.complete();

      assert.deepEqual(messagesOf(await outcomeOf(task)), ["broken"]);
    },
  },
];

const cleaned: string[] = [];

/** The messages of the failure, or of the failures in the group. */
function messagesOf(outcome: Outcome): string[] {
  const error = "error" in outcome ? outcome.error : undefined;
  const errors = error instanceof asyncio.ExceptionGroup ? error.flatten() : [error];
  return errors.map((each) => (each as Error | undefined)?.message ?? "no failure");
}
