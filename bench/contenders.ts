// Who is compared, and how each of them is started. Everything that runs on Node is always there;
// Python and Go are asked for what they have, and who is missing is left out and named.

import { execFile, execFileSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/** The files there can be in a folder of workloads/: one for each way to do the job. */
export type Implementation =
  | "native"
  | "ours"
  | "ours-semaphore"
  | "ours-task-queue"
  | "ours-unlimited"
  | "ours-using"
  | "abort-controller"
  | "async-mutex"
  | "p-limit"
  | "p-map"
  | "p-queue"
  | "bluebird"
  | "web-stream"
  | "fast-check"
  | "effect"
  | "effection"
  | "asyncio"
  | "uvloop"
  | "trio"
  | "aiohttp"
  | "go";

/** The implementation that the others are compared to; every case has it. */
export const reference = "native" satisfies Implementation;

/** Those that are not on Node. uvloop runs the programs of asyncio. */
const guests = ["asyncio", "uvloop", "trio", "aiohttp", "go"] as const;
export type Guest = (typeof guests)[number];

/** What a guest is started with, and its version as it is printed. */
export interface Runtime {
  readonly executable: string;
  readonly version: string;
}

/** The guests that this machine has. */
export type Guests = ReadonlyMap<Guest, Runtime>;

export function isGuest(implementation: Implementation): implementation is Guest {
  return (guests as readonly string[]).includes(implementation);
}

/** Names for the tables and charts, where the name of the file does not say it. */
export const titles: Partial<Readonly<Record<Implementation, string>>> = {
  "ours-semaphore": "ours (Semaphore)",
  "ours-task-queue": "ours (TaskQueue)",
  "ours-unlimited": "ours (no deadline)",
  "ours-using": "ours (using)",
  "abort-controller": "AbortController",
  "web-stream": "WHATWG stream",
  effect: "Effect 4",
  effection: "Effection 4",
  bluebird: "Bluebird",
  trio: "Trio",
  aiohttp: "asyncio, aiohttp",
  go: "Go",
};

export function titleOf(implementation: string): string {
  return titles[implementation as Implementation] ?? implementation;
}

/** Looks for those guests that are wanted; takes half a second or so. */
export async function findGuests(wanted: readonly Guest[]): Promise<Guests> {
  const found = new Map<Guest, Runtime>();
  const inPython = wanted.filter((guest) => guest !== "go");
  const executables = inPython.length === 0 ? [] : pythonExecutables();
  const pythons = await Promise.all(executables.map(askPython));
  const usable = pythons.filter((python) => python !== undefined).toSorted(newestFirst);
  for (const guest of inPython) {
    const python = usable.find(({ modules }) => guest in modules);
    if (python === undefined) continue;
    const [major, minor, micro] = python.version;
    const on = `Python ${major}.${minor}.${micro}`;
    const version = guest === "asyncio" ? on : `${python.modules[guest]} on ${on}`;
    found.set(guest, { executable: python.executable, version });
  }
  const go = wanted.includes("go") ? await ask("go", ["version"]) : undefined;
  const version = go === undefined ? undefined : /go(\d[\d.]*)/.exec(go)?.[1];
  if (version !== undefined) found.set("go", { executable: "go", version });
  return found;
}

/** Of those that `--by` names, or of all. */
export function wantedGuests(by: readonly string[]): readonly Guest[] {
  return by.length === 0 ? guests : guests.filter((guest) => by.includes(guest));
}

/** Builds a Go program of this folder into `folder` and gives the path of the executable. */
export function buildGo(source: string, folder: string): string {
  const executable = join(folder, source.replaceAll(/[^a-z]/g, "-").replace(/^[.-]+/, "main"));
  const env = { ...process.env, GOFLAGS: "-mod=mod", GOPROXY: "off", GOWORK: "off" };
  execFileSync("go", ["build", "-o", executable, source], { cwd: import.meta.dirname, env });
  return executable;
}

interface Python {
  readonly executable: string;
  readonly version: readonly [number, number, number];
  /** The versions of the libraries that can be imported. */
  readonly modules: Readonly<Record<string, string>>;
}

/** Task groups and `asyncio.timeout` came with Python 3.11. */
const oldestPython = 11;

const question = `
import json, sys
modules = {"asyncio": ""}
for name in ("uvloop", "trio", "aiohttp"):
    try:
        modules[name] = __import__(name).__version__
    except ImportError:
        pass
print(json.dumps({"executable": sys.executable, "version": sys.version_info[:3], "modules": modules}))
`;

async function askPython(executable: string): Promise<Python | undefined> {
  const answer = await ask(executable, ["-c", question]);
  if (answer === undefined) return undefined;
  const python = JSON.parse(answer) as Python; // the question prints one
  return python.version[0] === 3 && python.version[1] >= oldestPython ? python : undefined;
}

/** What Pythons there are: on the path, the system's own beside it, and those that pyenv holds. */
function pythonExecutables(): string[] {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin"];
  const held = join(homedir(), ".pyenv/versions");
  if (existsSync(held))
    folders.push(...readdirSync(held).map((version) => join(held, version, "bin")));
  const files = folders.map((folder) => join(folder, "python3")).filter(isFile);
  return [...new Set(files)];
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function newestFirst({ version: a }: Python, { version: b }: Python): number {
  return b[1] - a[1] || b[2] - a[2];
}

/** What a program prints; undefined if it is not there or fails. */
async function ask(executable: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const options = { timeout: 30_000, cwd: tmpdir() };
    const { stdout } = await promisify(execFile)(executable, args, options);
    return stdout;
  } catch {
    return undefined;
  }
}
