// 2000 random programs; FUZZ_PROGRAMS and FUZZ_SEED choose how many, and the first. `npm run soak`
// runs many more.

import { test } from "node:test";
import { runProgram, shrinkProgram } from "./fuzz.ts";
import { formatProgram, makeProgram } from "./program.ts";

const count = Number(process.env.FUZZ_PROGRAMS ?? 2000);
const first = Number(process.env.FUZZ_SEED ?? 1);

test(`${count} random programs from seed ${first} on keep what the library promises`, async () => {
  for (let seed = first; seed < first + count; seed++) {
    const program = makeProgram(seed);
    try {
      await runProgram(program);
    } catch (error) {
      const again = `FUZZ_SEED=${seed} FUZZ_PROGRAMS=1 node --test packages/asyncio/test/fuzz/fuzz.test.ts`;
      const smallest = formatProgram(await shrinkProgram(program));
      throw new Error(`seed ${seed}, run it again by\n  ${again}\n${smallest}`, { cause: error });
    }
  }
});
