// A program that is process 1, as most are in a container: a signal that nobody listens to does not
// end it.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../fixtures/processes.ts", import.meta.url));
const flags = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
const asFirst = (command: string, ...args: string[]) =>
  spawnSync("unshare", [...flags, command, ...args], { encoding: "utf8" });
const skip = asFirst("true").status === 0 ? false : "there is no way to be process 1 here";

test("a signal that does not end the program does not end its children either", { skip }, () => {
  const { stdout, stderr } = asFirst(process.execPath, program, "the first process");

  assert.deepEqual([stdout, stderr], ["1 goes on, and so does its child\n", ""]);
});
