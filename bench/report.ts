// What the benchmarks print: Markdown, so that it can be pasted as it is, but aligned for a
// terminal.

import { type Implementation, reference, titleOf } from "./contenders.ts";
import type { FairnessResult, TimerHeapResult } from "./demonstrations.ts";
import type { FetchesResult } from "./fetches.ts";
import type { GrowthPoint, GrowthResult } from "./growth.ts";
import { isQuiet, type Machine } from "./machine.ts";
import type { Report } from "./main.ts";
import type { MemoryKind, MemoryResult } from "./memory.ts";
import type { EchoResult, IdleResult } from "./network.ts";
import type { CaseResult, Result } from "./rounds.ts";
import { type Interval, medianInterval } from "./statistics.ts";
import type { TrafficResult } from "./traffic.ts";
import type { WeightResult } from "./weight.ts";

const spinTitles = {
  nothing: "nothing, for comparison",
  queue: "one task, on a queue that is never empty",
  switch: "1,000 tasks, on sleep(0)",
};

const memoryTitles: Readonly<Record<MemoryKind, string>> = {
  sleeping: "a task that sleeps",
  parked: "a task that waits for an item",
  finished: "a child that has ended, of a group that is open",
};

export interface Start {
  readonly machine: Machine;
  readonly date: string;
  /** The load average before the start. */
  readonly before: number;
  /** Who is not on this machine. */
  readonly missing: string;
}

export function formatStart({ machine, date, before, missing }: Start): string {
  const state = isQuiet(before, machine.cores)
    ? "the machine is quiet"
    : "other programs are busy: expect noise, and repeat it on a quiet machine";
  return [
    formatMachine(machine, date),
    `Load average ${before.toFixed(2)} before the start: ${state}`,
    ...(missing === "" ? [] : [`Not on this machine, and left out: ${missing}`]),
    "",
  ].join("\n");
}

export function formatMachine(machine: Machine, date: string): string {
  const { processor, cores, memoryGib, system, node, v8, revision, libraries, guests } = machine;
  const versions = Object.entries({ ...libraries, ...guests }).map((pair) => pair.join(" "));
  return [
    `${date}, Node ${node} (V8 ${v8}), ${system}`,
    `${processor}, ${cores} cores, ${memoryGib} GiB${revision === undefined ? "" : `; revision ${revision}`}`,
    versions.join(", "),
  ].join("\n");
}

/** All tables of a run. */
export function formatReport({ cases, demonstrations, effort }: Report): string {
  const { growth, memory, weight, echo, idle, traffic, fetches, timerHeap, fairness } =
    demonstrations;
  const parts = [
    effort.quick ? "A smoke run, with tiny sizes: no figure below means anything." : undefined,
    cases.length === 0 ? undefined : formatSummary(cases),
    cases.length === 0 ? undefined : formatCases(cases),
    cases.length === 0 ? undefined : `* does other work:\n${formatUnequal(cases)}`,
    growth === undefined ? undefined : formatGrowth(growth),
    memory === undefined ? undefined : formatMemory(memory),
    weight === undefined ? undefined : formatWeight(weight),
    echo === undefined ? undefined : formatEcho(echo),
    idle === undefined ? undefined : formatIdle(idle),
    traffic === undefined ? undefined : formatTraffic(traffic),
    fetches === undefined ? undefined : formatFetches(fetches),
    timerHeap === undefined ? undefined : formatTimerHeap(timerHeap),
    fairness === undefined ? undefined : formatFairness(fairness),
  ];
  return parts.flatMap((part) => (part === undefined ? [] : [`${part}\n`])).join("\n");
}

export function formatEnd({ effort, seconds, load }: Report): string {
  return (
    `Rounds: ${effort.rounds}. Took ${seconds} s. Load average ${load.after.toFixed(2)} at ` +
    "the end, this command included."
  );
}

export function formatCases(results: readonly CaseResult[]): string {
  const header = ["case", "one operation", "by", "ns (spread)", `/ ${reference}`, "by round"];
  const rows = results.flatMap(({ name, operation, operations, unequal, results }) =>
    Object.entries(results).map(([implementation, result], index) => [
      index === 0 ? name : "",
      index === 0 ? operation : "",
      titleOf(implementation) +
        mark(unequal, implementation) +
        partOf(result.operations, operations),
      `${count(result.nanosecondsPerOperation)} (+${Math.round(result.spread * 100)} %)`,
      ...(implementation === reference ? ["1", ""] : formatRatio(result)),
    ]),
  );
  return formatTable(header, rows, 3);
}

/** Those with a column of their own; everybody else is a library. */
const columns = ["effect", "effection", "asyncio", "uvloop", "trio", "go"] as const;

