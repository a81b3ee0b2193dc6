// `npm run soak`, with small numbers.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "./install.mjs";

test("parts run with the numbers they are given, and are summed up", () => {
  const numbers = ["--programs=30", "--times=2", "--seed=3"];

  const { status, stdout } = soak("fuzz", "files", "structures/linked-list", ...numbers);

  assert.equal(status, 0, stdout);
  assert.match(stdout, /^3 of 3 processes have ended; seed 3$/m);
  assert.match(stdout, /^ {2}fuzz +1 +0 +30 programs +\d+ s$/m);
  assert.match(stdout, /^ {2}files +2 +0 +\d+ tests +\d+ s$/m);
  assert.match(stdout, /linked-list\.test\.ts: \d+\.\d s, \d+\.\d s/);
});

test("a failure counts, and comes with the line that repeats it", () => {
  const env = { TMPDIR: "/there/is/no/such/folder" }; // tests that need one fail

  const { status, stdout } = soak(env, "files", "docs/files.test", "linked-list", "--times=1");

  assert.equal(status, 1, stdout);
  assert.match(stdout, /docs\/files\.test\.ts failed; again by\n {2}node --test docs\/files/);
  assert.match(stdout, /ENOENT/);
  assert.match(stdout, /^ {2}files +2 +1 /m);
  assert.match(stdout, /^ {2}docs\/files\.test\.ts: 1 of 1 times$/m);
});

test("words and numbers that mean nothing are refused", () => {
  assert.match(
    soak("fzz").stderr,
    /the parts are fuzz, cpython, trio, schedules, conformance, db, executors, pagefetch, files/,
  );
  assert.match(soak("--times=many").stderr, /--times takes a whole number from 1 on, got many/);
  assert.equal(soak("--time=1").status, 1);
});

/** Strings are arguments, an object goes into the environment. */
function soak(...words) {
  const more = words.filter((word) => typeof word === "object");
  const env = Object.assign({}, process.env, ...more);
  delete env.NODE_TEST_CONTEXT;
  const args = [
    join(root, "scripts/soak.mjs"),
    ...words.filter((word) => typeof word === "string"),
  ];
  return spawnSync(process.execPath, args, { cwd: root, env, encoding: "utf8" });
}
