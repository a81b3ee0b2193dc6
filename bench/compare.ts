// `--compare REV`: the library as it is against the library as it was at a revision. The old one is
// checked out into a temporary worktree, built there, and measured with the workloads of today;
// both in fresh processes, in turn. What is printed is the ratio, and whether it can be told from
// noise.

import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { type Case, cases, implementationsOf, sizeFor } from "./cases.ts";
import { type Implementation, titleOf } from "./contenders.ts";
import { currentLoad, describeMachine } from "./machine.ts";
import type { Measurement } from "./measure-case.ts";
import { type Options, UsageError } from "./options.ts";
import { disposeOnSignal, inThisFolder, runCommand } from "./program.ts";
import { formatStart, formatTable } from "./report.ts";
import { type Interval, medianInterval } from "./statistics.ts";

const root = inThisFolder("..");

/** Smaller differences are nobody's business, even where they are real. */
const leastDifference = 0.02;

interface Comparison {
  readonly name: string;
  readonly base: readonly number[];
  readonly head: readonly number[];
}

/** Gives the exit status. */
export async function compareRevisions(options: Options, revision: string): Promise<number> {
  const commit = resolve(revision);
  const machine = describeMachine(new Map());
  const date = new Date().toISOString();
  console.log(formatStart({ machine, date, before: currentLoad(), missing: "" }));
  using base = new BaseTree();
  // Before there is anything: a worktree that is left behind stays in the repository's books.
  using _watch = disposeOnSignal(base);
  console.log(
    `Head: the working tree. Base: ${revision}, ${commit.slice(0, 12)}. Building base ...\n`,
  );
  base.checkOut(commit);
  base.build();
  const folders = { base: join(base.folder, "bench"), head: inThisFolder(".") };
  const results: Comparison[] = [];
  const failures: string[] = [];
  for (const subject of cases) {
    if (options.only.length > 0 && !options.only.includes(subject.name)) continue;
    for (const implementation of implementationsOf(subject)) {
      if (!implementation.startsWith("ours")) continue;
      const name = nameOf(subject, implementation);
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${name}`);
      try {
        results.push(await measure(subject, implementation, folders, options));
      } catch (error) {
        if (!(error instanceof BaseFailure)) throw error;
        failures.push(`${name} does not run on the base: ${error.message}`);
      }
    }
  }
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  console.log(formatComparison(results));
  for (const failure of failures) console.log(`\n${failure}`);
  console.log(
    `\nRounds: ${options.rounds}. "/ base" is the median of the ratios of all rounds; "95 %" is where the true one ` +
      "is with 95 % confidence, as\nfar as the rounds are alike. A difference is called noise when that range " +
      "holds 1, or when it is less than 2 %.",
  );
  return 0;
}

function resolve(revision: string): string {
  try {
    return git("rev-parse", "--verify", "--quiet", "--end-of-options", `${revision}^{commit}`);
  } catch {
    throw new UsageError(`--compare expects a revision that git knows, found "${revision}"`);
  }
}

function git(...args: readonly string[]): string {
  const stdio: ["ignore", "pipe", "pipe"] = ["ignore", "pipe", "pipe"];
  return execFileSync("git", args, { cwd: root, encoding: "utf8", stdio }).trim();
}

/**
 * A worktree of the base, in a temporary folder, with the packages of this one and the bench of
 * today.
 */
class BaseTree implements Disposable {
  readonly folder: string;
  readonly #holder: string;
  #disposed = false;

  constructor() {
    this.#holder = mkdtempSync(join(tmpdir(), "asyncio-bench-base-"));
    this.folder = join(this.#holder, "tree");
  }

  checkOut(commit: string): void {
    git("worktree", "add", "--detach", this.folder, commit);
  }

  build(): void {
    const library = join(this.folder, "packages/asyncio");
    const bench = join(this.folder, "bench");
    rmSync(bench, { recursive: true, force: true });
    cpSync(inThisFolder("."), bench, {
      recursive: true,
      filter: (source) => basename(source) !== "node_modules",
    });
    for (const place of [".", "bench"]) {
      linkPackages(join(root, place), join(this.folder, place), library);
    }
    // The way it is built here, whatever the base did: what is compared is the sources.
    const script = join(root, "scripts/bundle.mjs");
    const args = [script, library, join(library, "dist"), "--leave-classes"];
    execFileSync(process.execPath, args, {
      cwd: this.folder,
      stdio: ["ignore", "pipe", "inherit"],
    });
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    rmSync(this.#holder, { recursive: true, force: true });
    git("worktree", "prune");
  }
}

/**
 * Gives `to` the packages that `from` has, as links, but for the library: that one is a link to
 * `library`.
 */
function linkPackages(from: string, to: string, library: string): void {
  const installed = join(from, "node_modules");
  const packages = join(to, "node_modules");
  mkdirSync(packages);
  symlinkSync(library, join(packages, "asyncio-ts"));
  for (const name of existsSync(installed) ? readdirSync(installed) : []) {
    if (name.startsWith(".") || name.startsWith("asyncio-ts")) continue;
    symlinkSync(join(installed, name), join(packages, name));
  }
}

/** The workload does not run there: it uses what the base does not have. */
class BaseFailure extends Error {
  override readonly name = "BaseFailure";
}

async function measure(
  subject: Case,
  implementation: Implementation,
  folders: { readonly base: string; readonly head: string },
  { rounds, quick }: Options,
): Promise<Comparison> {
  const size = JSON.stringify(sizeFor(subject, implementation, quick));
  const once = async (folder: string): Promise<Measurement> => {
    const program = join(folder, "measure-case.ts");
    const args = ["--expose-gc", program, subject.folder, implementation, size];
    const limits = quick ? ["1", "1"] : ["5", "700"];
    // It prints nothing else.
    return (await runCommand(process.execPath, [...args, ...limits])) as Measurement;
  };
  const base: Measurement[] = [];
  const head: Measurement[] = [];
  for (let round = 0; round < rounds; round++) {
    const measureBase = async (): Promise<void> => {
      base.push(await once(folders.base).catch(explain));
    };
    if (round % 2 === 0) await measureBase();
    head.push(await once(folders.head));
    if (round % 2 === 1) await measureBase();
  }
  const name = nameOf(subject, implementation);
  const checksums = new Set([...base, ...head].map(({ checksum }) => checksum));
  if (checksums.size > 1) throw new Error(`${name}: head and base have not done the same work`);
  return { name, base: base.map(fastest), head: head.map(fastest) };
}

function explain(error: unknown): never {
  const lines = error instanceof Error ? error.message.split("\n") : [String(error)];
  const told = lines.find((line) => /^\s*(?:\w*Error)\b/.test(line)) ?? lines[0] ?? "";
  throw new BaseFailure(told.trim(), { cause: error });
}

function fastest({ nanosecondsPerOperation }: Measurement): number {
  return Math.min(...nanosecondsPerOperation);
}

function nameOf({ name }: Case, implementation: Implementation): string {
  return implementation === "ours" ? name : `${name}, ${titleOf(implementation)}`;
}

function formatComparison(results: readonly Comparison[]): string {
  const header = ["case", "base, ns", "head, ns", "/ base", "95 %", "verdict"];
  const rows = results.map(({ name, base, head }) => {
    const interval = medianInterval(head.map((value, round) => value / (base[round] ?? value)));
    return [
      name,
      Math.min(...base).toFixed(0),
      Math.min(...head).toFixed(0),
      interval.median.toFixed(3),
      interval.known ? `${interval.low.toFixed(3)} - ${interval.high.toFixed(3)}` : "-",
      verdictOn(interval),
    ];
  });
  return formatTable(header, rows, 1);
}

export function verdictOn({ low, high, median, known }: Interval): string {
  if (!known) return "too few rounds to tell";
  if ((low <= 1 && high >= 1) || Math.abs(median - 1) < leastDifference) return "noise";
  const change = Math.abs(1 - median) * 100;
  return `${change.toFixed(0)} % ${median < 1 ? "faster" : "SLOWER"}`;
}
