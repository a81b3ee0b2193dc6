import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { runTest } from "asyncio-ts/testing";
import { FailureReports } from "../../src/cli/reports.ts";

test("many that are alike are the first of them, and a line with the number of the others", () =>
  runTest(async () => {
    const told: string[] = [];
    const reports = new FailureReports((line) => told.push(line));
    for (let n = 1; n <= 60; n++) reports.add("WorkerLostError", `r${n}`);
    reports.add("TypeError", "r61");
    assert.deepEqual(told, [
      "request r1 has failed: WorkerLostError",
      "request r61 has failed: TypeError",
    ]);
    await asyncio.sleep(2);
    assert.deepEqual(told.slice(2), [
      "59 more requests have failed like that, up to r60: WorkerLostError",
    ]);
    reports.add("WorkerLostError", "r62");
    assert.equal(told.at(-1), "request r62 has failed: WorkerLostError");
    reports[Symbol.dispose]();
  }));

test("what was counted is told at the end", () =>
  runTest(async () => {
    const told: string[] = [];
    const reports = new FailureReports((line) => told.push(line));
    for (const id of ["a", "b"]) reports.add("TypeError", id);
    reports[Symbol.dispose]();
    assert.deepEqual(told, ["request a has failed: TypeError", "request b has failed: TypeError"]);
    await asyncio.sleep(2);
    assert.equal(told.length, 2);
  }));
