// Where and when something was measured. A figure without that is not quoted.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import type { Guests } from "./contenders.ts";

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly system: string;
  readonly node: string;
  readonly v8: string;
  /** The commit that was measured, "-dirty" with changes on top; undefined outside a repository. */
  readonly revision?: string;
  /** The versions of the libraries that are compared. */
  readonly libraries: Readonly<Record<string, string>>;
  /** The versions of what is not on Node, as far as it is installed. */
  readonly guests: Readonly<Record<string, string>>;
}

export function describeMachine(guests: Guests): Machine {
  const revision = findRevision();
  return {
    processor: cpus()[0]?.model.trim() ?? "an unknown processor",
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform}-${process.arch} ${release()}`,
    node: process.version,
    v8: process.versions.v8,
    ...(revision === undefined ? {} : { revision }),
    libraries: versionsOfLibraries(),
    guests: Object.fromEntries([...guests].map(([guest, { version }]) => [guest, version])),
  };
}

/** The load average of the last minute: how many processes wanted a core. Always 0 on Windows. */
export function currentLoad(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100;
}

/** Measuring takes one core for itself; is there one that nobody else wants? */
export function isQuiet(load: number, cores: number): boolean {
  return load <= cores * 0.25;
}

function findRevision(): string | undefined {
  try {
    const cwd = import.meta.dirname;
    const stdio: ["ignore", "pipe", "ignore"] = ["ignore", "pipe", "ignore"];
    const args = ["describe", "--always", "--dirty", "--exclude=*"];
    return execFileSync("git", args, { cwd, encoding: "utf8", stdio }).trim();
  } catch {
    return undefined; // no git, no repository, or no commit yet
  }
}

/** Tools of the bench, that nothing is measured of. */
const tools = new Set(["mitata"]);

/** package.json pins them exactly. */
function versionsOfLibraries(): Record<string, string> {
  const text = readFileSync(new URL("package.json", import.meta.url), "utf8");
  const { devDependencies } = JSON.parse(text) as { devDependencies: Record<string, string> };
  const libraries = Object.entries(devDependencies).filter(([name]) => {
    return !tools.has(name) && !name.startsWith("@types/");
  });
  return Object.fromEntries(libraries);
}
