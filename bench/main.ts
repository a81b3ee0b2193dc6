// The benchmarks: `npm run bench`. Measures the cases in cases.ts, growth, memory, weight and
// network, shows the demonstrations, prints all of it with the machine and the date, and writes
// JSON and charts if asked to.
//
// Read on in this order: cases.ts (what), workloads/switch (how a workload looks), rounds.ts
// (fresh processes, in turn), measure-case.ts (inside one of them).

import { tmpdir } from "node:os";
import { join } from "node:path";
import { cases } from "./cases.ts";
import { compareRevisions } from "./compare.ts";
import { findGuests, wantedGuests } from "./contenders.ts";
import {
  type FairnessResult,
  showFairness,
  showTimerHeap,
  type TimerHeapResult,
} from "./demonstrations.ts";
import { type FetchesResult, measureFetches } from "./fetches.ts";
import { type GrowthResult, measureGrowth } from "./growth.ts";
import { currentLoad, describeMachine, type Machine } from "./machine.ts";
import { type MemoryResult, measureMemory } from "./memory.ts";
import { mergeReports, readReports } from "./merge.ts";
import { type EchoResult, type IdleResult, measureEcho, measureIdle } from "./network.ts";
import { type Options, parseOptions, UsageError, usage } from "./options.ts";
import { disposeOnSignal } from "./program.ts";
import { publish, writeCharts, writeJson } from "./publish.ts";
import { formatEnd, formatReport, formatStart } from "./report.ts";
import { type CaseResult, type Effort, measureCase } from "./rounds.ts";
import { Selection } from "./selection.ts";
import { measureTraffic, type TrafficResult } from "./traffic.ts";
import { measureWeight, type WeightResult } from "./weight.ts";

/** What `--json` writes. */
export interface Report {
  readonly formatVersion: 3;
  readonly date: string;
  readonly seconds: number;
  readonly machine: Machine;
  readonly load: { readonly before: number; readonly after: number };
  readonly effort: Effort;
  readonly cases: readonly CaseResult[];
  readonly demonstrations: {
    readonly growth?: readonly GrowthResult[];
    readonly memory?: readonly MemoryResult[];
    readonly weight?: readonly WeightResult[];
    readonly echo?: EchoResult;
    readonly idle?: IdleResult;
    readonly traffic?: readonly TrafficResult[];
    readonly fetches?: FetchesResult;
    readonly timerHeap?: TimerHeapResult;
    readonly fairness?: readonly FairnessResult[];
  };
}

async function main(options: Options): Promise<number> {
  if (options.compare !== undefined) return await compareRevisions(options, options.compare);
  if (options.merge.length > 0) return show(mergeReports(readReports(options.merge)), options);
  if (options.quick) rememberCompiledCode();
  const guests = await findGuests(wantedGuests(options.by));
  using selection = new Selection(guests, options.by);
  using _watch = disposeOnSignal(selection);
  return show(await measureAll(options, selection), options);
}

/** Prints a report, and writes it where it is to go. Gives the exit status. */
function show(report: Report, options: Options): number {
  console.log(formatReport(report));
  console.log(formatEnd(report));
  if (options.json !== undefined) writeJson(report, options.json);
  if (options.charts !== undefined) writeCharts(report, options.charts);
  if (options.publish) publish(report);
  return report.demonstrations.timerHeap?.held === false ? 1 : 0;
}

async function measureAll(options: Options, selection: Selection): Promise<Report> {
  const { quick, rounds, only } = options;
  /** Gives what `measure` finds under a name; nothing if it is not asked for. */
  const when = async <Name extends string, T>(
    name: string,
    key: Name,
    measure: () => Promise<T>,
  ): Promise<{ readonly [key in Name]?: T }> => {
    if (only.length > 0 && !only.includes(name)) return {};
    showProgress(name);
    return { [key]: await measure() } as { [key in Name]?: T }; // a computed key is a string to the compiler
  };
  const effort: Effort = {
    quick,
    rounds,
    samples: quick ? 1 : 3,
    budgetMs: quick ? 1 : 700,
  };
  const startedAt = performance.now();
  const date = new Date().toISOString();
  const machine = describeMachine(selection.guests);
  const before = currentLoad();
  console.log(formatStart({ machine, date, before, missing: selection.missing() }));

  const results: CaseResult[] = [];
  const measureCases = async () => {
    for (const subject of cases) {
      const { result } = await when(subject.name, "result", () =>
        measureCase(subject, effort, selection),
      );
      if (result !== undefined) results.push(result);
    }
    return {};
  };
  const sections: readonly (() => Promise<Report["demonstrations"]>)[] = [
    measureCases,
    () => when("growth", "growth", () => measureGrowth(quick)),
    () => when("memory", "memory", () => measureMemory(quick, selection)),
    () => when("weight", "weight", () => measureWeight(quick)),
    () => when("echo", "echo", () => measureEcho(quick, rounds, selection)),
    () => when("idle", "idle", () => measureIdle(quick, selection)),
    () => when("fetches", "fetches", () => measureFetches(quick, rounds, selection)),
    () => when("traffic", "traffic", () => measureTraffic(quick, rounds, selection)),
  ];
  let demonstrations: Report["demonstrations"] = {};
  if (quick) {
    // A smoke run times nothing, so these need not wait for each other.
    const shown = await Promise.all(sections.map((show) => show()));
    demonstrations = Object.assign({}, ...shown);
  } else for (const show of sections) demonstrations = { ...demonstrations, ...(await show()) };
  // How late timers are is looked at also in a smoke run: alone.
  demonstrations = {
    ...demonstrations,
    ...(await when("timer-heap", "timerHeap", () => showTimerHeap(quick))),
    ...(await when("fairness", "fairness", () => showFairness(quick))),
  };
  showProgress("");
  return {
    formatVersion: 3,
    date,
    seconds: Math.round((performance.now() - startedAt) / 1000),
    machine,
    load: { before, after: currentLoad() },
    effort,
    cases: results,
    demonstrations,
  };
}

/**
 * A smoke run is the start of a hundred programs; what is compiled once serves them all. Timed ones
 * start bare.
 */
function rememberCompiledCode(): void {
  process.env.NODE_COMPILE_CACHE ??= join(tmpdir(), "node-compile-cache"); // where Node keeps its own
}

/** Shows on a terminal what is being measured; an empty text wipes it out. */
function showProgress(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what}`);
}

/** Gives the exit status. */
async function start(): Promise<number> {
  try {
    const options = parseOptions(process.argv.slice(2));
    if (options !== "help") return await main(options);
    console.log(usage);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`bench: ${error.message}\n\n${usage}`);
    return 2;
  }
}

process.exitCode = await start();
