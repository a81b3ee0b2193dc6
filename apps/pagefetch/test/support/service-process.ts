/** The service in a process of its own, for what only a process has: signals, descriptors, memory. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Farm } from "../../farm/farm.ts";
import type { Config } from "../../src/cli/config.ts";

/** What the process is told by its environment. */
export interface Told {
  readonly zone: Farm["zone"];
  readonly authority: string;
  /** The ports of the farm that stand for 80 and 443, and the one where nobody should knock. */
  readonly ports: { readonly plain: number; readonly secure: number; readonly canary: number };
  readonly config: Config;
}

/** What a process holds. */
export interface Measure {
  /** Descriptors that are open. */
  readonly descriptors: number;
  /** How many of them are connections over TCP. The socket that listens is not counted. */
  readonly connections: number;
  /** The paths of the files among them. A file that was opened twice is here twice. */
  readonly files: readonly string[];
  /** Processes that it has started, and that have not ended. */
  readonly children: number;
  /**
   * What it occupies, in MiB. More than its heap: code, threads, and what the allocators of V8 and
   * of the machine keep for later.
   */
  readonly memory: number;
}

export interface ServiceProcess {
  readonly pid: number;
  readonly address: string;
  /** Of a key without limits. */
  readonly key: string;
  /** What it has said on standard error, so far. */
  readonly said: () => string;
  /** Linux only. */
  measure(): Measure;
  /**
   * Waits until it has collected its garbage: what its objects and their buffers take, in MiB. What
   * leaks in JavaScript is in here.
   */
  heap(): Promise<number>;
  /** Sends the signal, and waits until the process has ended: by what, and what it said at last. */
  end(signal: NodeJS.Signals): Promise<{ signal: NodeJS.Signals | null; last: string }>;
}

export interface Limits {
  readonly descriptors?: number;
  /** A disk of its own for `folder`, of so many MiB, which goes with the process. */
  readonly disk?: { readonly folder: string; readonly size: number };
}

/** Starts it, and waits until it listens. */
export async function openService(
  farm: Farm,
  config: Config,
  limits: Limits = {},
): Promise<ServiceProcess> {
  const told: Told = {
    zone: farm.zone,
    authority: farm.authority,
    ports: {
      plain: farm.portOf({ address: "127.0.1.1", port: 80 }),
      secure: farm.portOf({ address: "127.0.1.1", port: 443 }),
      canary: farm.portOf({ address: "127.0.0.1", port: 80 }),
    },
    config: { allow: [farm.range], ...config },
  };
  const { descriptors, disk } = limits;
  const steps = [
    ...(descriptors === undefined ? [] : [`ulimit -n ${descriptors}`]),
    ...(disk === undefined ? [] : [`mount -t tmpfs -o size=${disk.size}m tmpfs '${disk.folder}'`]),
    'exec "$0" "$@"',
  ];
  const apart = disk === undefined ? [] : ["unshare", "--mount", "--map-root-user"];
  const command = [
    ...apart,
    "sh",
    "-c",
    steps.join(" && "),
    process.execPath,
    "--expose-gc",
    script,
  ];
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    env: { ...process.env, PAGEFETCH_TOLD: JSON.stringify(told) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const lines: string[] = [];
  const reader = createInterface(child.stdout).on("line", (line) => lines.push(line));
  const ended = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  await Promise.race([once(reader, "line"), ended]);
  const [first] = lines;
  if (first === undefined) throw new Error(`the service has not begun: ${said}`);
  const { address, key } = JSON.parse(first) as { address?: string; key: string };
  if (address === undefined) throw new Error(`the service has not begun: ${said}`);
  const pid = child.pid ?? 0;
  return {
    pid,
    address,
    key,
    said: () => said,
    measure: () => measureOf(pid),
    heap: async () => {
      const line = once(reader, "line") as Promise<[string]>;
      child.kill("SIGUSR2");
      const [said] = await line;
      return (JSON.parse(said) as { heap: number }).heap; // service-main.ts says nothing else
    },
    end: async (signal) => {
      child.kill(signal);
      const [, by] = await ended;
      return { signal: by, last: lines.at(-1) ?? "" };
    },
  };
}

function measureOf(pid: number): Measure {
  const home = `/proc/${pid}`;
  const targets = readdirSync(`${home}/fd`).flatMap((name) => {
    try {
      return [readlinkSync(`${home}/fd/${name}`)];
    } catch {
      return []; // closed meanwhile
    }
  });
  const table = readFileSync(`${home}/net/tcp`, "utf8") + readFileSync(`${home}/net/tcp6`, "utf8");
  const rows = table.split("\n").map((line) => line.trim().split(/\s+/));
  const isListening = (state: string | undefined): boolean => state === "0A";
  const open = rows.filter(([, , , state]) => !isListening(state)).map((row) => row[9]);
  const connections = new Set(open.map((inode) => `socket:[${inode}]`));
  const tasks = readdirSync(`${home}/task`);
  const children = tasks.flatMap((task) =>
    readFileSync(`${home}/task/${task}/children`, "utf8").split(" ").filter(Boolean),
  );
  return {
    descriptors: targets.length,
    connections: targets.filter((target) => connections.has(target)).length,
    files: targets.filter((target) => target.startsWith("/")),
    children: children.length,
    memory: Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`${home}/status`, "utf8"))?.[1]) / 1024,
  };
}

const script = join(import.meta.dirname, "service-main.ts");
