// The same random programs, here and in Trio: their traces are equal. TRIO_PROGRAMS and TRIO_SEED
// choose how many, and the first. `npm run soak` runs many more.

import { compare, type Trace } from "../python.ts";
import { runHere } from "./here.ts";
import { makeProgram } from "./program.ts";

compare({
  name: "Trio",
  script: {
    path: new URL("./in_trio.py", import.meta.url),
    imports: "trio; BaseExceptionGroup",
    needs: "Trio for Python 3.11 or newer",
  },
  makeProgram,
  runHere,
  reduce: (here, there) => [withoutUnstarted(here), withoutUnstarted(there)],
});

/** A child of a group that is cancelled before it begins may begin, or not. */
function withoutUnstarted(trace: Trace): Trace {
  return Object.fromEntries(
    Object.entries(trace).filter(
      ([, told]) => !(told.length === 1 && told[0]?.endsWith("ended: cancelled")),
    ),
  );
}
