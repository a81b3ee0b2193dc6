// How soon each strategy finds each bug: `node packages/asyncio/test/testing/bugs/table.ts` prints
// the table of docs/bugs-found.md. A cell is the schedule that failed first and the milliseconds up
// to its end, each the median of ten seeds. "-": not found by most seeds within 10,000 schedules,
// or until nothing new came.

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
    // The first one is run twice, and again after every 50.
    const more = finder === "explore" && schedule > 1 ? 1 + Math.floor((schedule - 1) / 50) : 0;
    const run = schedule - 1 + more;
    return { schedule, ms: ends[run] ?? Number.NaN };
  }
}

/** The medians over all seeds, as a cell of the table. */
async function medianOver(
  specimen: Specimen,
  options: testing.ExploreOptions<undefined>,
): Promise<string> {
  const finds: (Find | undefined)[] = [];
  for (const seed of seeds) finds.push(await find(specimen, { ...options, seed }));
  const schedule = median(finds.map((found) => found?.schedule));
  const ms = median(finds.map((found) => found?.ms));
  if (schedule === undefined || ms === undefined) return "-";
  return `${schedule} (${ms < 10 ? ms.toFixed(2) : Math.round(ms)})`;
}

function median(numbers: readonly (number | undefined)[]): number | undefined {
  const order = (value: number | undefined) => value ?? Number.POSITIVE_INFINITY;
  return [...numbers].sort((a, b) => order(a) - order(b))[Math.floor(numbers.length / 2)];
}

const specimens = [...sharedState, ...coordination, ...interruptions];

// Warms up: the first runs of a process are slow, and are not what the table is about.
for (const specimen of specimens)
  for (const seed of seeds.slice(0, 3)) await find(specimen, { seed });
console.log(`| bug | program | places | ${strategies.join(" | ")} | default |`);
console.log(`|---|---|--:|${"--:|".repeat(strategies.length + 1)}`);
for (const specimen of specimens) {
  const cells: string[] = [];
  for (const strategy of strategies) {
    if (specimen.finder !== "explore") cells.push("");
    else cells.push(await medianOver(specimen, { strategy, iterations: 10_000 }));
  }
  cells.push(await medianOver(specimen, {}));
  const { bug, name, deviations } = specimen;
  console.log(`| ${bug} | ${name} | ${deviations} | ${cells.join(" | ")} |`);
}
