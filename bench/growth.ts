// How costs grow: the same operation among a thousand, ten thousand, up to a million tasks, timers,
// waiters, items. What is to be seen is whether the cost of one stays what it is.

import type { Implementation } from "./contenders.ts";
import type { Measurement } from "./measure-case.ts";
import { runLargeProgram } from "./program.ts";
import type { Size } from "./workload.ts";

interface Series {
  readonly name: string;
  /** The folder in workloads/. */
  readonly folder: string;
  /** What is counted as one operation. */
  readonly operation: string;
  readonly by: readonly Implementation[];
  /** The most that one may cost among a million, as a multiple of one among a thousand. */
  readonly aim?: number;
  /** For what takes minutes among more. */
  readonly most?: number;
  /**
   * Rounds that each task does at least, where starting the tasks is not what is measured. @default
   * 1
   */
  readonly rounds?: number;
}

export const growthSeries: readonly Series[] = [
  {
    name: "tasks",
    folder: "spawn-task",
    operation: "a task started and awaited, n alive",
    by: ["ours", "native"],
    aim: 2.5,
  },
  {
    name: "timers",
    folder: "timers-alive",
    operation: "a timer set and cancelled, n alive",
    by: ["ours", "native"],
  },
  {
    name: "waiters",
    folder: "lock",
    operation: "a lock taken and released, n tasks want it",
    by: ["ours"],
    rounds: 10,
  },
  {
    name: "items",
    folder: "items",
    operation: "an item put and taken, n in the queue",
    by: ["ours"],
  },
  {
    name: "cancelled tasks",
    folder: "cancel-group",
    operation: "a task started, cancelled, joined; n in one group",
    by: ["ours"],
  },
  {
    name: "cancelled leaves",
    folder: "cancel-tree",
    operation: "the same, n leaves in a tree of groups",
    by: ["ours"],
    most: 100_000,
  },
];

export interface GrowthPoint {
  readonly count: number;
  readonly nanosecondsPerOperation: number;
}

export interface GrowthResult {
  readonly name: string;
  readonly operation: string;
  readonly aim?: number;
  readonly lines: Readonly<Partial<Record<Implementation, readonly GrowthPoint[]>>>;
}

const counts = [1000, 10_000, 100_000, 1_000_000];
const quickCounts = [10, 100];
/**
 * Small counts are repeated until there are so many operations: else what is measured is how code
 * warms up.
 */
const operationsAtLeast = 200_000;

export async function measureGrowth(quick: boolean): Promise<GrowthResult[]> {
  // A smoke run times nothing, so the series need not wait for each other.
  if (quick) return await Promise.all(growthSeries.map((series) => measureSeries(series, true)));
  const results: GrowthResult[] = [];
  for (const series of growthSeries) results.push(await measureSeries(series, false));
  return results;
}

async function measureSeries(series: Series, quick: boolean): Promise<GrowthResult> {
  const { name, folder, operation, by, most = Number.POSITIVE_INFINITY, rounds = 1 } = series;
  const lines: Partial<Record<Implementation, GrowthPoint[]>> = {};
  for (const count of quick ? quickCounts : counts.filter((count) => count <= most)) {
    const repeats = quick ? 1 : Math.max(rounds, operationsAtLeast / count);
    const size: Size = { tasks: count, repeats };
    for (const implementation of by) {
      const args = [folder, implementation, JSON.stringify(size), "3", quick ? "1" : "1000"];
      // It prints nothing else.
      const measurement = (await runLargeProgram("measure-case.ts", ...args)) as Measurement;
      const nanosecondsPerOperation = Math.min(...measurement.nanosecondsPerOperation);
      lines[implementation] ??= [];
      lines[implementation].push({ count, nanosecondsPerOperation });
    }
  }
  const { aim } = series;
  return { name, operation, ...(aim === undefined ? {} : { aim }), lines };
}
