// What the benchmarks print: Markdown, so that it can be pasted as it is, but aligned for a terminal.

import { reference } from "./cases.ts";
import type { FairnessResult, TimerHeapResult } from "./demonstrations.ts";
import { isQuiet, type Machine } from "./machine.ts";
import type { CaseResult, Result } from "./rounds.ts";

const spinTitles = {
  nothing: "nothing, for comparison",
  queue: "one task, on a queue that is never empty",
  switch: "1,000 tasks, on sleep(0)",
};

export function formatMachine(machine: Machine, date: string, load: number): string {
  const { processor, cores, memoryGib, system, node, v8, revision, libraries } = machine;
  const state = isQuiet(load, cores)
    ? "the machine is quiet"
    : "other programs are busy: expect noise, and repeat it on a quiet machine";
  return [
    `${date}, Node ${node} (V8 ${v8}), ${system}`,
    `${processor}, ${cores} cores, ${memoryGib} GiB${revision === undefined ? "" : `; revision ${revision}`}`,
    Object.entries(libraries)
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
    `Load average ${load.toFixed(2)} before the start: ${state}`,
  ].join("\n");
}

export function formatCases(results: readonly CaseResult[]): string {
  const header = ["case", "one operation", "by", "ns (spread)", `/ ${reference}`, "by round"];
  const rows = results.flatMap(({ name, operation, results }) =>
    Object.entries(results).map(([implementation, result], index) => [
      name,
      index === 0 ? operation : "",
      implementation,
      `${count(result.nanosecondsPerOperation)} (+${Math.round(result.spread * 100)} %)`,
      ...(implementation === reference ? ["1", ""] : formatRatio(result)),
    ]),
  );
  return formatTable(header, rows, 3);
}

export function formatTimerHeap(result: TimerHeapResult): string {
  const { timeouts, mostEntries, entriesLeft, limit, held } = result;
  return (
    `${count(timeouts)} timeouts set and cancelled, 1,000 at a time: the timer heap had at most ` +
    `${count(mostEntries)} entries,\n${count(entriesLeft)} at the end. ` +
    `${held ? "Fewer" : "NOT fewer"} than ${count(limit)}, as promised.`
  );
}

export function formatFairness(results: readonly FairnessResult[]): string {
  const header = ["while this spins", "by", "a 10 ms timer is late, median", "at worst", "turns/s"];
  const rows = results.flatMap(({ spin, findings }) =>
    Object.entries(findings).map(([implementation, { latenessMs, starved, turnsPerSecond }]) => {
      const sorted = latenessMs.toSorted((a, b) => a - b);
      const late = starved
        ? ["never fires while it spins", `${milliseconds(sorted[0])}, then it was stopped`]
        : [milliseconds(sorted[Math.floor(sorted.length / 2)]), milliseconds(sorted.at(-1))];
      return [spinTitles[spin], implementation, ...late, count(turnsPerSecond)];
    }),
  );
  return formatTable(header, rows, 2);
}

/** The first `leftAligned` columns are words, the others figures. */
function formatTable(header: readonly string[], rows: readonly string[][], leftAligned: number) {
  const lines = [header, ...rows];
  const widths = header.map((_, column) =>
    Math.max(...lines.map((line) => (line[column] ?? "").length)),
  );
  const pad = (text: string, column: number): string => {
    const width = widths[column] ?? 0;
    return column < leftAligned ? text.padEnd(width) : text.padStart(width);
  };
  const rule = widths.map((width, column) =>
    column < leftAligned ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  const [first, ...others] = lines.map((line) => `| ${line.map(pad).join(" | ")} |`);
  return [first, `| ${rule.join(" | ")} |`, ...others].join("\n");
}

function formatRatio({ ratio, ratioOfRounds }: Result): string[] {
  const [least, most] = [Math.min(...ratioOfRounds), Math.max(...ratioOfRounds)];
  return [ratio.toFixed(2), `${least.toFixed(2)} - ${most.toFixed(2)}`];
}

function milliseconds(duration = Number.NaN): string {
  return `${duration.toFixed(1)} ms`;
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}
