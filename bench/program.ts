// Runs one program of this folder in a fresh process and gives what it has printed: a process that
// has measured something else before has other optimised code, another heap, other timers.

import { type ChildProcess, execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** A program that takes longer hangs. */
const longestMs = 600_000;

const children = new Set<ChildProcess>();

/** Counts a program among those that are running, until it ends. */
export function trackProgram(child: ChildProcess): void {
  children.add(child);
  child.once("exit", () => children.delete(child));
}

/**
 * While what is returned is not disposed of, a Ctrl-C ends the programs that are running, disposes
 * of `resource`, and ends the process as a shell expects.
 */
export function disposeOnSignal(resource: Disposable): Disposable {
  const statuses = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
  const removers = Object.entries(statuses).map(([signal, status]) => {
    const handler = (): void => {
      for (const child of children) child.kill("SIGKILL");
      resource[Symbol.dispose]();
      process.exit(status);
    };
    process.on(signal, handler);
    return () => process.off(signal, handler);
  });
  const stopWatching = (): void => {
    for (const remove of removers) remove();
  };
  return { [Symbol.dispose]: stopWatching };
}

/**
 * Gives the value that `program` prints as JSON; rejects with what it wrote to stderr when it
 * fails.
 */
export async function runProgram(program: string, ...args: readonly string[]): Promise<unknown> {
  return await runCommand(process.execPath, ["--expose-gc", inThisFolder(program), ...args]);
}

/**
 * The same for one that has a million of something: Node's usual limit is near there, and then it
 * collects all the time.
 */
export async function runLargeProgram(
  program: string,
  ...args: readonly string[]
): Promise<unknown> {
  const flags = ["--expose-gc", "--max-old-space-size=12000"];
  return await runCommand(process.execPath, [...flags, inThisFolder(program), ...args]);
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
  trackProgram(running.child);
  const { stdout, stderr } = await running;
  process.stderr.write(stderr);
  return JSON.parse(stdout);
}

export function inThisFolder(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
