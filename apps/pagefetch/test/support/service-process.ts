/** The service in a process of its own, for what only a process has: signals, descriptors, memory. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
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

export interface ServiceProcess {
  readonly pid: number;
  readonly address: string;
  /** Of a key without limits. */
  readonly key: string;
  /** What it has said on standard error, so far. */
  readonly said: () => string;
  /** Descriptors that are open, and the memory that it occupies, in MiB. Linux only. */
  measure(): { readonly descriptors: number; readonly memory: number };
  /** Sends the signal, and waits until the process has ended: by what, and what it said at last. */
  end(signal: NodeJS.Signals): Promise<{ signal: NodeJS.Signals | null; last: string }>;
}

/** Starts it, and waits until it listens. `limit` is for descriptors. */
export async function openService(
  farm: Farm,
  config: Config,
  limit?: number,
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
  const limits = limit === undefined ? "" : `ulimit -n ${limit}; `;
  const child = spawn("sh", ["-c", `${limits}exec "$0" "$1"`, process.execPath, script], {
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
  const { address, key } = JSON.parse(first) as { address: string; key: string };
  const pid = child.pid ?? 0;
  return {
    pid,
    address,
    key,
    said: () => said,
    measure: () => ({
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      memory:
        Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024,
    }),
    end: async (signal) => {
      child.kill(signal);
      const [, by] = await ended;
      return { signal: by, last: lines.at(-1) ?? "" };
    },
  };
}

const script = join(import.meta.dirname, "service-main.ts");