/** One line for each case: nanoseconds of everybody, and how far ours is from what it aims at. */
export function formatSummary(results: readonly CaseResult[]): string {
  const header = [
    "ns",
    "others",
    reference,
    "ours",
    `/ ${reference}`,
    "aim",
    ...columns.map(titleOf),
  ];
  const rows = results.map(({ name, results, aim, unequal }) => {
    const { ours } = results;
    const others = Object.entries(results).filter(([found]) => {
      const hasColumn = found === reference || found === "ours";
      return !hasColumn && !(columns as readonly string[]).includes(found);
    });
    const nanoseconds = (found: string): string => {
      const result = results[found as Implementation];
      if (result === undefined) return "-";
      return count(result.nanosecondsPerOperation) + mark(unequal, found);
    };
    return [
      name,
      others.map(([found]) => `${titleOf(found)} ${nanoseconds(found)}`).join(", "),
      nanoseconds(reference),
      nanoseconds("ours"),
      ours === undefined ? "-" : ours.ratio.toFixed(2),
      verdict(ours?.ratio, aim),
      ...columns.map(nanoseconds),
    ];
  });
  return formatTable(header, rows, 2);
}

/** Marks those who did other work. */
function mark(unequal: CaseResult["unequal"], implementation: string): string {
  return unequal?.[implementation as Implementation] === undefined ? "" : " *";
}

/** Which rows compare unequal work, and what the difference is. */
export function formatUnequal(results: readonly CaseResult[]): string {
  const lines = results.flatMap(({ name, unequal = {} }) =>
    Object.entries(unequal).map(([implementation, difference]) => {
      return { difference, who: `\`${name}\`, ${titleOf(implementation)}` };
    }),
  );
  const groups = Map.groupBy(lines, ({ difference }) => difference);
  return [...groups]
    .map(([difference, rows]) => `- ${rows.map(({ who }) => who).join("; ")}: ${difference}`)
    .join("\n");
}

/** Marks those who did only a part of the work. */
function partOf(done: number, all: number): string {
  return done < all ? ` (1/${Math.round(all / done)})` : "";
}

export function formatGrowth(results: readonly GrowthResult[]): string {
  const counts = Object.values(results[0]?.lines ?? {})[0]?.map((point) => point.count) ?? [];
  const header = ["n", "ns for", "by", ...counts.map(count), "last / first", "aim"];
  const rows = results.flatMap(({ name, operation, aim, lines }) =>
    Object.entries(lines).map(([implementation, points], index) => [
      index === 0 ? name : "",
      index === 0 ? operation : "",
      titleOf(implementation),
      ...counts.map((_, column) => {
        const point = points[column];
        return point === undefined ? "-" : count(point.nanosecondsPerOperation);
      }),
      growthOf(points).toFixed(2),
      implementation === "ours" ? verdict(growthOf(points), aim) : "",
    ]),
  );
  return formatTable(header, rows, 3);
}

function growthOf(points: readonly GrowthPoint[]): number {
  const [first, last] = [points[0], points.at(-1)];
  return (last?.nanosecondsPerOperation ?? 0) / (first?.nanosecondsPerOperation ?? 0);
}

/** "2.5 met", for a figure that is to be no more than that. */
function verdict(found: number | undefined, most: number | undefined): string {
  if (most === undefined) return "";
  return `${most} ${found !== undefined && found <= most ? "met" : "not met"}`;
}

export function formatMemory(results: readonly MemoryResult[]): string {
  const header = [
    "one is",
    "by",
    "how many",
    "bytes of heap",
    `/ ${reference}`,
    "aim",
    "bytes of the process",
    "started in",
    "over the sleep",
  ];
  const rows = results.flatMap(({ kind, aim, findings }) => {
    const base = findings[reference]?.heapBytesPerTask;
    return Object.entries(findings).map(([implementation, finding], index) => {
      const { tasks, seconds, heapBytesPerTask, residentBytesPerTask, startMs } = finding;
      const overMs = finding.wallMs - seconds * 1000;
      const heap = finding.overlapped ? undefined : heapBytesPerTask;
      const ratio = heap === undefined || base === undefined ? undefined : heap / base;
      return [
        index === 0 ? memoryTitles[kind] : "",
        titleOf(implementation),
        count(tasks),
        heap === undefined ? "-" : count(heap),
        ratio === undefined ? "-" : ratio.toFixed(2),
        implementation === "ours" ? verdict(ratio, aim) : "",
        finding.overlapped ? "-" : count(residentBytesPerTask),
        `${(startMs / 1000).toFixed(2)} s`,
        kind === "sleeping" ? `${(overMs / 1000).toFixed(2)} s` : "",
      ];
    });
  });
  return formatTable(header, rows, 2);
}

export function formatWeight(results: readonly WeightResult[]): string {
  const header = ["library", "minified", "and gzipped", "import, fastest", "median"];
  const rows = results.map((result) => [
    result.name,
    `${(result.minifiedBytes / 1000).toFixed(1)} kB`,
    `${(result.gzippedBytes / 1000).toFixed(1)} kB`,
    milliseconds(result.importMs),
    milliseconds(result.medianImportMs),
  ]);
  return formatTable(header, rows, 1);
}

