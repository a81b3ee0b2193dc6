// The same random programs, here and in CPython: their traces are equal. 300 of them;
// CPYTHON_PROGRAMS and CPYTHON_SEED choose how many, and the first. `npm run soak` runs many more.

import assert from "node:assert/strict";
import { test } from "node:test";
import { lacks, runInPython, type Script, type Trace } from "../python.ts";
import { runHere } from "./here.ts";
import { makeProgram } from "./program.ts";

const count = Number(process.env.CPYTHON_PROGRAMS ?? 300);
const first = Number(process.env.CPYTHON_SEED ?? 1);
const script: Script = {
  path: new URL("./in_cpython.py", import.meta.url),
  imports: "asyncio; asyncio.TaskGroup",
};

test(`${count} random programs from seed ${first} on do what they do in CPython`, {
  skip: lacks(script, "Python 3.11 or newer"),
}, async () => {
  const seeds = Array.from({ length: count }, (_, index) => first + index);
  const traces = runInPython(script, seeds.map(makeProgram));
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
