// What is installed where: the root stays small, and everything else says how much it fetches.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { foldersWithTypes, root, whatIsInstalledIn } from "./install.mjs";

const readJson = (...path) => JSON.parse(readFileSync(join(root, ...path), "utf8"));

/** The folders that git knows a lock file of, or would know. */
const folders = spawnSync(
  "git",
  ["ls-files", "--cached", "--others", "--exclude-standard", "*package-lock.json"],
  { cwd: root, encoding: "utf8" },
)
  .stdout.split("\n")
  .filter((line) => line !== "")
  .map(dirname);

test("the root installs what the library and the examples need, and nothing else", () => {
  const { workspaces } = readJson("package.json");

  assert.deepEqual(workspaces, ["packages/asyncio", "examples"]);
});

test("the root installs nothing that the library is measured against", () => {
  const { packages } = readJson("package-lock.json");
  const { devDependencies } = readJson("bench", "package.json");
  const needed = ["fast-check"]; // the library's own tests use it

  assert.deepEqual(
    Object.keys(devDependencies).filter((name) => `node_modules/${name}` in packages),
    needed,
  );
});

test("every folder with a lock file says what it installs, and how much that is", () => {
  assert.ok(folders.includes("."));
  for (const folder of folders)
    assert.match(whatIsInstalledIn(join(root, folder)), /\(about \d+ MB to fetch, once\)$/, folder);
});

test("folders whose types are checked with everything else are known", () => {
  const known = foldersWithTypes();

  for (const folder of ["bench", "packages/db", "examples/web"])
    assert.ok(known.includes(join(root, folder)), folder);
  assert.ok(!known.includes(join(root, "examples")));
});
