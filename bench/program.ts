// Runs one program of this folder in a fresh process and gives what it has printed: a process that
// has measured something else before has other optimised code, another heap, other timers.

import { type ChildProcess, execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** A program that takes longer hangs. */
const longestMs = 600_000;

const children = new Set<ChildProcess>();

/** Ends the programs that are running: for a command that is interrupted. */
export function killPrograms(): void {
  for (const child of children) child.kill("SIGKILL");
}

/** Gives the value that `program` prints as JSON; rejects with what it wrote to stderr when it fails. */
export async function runProgram(program: string, ...args: readonly string[]): Promise<unknown> {
  return await runCommand(process.execPath, ["--expose-gc", inThisFolder(program), ...args]);
}

/** The same for a program in another language. */
export async function runCommand(
  file: string,
  args: readonly string[],
  { cwd }: { readonly cwd?: string } = {},
): Promise<unknown> {
  // Debug mode is another program.
  const env = { ...process.env, ASYNCIO_DEBUG: "", PYTHONASYNCIODEBUG: "" };
  const options = { timeout: longestMs, env, cwd };
  const running = promisify(execFile)(file, args, options);
  children.add(running.child);
  const { stdout, stderr } = await running.finally(() => children.delete(running.child));
  process.stderr.write(stderr);
  return JSON.parse(stdout);
}

export function inThisFolder(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
