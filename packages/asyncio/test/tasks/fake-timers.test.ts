// Fake timers of test frameworks do not reach a real loop. Whoever waits there for time to pass is
// told so.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runFixture } from "../child.ts";

/** The lines that are ours: mock timers are announced as experimental. */
async function reportsOf(scenario: string): Promise<string[]> {
  const { stdout, stderr } = await runFixture("fake-timers", scenario);
  assert.equal(stdout, "done\n", stderr);
  return stderr.split("\n").filter((line) => line.startsWith("asyncio-ts"));
}

describe("fake timers are reported, once, when something on a real loop waits for time", {
  concurrency: 2,
}, () => {
  for (const how of ["node", "sinon", "oldJest"]) {
    test(`a sleep under the fake timers of ${how}`, async () => {
      const reports = await reportsOf(`after ${how} twice`);

      assert.equal(reports.length, 1);
      assert.match(reports[0] ?? "", /the timers of the program are fake.*`runTest`/);
    });
  }

  for (const what of ["timeout", "moveOnAfter"]) {
    test(`a deadline of ${what}`, async () => {
      assert.equal((await reportsOf(`after sinon ${what}`)).length, 1);
    });
  }

  for (const where of ["", " virtual"])
    test(`where the library was loaded under those of node:test, its own are fake${where}`, async () => {
      const reports = await reportsOf(`before node start${where}`);

      assert.equal(reports.length, 1);
      assert.match(reports[0] ?? "", /was loaded under fake timers.*Import it before/);
    });

  for (const what of ["sleep", "twice", "turn"])
    test(`where it was loaded under those of a framework, it has the host's: ${what}`, async () => {
      const reports = await reportsOf(`before everything ${what}`);

      const expected = what === "turn" ? [] : [/the timers of the program are fake/];
      assert.equal(reports.length, expected.length);
      for (const [index, text] of expected.entries()) assert.match(reports[index] ?? "", text);
    });

  for (const [why, scenario] of [
    ["in virtual time", "after sinon sleep virtual"],
    ["in virtual time, of fakes that were there before", "before everything sleep virtual"],
    ["where nothing waits for time", "after sinon turn"],
    ["of timers that somebody has wrapped", "after wrapped sleep"],
    ["without fake timers", "after nothing sleep"],
  ] as const) {
    test(`nothing is said ${why}`, async () => {
      assert.deepEqual(await reportsOf(scenario), []);
    });
  }
});
