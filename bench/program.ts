// Runs one program of this folder in a fresh process and gives what it has printed: a process that
// has measured something else before has other optimised code, another heap, other timers.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** A program that takes longer hangs. */
const longestMs = 600_000;

/** Gives the value that `program` prints as JSON; rejects with what it wrote to stderr when it fails. */
export async function runProgram(program: string, ...args: readonly string[]): Promise<unknown> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  const env = { ...process.env, ASYNCIO_DEBUG: "" }; // debug mode is another program
  const options = { timeout: longestMs, env };
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ["--expose-gc", file, ...args],
    options,
  );
  process.stderr.write(stderr);
  return JSON.parse(stdout);
}
