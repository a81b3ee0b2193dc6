/**
 * The error of a program that has run and failed. A program that does not start has an error of the
 * host (start-error.ts).
 */

import { register } from "../errors/errors.ts";
import { makeDecoder } from "../streams/encode.ts";

/** What a process put out on one stream: all of it, or its end. */
export interface Tail<T> {
  readonly output: T;
  /** How many bytes came before that, and are not here. */
  readonly cut: number;
}

/** What a ProcessError tells. */
export interface ProcessErrorDetails {
  readonly command: string;
  readonly returncode: number;
  readonly signal: string | undefined;
  readonly stdout: Tail<string | Uint8Array | undefined>;
  readonly stderr: Tail<string | Uint8Array | undefined>;
}

/** Lines, and characters in all, of the output that a message shows. */
const MOST_LINES = 10;
const MOST_CHARACTERS = 1000;

/** A program has ended with a code other than 0, or by a signal. */
export class ProcessError extends Error {
  readonly code = "ERR_ASYNCIO_PROCESS";
  /** The program and its arguments, as one would type them. */
  readonly command: string;
  /** Its exit code. If a signal has ended it, the number of the signal, negative. */
  readonly returncode: number;
  /** The signal that ended it, by name. */
  readonly signal: string | undefined;
  // Not enumerable: printing the error would print all of them.
  /** The end of the captured output, as text or bytes; undefined if it was not captured. */
  declare readonly stdout: string | Uint8Array | undefined;
  /** What the program has written to stderr, where that was captured. */
  declare readonly stderr: string | Uint8Array | undefined;
  /** Bytes that came before `stdout` and `stderr`, and were cut off. */
  readonly cut: { readonly stdout: number; readonly stderr: number };

  constructor(details: ProcessErrorDetails) {
    const { command, returncode, signal, stdout, stderr } = details;
    super(processMessage(details));
    this.command = command;
    this.returncode = returncode;
    this.signal = signal;
    this.cut = { stdout: stdout.cut, stderr: stderr.cut };
    Object.defineProperty(this, "stdout", { value: stdout.output });
    Object.defineProperty(this, "stderr", { value: stderr.output });
  }
}
register(ProcessError, "ProcessError");

function processMessage({ command, returncode, signal, stdout, stderr }: ProcessErrorDetails) {
  const end = signal === undefined ? `code ${returncode}` : signal;
  const said = lastLines("stderr", stderr) ?? lastLines("stdout", stdout) ?? "";
  return `\`runProcess\` expected ${command} to end with code 0, got ${end}${said}`;
}

function lastLines(name: string, { output }: Tail<string | Uint8Array | undefined>) {
  if (output === undefined || output.length === 0) return undefined;
  const text = typeof output === "string" ? output : makeDecoder().decode(output);
  const trimmed = text.trimEnd();
  if (trimmed === "") return undefined;
  const lines = trimmed.slice(-MOST_CHARACTERS).split("\n").slice(-MOST_LINES);
  return `. Its ${name} ends with:\n${lines.map((line) => `  ${line}`).join("\n")}`;
}
