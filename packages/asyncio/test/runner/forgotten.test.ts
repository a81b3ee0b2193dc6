// That a promise was forgotten is told by the host, which asks for the rejections that nobody has
// handled. So these are programs of their own: a test framework listens to the same event, and
// fails.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runFixture } from "../child.ts";

describe("R16: a branch that nobody awaits is reported when it is cut off", () => {
  for (const [scenario, ...reports] of [
    ["a group", /^task "main" has .* for the 2 tasks of a task group \(first, second\)\. Await it/],
    ["a group whose body waits", /waiting for sleep, .* left\. Await[\s\S]*at async save /],
    ["a branch of each child", /^task "Task-\d+" has ended[\s\S]*at async save /],
    [
      "two places",
      /^timeout in task "main" has ended[\s\S]*at async save /,
      /at async saveOutside /,
      /^task "main" has ended[\s\S]*at async save /,
    ],
    ["a branch in a foreign await", /waiting for sleep\.[\s\S]*at async saveOutside /],
    ["gather", /waiting for gather, 2 of 2 missing/],
    ["a run", /waiting for a run to end/],
    ["a bare Promise.all", /waiting for sleep/],
  ] as const) {
    test(`${scenario}, with its place, once, and the program ends normally`, async () => {
      const { code, stdout, stderr } = await runFixture("forgotten", scenario);

      const found = stderr.split("asyncio: ").slice(1);
      assert.deepEqual([code, stdout, found.length], [0, "end\n", reports.length], stderr);
      for (const report of reports)
        assert.ok(
          found.some((text) => report.test(text)),
          `${report} in ${stderr}`,
        );
    });
  }

  for (const [scenario, output] of [
    ["the losers of races", "end\n"],
    ["what stood beside a failure", "end\n"],
    ["what a deadline ends", "end\n"],
    ["what is caught", "told\nend\n"],
    ["what cleans up", "cleaned up\nend\n"],
    ["a task, and a wait that nobody needs", "end\n"],
  ] as const) {
    test(`not what is right to be cut off: ${scenario}`, async () => {
      const { code, stdout, stderr } = await runFixture("forgotten", scenario);

      assert.deepEqual([code, stdout, stderr], [0, output, ""]);
    });
  }
});
