import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Report } from "./main.ts";
import { mergeReports } from "./merge.ts";
import { parseOptions } from "./options.ts";
import { inThisFolder } from "./program.ts";

const whole = JSON.parse(readFileSync(inThisFolder("results.json"), "utf8")) as Report;
const { cases, demonstrations } = whole;
const { growth, ...others } = demonstrations;

test("parts of a run become the whole", () => {
  const merged = mergeReports([
    { ...whole, seconds: 10, cases: cases.slice(0, 2), demonstrations: {} },
    { ...whole, seconds: 20, cases: [], demonstrations: others },
    { ...whole, seconds: 30, cases: cases.slice(2), demonstrations: growth ? { growth } : {} },
  ]);

  assert.deepEqual(merged, { ...whole, seconds: 60 });
});

test("figures of different runs do not come to stand beside each other", () => {
  const part = { ...whole, cases: [], demonstrations: {} };
  const elsewhere = { ...part, machine: { ...whole.machine, revision: "another" } };

  assert.throws(() => mergeReports([whole, elsewhere]), /of the same machine, found two/);
  assert.throws(() => mergeReports([whole, { ...part, cases }]), /in two of the runs/);
  assert.throws(() => mergeReports([]), /a file or more/);
});

test("a merge measures nothing, so it takes no names", () => {
  assert.throws(
    () => parseOptions(["--merge", "a.json", "--only", "switch"]),
    /nothing is measured/,
  );
  assert.throws(() => parseOptions(["--merge", "a.json", "--quick"]), /nothing is measured/);
  const options = parseOptions(["--merge", "a.json", "--merge", "b.json", "--publish"]);
  assert.ok(options !== "help");
  assert.deepEqual(options.merge, ["a.json", "b.json"]);
});
