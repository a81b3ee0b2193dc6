// Programs that are tested from outside: how they end is their behaviour.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ChildOptions {
  /** Flags of Node. */
  readonly flags?: readonly string[];
  /** Called each time the program has printed, with all that it has printed so far. */
  readonly onOutput?: (output: string, child: ChildProcess) => void;
  /** The same for its standard error. */
  readonly onErrors?: (errors: string, child: ChildProcess) => void;
}

/** Runs test/fixtures/`fixture`.ts with `scenario` as its argument until it ends. */
export function runFixture(
  fixture: string,
  scenario: string,
  { flags = [], onOutput, onErrors }: ChildOptions = {},
): Promise<Ended> {
  const path = fileURLToPath(new URL(`./fixtures/${fixture}.ts`, import.meta.url));
  const { ASYNCIO_DEBUG: _, NODE_OPTIONS: __, ...env } = process.env;
  const child = spawn(process.execPath, [...flags, path, scenario], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 600_000, // for a program that hangs, and not for a slow machine
    killSignal: "SIGKILL",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    onOutput?.(stdout, child);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    onErrors?.(stderr, child);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}
