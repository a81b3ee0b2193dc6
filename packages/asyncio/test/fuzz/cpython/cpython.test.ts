// The same random programs, here and in CPython: their traces are equal. CPYTHON_PROGRAMS and
// CPYTHON_SEED choose how many, and the first. `npm run soak` runs many more.

import { compare } from "../python.ts";
import { runHere } from "./here.ts";
import { makeProgram } from "./program.ts";

compare({
  name: "CPython",
  script: {
    path: new URL("./in_cpython.py", import.meta.url),
    imports: "asyncio; asyncio.TaskGroup",
    needs: "Python 3.11 or newer",
  },
  makeProgram,
  runHere,
  // A task that is cancelled before it begins: begins here, and never does there (S14).
  reduce(here, there) {
    const started = Object.entries(here).filter(([place, told]) => {
      const isUnstarted = told.length === 1 && told[0]?.endsWith("ended: CancelledError");
      return !isUnstarted || place in there;
    });
    return [Object.fromEntries(started), there];
  },
});
