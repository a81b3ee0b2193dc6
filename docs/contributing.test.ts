// CONTRIBUTING.md tells how a primitive is added. What it shows is put where it says, beside the
// sources, type-checked and run.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const sources = join(root, "packages/asyncio/src");
const page = readFileSync(join(root, "CONTRIBUTING.md"), "utf8");
const fences = [...page.matchAll(/^( *)```ts(?: file=(\S+))?\n([\s\S]*?)^\1```$/gm)];

mkdirSync(join(root, "docs/.examples"), { recursive: true });
const folder = mkdtempSync(join(root, "docs/.examples/contributing-"));
after(() => rmSync(folder, { recursive: true, force: true }));

// The sources by links, so that they are the same modules as everywhere, and the new files among
// them.
for (const name of readdirSync(sources)) link(name);
for (const [, indent = "", file = "", code = ""] of fences) {
  const path = join(folder, file);
  const [top = "", inner = ""] = file.split("/");
  if (top === "src") spread(inner);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, code.replaceAll(new RegExp(`^${indent}`, "gm"), ""));
}

test("every block says which file it is", () => {
  assert.deepEqual(
    fences.map(([, , file]) => file),
    ["src/sync/latch.ts", "test/sync/latch.test.ts"],
  );
});

test("the example compiles", () => {
  const extended = "../../../packages/asyncio/tsconfig.test.json";
  const written = fences.map(([, , file = ""]) => file);
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ extends: extended, include: written }),
  );

  const { status, output } = node([join(root, "node_modules/typescript/bin/tsc"), "-p", folder]);

  assert.equal(status, 0, output);
});

test("the test of the example passes, and fails where a cancelled waiter stays in the line", () => {
  const path = join(folder, "src/sync/latch.ts");
  const testFile = join(folder, "test/sync/latch.test.ts");

  const passed = node(["--test", "--test-reporter=tap", testFile]);
  assert.equal(passed.status, 0, passed.output);
  assert.match(passed.output, /^# pass 1$/m);

  writeFileSync(
    path,
    readFileSync(path, "utf8").replace("this.#waiters.resumeAll(undefined);", ""),
  );
  assert.notEqual(node(["--test", testFile]).status, 0);
});

/** Makes a folder of the sources one of the example's, with links to what is in it. */
function spread(name: string): void {
  rmSync(join(folder, "src", name), { recursive: true, force: true });
  mkdirSync(join(folder, "src", name), { recursive: true });
  for (const file of readdirSync(join(sources, name))) link(join(name, file));
}

function link(name: string): void {
  mkdirSync(join(folder, "src"), { recursive: true });
  symlinkSync(join(sources, name), join(folder, "src", name));
}

function node(args: readonly string[]): { status: number | null; output: string } {
  const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: "1" };
  for (const name of ["NODE_TEST_CONTEXT", "NODE_OPTIONS", "ASYNCIO_DEBUG"]) delete env[name];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, env });
  return { status, output: `${stdout}${stderr}` };
}
