/**
 * What the parts of `asyncio-ts/patterns` cost beside the libraries that they replace: `npm run
 * bench:patterns`, or `node bench/patterns.ts [--rounds N] [--only TABLE] [--quick] [--publish]`.
 *
 * Each measurement is a fresh process, all libraries in turn, so that whatever else the machine
 * does strikes all of them alike. A ratio is the median of those of the rounds. `--publish` puts
 * the tables into the README beside this file, and draws the chart anew from all of them.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { drawPatterns } from "./drawing/patterns-chart.ts";
import { currentLoad, describeMachine } from "./machine.ts";
import type { Finding } from "./patterns/measure.ts";
import type { RateFinding, RatePlan } from "./patterns/rate/stage.ts";
import { inThisFolder, runProgram } from "./program.ts";
import { formatTable } from "./report.ts";
import { medianInterval } from "./statistics.ts";

interface Arm {
  /** The file in the folder of the table. */
  readonly by: string;
  readonly title: string;
  /** What the others do, and this one does not, if that makes it cheaper. */
  readonly lacks?: string;
}

const alone = "no owner that waits for the jobs and cancels them";
const noQueue = "nothing stands in line, and nothing can be added";

interface Comparison {
  /** The folder in patterns/, and the name of the table. */
  readonly name: string;
  /** What is counted as one operation. */
  readonly operation: string;
  readonly count: number;
  /** The first one is what the others are compared with. */
  readonly arms: readonly Arm[];
}

const comparisons: readonly Comparison[] = [
  {
    name: "jobs",
    operation: "one of 100,000 jobs, 100 at a time",
    count: 100_000,
    arms: [
      { by: "ours", title: "TaskQueue" },
      { by: "p-limit", title: "p-limit", lacks: `${alone}, and no cancellation` },
      { by: "p-queue", title: "p-queue", lacks: alone },
      { by: "ours-map", title: "mapAll (no queue)", lacks: noQueue },
      { by: "p-map", title: "p-map (no queue)", lacks: noQueue },
      { by: "effect", title: "Effect 4, forEach (no queue)", lacks: noQueue },
    ],
  },
  {
    name: "jobs-in-a-semaphore",
    operation: "one of 5,000 jobs, 100 at a time",
    count: 5000,
    arms: [
      { by: "ours", title: "TaskQueue" },
      { by: "effect-semaphore", title: "Effect 4, Semaphore" },
    ],
  },
  {
    name: "deadlines",
    operation: "the same with a deadline for each job",
    count: 100_000,
    arms: [
      { by: "ours", title: "TaskQueue, `timeout`" },
      { by: "p-limit", title: "p-limit, AbortController and timer by hand" },
      { by: "p-queue", title: "p-queue, `timeout`", lacks: "a job whose time is up goes on" },
    ],
  },
  {
    name: "pool",
    operation: "one of 100,000 loans, 100 borrowers, 10 things",
    count: 100_000,
    arms: [
      { by: "ours", title: "Pool, `run`" },
      { by: "ours-acquire", title: "Pool, `acquire`" },
      { by: "generic-pool", title: "generic-pool" },
      { by: "tarn", title: "tarn" },
    ],
  },
  {
    name: "broadcast",
    operation: "one of 50,000 items to 10 subscribers, 100 may be behind",
    count: 50_000,
    arms: [
      { by: "ours", title: "Broadcast" },
      { by: "effect", title: "Effect 4, PubSub" },
    ],
  },
  {
    name: "channel",
    operation: "one of 200,000 items to one receiver, 100 may be behind",
    count: 200_000,
    arms: [
      { by: "ours", title: "channel" },
      { by: "effect", title: "Effect 4, PubSub" },
      { by: "effect-queue", title: "Effect 4, Queue" },
    ],
  },
];

const limiters: readonly Arm[] = [
  { by: "ours", title: "RateLimiter" },
  { by: "bottleneck", title: "bottleneck, `minTime`" },
  { by: "p-queue", title: "p-queue, one in each interval" },
];

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    only: { type: "string", multiple: true, default: [] },
    quick: { type: "boolean", default: false },
    publish: { type: "boolean", default: false },
  },
});

// Of a script without types.
const install = "../scripts/install.mjs";
const { ensureInstalled } = (await import(install)) as { ensureInstalled(folder: string): void };
ensureInstalled(inThisFolder("."));

