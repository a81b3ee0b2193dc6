// The command line that the network programs here have in common: options by `parseArgs`, addresses
// and numbers out of them, and one way to end. Wrong arguments are answered by a sentence and the
// usage, an error of the network by a sentence; Ctrl-C is left to `asyncio.run`, which cancels
// `main`, waits for its `finally` blocks, and lets the process end by the signal.

import * as asyncio from "asyncio-ts";

/** Wrong arguments: the user's mistake, not the program's. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * Runs a program: `read` makes its options of the arguments (`parseArgs` in it may throw), `main`
 * does the work. Exit status 0, 1 after an error of the network, 2 for wrong arguments.
 */
export async function runProgram<O>(
  usage: string,
  read: (args: string[]) => O,
  main: (options: O) => Promise<void>,
): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(`${usage}\n`);
    return;
  }
  try {
    const options = read(args);
    await asyncio.run(() => main(options));
  } catch (error) {
    const isUsage = error instanceof UsageError || codeOf(error)?.startsWith("ERR_PARSE_ARGS");
    if (!isUsage && !isNetworkError(error)) throw error;
    const [first] = error instanceof asyncio.ExceptionGroup ? error.flatten() : [error];
    process.stderr.write(`${(first as Error).message}\n${isUsage ? `\n${usage}\n` : ""}`);
    process.exitCode = isUsage ? 2 : 1;
  }
}

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

/** Reads "example.org:80", "[::1]:80", ":80" or "80"; the last two are on this machine. */
export function address(name: string, text: string | undefined): HostAndPort {
  const [, host, port] = /^(?:(.*):)?(\d+)$/.exec(text ?? "") ?? [];
  if (port === undefined || Number(port) > 65_535)
    throw new UsageError(
      `${name} has to be HOST:PORT, not ${text === undefined ? "absent" : text}`,
    );
  return { host: host?.replace(/^\[(.*)\]$/, "$1") || "127.0.0.1", port: Number(port) };
}

/** Reads a number from `least` on. */
export function number(name: string, text: string, least = 0): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= least))
    throw new UsageError(`${name} has to be a number from ${least} on, not ${text}`);
  return value;
}

/**
 * Whether an operation failed because of the peer or the network, and not because of a mistake in
 * the program.
 */
export function isNetworkError(error: unknown): error is Error & { readonly code: string } {
  if (error instanceof asyncio.ExceptionGroup) return error.flatten().every(isNetworkError);
  return error instanceof Error && "syscall" in error;
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string } | undefined)?.code;
}
