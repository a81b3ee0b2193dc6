/**
 * What executors cost: `npm run bench:executors`, or `node bench/executors.ts [--rounds N]
 * [--quick] [--publish]`.
 *
 * Ours, piscina and Python's concurrent.futures do the same jobs with two workers each, in programs
 * of their own, in turn, so that whatever else the machine does strikes all of them alike. Each
 * round gives one ratio to the other side; printed are the medians. `--publish` puts the tables
 * into the README beside this file and the guide.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { findGuests } from "./contenders.ts";
import { Conversation } from "./conversation.ts";
import type { JobFinding, JobPlan } from "./executors/stage.ts";
import { currentLoad, describeMachine } from "./machine.ts";
import { inThisFolder } from "./program.ts";
import { formatTable } from "./report.ts";
import { medianInterval } from "./statistics.ts";

// Of a script without types.
const install = "../scripts/install.mjs";
const { ensureInstalled } = (await import(install)) as {
  ensureInstalled(folder: string, what: string): void;
};

type Side = "ours" | "piscina" | "futures";

interface Comparison extends JobPlan {
  readonly title: string;
  /** How often it is done before it is measured. @default 1 */
  readonly warmUps?: number;
  /** Who does the same, and the most that ours may take of it. */
  readonly aims: Readonly<Partial<Record<Side, number>>>;
}

const comparisons: readonly Comparison[] = [
  {
    title: "threads, 10,000 jobs at once",
    what: "pipelined",
    on: "threads",
    count: 10_000,
    warmUps: 6,
    aims: { piscina: 0.15, futures: 0.4 },
  },
  {
    title: "threads, one job after the other",
    what: "sequential",
    on: "threads",
    count: 4000,
    aims: { piscina: 1, futures: Number.NaN },
  },
  {
    title: "processes, 10,000 jobs at once",
    what: "pipelined",
    on: "processes",
    count: 10_000,
    aims: { futures: 0.5 },
  },
  {
    title: "processes, one job after the other",
    what: "sequential",
    on: "processes",
    count: 2000,
    aims: { futures: 0.5 },
  },
  {
    title: "a runaway is stopped, and the next job answered",
    what: "runaway",
    on: "threads",
    count: 20,
    aims: { piscina: 0.1 },
  },
];

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    only: { type: "string", default: "" },
    quick: { type: "boolean", default: false },
    publish: { type: "boolean", default: false },
  },
});

// Whoever reads the output may leave, as `head` does: that ends this program, and those it has
// started end with their inputs.
process.stdout.on("error", () => process.exit(0));

ensureInstalled(inThisFolder("../examples/runaway"), "piscina into examples/runaway (3 MB)");
const guests = await findGuests(["asyncio"]);
const python = guests.get("asyncio");
const program = (file: string): [string, string[]] => [process.execPath, [inThisFolder(file)]];
await using ours = new Conversation(...program("executors/ours.ts"));
await using piscina = new Conversation(...program("executors/piscina.ts"));
await using futures =
  python === undefined
    ? undefined
    : new Conversation(python.executable, [inThisFolder("executors/with_futures.py")]);
const sides = new Map<Side, Conversation>([
  ["ours", ours],
  ["piscina", piscina],
]);
if (futures !== undefined) sides.set("futures", futures);
for (const side of sides.values()) await side.answer();

const before = currentLoad();
const tables = { executors: await compareAll(), lag: await lagTable() };
for (const table of Object.values(tables)) console.log(`\n${table}`);
if (options.publish)
  for (const page of ["README.md", "../docs/guide/cpu-bound-work.md"])
    replaceTables(inThisFolder(page));

async function compareAll(): Promise<string> {
  const { node, cores, processor } = describeMachine(guests);
  const machine = `Node ${node}, ${python?.version ?? "no Python"}, ${cores} x ${processor}, ${options.rounds} rounds, load average ${before} before`;
  const header = ["one job", "asyncio-ts", "piscina", "of piscina", "Python", "of Python"];
  const rows: string[][] = [];
  for (const comparison of comparisons) {
    if (!comparison.title.includes(options.only)) continue;
    const found = await measure(comparison);
    const cells = (["piscina", "futures"] as const).flatMap((side) => {
      const times = found.get(side);
      return times === undefined
        ? ["-", "-"]
        : [time(median(times)), ratio(comparison, found, side)];
    });
    rows.push([comparison.title, time(median(found.get("ours") ?? [])), ...cells]);
  }
  return `${formatTable(header, rows, 1)}\n\n${machine}`;
}

/**
 * All sides in turn, so many rounds; microseconds for one job in each. First each has done as many
 * jobs as it takes until its heap and its compiled code are those of a program that runs.
 */
async function measure(comparison: Comparison): Promise<Map<Side, number[]>> {
  const { aims, title: _, warmUps = 1, ...plan } = comparison;
  const wanted = [...sides].filter(([side]) => side === "ours" || side in aims);
  const found = new Map<Side, number[]>(wanted.map(([side]) => [side, []]));
  const count = options.quick ? 10 : plan.count;
  const ask = async (side: Conversation): Promise<number> => {
    const answer = await side.ask(JSON.stringify({ ...plan, count }));
    return (answer as JobFinding).microseconds; // this is what a program answers
  };
  for (let round = 0; round < (options.quick ? 1 : warmUps); round++)
    for (const [, side] of wanted) await ask(side);
  for (let round = 0; round < Number(options.quick ? 1 : options.rounds); round++)
    for (const [name, side] of round % 2 === 0 ? wanted : wanted.toReversed())
      found.get(name)?.push(await ask(side));
  return found;
}

function ratio({ aims }: Comparison, found: ReadonlyMap<Side, number[]>, side: Side): string {
  const own = found.get("ours") ?? [];
  const theirs = found.get(side) ?? [];
  const value = median(own.map((each, round) => each / (theirs[round] ?? Number.NaN)));
  const most = aims[side] ?? Number.NaN;
  if (Number.isNaN(most)) return value.toFixed(2);
  return `${value.toFixed(2)} (aim ${most}: ${value <= most ? "met" : "not met"})`;
}

/** How late timers are in the program that wants the jobs done. */
async function lagTable(): Promise<string> {
  const rows: string[][] = [];
  for (const on of ["inline", "threads", "processes"] as const) {
    const plan: JobPlan = { what: "lag", on, count: options.quick ? 1 : 10 };
    await ours.ask(JSON.stringify({ ...plan, count: 1 }));
    const { microseconds } = (await ours.ask(JSON.stringify(plan))) as JobFinding;
    const where = on === "inline" ? "called on the loop itself" : `in ${on}`;
    rows.push([where, time(microseconds)]);
  }
  return formatTable(["twenty jobs of 100 ms each", "a timer is late, at worst"], rows, 1);
}

/** Between the marks of each table that the page has. */
function replaceTables(file: string): void {
  let page = readFileSync(file, "utf8");
  for (const [name, table] of Object.entries(tables))
    page = page.replace(
      new RegExp(`(<!-- bench:executors ${name} -->\\n)[\\s\\S]*?(<!-- end -->)`),
      (_match, start: string, end: string) => `${start}\n${table}\n\n${end}`,
    );
  writeFileSync(file, page);
}

function median(values: readonly number[]): number {
  return medianInterval(values).median;
}

function time(microseconds: number): string {
  if (microseconds < 1000) return `${microseconds.toPrecision(3)} us`;
  return `${(microseconds / 1000).toPrecision(3)} ms`;
}
