// The same random programs, here and in CPython: their traces are equal. 300 of them;
// CPYTHON_PROGRAMS and CPYTHON_SEED choose how many, and the first. `npm run soak` runs many more.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runHere, type Trace } from "./here.ts";
import { makeProgram, type Program } from "./program.ts";

const count = Number(process.env.CPYTHON_PROGRAMS ?? 300);
const first = Number(process.env.CPYTHON_SEED ?? 1);

test(`${count} random programs from seed ${first} on do what they do in CPython`, {
  skip: lacksPython(),
}, async () => {
  const seeds = Array.from({ length: count }, (_, index) => first + index);
  const traces = runInPython(seeds.map(makeProgram));
  for (const [index, seed] of seeds.entries()) {
    const there = traces[index] ?? {};
    const again = `CPYTHON_SEED=${seed} CPYTHON_PROGRAMS=1 node --test packages/asyncio/test/fuzz/cpython/cpython.test.ts`;

    for (const isExact of [true, false])
      assert.deepEqual(
        withoutUnstarted(await runHere(makeProgram(seed), isExact), there),
        there,
        `seed ${seed}, run it again by\n  ${again}\n${JSON.stringify(makeProgram(seed))}`,
      );
  }
});

/** A task that is cancelled before it begins: begins here, and never does there (S14). */
function withoutUnstarted(here: Trace, there: Trace): Trace {
  return Object.fromEntries(
    Object.entries(here).filter(([place, told]) => {
      const isUnstarted = told.length === 1 && told[0]?.endsWith("ended: CancelledError");
      return !isUnstarted || place in there;
    }),
  );
}

function runInPython(programs: readonly Program[]): Trace[] {
  const { stdout, stderr, status } = spawnSync(
    "python3",
    [fileURLToPath(new URL("./cpython.py", import.meta.url))],
    {
      input: programs.map((program) => JSON.stringify(program)).join("\n"),
      encoding: "utf8",
      maxBuffer: 2 ** 30,
    },
  );
  assert.equal(status, 0, stderr);
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Trace);
}

function lacksPython(): string | false {
  if (process.env.ASYNCIO_ALL_TOOLS === "1") return false;
  const asked = spawnSync("python3", ["-c", "import asyncio; asyncio.TaskGroup"]);
  return asked.status === 0 ? false : "Python 3.11 or newer is not installed";
}