const rounds = options.quick ? 1 : Number(options.rounds);
const wanted = (name: string): boolean => options.only.length === 0 || options.only.includes(name);
const before = currentLoad();
for (const comparison of comparisons)
  if (wanted(comparison.name)) show(comparison.name, await compare(comparison));
if (wanted("rate")) show("rate", await compareRates());

function show(name: string, table: string): void {
  const { node, cores, processor, libraries } = describeMachine(new Map());
  const names = ["p-limit", "p-queue", "p-map", "effect", "generic-pool", "tarn", "bottleneck"];
  const versions = names.map((name) => `${name} ${libraries[name]}`).join(", ");
  const machine = `Node ${node}, ${cores} x ${processor}, ${rounds} rounds, load average ${before} before; ${versions}`;
  console.log(`\n${table}`);
  if (options.publish) publish(name, `${table}\n\n${machine}`);
}

async function compare({ name, operation, count, arms }: Comparison): Promise<string> {
  const found = new Map<string, Finding[]>(arms.map(({ by }) => [by, []]));
  const size = String(options.quick ? 500 : count);
  const folder = name === "jobs-in-a-semaphore" ? "jobs" : name;
  for (let round = 0; round < rounds; round++)
    for (const { by } of round % 2 === 0 ? arms : arms.toReversed())
      found.get(by)?.push((await runProgram("patterns/measure.ts", folder, by, size)) as Finding); // it prints one
  const checksums = new Set([...found.values()].flat().map(({ checksum }) => checksum));
  if (checksums.size > 1) throw new Error(`${name} has the checksums ${[...checksums].join(", ")}`);
  const own = found.get(arms[0]?.by ?? "") ?? [];
  const rows = arms.map(({ by, title, lacks }) => {
    const findings = found.get(by) ?? [];
    const times = findings.map(({ microseconds }) => microseconds);
    const ratios = times.map((time, round) => time / (own[round]?.microseconds ?? Number.NaN));
    const peak = median(findings.map(({ peakBytes }) => peakBytes));
    const ratio = findings === own ? "1" : median(ratios).toFixed(2);
    return [
      lacks === undefined ? title : `${title} *`,
      `${median(times).toPrecision(3)} us`,
      ratio,
      `${Math.round(peak / 2 ** 20)} MiB`,
    ];
  });
  const table = formatTable([operation, "takes", "of ours", "peak of the process"], rows, 1);
  const kinds = new Set(arms.flatMap(({ lacks }) => lacks ?? []));
  const remarks = [...kinds].map((kind) => {
    const those = arms.filter(({ lacks }) => lacks === kind);
    return `${those.map(({ title }) => title).join(", ")}: ${kind}`;
  });
  return remarks.length === 0 ? table : `${table}\n\n\\* does less. ${remarks.join(". ")}.`;
}

async function compareRates(): Promise<string> {
  const rows: string[][] = [];
  for (const { by, title } of limiters)
    for (const time of ["virtual", "real"]) {
      const plan: RatePlan = { rate: 200, count: options.quick ? 20 : 600 };
      const args = [JSON.stringify(plan), time];
      const found: RateFinding[] = [];
      for (let round = 0; round < (time === "real" ? rounds : 1); round++)
        found.push((await runProgram(`patterns/rate/${by}.ts`, ...args)) as RateFinding); // it prints one
      const off = median(found.map(({ reached }) => (reached - 1) * 100));
      const excess = Math.max(...found.map(({ excess }) => excess));
      const closest = Math.min(...found.map(({ closest }) => closest));
      const shown = Math.abs(off) < 0.005 ? "0" : off.toFixed(2);
      rows.push([title, time, `${shown} %`, String(excess), closest.toFixed(2)]);
    }
  const header = [
    "200 in a second, evenly",
    "time",
    "the rate is off by",
    "too many in 0.1 s, at worst",
    "the closest two, 1 is right",
  ];
  return formatTable(header, rows, 2);
}

/** Between the marks of the table. At once, so that a run that is cut off has lost nothing. */
function publish(name: string, table: string): void {
  const file = inThisFolder("README.md");
  const page = readFileSync(file, "utf8").replace(
    new RegExp(`(<!-- bench:patterns ${name} -->\\n)[\\s\\S]*?(<!-- end -->)`),
    (_match, start: string, end: string) => `${start}\n${table}\n\n${end}`,
  );
  writeFileSync(file, page);
  writeFileSync(inThisFolder("charts/patterns.svg"), drawPatterns(page));
}

function median(values: readonly number[]): number {
  return medianInterval(values).median;
}