export function formatEcho({ plan, rounds }: EchoResult): string {
  const { connections, messageBytes } = plan;
  const header = [
    `${connections} connections, ${count(messageBytes)} bytes echoed`,
    "messages/s (spread)",
    `/ ${reference}`,
    "processor of the server",
    "round trip, median",
    "99 %",
  ];
  const fastestOf = (implementation: string) => {
    const found = rounds[implementation as keyof typeof rounds] ?? [];
    return found.toSorted((a, b) => b.messagesPerSecond - a.messagesPerSecond);
  };
  const base = fastestOf(reference)[0]?.messagesPerSecond;
  const rows = Object.keys(rounds).flatMap((implementation) => {
    const sorted = fastestOf(implementation);
    const [fastest, slowest] = [sorted[0], sorted.at(-1)];
    if (fastest === undefined || slowest === undefined) return [];
    const { messagesPerSecond, medianMs, slowestOfHundredMs } = fastest;
    const spread = Math.round((1 - slowest.messagesPerSecond / messagesPerSecond) * 100);
    const cpu = Math.min(...sorted.map(({ cpuMicroseconds }) => cpuMicroseconds));
    return [
      [
        titleOf(implementation),
        `${count(messagesPerSecond)} (-${spread} %)`,
        base === undefined ? "-" : (messagesPerSecond / base).toFixed(2),
        `${cpu.toFixed(1)} us`,
        `${medianMs.toFixed(2)} ms`,
        `${slowestOfHundredMs.toFixed(2)} ms`,
      ],
    ];
  });
  return formatTable(header, rows, 1);
}

export function formatIdle(results: IdleResult): string {
  const header = [
    "a connection that says nothing",
    "how many",
    "bytes of heap",
    `/ ${reference}`,
    "bytes of the process",
  ];
  const base = results[reference]?.heapBytesPerConnection;
  const rows = Object.entries(results).map(([implementation, finding]) => {
    const { connections, heapBytesPerConnection: heap, residentBytesPerConnection } = finding;
    return [
      titleOf(implementation),
      count(connections),
      heap === undefined ? "-" : count(heap),
      heap === undefined || base === undefined ? "-" : (heap / base).toFixed(2),
      count(residentBytesPerConnection),
    ];
  });
  return formatTable(header, rows, 1);
}

export function formatTraffic(results: readonly TrafficResult[]): string {
  const against = [`/ ${reference}`, "between", "aim", "uvloop", "ours / it"];
  const rows = results.map(({ what, unit, aim, rounds }) => {
    const fastest = (by: Implementation): string => {
      const found = rounds[by] ?? [];
      return found.length === 0 ? "-" : count(Math.max(...found));
    };
    const ratioTo = (other: Implementation): Interval => {
      const ratios = (rounds.ours ?? []).map((rate, round) => rate / (rounds[other]?.[round] ?? 0));
      return medianInterval(ratios);
    };
    const show = (ratio: number): string => (Number.isFinite(ratio) ? ratio.toFixed(2) : "-");
    const { median, low, high, known } = ratioTo(reference);
    const isMet = `${aim} ${median >= aim ? "met" : "not met"}`;
    const between = known ? `${show(low)} to ${show(high)}` : "-";
    const figures = [fastest(reference), fastest("ours"), show(median), between, isMet];
    return [what, unit, ...figures, fastest("uvloop"), show(ratioTo("uvloop").median)];
  });
  return formatTable(["in a second", "of", reference, "ours", ...against], rows, 2);
}

export function formatFetches({ pages, rounds }: FetchesResult): string {
  const header = [
    `${count(pages)} pages, 100 at a time`,
    "pages/s",
    "ours / it",
    "peak resident",
    "cancelled in",
    "sockets left",
  ];
  const rows = Object.entries(rounds).map(([implementation, found]) => {
    const ratios = (rounds.ours ?? []).map(({ pagesPerSecond }, round) => {
      return pagesPerSecond / (found[round]?.pagesPerSecond ?? Number.NaN);
    });
    const most = (field: keyof (typeof found)[number]): number => {
      return Math.max(...found.map((round) => round[field]));
    };
    return [
      titleOf(implementation),
      count(most("pagesPerSecond")),
      ratios.length === 0 ? "-" : medianInterval(ratios).median.toFixed(2),
      `${count(most("peakResidentBytes") / 2 ** 20)} MiB`,
      milliseconds(medianInterval(found.map(({ cancelMs }) => cancelMs)).median),
      count(most("socketsLeft")),
    ];
  });
  return formatTable(header, rows, 1);
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
export function formatTable(
  header: readonly string[],
  rows: readonly string[][],
  leftAligned: number,
) {
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
