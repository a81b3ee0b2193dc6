// After each test of a file that imports this, nothing of it is left: no process that this one has
// started, and no thread of a pool. Both have gone when the host says so, so nobody has to wait.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { afterEach } from "node:test";

afterEach(() => assert.deepEqual(leftovers(), []));

/** What the system knows of, as `ps` shows it; nothing where there is no /proc. */
function leftovers(): string[] {
  if (!existsSync("/proc/self/task")) return [];
  return [...childrenOf(process.pid), ...threadsOfPools()];
}

function childrenOf(parent: number): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => textOf(`/proc/${name}/stat`)?.match(/\) [^ZX] (\d+) /)?.[1] === `${parent}`)
    .map((name) => `process ${name}: ${textOf(`/proc/${name}/cmdline`)?.replaceAll("\0", " ")}`);
}

/** Node names a thread as the pool does, and cuts that off; older versions of it name none. */
function threadsOfPools(): string[] {
  return readdirSync("/proc/self/task")
    .map((name) => textOf(`/proc/self/task/${name}/comm`)?.trim() ?? "")
    .filter((name) => /^threads-\d/.test(name));
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined; // it has just gone
  }
}
