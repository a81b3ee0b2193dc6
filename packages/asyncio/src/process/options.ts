/** What a subprocess can be told. */

import type { Names } from "../errors/options.ts";

/**
 * A pipe to this process, the stream of this process itself, nothing, or a file descriptor of this
 * process.
 */
export type Stdio = "pipe" | "inherit" | "ignore" | number;

/** What `createSubprocessExec` and `createSubprocessShell` take. */
export interface SubprocessOptions {
  /** Where its input comes from. @default "inherit" */
  readonly stdin?: Stdio | undefined;
  /** Where its output goes. @default "inherit" */
  readonly stdout?: Stdio | undefined;
  /**
   * "stdout" sends it where stdout goes, in the order in which both were written. @default
   * "inherit"
   */
  readonly stderr?: Stdio | "stdout" | undefined;
  /** The folder it runs in. @default the folder of this process */
  readonly cwd?: string | URL | undefined;
  /**
   * The whole environment: `{ ...process.env, NAME: "value" }` adds to it. @default that of this
   * process
   */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /**
   * Gives the process a session and a process group of its own. Then it can be ended together with
   * everything that it has started, and a Ctrl-C in the terminal does not reach it. @default true,
   * unless it inherits stdin: such a process may want to talk to the terminal
   */
  readonly startNewSession?: boolean | undefined;
  /** The user it runs as. */
  readonly uid?: number | undefined;
  /** The group it runs as. */
  readonly gid?: number | undefined;
  /**
   * Bytes that may come before the end of a line, when stdout or stderr is read. @default 65,536
   */
  readonly limit?: number | undefined;
}

export const SUBPROCESS: Names<SubprocessOptions> = {
  stdin: 1,
  stdout: 1,
  stderr: 1,
  cwd: 1,
  env: 1,
  startNewSession: "boolean",
  uid: 1,
  gid: 1,
  limit: 1,
};
