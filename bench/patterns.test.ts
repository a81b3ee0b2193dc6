import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { inThisFolder } from "./program.ts";

const page = readFileSync(inThisFolder("README.md"), "utf8");
const tables = [...page.matchAll(/<!-- bench:patterns (\S+) -->/g)].map(([, name]) => name ?? "");

test("each library does each job, with one checksum, and there is a table for each mark", () => {
  const arguments_ = [inThisFolder("patterns.ts"), "--quick"];
  const printed = execFileSync(process.execPath, arguments_, { encoding: "utf8" });

  assert.equal(printed.match(/^\| -/gm)?.length, tables.length);
  for (const by of [
    "TaskQueue",
    "p-limit",
    "p-queue",
    "p-map",
    "Effect 4",
    "generic-pool",
    "tarn",
    "bottleneck",
  ])
    assert.match(printed, new RegExp(`^\\| ${by}`, "m"));
  assert.doesNotMatch(printed, /NaN|undefined/);
});
