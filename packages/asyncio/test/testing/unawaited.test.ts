// Promises of the code under test that fail while nobody awaits them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runFixture } from "../child.ts";

const told = "UnhandledError: the test has ended, but meanwhile:\n  a promise has failed";

for (const search of ["runTest", "cancelSweep"]) {
  test(`fail \`${search}\``, async () => {
    const { code, stdout, stderr } = await runFixture("unawaited", search);

    assert.equal(stdout, `${told}, and no code has awaited it: Error: unawaited\n`);
    assert.deepEqual([code, stderr], [0, ""]);
  });
}

test("fail `explore` with the schedule in which they do, shrunk, and replayed", async () => {
  const { code, stdout, stderr } = await runFixture("unawaited", "explore");

  const [first, second, third] = stdout.split("\n");
  assert.equal(
    `${first}\n${second}`,
    `${told}, and no code has awaited it: Error: used after it was closed`,
  );
  assert.equal(third, "2 places: true");
  assert.deepEqual([code, stderr], [0, ""]);
});

test("are left to the host if they are not of the test", async () => {
  const { code, stderr } = await runFixture("unawaited", "a task of its own");

  assert.match(stderr, /Error: not of the test/);
  assert.equal(code, 1);
});
