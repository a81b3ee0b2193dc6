// Under Node's permission model: what may not be done says so, and the rest goes on.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import "./leftovers.ts";

const program = fileURLToPath(new URL("./permitted.ts", import.meta.url));

/** What the program prints with these rights, as far as it ends by itself. */
async function printed(...rights: string[]): Promise<unknown[]> {
  const flags = ["--permission", "--allow-fs-read=*", ...rights, "--no-warnings"];
  const child = spawn(process.execPath, [...flags, program], { stdio: ["ignore", "pipe", "pipe"] });
  let [lines, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => (lines += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.deepEqual([code, errors], [0, ""]);
  return lines
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
}

const ran = [3, true, 4];

test("without rights neither threads nor processes are started", async () => {
  const [threads, processes] = (await printed()) as [string[], string[]];

  assert.equal(threads[0], "BrokenExecutorError");
  assert.match(String(threads[1]), /a worker of threads-\d cannot be started.*--allow-worker/);
  assert.deepEqual(threads.slice(2), ["ERR_ACCESS_DENIED", "WorkerThreads"]);
  assert.equal(processes[0], "BrokenExecutorError");
  assert.match(String(processes[1]), /a worker of processes-\d cannot be.*--allow-child-process/);
  assert.deepEqual(processes.slice(2), ["ERR_ACCESS_DENIED", "ChildProcess"]);
});

test("threads run where workers are allowed; one that cannot be interrupted is replaced", async () => {
  const [threads, processes] = (await printed("--allow-worker")) as [unknown, string[]];

  assert.deepEqual(threads, ran);
  assert.equal(processes[0], "BrokenExecutorError");
});

test("processes that may start no thread say so", async () => {
  const [, processes] = (await printed("--allow-child-process")) as [unknown, string[]];

  assert.equal(processes[0], "BrokenExecutorError");
  assert.match(String(processes[1]), /no worker of processes-\d gets ready.*--allow-worker/);
});

test("processes run where both are allowed", async () => {
  const both = ["--allow-worker", "--allow-child-process"];

  assert.deepEqual(await printed(...both), [ran, ran]);
});
