// How soon each strategy finds each bug: `node packages/asyncio/test/testing/bugs/table.ts` prints a table. A cell is the
// schedule that failed first, the median of ten seeds; the last columns are the default settings, also in milliseconds up
// to that schedule. "-": not found within 10,000 schedules, or until nothing new came.

import * as testing from "../../../src/testing.ts";
import { coordination } from "./coordination.ts";
import { interruptions } from "./interruptions.ts";
import { sharedState } from "./shared-state.ts";
import type { Specimen } from "./specimen.ts";

const strategies = ["random", "sticky", "pct", "partial-order", "dfs"] as const;
const seeds = Array.from({ length: 10 }, (_, seed) => seed);

interface Find {
  readonly schedule: number;
  readonly ms: number;
}

/** When a bug is found; undefined if it is not. */
async function find(
  { body, finder, options }: Specimen,
  more: testing.ExploreOptions<undefined>,
): Promise<Find | undefined> {
  const program = body(false);
  const startedAt = performance.now();
  const ends: number[] = [];
  const timed: testing.TestBody<undefined> = async (t) => {
    try {
      return await program(t, undefined);
    } finally {
      ends.push(performance.now() - startedAt);
    }
  };
  try {
    if (finder === "explore") await testing.explore(timed, { ...options, ...more });
    else if (finder === "cancelSweep") await testing.cancelSweep(timed, { ...options });
    else await testing.faultSweep(timed, { ...options });
    return undefined;
  } catch (error) {
    if (!(error instanceof testing.ScheduleError)) throw error;
    const { schedule } = error;
    const run = finder === "explore" && schedule > 1 ? schedule : schedule - 1; // the first one is run twice
    return { schedule, ms: ends[run] ?? Number.NaN };
  }
}

async function medianOver(
  specimen: Specimen,
  options: testing.ExploreOptions<undefined>,
): Promise<Find | undefined> {
  const finds: (Find | undefined)[] = [];
  for (const seed of seeds) finds.push(await find(specimen, { ...options, seed }));
  const order = (a: Find | undefined) => a?.schedule ?? Number.POSITIVE_INFINITY;
  return finds.sort((a, b) => order(a) - order(b))[Math.floor(finds.length / 2)];
}

await find(sharedState[0] as Specimen, {}); // warms up: there is a first one
console.log(`| bug | program | deviations | ${strategies.join(" | ")} | all in turn | ms |`);
console.log(`|---|---|--:|${"--:|".repeat(strategies.length + 2)}`);
for (const specimen of [...sharedState, ...coordination, ...interruptions]) {
  const cells: (string | number)[] = [];
  for (const strategy of strategies) {
    if (specimen.finder !== "explore") cells.push("");
    else {
      const options = { strategy, iterations: 10_000 };
      cells.push((await medianOver(specimen, options))?.schedule ?? "-");
    }
  }
  const found = await medianOver(specimen, {});
  cells.push(found?.schedule ?? "-", found?.ms.toFixed(1) ?? "-");
  const { bug, name, deviations } = specimen;
  console.log(`| ${bug} | ${name} | ${deviations} | ${cells.join(" | ")} |`);
}
