// What every operation that can wait has in common, as one suite: it completes, it can be cancelled
// at any moment, and nothing is lost or doubled by that. To cover another operation, call
// `conforms` with a case of it: how it begins, and how it is let complete.
//
//     conforms("Event.wait", { wakes: "all", hasFastPath: true }, () => {
//       const event = new asyncio.Event();
//       return { begin: () => event.wait(), complete: () => void event.set() };
//     });
//
// That declares a test for each check (conformance/checks.ts) in each environment
// (conformance/environments.ts). An operation that starts work and waits for it is a join, and has
// some checks more:
//
//     conformsJoin("gather", async (work) => (await asyncio.gather(work))[0]);

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "../src/index.ts";
import type { Case, TimedCase, Traits } from "./conformance/case.ts";
import { type Check, checks } from "./conformance/checks.ts";
import { type Environment, environments, nextSeeds } from "./conformance/environments.ts";
import { Gate } from "./conformance/gate.ts";
import { joinChecks, type Work } from "./conformance/join-checks.ts";
import { isTimed, Trial } from "./conformance/trial.ts";

export type { Case, TimedCase, Traits };
export { Gate };

/** Declares the tests of an operation. */
export function conforms(name: string, traits: Traits, makeCase: () => Case | TimedCase): void {
  describe(name, () => declareAll(checks, traits, nextSeeds(), makeCase));
}

/**
 * Declares the tests of a join: an operation that starts `work` and waits for it. A cancellation
 * goes through it to the work, and it ends when the work has.
 */
export function conformsJoin(
  name: string,
  join: (work: Work) => PromiseLike<unknown>,
  options: Omit<Traits, "wakes"> = {},
): void {
  const traits: Traits = { ...options, wakes: "own" };
  const { detaches = false } = traits;
  const makeCase = (around: (work: Work) => Promise<unknown> = (work) => work()): Case => {
    const gate = new Gate<object>();
    let started = 0;
    const work = (): Promise<unknown> => {
      started++;
      return around(() => gate.pass());
    };
    return {
      begin: () => join(work),
      complete: () => gate.open({}),
      check({ offered, completed }) {
        assert.equal(gate.kept, offered - completed);
        if (!detaches) assert.equal(gate.waiting, 0);
      },
      untouched() {
        if (!detaches) assert.equal(started, 0, "the work has started");
      },
    };
  };
  describe(name, () => {
    const seeds = nextSeeds();
    declareAll(checks, traits, seeds, makeCase);
    for (const { around, ...check } of joinChecks) {
      declareAll([check], traits, seeds, () => makeCase(around));
    }
  });
}

function declareAll(
  list: readonly Check[],
  traits: Traits,
  seeds: readonly number[],
  makeCase: () => Case | TimedCase,
): void {
  for (const check of list) {
    if (check.applies?.(traits) === false) continue;
    for (const { name, isTimed: hasTime, make } of environments) {
      if (!hasTime && isTimed(makeCase())) continue;
      test(`${check.name}, ${name}`, async () => {
        for (const environment of make(seeds))
          await runCheck(check, environment, traits, makeCase());
      });
    }
  }
}

async function runCheck(
  check: Check,
  environment: Environment,
  traits: Traits,
  kase: Case | TimedCase,
): Promise<void> {
  const { loop, label } = environment;
  const reports: string[] = [];
  loop.setExceptionHandler((_loop, { message }) => reports.push(message));
  const { within = (body: () => Promise<void>) => body() } = traits;
  const main = async (): Promise<void> => {
    await within(async () => {
      const trial = new Trial(environment, traits, kase);
      await check.run(trial);
      await trial.end();
    });
    assert.equal(asyncio.allTasks().size, 1, "tasks are left");
    assert.deepEqual(asyncio.currentTask()?.waitingFor(), []);
  };
  try {
    await asyncio.run(main, { loop, signals: false });
    const { ready, timers, tasks } = loop.statistics();
    assert.deepEqual({ ready, timers, tasks }, { ready: 0, timers: 0, tasks: 0 });
    assert.deepEqual(reports, []);
  } catch (error) {
    throw label === "" ? error : new Error(`with ${label}`, { cause: error });
  } finally {
    loop.close();
  }
}
