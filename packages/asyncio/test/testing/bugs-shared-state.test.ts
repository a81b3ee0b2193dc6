import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { testAll } from "./bugs/check.ts";
import { coordination } from "./bugs/coordination.ts";
import { interruptions } from "./bugs/interruptions.ts";
import { sharedState } from "./bugs/shared-state.ts";

testAll(sharedState);

test("the page of bugs found has all of them, in their order", () => {
  const page = new URL("../../../../docs/bugs-found.md", import.meta.url);
  const rows = readFileSync(page, "utf8").matchAll(/^\| ([^|]*) \| ([^|]*) \| (\d+) \|/gm);

  const listed = [...rows].map(([, bug, name, places]) => `${bug}: ${name}, ${places}`);

  const specimens = [...sharedState, ...coordination, ...interruptions];
  const expected = specimens.map(({ bug, name, deviations }) => `${bug}: ${name}, ${deviations}`);
  assert.deepEqual(listed, expected);
  assert.equal(specimens.length, 57);
});
