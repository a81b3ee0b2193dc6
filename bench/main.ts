// The benchmarks: `npm run bench`. Measures the cases in cases.ts, shows the demonstrations, prints
// both with the machine and the date, and writes them as JSON if that was asked for.
//
// Read on in this order: cases.ts (what), workloads/switch (how a workload looks), rounds.ts
// (fresh processes, in turn), measure-case.ts (inside one of them).

import { writeFileSync } from "node:fs";
import { cases } from "./cases.ts";
import {
  type FairnessResult,
  showFairness,
  showTimerHeap,
  type TimerHeapResult,
} from "./demonstrations.ts";
import { currentLoad, describeMachine, type Machine } from "./machine.ts";
import { type Options, parseOptions, UsageError, usage } from "./options.ts";
import { formatCases, formatFairness, formatMachine, formatTimerHeap } from "./report.ts";
import { type CaseResult, type Effort, measureCase } from "./rounds.ts";

/** What `--json` writes. */
export interface Report {
  readonly formatVersion: 2;
  readonly date: string;
  readonly seconds: number;
  readonly machine: Machine;
  readonly load: { readonly before: number; readonly after: number };
  readonly effort: Effort;
  readonly cases: readonly CaseResult[];
  readonly demonstrations: {
    readonly timerHeap?: TimerHeapResult;
    readonly fairness?: readonly FairnessResult[];
  };
}

async function main(options: Options): Promise<number> {
  const { quick, rounds, only, json } = options;
  /** Gives what `measure` finds; undefined if it is not asked for. */
  const when = async <T>(name: string, measure: () => Promise<T>): Promise<T | undefined> => {
    if (only.length > 0 && !only.includes(name)) return undefined;
    showProgress(name);
    return await measure();
  };
  const effort: Effort = { quick, rounds, samples: quick ? 1 : 3 };
  const startedAt = performance.now();
  const date = new Date().toISOString();
  const machine = describeMachine();
  const before = currentLoad();
  console.log(`${formatMachine(machine, date, before)}\n`);

  const results: CaseResult[] = [];
  for (const subject of cases) {
    const result = await when(subject.name, () => measureCase(subject, effort));
    if (result !== undefined) results.push(result);
  }
  const timerHeap = await when("timer-heap", () => showTimerHeap(quick));
  const fairness = await when("fairness", () => showFairness(quick));
  showProgress("");

  if (quick) console.log("A smoke run, with tiny sizes: no figure below means anything.\n");
  if (results.length > 0) console.log(`${formatCases(results)}\n`);
  if (timerHeap !== undefined) console.log(`${formatTimerHeap(timerHeap)}\n`);
  if (fairness !== undefined) console.log(`${formatFairness(fairness)}\n`);

  const report: Report = {
    formatVersion: 2,
    date,
    seconds: Math.round((performance.now() - startedAt) / 1000),
    machine,
    load: { before, after: currentLoad() },
    effort,
    cases: results,
    demonstrations: {
      ...(timerHeap === undefined ? {} : { timerHeap }),
      ...(fairness === undefined ? {} : { fairness }),
    },
  };
  console.log(
    `Rounds: ${rounds}. Took ${report.seconds} s. Load average ${report.load.after.toFixed(2)} at ` +
      "the end, this command included.",
  );
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, undefined, 2)}\n`);
  return timerHeap?.held === false ? 1 : 0;
}

/** Shows on a terminal what is being measured; an empty text wipes it out. */
function showProgress(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what}`);
}

function readOptions(): Options | number {
  try {
    const options = parseOptions(process.argv.slice(2));
    if (options !== "help") return options;
    console.log(usage);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`bench: ${error.message}\n\n${usage}`);
    return 2;
  }
}

const options = readOptions();
process.exitCode = typeof options === "number" ? options : await main(options);
