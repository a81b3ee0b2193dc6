// The same random programs, here and in Trio: their traces are equal. 300 of them; TRIO_PROGRAMS
// and TRIO_SEED choose how many, and the first. `npm run soak` runs many more.

import assert from "node:assert/strict";
import { test } from "node:test";
import { lacks, runInPython, type Script, type Trace } from "../python.ts";
import { runHere } from "./here.ts";
import { makeProgram } from "./program.ts";

const count = Number(process.env.TRIO_PROGRAMS ?? 300);
const first = Number(process.env.TRIO_SEED ?? 1);
const script: Script = {
  path: new URL("./in_trio.py", import.meta.url),
  imports: "trio; BaseExceptionGroup",
};

test(`${count} random programs from seed ${first} on do what they do in Trio`, {
  skip: lacks(script, "Trio for Python 3.11 or newer"),
}, async () => {
  const seeds = Array.from({ length: count }, (_, index) => first + index);
  const traces = runInPython(script, seeds.map(makeProgram));
  for (const [index, seed] of seeds.entries()) {
    const there = withoutUnstarted(traces[index] ?? {});
    const again = `TRIO_SEED=${seed} TRIO_PROGRAMS=1 node --test packages/asyncio/test/fuzz/trio/trio.test.ts`;
    for (const isExact of [true, false])
      assert.deepEqual(
        withoutUnstarted(await runHere(makeProgram(seed), isExact)),
        there,
        `seed ${seed}, run it again by\n  ${again}\n${JSON.stringify(makeProgram(seed))}`,
      );
  }
});

/** A child of a group that is cancelled before it begins may begin, or not. */
function withoutUnstarted(trace: Trace): Trace {
  return Object.fromEntries(
    Object.entries(trace).filter(
      ([, told]) => !(told.length === 1 && told[0]?.endsWith("ended: cancelled")),
    ),
  );
}
